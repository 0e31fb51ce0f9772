"""Answers of any size pass in little memory, and each at the speed of its own reader."""
import contextlib
import os
import signal
import socket
import threading
import time

import pytest
from node_host import NodeHost, resident_bytes
from raw_http import RawConnection, eventually, request
from server import Server

MIB = 1 << 20
STREAM = {
    "python3": {"main.py": "import time\n\n\ndef handler(event, context):\n"
                           "    yield 'first\\n'\n    time.sleep(0.5)\n    yield 'second\\n'\n"},
    "node": {"main.js": "exports.handler = async function* () {\n  yield 'first\\n';\n"
                        "  await new Promise((done) => setTimeout(done, 500));\n"
                        "  yield 'second\\n';\n};\n"},
}
BREAK = {
    "python3": {"main.py": "def handler(event, context):\n    yield 'half'\n"
                           "    raise RuntimeError('in the middle')\n"},
    "node": {"main.js": "exports.handler = async function* () {\n  yield 'half';\n"
                        "  throw new Error('in the middle');\n};\n"},
}
BIG = {
    "python3": {"main.py": "def handler(event, context):\n    for _ in range(event):\n"
                           "        yield b'x' * 1048576\n"},
    "node": {"main.js": "exports.handler = async function* (count) {\n"
                        "  const piece = Buffer.alloc(1048576, 'x');\n"
                        "  for (let number = 0; number < count; number++) yield piece;\n};\n"},
    "exec": {"main": "#!/bin/sh\nread count\nhead -c $((count * 1048576)) /dev/zero\n"},
}


@pytest.fixture(scope="module")
def worker(server, compile_native):
    return server.deploy("worker", "native", {"main": compile_native("worker")})


def ask(server, function, payload, receive_buffer=None):
    client = RawConnection(server.port, receive_buffer)
    client.send(request("POST", f"/api/v1/functions/execute/{function}", payload, server.token))
    return client


def drain(client, headers):
    """Counts a body without keeping it."""
    assert headers["transfer-encoding"] == "chunked"
    total = 0
    while chunk := client.read_chunk():
        total += len(chunk)
    return total


def test_a_hundred_mebibytes_pass_in_little_memory(server, host, worker):
    server.call(worker, b"download 1000000")
    before = resident_bytes(host.gateway)
    with ask(server, worker, b"download %d" % (100 * MIB)) as client:
        assert drain(client, client.read_head()[1]) == 100 * MIB + 6
    assert resident_bytes(host.gateway) - before < 16 * MIB


@pytest.mark.parametrize("runtime", BIG)
def test_each_runtime_streams(server, host, runtime):
    function = server.deploy(f"big-{runtime}", runtime, BIG[runtime])
    before = resident_bytes(host.gateway)
    with ask(server, function, b"40") as client:
        assert drain(client, client.read_head()[1]) == 40 * MIB
    assert resident_bytes(host.gateway) - before < 16 * MIB


def test_a_slow_reader_slows_the_function_and_nobody_else(server, host, worker):
    before = resident_bytes(host.gateway)
    with ask(server, worker, b"download %d" % (200 * MIB), receive_buffer=8192) as slow:
        status, headers = slow.read_head()
        assert status == 201 and slow.read_chunk().startswith(b"begin")
        # Meanwhile the function could have sent all of it several times.
        for _ in range(20):
            with ask(server, worker, b"download %d" % (10 * MIB)) as quick:
                assert drain(quick, quick.read_head()[1]) == 10 * MIB + 6
        assert resident_bytes(host.gateway) - before < 16 * MIB
        # It goes on where it stood.
        for _ in range(50):
            assert slow.read_chunk()


def test_many_slow_readers_cost_a_bounded_memory(server, host, worker):
    before = resident_bytes(host.gateway)
    clients = [ask(server, worker, b"download %d" % (50 * MIB), receive_buffer=8192)
               for _ in range(16)]
    for client in clients:
        assert client.read_head()[0] == 201
    assert server.call(worker, b"well?").body == b"well?"
    assert resident_bytes(host.gateway) - before < 32 * MIB
    for client in clients:
        client.socket.close()


@pytest.fixture(scope="module")
def narrow(compile_native):
    """A node with little memory for bytes in flight, and a worker on it."""
    with Server("--buffers-max", "4MiB", "--threads", "1") as node:
        function = node.deploy("worker", "native", {"main": compile_native("worker")},
                               memory="16MiB")
        node.call(function, b"download 1000000")
        yield node, function


def test_what_slow_readers_leave_is_within_the_bound_for_bytes_in_flight(narrow):
    node, function = narrow
    gateway = NodeHost(node).gateway
    before = resident_bytes(gateway)
    with contextlib.ExitStack() as clients:
        for _ in range(64):
            client = ask(node, function, b"download %d" % (50 * MIB), receive_buffer=8192)
            assert clients.enter_context(client).read_head()[0] == 201
        assert node.call(function, b"well?").body == b"well?"
        assert resident_bytes(gateway) - before < 12 * MIB


def test_a_document_that_could_not_be_kept_is_refused_as_overload(narrow):
    node, _ = narrow
    function = node.deploy("talker", "exec", {
        "main": "#!/bin/sh\nhead -c 1000000 /dev/zero | tr '\\0' x | fold -w 1000 >&2\n"})
    for _ in range(5):
        assert node.call(function).status == 201
    path = f"/api/v1/functions/{function}/logs"
    answer = node.request("GET", f"{path}?limit=10000")
    assert answer.status == 503 and answer.json()["reason"] == "overloaded", answer
    assert int(answer.headers["Retry-After"]) >= 1
    answer = node.request("GET", f"{path}?limit=100")
    assert answer.status == 200 and answer.body.count(b"\n") == 100


@pytest.mark.parametrize("runtime", STREAM)
def test_the_first_piece_arrives_before_the_last_is_made(server, runtime):
    function = server.deploy(f"stream-{runtime}", runtime, STREAM[runtime])
    with ask(server, function, b"") as client:
        client.read_head()
        assert client.read_chunk() == b"first\n"
        assert client.is_silent(0.1), "the second piece came with the first"
        assert client.read_chunk() == b"second\n" and client.read_chunk() == b""


@pytest.mark.parametrize("runtime", BREAK)
def test_an_error_after_the_first_piece_breaks_the_answer_off(server, runtime):
    """The status is out: the missing last chunk alone tells the client."""
    function = server.deploy(f"break-{runtime}", runtime, BREAK[runtime])
    for _ in range(2):
        with ask(server, function, b"") as client:
            assert client.read_head()[0] == 201
            assert client.read_chunk() == b"half" and client.is_closed()


def test_an_exit_after_the_first_piece_breaks_the_answer_off(server, worker):
    with ask(server, worker, b"break 0") as client:
        assert client.read_head()[0] == 201
        assert client.read_chunk() == b"half" and client.is_closed()
    assert server.call(worker, b"well?").body == b"well?"


def ask_old(server, function, payload):
    """By HTTP/1.0, where the end of the connection is the end of the body."""
    client = RawConnection(server.port)
    client.send(request("POST", f"/api/v1/functions/execute/{function}", payload,
                        server.token).replace(b"HTTP/1.1", b"HTTP/1.0", 1))
    status, headers = client.read_head()
    assert status == 201 and not {"transfer-encoding", "content-length"} & set(headers)
    return client


def test_a_whole_answer_to_an_old_client_ends_in_order(server, worker):
    with ask_old(server, worker, b"download 300000") as client:
        assert len(client.read_rest()) == 300006


def test_half_an_answer_to_an_old_client_ends_in_a_reset(server, worker):
    """An orderly end would make it whole."""
    with ask_old(server, worker, b"break 0") as client, pytest.raises(ConnectionResetError):
        client.read_rest()
    assert server.call(worker, b"well?").body == b"well?"


def test_an_answer_that_its_old_client_does_not_take_ends_in_a_reset(compile_native):
    with Server("--stall-timeout", "200ms") as node:
        function = node.deploy("worker", "native", {"main": compile_native("worker")})
        with ask_old(node, function, b"download %d" % (50 * MIB)) as client:
            eventually(lambda: node.metrics()["magpie_connections"] == 1, "it was given up")
            with pytest.raises(ConnectionResetError):
                client.read_rest()


def test_a_function_that_goes_deaf_in_the_middle_of_both_bodies_ends_that_call_only(compile_native):
    with Server("--stall-timeout", "200ms") as node:
        function = node.deploy("deaf", "native", {"main": compile_native("protocol")})
        gateway = NodeHost(node).gateway
        for _ in range(4):
            with RawConnection(node.port) as client, contextlib.suppress(ConnectionResetError):
                client.send(request("POST", f"/api/v1/functions/execute/{function}", token=node.token,
                                    headers=[f"Content-Length: {6 * MIB}"]) + b"deaf".ljust(5 * MIB))
                came = client.read_rest()  # half an answer or none, and the end
                assert came == b"" or came.startswith(b"HTTP/1.1 201 ")
            time.sleep(0.5)  # whatever was to look after the connection later
        assert node.call(function, b"well?").body == b"well?" and NodeHost(node).gateway == gateway


def test_a_gateway_that_dies_in_the_middle_resets_its_old_client(compile_native):
    with Server() as node:
        function = node.deploy("worker", "native", {"main": compile_native("worker")})
        with ask_old(node, function, b"download %d" % (50 * MIB)) as client:
            os.kill(NodeHost(node).gateway, signal.SIGKILL)
            with pytest.raises(ConnectionResetError):
                client.read_rest()
        node.wait_ready()


def test_a_function_that_answers_early_need_not_read_the_request(server, worker):
    function = server.deploy("deaf", "python3", {
        "main.py": "def handler(event, context):\n    return 'deaf'\n"})
    for _ in range(5):
        answer = server.call(function, b"x" * (5 * MIB))
        assert answer.status == 201 and answer.body == b"deaf"


def chunked(payload):
    return ["Transfer-Encoding: chunked"], payload


def of_length(payload):
    return [f"Content-Length: {len(payload)}"], payload


UNREAD = {  # what is answered while much of it is still to be read, and how
    "it waited too long": (429, of_length(b"x" * (5 * MIB))),
    "the function ended": (502, of_length(b"exit 3".ljust(5 * MIB))),
    "no chunk": (400, chunked(b"5\r\nhelloX".ljust(5 * MIB))),
    "a chunk that is too large": (413, chunked(b"fffffff\r\n".ljust(5 * MIB))),
}


@pytest.mark.parametrize("what", UNREAD)
def test_who_sends_everything_first_reads_the_answer_that_came_before(compile_native, what):
    status, (headers, payload) = UNREAD[what]
    with Server("--wait-max", "300ms") as node:
        function = node.deploy("single", "native", {"main": compile_native("worker")}, max=1)
        with contextlib.ExitStack() as clients:
            if status == 429:
                clients.enter_context(ask(node, function, b"sleep 3000"))
                eventually(lambda: node.metrics().get(
                    'magpie_instances{function="admin/single",state="busy"}') == 1, "it is busy")
            client = clients.enter_context(RawConnection(node.port))
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
            client.send(request("POST", f"/api/v1/functions/execute/{function}", token=node.token,
                                headers=headers) + payload)
            assert client.read_answer().status == status and client.is_closed()


def test_an_exit_between_half_a_body_and_half_an_answer_ends_that_call_only(server, worker, host):
    gateway = host.gateway
    with RawConnection(server.port) as client:
        client.send(request("POST", f"/api/v1/functions/execute/{worker}", token=server.token,
                            headers=["Content-Length: 200000"]) + b"break 0".ljust(150000))
        assert client.read_head()[0] == 201
        assert client.read_chunk() == b"half" and client.is_closed()
    assert server.call(worker, b"well?").body == b"well?" and host.gateway == gateway


def test_a_small_body_behind_a_long_head_comes_whole(server, worker):
    answer = server.request("POST", f"/f/{worker}", b"x" * 48000, {"X-Long": "y" * 20000})
    assert answer.status == 200 and answer.body == b"x" * 48000


def test_large_bodies_and_small_ones_at_once(server, worker):
    failures = []

    def run(size, rounds):
        payload = b"%d" % size + b"x" * size
        for _ in range(rounds):
            answer = server.call(worker, payload)
            if answer.status != 201 or answer.body != payload:
                failures.append((size, answer.status, len(answer.body)))
    threads = [threading.Thread(target=run, args=arguments)
               for arguments in [(0, 200), (0, 200), (4 * MIB, 5), (MIB, 10), (60000, 50),
                                 (70000, 50)]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
