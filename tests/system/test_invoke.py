"""The ways to call a function, in every runtime, and what each answer says about its start."""
import concurrent.futures
import json
import re

import pytest
from node_host import NodeHost
from raw_http import eventually

RUNTIMES = ["python3", "node", "native", "exec"]
ECHO = {
    "python3": {"main.py": "def handler(event, context):\n    return event\n"},
    "node": {"main.js": "exports.handler = async (event) => event;\n"},
    "exec": {"main": "#!/bin/sh\ncat\n"},
}
SLOW = "import time\n\n\ndef handler(event, context):\n    time.sleep(event)\n    return 'slept'\n"


@pytest.fixture(scope="module")
def echo(server, compile_native):
    """{runtime: id}"""
    files = {**ECHO, "native": {"main": compile_native("worker")}}
    return {runtime: server.deploy(f"echo-{runtime}", runtime, files[runtime],
                                   **({"handler": "main.handler"} if runtime in ("python3", "node")
                                      else {}))
            for runtime in RUNTIMES}


def start_of(answer):
    return answer.headers["Magpie-Start"]


def metrics_of(server, name, function, **labels):
    wanted = "".join(f',{key}="{value}"' for key, value in labels.items())
    return server.metrics().get(f'{name}{{function="admin/{function}"{wanted}}}', 0)


def wait_idle(server, function, state="idle"):
    eventually(lambda: metrics_of(server, "magpie_instances", function, state=state) >= 1,
               f"an instance of {function} is {state}")


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_each_runtime_answers_by_execute_with_201(server, echo, runtime):
    answer = server.call(echo[runtime], b'{"name":"magpie"}')
    assert answer.status == 201 and json.loads(answer.body) == {"name": "magpie"}


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_each_runtime_answers_by_invocations_with_200(server, echo, runtime):
    answer = server.request("POST", f"/api/v1/functions/{echo[runtime]}/invocations", b'"text"')
    assert answer.status == 200 and answer.body in (b'"text"', b"text")


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_function_is_also_called_by_its_name(server, echo, runtime):
    assert server.call(f"echo-{runtime}", b"1").body == b"1"


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("size", [0, 1, 1000, 49152, 65536, 1 << 20, 6 << 20])
def test_a_payload_of_any_size_arrives_whole(server, echo, runtime, size):
    payload = (b"0123456789abcde\n" * (size // 16 + 1))[:size]
    answer = server.call(echo[runtime], payload)
    assert answer.status == 201 and len(answer.body) == size and answer.body == payload


@pytest.mark.parametrize("runtime", ["python3", "node", "native", "exec"])
def test_bytes_that_are_no_text_arrive_as_they_are(server, echo, runtime):
    payload = bytes(range(256)) * 10
    assert server.call(echo[runtime], payload).body == payload


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_every_answer_names_its_invocation_its_start_and_its_times(server, echo, runtime):
    answers = [server.call(echo[runtime], b"1") for _ in range(2)]
    for answer in answers:
        assert re.fullmatch("[0-9A-HJKMNP-TV-Z]{26}", answer.headers["Magpie-Invocation-Id"])
        assert start_of(answer) in ("cold", "warm", "thawed", "stolen")
        assert list(answer.timing())[:3] == ["wait", "init", "run"]
        assert start_of(answer) == "cold" or len(answer.timing()) == 3
    assert len({answer.headers["Magpie-Invocation-Id"] for answer in answers}) == 2


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_first_call_is_cold_the_next_warm_and_one_after_a_rest_thawed(server, echo, runtime):
    code = (ECHO.get(runtime) or {"main": echo_program(server, echo)})
    function = server.deploy(f"starts-{runtime}", runtime, code)
    try:
        first = server.call(function, b"1")
        assert start_of(first) == "cold"
        assert first.timing()["wait"] >= first.timing()["init"] * 0.9 > 0
        # On a machine that is slow enough the instance is frozen before anybody can ask again.
        starts = [start_of(server.call(function, b"1")) for _ in range(10)]
        assert "warm" in starts and set(starts) <= {"warm", "thawed"}
        wait_idle(server, f"starts-{runtime}", "frozen")
        thawed = server.call(function, b"1")
        assert start_of(thawed) == "thawed" and thawed.timing()["init"] == 0
    finally:
        server.request("DELETE", f"/api/v1/functions/{function}")


def echo_program(server, echo):
    """The native echo's own program, out of the node's store of code."""
    digest = server.request("GET", f"/api/v1/functions/{echo['native']}").json()["codeDigest"]
    return (server.data_dir / "code" / digest / "main").read_bytes()


def test_a_call_in_a_burst_takes_an_instance_that_another_gives_back(server):
    function = server.deploy("burst", "python3", {"main.py": SLOW}, handler="main.handler", max=2)
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: server.call(function, b"0.02"), range(12)))
    assert {answer.status for answer in answers} == {201}
    starts = [start_of(answer) for answer in answers]
    assert starts.count("cold") <= 2 and starts.count("stolen") >= 8
    assert metrics_of(server, "magpie_invocations_total", "burst", start="stolen",
                      outcome="succeeded") == starts.count("stolen")


def test_server_timing_tells_how_long_the_function_ran(server):
    function = server.deploy("timed", "python3", {"main.py": SLOW}, handler="main.handler")
    answer = server.call(function, b"0.1")
    assert 100 <= answer.timing()["run"] < 5000
    assert server.call(function, b"0").timing()["run"] < answer.timing()["run"]


def test_an_instance_keeps_its_memory_between_calls(server):
    function = server.deploy("counter", "python3", {
        "main.py": "count = 0\n\n\ndef handler(event, context):\n    global count\n"
                   "    count += 1\n    return count\n"})
    assert [server.call(function).body for _ in range(3)] == [b"1", b"2", b"3"]


def test_environment_and_context_reach_the_function(server):
    function = server.deploy("context", "python3", {
        "app.py": "import os\n\n\ndef run(event, context):\n"
                  "    return [os.environ['COLOUR'], context.function_name,"
                  " context.function_version, context.memory_limit_in_mb, context.invocation_id,"
                  " context.user_id, context.get_remaining_time_in_millis()]\n"},
        handler="app.run", env={"COLOUR": "blue"}, memory="64MiB", timeout="5s")
    answer = server.call(function)
    colour, name, version, memory, invocation, user, remaining = answer.json()
    assert (colour, name, str(version), int(memory)) == ("blue", "context", "1", 64)
    assert invocation == answer.headers["Magpie-Invocation-Id"]
    assert user == server.request("GET", "/api/v1/users/me").json()["userId"]
    assert 0 < remaining <= 5000


@pytest.mark.parametrize("path", [
    "/api/v1/functions/execute/nobody", "/api/v1/functions/nobody/invocations", "/f/nobody",
    "/f/admin/nobody", "/f/00000000000000000000000000", "/f/", "/f/admin/", "/f//x"])
def test_a_function_that_is_not_there_is_404(server, path):
    answer = server.request("POST", path)
    assert answer.status == 404 and answer.json()["reason"] == "not_found"


@pytest.mark.parametrize("path", ["/api/v1/functions/execute/{}",
                                  "/api/v1/functions/{}/invocations", "/f/{}"])
def test_a_private_function_is_not_for_nobody(server, echo, path):
    assert server.request("POST", path.format(echo["native"]), token=None).status == 401


def test_an_idle_instance_is_frozen_in_fact_and_thawed_by_its_next_call(server):
    """Its process must not run: the kernel says so, in cgroup.events."""
    function = server.deploy("icy", "python3", ECHO["python3"], handler="main.handler")
    before = len(NodeHost(server).watch().groups())
    assert server.call(function, b"1").status == 201
    wait_idle(server, "icy", "frozen")
    watch = NodeHost(server).watch()
    eventually(lambda: sum(watch.frozen()) >= 1, "a group is frozen")
    assert len(watch.groups()) >= before
    assert start_of(server.call(function, b"1")) == "thawed"
