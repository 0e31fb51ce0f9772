"""Many clients, slow clients, and the end of the node while they are there."""
import asyncio
import json
import os
import signal
import socket
import statistics
import subprocess
import threading
import time

import pytest
from node_host import NodeHost, leftover_groups
from raw_http import RawConnection, eventually, request
from server import Server

MANY = 2000
ANSWER_SECONDS = 60


@pytest.fixture(scope="module")
def call(server, compile_native):
    """The bytes of a call of a native echo."""
    function = server.deploy("echo", "native", {"main": compile_native("worker")})
    server.call(function, b"x")
    return lambda payload=b"x": request("POST", f"/api/v1/functions/execute/{function}", payload,
                                        server.token)


async def read_answer(reader):
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    length = int(head.split("content-length: ")[1].split("\r\n")[0])
    return int(head.split(" ")[1]), await reader.readexactly(length)


async def client(port, call, rounds, together):
    """Connects, waits until all have, and calls: the payloads that did not come back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await together.wait()
    failed = 0
    for number in range(rounds):
        payload = b"%d" % number
        writer.write(call(payload))
        failed += await read_answer(reader) != (201, payload)
    writer.close()
    return failed


async def clients(port, call, count, rounds):
    together = asyncio.Barrier(count)
    return sum(await asyncio.wait_for(
        asyncio.gather(*(client(port, call, rounds, together) for _ in range(count))),
        ANSWER_SECONDS))


def test_two_thousand_connections_are_served_at_once(server, call):
    assert asyncio.run(clients(server.port, call, MANY, 3)) == 0


def test_newcomers_do_not_wait_behind_all_who_call(compile_native):
    """The loop comes to the listener once for all clients that have something to say. Then 64 newcomers were
    let in, and of these 640 the last ones waited ten times."""
    with Server("--threads", "1") as server:
        function = server.deploy("echo", "native", {"main": compile_native("worker")}, public=True)
        call = request("POST", f"/f/{function}", b"x")
        crowd = subprocess.Popen(
            [server.build / "magpie", "bench", f"{server.url}/f/{function}", "-c", str(MANY), "-d", "5s",
             "--data", "x", "-o", "json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        time.sleep(2)
        newcomers = [RawConnection(server.port).send(call) for _ in range(640)]
        sent = time.monotonic()
        assert all(newcomer.read_answer().body == b"x" for newcomer in newcomers)
        waited_ms = (time.monotonic() - sent) * 1000
        others, = json.loads(crowd.communicate()[0])["stages"]
    assert waited_ms < 6 * others["p50"]


def test_who_asks_for_health_does_not_wait_behind_all_who_call(compile_native):
    """Neither on a new connection nor on one that has asked before: he waited for as long as everybody else."""
    with Server("--threads", "1") as server:
        function = server.deploy("echo", "native", {"main": compile_native("worker")}, public=True)
        asking = newcomer(server)
        crowd = subprocess.Popen(
            [server.build / "magpie", "bench", f"{server.url}/f/{function}", "-c", str(MANY), "-d", "5s",
             "--data", "x", "-o", "json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        time.sleep(2)
        waited_ms = {"old": [], "new": []}
        for _ in range(40):
            for kind, waits in waited_ms.items():
                began = time.monotonic()
                assert (asking if kind == "old" else RawConnection(server.port)).send(
                    HEALTH).read_answer().status == 200
                waits.append((time.monotonic() - began) * 1000)
        others, = json.loads(crowd.communicate()[0])["stages"]
    assert {kind: statistics.median(waits) < others["p50"] / 3 for kind, waits in waited_ms.items()} == {
        "old": True, "new": True}, (waited_ms, others["p50"])


def test_ten_thousand_requests_do_not_fail(server, call):
    assert asyncio.run(clients(server.port, call, 50, 200)) == 0


def test_idle_connections_cost_nobody_anything(server, call):
    idle = [RawConnection(server.port) for _ in range(500)]
    eventually(lambda: server.metrics()["magpie_connections"] >= 501, "all are there")
    assert asyncio.run(clients(server.port, call, 20, 20)) == 0
    for connection in idle:
        assert connection.send(call(b"awake")).read_answer().body == b"awake"
        connection.socket.close()


def test_slow_clients_do_not_hold_up_others(server, call):
    """Some send their request byte by byte, some do not read their answer."""
    whole = call(b"download 30000000")
    slow = [RawConnection(server.port, receive_buffer=4096) for _ in range(20)]
    for number, connection in enumerate(slow):
        connection.send(whole[:20 + number] if number % 2 else whole)
    began = time.monotonic()
    assert asyncio.run(clients(server.port, call, 10, 50)) == 0
    assert time.monotonic() - began < 20
    for number, connection in enumerate(slow):
        if number % 2:
            connection.send(whole[20 + number:])
        assert connection.read_head()[0] == 201
        connection.socket.close()


HEALTH = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"


def full_node():
    return Server("--connections-max", "10", "--threads", "1")


def newcomer(node):
    connection = RawConnection(node.port)
    assert connection.send(HEALTH).read_answer().status == 200
    return connection


def test_beyond_the_limit_the_connection_that_was_idle_longest_makes_room():
    with full_node() as node:
        old = [newcomer(node) for _ in range(10)]
        for number in (0, 2):  # these two are young again
            assert old[number].send(HEALTH).read_answer().status == 200
        young = []
        for number in (1, 3, 4, 5, 6, 7, 8, 9, 0, 2):
            young.append(newcomer(node))
            assert old[number].is_closed()
        for connection in young:
            assert connection.send(HEALTH).read_answer().status == 200
        assert node.metrics()["magpie_connections_closed_for_room_total"] >= 10


def test_a_connection_that_never_asked_makes_room_too():
    with full_node() as node:
        silent = [RawConnection(node.port) for _ in range(10)]
        newcomer(node)
        assert silent[0].is_closed()
        assert silent[1].send(HEALTH).read_answer().status == 200


def test_whose_request_is_not_read_yet_is_not_sent_away():
    with full_node() as node:
        old = [newcomer(node) for _ in range(10)]
        gateway = NodeHost(node).gateway
        os.kill(gateway, signal.SIGSTOP)
        try:
            late = RawConnection(node.port).send(HEALTH)
            for connection in old[:9]:
                connection.send(HEALTH)
        finally:
            os.kill(gateway, signal.SIGCONT)
        assert late.read_answer().status == 200
        for connection in old[:9]:
            assert connection.read_answer().status == 200


def begin_heads(connections):
    """Each of them a little later than the one before."""
    for connection in connections:
        connection.send(HEALTH[:-2])
        time.sleep(0.01)


def test_where_none_is_idle_the_oldest_head_that_is_not_complete_makes_room():
    """Who ends it at last is answered."""
    with full_node() as node:
        held = [newcomer(node) for _ in range(10)]
        begin_heads([held[5], *held[:5], *held[6:]])
        late = newcomer(node)
        assert held.pop(5).is_closed()
        for connection in held:
            assert connection.send("\r\n").read_answer().status == 200
        assert late.send(HEALTH).read_answer().status == 200
        assert node.metrics()["magpie_connections_closed_for_room_total"] >= 1


def test_a_head_whose_rest_is_not_read_yet_is_not_sent_away():
    with full_node() as node:
        held = [newcomer(node) for _ in range(10)]
        begin_heads([held[9], *held[:9]])
        time.sleep(1)
        gateway = NodeHost(node).gateway
        os.kill(gateway, signal.SIGSTOP)
        try:
            late = RawConnection(node.port).send(HEALTH)
            for connection in held[:9]:
                connection.send("\r\n")
        finally:
            os.kill(gateway, signal.SIGCONT)
        assert late.read_answer().status == 200
        for connection in held[:9]:
            assert connection.read_answer().status == 200


def test_who_calls_is_neither_idle_nor_slow(compile_native):
    """With its head it has said what it wants, however slowly the rest comes."""
    with full_node() as node:
        function = node.deploy("echo", "native", {"main": compile_native("worker")}, public=True)
        busy = [RawConnection(node.port).send(request("POST", f"/f/{function}", b"sleep 2000"))
                for _ in range(5)]
        slow = [RawConnection(node.port).send(request("POST", f"/f/{function}", b"x" * 1000)[:-1])
                for _ in range(5)]
        late = RawConnection(node.port).send(HEALTH)
        assert late.is_silent(1.5)
        for connection in slow:
            assert connection.send("x").read_answer().body == b"x" * 1000
        for connection in busy:
            assert connection.read_answer().body == b"slept"
        assert late.read_answer().status == 200


def test_where_descriptors_run_out_idle_connections_make_room_too():
    with Server("--connections-max", "10000", "--threads", "1",
                wrapper=["prlimit", "--nofile=400:400"]) as node:
        idle = [RawConnection(node.port) for _ in range(400)]
        for _ in range(3):
            newcomer(node)
        assert idle[0].is_closed()


def test_who_gives_up_before_he_is_let_in_holds_no_place(compile_native):
    """He is told so where he can still read it, and whoever came after him is served."""
    with full_node() as node:
        function = node.deploy("echo", "native", {"main": compile_native("worker")}, public=True)
        busy = [RawConnection(node.port).send(request("POST", f"/f/{function}", b"sleep 5000"))
                for _ in range(10)]
        gone = [RawConnection(node.port).send(HEALTH) for _ in range(200)]
        for number, connection in enumerate(gone):
            if number % 2:
                connection.socket.close()
            else:
                connection.socket.shutdown(socket.SHUT_WR)
        late = RawConnection(node.port).send(HEALTH)
        for connection in gone[::2]:
            answer = connection.read_answer()
            assert answer.status == 503 and answer.headers["retry-after"] == "1"
            assert json.loads(answer.body)["reason"] == "overloaded"
            assert connection.is_closed()
        assert late.is_silent(0.3), "nobody can go yet"
        for connection in busy:
            assert connection.read_answer().body == b"slept"
        assert late.read_answer().status == 200


def test_more_clients_than_places_who_call_all_the_time_come_in_turns_and_lose_nothing():
    """None of them is idle. Whoever has had his answer and is to make room is told so with it; his
    connection was cut where he had just sent his next request."""
    ends = time.monotonic() + 3
    served, told, lost = [0] * 13, [0] * 13, []

    def go_on(node, number):
        try:
            while time.monotonic() < ends:
                with RawConnection(node.port) as connection:
                    headers = {}
                    while headers.get("connection") != "close" and time.monotonic() < ends:
                        at_once = 1 + number % 2
                        connection.send(HEALTH * at_once)
                        for _ in range(at_once):
                            answer = connection.read_answer()
                            headers = answer.headers
                            served[number] += answer.status == 200
                    told[number] += headers.get("connection") == "close"
        except (OSError, EOFError) as error:
            lost.append(error)

    with full_node() as node:
        threads = [threading.Thread(target=go_on, args=(node, number)) for number in range(13)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert lost == []
    assert min(served) > 0 and sum(told) >= 3
    assert sum(told) <= 3 * 30 + 13, "no more than wait, and look again every 100 ms"


def test_thousands_that_hang_up_are_closed_behind_whoever_asks():
    """Those were closed first, half a second for ten thousand, and nobody was served meanwhile."""
    with Server("--threads", "1") as node:
        asking = newcomer(node)
        idle = [RawConnection(node.port) for _ in range(4000)]
        eventually(lambda: node.metrics()["magpie_connections"] > 4000, "all are there")
        gateway = NodeHost(node).gateway
        os.kill(gateway, signal.SIGSTOP)
        try:
            for connection in idle:
                connection.socket.close()
            asking.send("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
        finally:
            os.kill(gateway, signal.SIGCONT)
        figures = asking.read_answer().body.decode()
        assert float(figures.split("\nmagpie_connections ")[1].split("\n")[0]) > 2000
        eventually(lambda: node.metrics()["magpie_connections"] < 10, "all are closed")


def draining_node(compile_native, *options, **settings):
    node = Server(*options).start()
    function = node.deploy("echo", "native", {"main": compile_native("worker")}, **settings)
    node.call(function, b"x")

    def call(payload):
        return request("POST", f"/api/v1/functions/execute/{function}", payload, node.token)
    return node, call


def wait_end(node, seconds=30):
    status = node.process.wait(seconds)
    node.process = None
    return status


def expect_draining(answer):
    assert answer.status == 503 and b'"draining"' in answer.body
    assert int(answer.headers["retry-after"]) >= 1


def test_sigterm_lets_requests_finish_and_ends_with_zero(compile_native):
    node, call = draining_node(compile_native)
    try:
        parents = NodeHost(node).parent_groups()
        busy = [RawConnection(node.port).send(call(b"sleep 700")) for _ in range(5)]
        stream = RawConnection(node.port, receive_buffer=8192).send(call(b"download 5000000"))
        idle = RawConnection(node.port)
        eventually(lambda: node.metrics().get(
            'magpie_instances{function="admin/echo",state="busy"}') == 6, "all six run")
        node.process.send_signal(signal.SIGTERM)
        assert idle.is_closed(), "an idle connection is let go"
        # Its listener is closed by the time the idle connection is.
        with pytest.raises(ConnectionRefusedError):
            RawConnection(node.port)
        for connection in busy:
            answer = connection.read_answer()
            assert answer.status == 201 and answer.body == b"slept"
            assert connection.is_closed()
        status, headers = stream.read_head()
        assert len(stream.read_body(headers)) == 5000006
        assert wait_end(node) == 0
        assert leftover_groups(parents) == []
    finally:
        node.kill()
        node.remove()


def test_a_pipelined_request_behind_the_last_is_not_half_served(compile_native):
    """What was taken is answered; what was not is refused, by an answer or by the end."""
    node, call = draining_node(compile_native)
    try:
        connection = RawConnection(node.port).send(call(b"sleep 300") + call(b"second"))
        eventually(lambda: node.metrics().get(
            'magpie_instances{function="admin/echo",state="busy"}') == 1, "it runs")
        node.process.send_signal(signal.SIGTERM)
        assert connection.read_answer().body == b"slept"
        try:
            answer = connection.read_answer()
            assert answer.status in (201, 503)
        except (EOFError, ConnectionError):
            pass
        assert wait_end(node) == 0
    finally:
        node.kill()
        node.remove()


def test_a_request_that_comes_while_a_node_drains_is_told_to_come_again(compile_native):
    node, call = draining_node(compile_native)
    try:
        busy = RawConnection(node.port).send(call(b"sleep 700"))
        late = RawConnection(node.port).send(call(b"late")[:20])
        idle = RawConnection(node.port)
        eventually(lambda: node.metrics().get(
            'magpie_instances{function="admin/echo",state="busy"}') == 1, "it runs")
        node.process.send_signal(signal.SIGTERM)
        assert idle.is_closed(), "it drains"
        expect_draining(late.send(call(b"late")[20:]).read_answer())
        late.socket.close()
        assert busy.read_answer().body == b"slept"
        assert wait_end(node) == 0
    finally:
        node.kill()
        node.remove()


def test_who_waits_for_a_place_when_the_node_goes_down_is_told_to_come_again(compile_native):
    node, call = draining_node(compile_native, "--connections-max", "5", "--threads", "1")
    try:
        busy = [RawConnection(node.port).send(call(b"sleep 1500")) for _ in range(5)]
        late = [RawConnection(node.port).send(HEALTH) for _ in range(20)]
        assert late[0].is_silent(0.5), "nobody can go yet"
        node.process.send_signal(signal.SIGTERM)
        for connection in late:
            answer = connection.read_answer()
            assert answer.status == 503 and answer.headers["retry-after"] == "1"
            assert json.loads(answer.body)["reason"] == "draining"
        for connection in busy:
            assert connection.read_answer().body == b"slept"
        assert wait_end(node) == 0
    finally:
        node.kill()
        node.remove()


def test_draining_does_not_last_for_ever(compile_native):
    """Who still runs then, or waits, is told so."""
    node, call = draining_node(compile_native, "--drain-max", "300ms", max=1)
    try:
        calls = [RawConnection(node.port).send(call(b"sleep 20000")) for _ in range(5)]
        eventually(lambda: node.metrics().get('magpie_waiters{function="admin/echo"}', 0) +
                   node.metrics().get('magpie_instances{function="admin/echo",state="busy"}', 0) == 5,
                   "one runs, the others wait")
        half = RawConnection(node.port).send(call(b"x")[:20])
        began = time.monotonic()
        node.process.send_signal(signal.SIGTERM)
        answers = [connection.read_answer() for connection in calls]
        for answer in answers:
            expect_draining(answer)
        assert half.is_closed()
        assert wait_end(node) == 0
        assert time.monotonic() - began < 10
        assert "took longer than --drain-max" in node.log()
        # Its owner finds the one that had begun.
        begun, = (answer for answer in answers if "magpie-start" in answer.headers)
        written = b"".join(file.read_bytes() for file in (node.data_dir / "logs").rglob("*")
                           if file.is_file())
        assert json.loads(begun.body)["invocationId"].encode() in written
    finally:
        node.kill()
        node.remove()


def test_a_second_sigterm_ends_at_once(compile_native):
    node, call = draining_node(compile_native)
    try:
        RawConnection(node.port).send(call(b"sleep 20000"))
        eventually(lambda: node.metrics().get(
            'magpie_instances{function="admin/echo",state="busy"}') == 1, "it runs")
        began = time.monotonic()
        node.process.send_signal(signal.SIGTERM)
        eventually(lambda: "finishing the requests" in node.log(), "it drains")
        node.process.send_signal(signal.SIGTERM)
        wait_end(node)
        assert time.monotonic() - began < 10
    finally:
        node.kill()
        node.remove()


def test_a_restart_under_load_loses_no_request_that_was_taken(compile_native):
    """Every answer that comes is whole and right, until the connection ends."""
    node, call = draining_node(compile_native)
    wrong, served = [], []

    def run():
        connection = RawConnection(node.port)
        try:
            for number in range(1000000):
                payload = b"%d" % number
                answer = connection.send(call(payload)).read_answer()
                if answer.status == 201 and answer.body == payload:
                    served.append(number)
                elif answer.status != 503:
                    wrong.append(answer)
                if answer.headers.get("connection") == "close":
                    return
        except (EOFError, ConnectionError) as error:
            if "HTTP" in str(error):
                wrong.append(error)  # half an answer
    try:
        threads = [threading.Thread(target=run) for _ in range(8)]
        for thread in threads:
            thread.start()
        eventually(lambda: len(served) > 200, "they are served")
        node.process.send_signal(signal.SIGTERM)
        assert wait_end(node) == 0
        for thread in threads:
            thread.join()
        assert not wrong, wrong[:3]
    finally:
        node.kill()
        node.remove()
