"""Several gateway threads: instances and calls cross from one to another, and nobody notices."""
import collections
import threading

import pytest
from raw_http import RawConnection, eventually, request
from server import Server

MIB = 1 << 20
VERSION = "def handler(event, context):\n    return {}\n"


@pytest.fixture(scope="module", params=[2, 4])
def server(request):
    with Server("--threads", str(request.param), "--stall-timeout", "5m") as node:
        yield node


@pytest.fixture(scope="module")
def program(compile_native):
    return {"main": compile_native("worker")}


def run_together(count, work):
    """Runs work(number) in threads; what they raise fails the test."""
    failed = []

    def run(number):
        try:
            work(number)
        except Exception as error:
            failed.append(error)
    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


def connections_of(server, count):
    return [RawConnection(server.port, timeout=60) for _ in range(count)]


def execute(server, function, payload):
    return request("POST", f"/api/v1/functions/execute/{function}", payload, server.token)


@pytest.mark.parametrize("size", [0, 1000, 70000, 2 * MIB])
def test_every_size_of_payload_comes_back_over_many_connections(server, program, size):
    function = server.deploy(f"sizes-{size}", "native", program)
    connections = connections_of(server, 16)

    def work(number):
        for call in range(3 if size >= MIB else 40):
            payload = b"%d-%d" % (number, call) + b"x" * size
            answer = connections[number].send(execute(server, function, payload)).read_answer()
            assert answer.status == 201 and answer.body == payload
            if answer.headers.get("connection") == "close":
                connections[number].socket.close()
                connections[number] = RawConnection(server.port, timeout=60)
    run_together(16, work)


def test_an_instance_that_logs_too_much_goes_on_on_another_thread(server, compile_native):
    function = server.deploy("spills", "native", {"main": compile_native("protocol")}, max=1)
    connections = connections_of(server, 8)

    def work(number):
        for _ in range(10):
            answer = connections[number].send(execute(server, function, b"spill")).read_answer()
            assert answer.status == 201 and answer.body == b"spill", answer
    run_together(8, work)


def test_one_instance_serves_all_threads_in_turn(server, program):
    """max 1: whoever calls, on whichever thread, gets that one."""
    function = server.deploy("single", "native", program, max=1)
    connections = connections_of(server, 12)
    starts = collections.Counter()

    def work(number):
        for _ in range(30):
            answer = connections[number].send(execute(server, function, b"calls")).read_answer()
            assert answer.status == 201
            starts[answer.headers["magpie-start"]] += 1
    run_together(12, work)
    assert starts["cold"] <= 1
    last = server.call(function, b"calls")
    assert int(last.body) == 12 * 30 + 1, "another instance was there"


def test_every_connection_is_served_fairly(server, program):
    """Nobody's calls wait for ever behind the others'."""
    function = server.deploy("fair", "native", program, max=2)
    connections = connections_of(server, 16)
    stop = threading.Event()
    counts = collections.Counter()

    def work(number):
        while not stop.is_set():
            answer = connections[number].send(execute(server, function, b"sleep 2")).read_answer()
            assert answer.status == 201
            counts[number] += 1
            if sum(counts.values()) >= 800:
                stop.set()
    run_together(16, work)
    assert len(counts) == 16 and min(counts.values()) >= max(counts.values()) / 4, counts


def test_idle_instances_freeze_and_thaw_on_any_thread(server, program):
    function = server.deploy("frozen", "native", program, max=1)
    server.call(function, b"x")
    for connection in connections_of(server, 8):
        eventually(lambda: server.metrics().get(
            'magpie_instances{function="admin/frozen",state="frozen"}') == 1, "it is frozen")
        answer = connection.send(execute(server, function, b"awake")).read_answer()
        assert answer.body == b"awake" and answer.headers["magpie-start"] == "thawed"
        connection.socket.close()


def test_crashes_and_time_outs_fail_one_call_each(server, program):
    function = server.deploy("crashes", "native", program, timeout="500ms")
    connections = connections_of(server, 16)
    bad = {20: (b"exit 1", 502), 30: (b"sleep 60000", 504)}

    def work(number):
        for call in range(50):
            payload, status = bad.get(call, (b"%d" % call, 201)) if number % 4 == 0 else (
                b"%d" % call, 201)
            answer = connections[number].send(execute(server, function, payload)).read_answer()
            assert answer.status == status, (payload, answer)
            assert status != 201 or answer.body == payload
    run_together(16, work)


def test_clients_that_leave_do_not_disturb_the_others(server, program):
    function = server.deploy("leavers", "native", program, max=3)
    connections = connections_of(server, 12)

    def work(number):
        for call in range(30):
            if number % 3 == 0:
                RawConnection(server.port).send(execute(server, function, b"sleep 5")) \
                    .socket.close()
                continue
            payload = b"%d-%d" % (number, call)
            answer = connections[number].send(execute(server, function, payload)).read_answer()
            assert answer.status == 201 and answer.body == payload
    run_together(12, work)
    eventually(lambda: server.metrics().get(
        'magpie_instances{function="admin/leavers",state="busy"}') == 0, "no instance is busy")


def test_new_versions_and_deletion_under_load(server):
    function = server.deploy("changing", "python3", {"main.py": VERSION.format(0)})
    stop = threading.Event()
    current, seen, statuses = [0], set(), set()

    def work(number):
        if number == 0:
            for version in range(1, 6):
                answer = server.request("PUT", f"/api/v1/functions/{function}/code",
                                        VERSION.format(version).encode())
                assert answer.status == 200
                current[0] = version
                eventually(lambda version=version: version in seen, f"version {version} answers")
            assert server.request("DELETE", f"/api/v1/functions/{function}").status == 200
            eventually(lambda: 404 in statuses, "it is gone")
            stop.set()
            return
        while not stop.is_set():
            oldest = current[0]
            answer = server.call(function)
            statuses.add(answer.status)
            if answer.status == 201:
                assert int(answer.body) >= oldest
                seen.add(int(answer.body))
    try:
        run_together(7, work)
    finally:
        stop.set()
    assert statuses == {201, 404} and seen == set(range(6))


def test_streams_flow_at_their_readers_speed(server, program):
    function = server.deploy("streams", "native", program, timeout="10m")
    slow = [RawConnection(server.port, receive_buffer=8192).send(
        execute(server, function, b"download 20000000")) for _ in range(4)]

    def work(number):
        connection = RawConnection(server.port).send(
            execute(server, function, b"download 5000000"))
        assert len(connection.read_answer().body) == 5000006
    run_together(8, work)
    for connection in slow:
        assert len(connection.read_answer().body) == 20000006


def test_keep_alive_zero_is_cold_on_every_thread(server, program):
    function = server.deploy("once", "native", program, keepAlive="0s")
    connections = connections_of(server, 8)

    def work(number):
        for _ in range(5):
            answer = connections[number].send(execute(server, function, b"calls")).read_answer()
            assert answer.body == b"1" and answer.headers["magpie-start"] == "cold"
    run_together(8, work)
