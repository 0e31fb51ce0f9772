"""How many instances there are, who gets them, and how one version follows another."""
import base64
import concurrent.futures
import threading
import time

import pytest
from people import expect_problem
from raw_http import RawConnection, eventually, request
from server import Server, pack

SLEEPER = "import time\n\n\ndef handler(event, context):\n    time.sleep(event)\n    return 'slept'\n"
VERSION = "import time\n\n\ndef handler(event, context):\n    time.sleep(event)\n    return {}\n"


def instances(server, name, *states):
    """How many instances a function has, in all states or some."""
    states = states or ("idle", "frozen", "busy", "starting", "ending")
    metrics = server.metrics()
    return sum(metrics.get(f'magpie_instances{{function="admin/{name}",state="{state}"}}', 0)
               for state in states)


def together(count, call):
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda _: call(), range(count)))


def start_of(answer):
    return answer.headers["Magpie-Start"]


@pytest.fixture(scope="module")
def program(compile_native):
    return {"main": compile_native("worker")}


def test_minimum_instances_are_there_before_the_first_call(server, program):
    function = server.deploy("stock", "native", program, min=3)
    eventually(lambda: instances(server, "stock", "idle", "frozen") == 3, "three stand ready")
    assert start_of(server.call(function, b"x")) in ("warm", "thawed")


def test_minimum_instances_are_made_again_when_one_dies(server, program):
    function = server.deploy("replaced", "native", program, min=2)
    eventually(lambda: instances(server, "replaced", "idle", "frozen") == 2, "two stand ready")
    assert server.call(function, b"exit 1").status == 502
    eventually(lambda: instances(server, "replaced", "idle", "frozen") == 2, "two stand ready again")


def test_minimum_instances_are_there_after_a_new_start(program):
    with Server() as node:
        node.deploy("kept", "native", program, min=2)
        node.stop()
        node.start()
        eventually(lambda: instances(node, "kept", "idle", "frozen") == 2, "two stand ready")


def test_there_are_never_more_than_the_maximum(server, program):
    function = server.deploy("few", "native", program, max=2)
    seen = []
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        calls = [pool.submit(server.call, function, b"sleep 60") for _ in range(10)]
        while not all(call.done() for call in calls):
            seen.append(instances(server, "few", "idle", "frozen", "busy", "starting"))
    assert max(seen) <= 2 and {call.result().status for call in calls} == {201}


def test_as_many_instances_as_calls_that_last(server, program):
    function = server.deploy("many", "native", program)
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        calls = [pool.submit(server.call, function, b"sleep 2000") for _ in range(10)]
        eventually(lambda: instances(server, "many", "busy") == 10, "all ten run at once")
        assert {call.result().status for call in calls} == {201}


def test_keep_alive_zero_makes_every_call_cold_and_leaves_nothing(server, program):
    function = server.deploy("once", "native", program, keepAlive="0s")
    answers = [server.call(function, b"calls") for _ in range(5)]
    assert [start_of(answer) for answer in answers] == ["cold"] * 5
    assert [answer.body for answer in answers] == [b"1"] * 5
    answers = together(8, lambda: server.call(function, b"calls"))
    assert [answer.body for answer in answers] == [b"1"] * 8
    eventually(lambda: instances(server, "once") == 0, "no instance is left")


def test_a_short_keep_alive_ends_idle_instances(server, program, host):
    function = server.deploy("brief", "native", program, keepAlive="200ms")
    assert server.call(function, b"x").status == 201
    eventually(lambda: instances(server, "brief") == 0, "the instance is gone")
    assert start_of(server.call(function, b"x")) == "cold"


def test_an_instance_that_is_used_does_not_expire(server, program):
    function = server.deploy("used", "native", program, keepAlive="1s")
    counts = []
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        counts.append(int(server.call(function, b"calls").body))
    assert counts == list(range(1, len(counts) + 1))


def test_a_line_is_served_in_the_order_of_arrival(server):
    function = server.deploy("line", "python3", {"main.py": SLEEPER}, max=1)
    server.call(function, b"0")
    first = threading.Thread(target=server.call, args=(function, b"0.5"))
    first.start()
    eventually(lambda: instances(server, "line", "busy") == 1, "the first runs")
    lines = []
    for number in range(8):
        connection = RawConnection(server.port)
        connection.send(request("POST", f"/api/v1/functions/execute/{function}", b"0.02",
                                server.token))
        lines.append((time.monotonic() * 1000, connection))
        eventually(lambda number=number: server.metrics().get(
            'magpie_waiters{function="admin/line"}') == number + 1, "it waits in line")
    begun = []
    for came_ms, connection in lines:
        answer = connection.read_answer()
        assert answer.headers["magpie-start"] == "stolen"
        begun.append(came_ms + float(answer.headers["server-timing"].split("dur=")[1].split(",")[0]))
    first.join()
    assert begun == sorted(begun)


def test_a_new_version_under_load_fails_nobody(server):
    """Running instances finish what they have; who asks after the answer gets the new version."""
    function = server.deploy("versions", "python3", {"main.py": VERSION.format(0)})
    stop, wrong, seen = threading.Event(), [], set()
    current = [0]

    def client():
        while not stop.is_set():
            oldest = current[0]
            answer = server.call(function, b"0.005")
            if answer.status != 201 or int(answer.body) < oldest:
                wrong.append((oldest, answer))
            else:
                seen.add(int(answer.body))
    threads = [threading.Thread(target=client) for _ in range(6)]
    for thread in threads:
        thread.start()
    for version in range(1, 9):
        code = VERSION.format(version).encode()
        assert server.request("PUT", f"/api/v1/functions/{function}/code", code).status == 200
        current[0] = version
        eventually(lambda version=version: version in seen, f"version {version} answers")
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong, wrong[:3]
    assert seen == set(range(9))
    eventually(lambda: instances(server, "versions") <= 6, "the old versions are gone")


def test_a_running_call_finishes_in_the_old_version(server):
    function = server.deploy("finish", "python3", {"main.py": VERSION.format(1)})
    server.call(function, b"0")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(server.call, function, b"1")
        eventually(lambda: instances(server, "finish", "busy") == 1, "the old version runs")
        code = VERSION.format(2).encode()
        assert server.request("PUT", f"/api/v1/functions/{function}/code", code).status == 200
        assert server.call(function, b"0").body == b"2"
        assert running.result().body == b"1"


def test_deletion_under_load_is_a_clear_answer_to_everybody(server):
    """A call that runs is finished; one that comes later is told that there is nothing."""
    function = server.deploy("deleted", "python3", {"main.py": SLEEPER})
    stop, statuses = threading.Event(), []

    def client():
        while not stop.is_set():
            answer = server.call(function, b"0.01")
            statuses.append((answer.status, answer.json().get("reason")
                             if answer.status != 201 else None))
    threads = [threading.Thread(target=client) for _ in range(6)]
    for thread in threads:
        thread.start()
    eventually(lambda: len(statuses) > 20, "calls go through")
    assert server.request("DELETE", f"/api/v1/functions/{function}").status == 200
    assert server.call(function, b"0").status == 404
    eventually(lambda: statuses[-1][0] == 404, "the clients see it")
    stop.set()
    for thread in threads:
        thread.join()
    assert {status for status in statuses if status[0] != 201} == {(404, "not_found")}


def test_deleting_a_user_ends_the_functions(server):
    somebody = {"email": "gone@example.org", "password": "long enough"}
    server.request("POST", "/api/v1/users", somebody, token=None)
    token = server.request("POST", "/api/v1/users/login", somebody, token=None).json()["token"]
    answer = server.request("POST", "/api/v1/functions", {
        "name": "mine", "runtime": "python3", "public": True,
        "code": base64.b64encode(SLEEPER.encode()).decode()}, token=token)
    function = answer.json()["functionId"]
    assert server.call(function, b"0", token=token).status == 201
    assert server.request("DELETE", "/api/v1/users/me", token=token).status == 200
    assert server.call(function, b"0", token=token).status == 401
    assert server.call(function, b"0").status == 404


@pytest.fixture(scope="module")
def small():
    """A node with room for four instances of 64 MiB, on which nobody waits for long."""
    with Server("--memory", "256MiB", "--wait-max", "2s") as node:
        yield node


def test_who_finds_no_memory_waits_and_then_is_told(small):
    function = small.deploy("large", "python3", {"main.py": SLEEPER}, memory="64MiB")
    began = time.monotonic()
    answers = together(6, lambda: small.call(function, b"5"))
    statuses = sorted(answer.status for answer in answers)
    assert statuses == [201] * 4 + [503] * 2
    for answer in answers:
        if answer.status == 503:
            assert answer.json()["reason"] == "overloaded"
            assert int(answer.headers["Retry-After"]) >= 1
    assert time.monotonic() - began < 15


def test_who_finds_no_memory_is_served_as_soon_as_there_is_some(small):
    function = small.deploy("shared", "python3", {"main.py": SLEEPER}, memory="64MiB")
    answers = together(12, lambda: small.call(function, b"0.1"))
    assert {answer.status for answer in answers} == {201}


def test_idle_instances_of_one_function_make_room_for_another(small):
    for name in ("one", "two", "three"):
        function = small.deploy(name, "python3", {"main.py": SLEEPER}, memory="128MiB")
        answers = together(2, lambda function=function: small.call(function, b"0.05"))
        assert {answer.status for answer in answers} == {201}


def test_one_instance_costs_another_function_one(program):
    with Server("--memory", "512MiB") as node:
        taker = node.deploy("taker", "native", program, memory="64MiB", max=1)
        giver = node.deploy("giver", "native", program, memory="64MiB")
        assert {answer.status for answer in together(8, lambda: node.call(giver, b"sleep 300"))} == {201}
        assert {answer.status for answer in together(8, lambda: node.call(taker, b"sleep 5"))} == {201}
        left = [value for name, value in node.metrics().items()
                if name.startswith("magpie_instances{") and "/giver" in name and "ending" not in name]
        assert sum(left) == 7


def test_a_function_that_can_never_fit_is_told_at_once(small):
    began = time.monotonic()
    code = {"main.py": SLEEPER}
    answer = small.request("POST", "/api/v1/functions", {
        "name": "huge", "runtime": "python3", "memory": "512MiB",
        "code": base64.b64encode(pack(code)).decode()})
    if answer.status == 201:
        answer = small.call(answer.json()["functionId"], b"0")
        assert answer.status == 503 and answer.json()["reason"] == "overloaded", answer
    else:
        assert answer.status in (400, 503), answer
    assert time.monotonic() - began < 5


def test_without_stealing_every_call_has_an_instance_of_its_own(program):
    with Server("--no-stealing") as node:
        function = node.deploy("own", "native", program)
        answers = together(8, lambda: node.call(function, b"sleep 50"))
        assert {answer.status for answer in answers} == {201}
        assert "stolen" not in {start_of(answer) for answer in answers}
        assert node.call(function, b"x").status == 201


def refusals(answers, reason, status):
    """How many were refused, each for that reason and with the time to come again."""
    refused = [answer for answer in answers if answer.status != 201]
    for answer in refused:
        expect_problem(answer, status, reason)
        assert int(answer.headers["Retry-After"]) >= 1
    return len(refused)


def test_a_line_that_is_too_long_for_a_function_at_its_maximum_is_throttled(program):
    with Server("--waiters-max", "5") as node:
        function = node.deploy("crowd", "native", program, max=1)
        node.call(function, b"sleep 300")  # known to be slow: nothing is put ahead
        answers = together(20, lambda: node.call(function, b"sleep 300"))
        assert 10 <= refusals(answers, "throttled", 429) <= 14


def test_who_waits_too_long_for_a_function_at_its_maximum_is_throttled(program):
    with Server("--wait-max", "100ms") as node:
        function = node.deploy("single", "native", program, max=1)
        node.call(function, b"sleep 400")
        answers = together(3, lambda: node.call(function, b"sleep 400"))
        assert refusals(answers, "throttled", 429) == 2
        assert "max: 1" in next(answer.json()["detail"] for answer in answers
                                if answer.status == 429)


def test_a_line_that_is_too_long_for_the_machine_is_overload(program):
    with Server("--memory", "64MiB", "--waiters-max", "5") as node:
        function = node.deploy("crowd", "native", program, memory="64MiB")
        node.call(function, b"sleep 300")
        answers = together(20, lambda: node.call(function, b"sleep 300"))
        assert 10 <= refusals(answers, "overloaded", 503) <= 14
