"""Cold starts: what they are made of, and where their time went."""
import datetime
import re
import time

import pytest
from server import Server
from shims import takes_modules

COMMAND_LINE = """def handler(event, context):
    with open("/proc/self/cmdline", encoding="utf-8") as file:
        return file.read().split("\\0")
"""


def eventually(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)  # the stock needs a moment without calls to be made up for
    return True


def change(server, function, **settings):
    assert server.request("PATCH", f"/api/v1/functions/{function}", settings).status == 200


def was_forked(server, function):
    answer = server.call(function, b"")
    assert answer.headers["Magpie-Start"] == "cold", answer
    return any(word.endswith("/nursery.py") for word in answer.json())


def test_a_function_without_zygote_is_never_forked_and_can_have_it_back(server):
    function = server.deploy("forked", "python3", {"main.py": COMMAND_LINE}, handler="main.handler",
                             keepAlive="0s")
    assert eventually(lambda: was_forked(server, function))
    change(server, function, zygote="off")
    for _ in range(5):
        assert not was_forked(server, function)
        time.sleep(0.05)  # as long as a fork would take to arrive
    change(server, function, zygote="auto")
    assert eventually(lambda: was_forked(server, function))


def test_the_metrics_tell_what_waits_in_stock(server):
    function = server.deploy("stocked", "python3", {"main.py": COMMAND_LINE}, handler="main.handler",
                             keepAlive="0s")
    server.call(function, b"")

    def waiting(interpreter):
        return server.metrics()[f'magpie_stock_sandboxes{{interpreter="{interpreter}"}}']
    assert eventually(lambda: waiting("none") >= 2 and waiting("python3") >= 2)


# ---- where the time went ----

MAKING = ("cgroup", "namespaces", "mounts", "confine", "exec")
SLOW_IMPORT = """import time
time.sleep(0.1)
def handler(event, context):
    if event == "fail":
        raise ValueError("no")
    time.sleep(0.05)
    return event
"""
NODE_ECHO = "exports.handler = (event) => event;\n"
SCRIPT = "#!/bin/sh\ncat\n"


def names_of(answer):
    return re.findall(r"(\w+);dur=", answer.headers["Server-Timing"])


def origin_of(answer):
    return re.search(r"stock;dur=[0-9.]+;desc=(\w+)", answer.headers["Server-Timing"])[1]


@pytest.fixture(scope="module")
def bare_server():
    """Where every sandbox is made on request."""
    with Server("--no-stock") as server:
        yield server


@pytest.fixture
def deploy(compile_native):
    def deploy(server, runtime, **settings):
        files, handler = {
            "python3": ({"main.py": SLOW_IMPORT}, "main.handler"),
            "node": ({"main.js": NODE_ECHO}, "main.handler"),
            "native": ({"main": compile_native("quick")}, "main"),
            "exec": ({"main": SCRIPT}, "main"),
        }[runtime]
        name = f"timed-{runtime}-{time.monotonic_ns()}"
        return server.deploy(name, runtime, files, handler=handler, **settings)
    return deploy


@pytest.mark.parametrize("runtime", ["python3", "node", "native", "exec"])
def test_a_cold_start_made_on_request_tells_each_phase(bare_server, deploy, runtime):
    function = deploy(bare_server, runtime)
    counted_before, begun = bare_server.metrics(), time.monotonic()
    answer = bare_server.call(function, b"")
    passed_ms = (time.monotonic() - begun) * 1000
    assert answer.headers["Magpie-Start"] == "cold" and origin_of(answer) == "request"
    names, timing = names_of(answer), answer.timing()
    assert names[:3] == ["wait", "init", "run"]
    # What access(2) takes for an executable may be less than a microsecond.
    assert [name for name in names[3:] if name != "import"] == [
        "stock", *MAKING, "interpreter", "first_byte"]
    assert timing["stock"] == 0 and all(timing[name] > 0 for name in names[4:])
    assert sum(timing[name] for name in MAKING) < timing["init"] < passed_ms
    assert timing["interpreter"] + timing.get("import", 0) <= timing["init"]
    assert timing["run"] <= timing["first_byte"] < passed_ms
    counted = bare_server.metrics()
    for sample in [f'magpie_cold_starts_total{{runtime="{runtime}",from="request"}}'] + [
            f'magpie_cold_start_seconds_count{{runtime="{runtime}",phase="{phase}"}}'
            for phase in ("total", "sandbox", "load", *MAKING, "interpreter", "first_byte")]:
        assert counted[sample] == counted_before.get(sample, 0) + 1, sample
    assert f'magpie_cold_start_seconds_count{{runtime="{runtime}",phase="stock"}}' not in counted
    # Nobody waits for anything of it when it is warm.
    assert names_of(bare_server.call(function, b"")) == ["wait", "init", "run"]


def test_the_time_is_where_it_was_spent(bare_server, deploy):
    timing = bare_server.call(deploy(bare_server, "python3", keepAlive="0s"), b"1").timing()
    assert 100 <= timing["import"] <= timing["init"] < timing["import"] + timing["interpreter"] + 200
    assert timing["import"] + 50 <= timing["first_byte"]


@pytest.mark.skipif(not takes_modules(), reason="this Node's require() takes no ES module")
@pytest.mark.parametrize("files", [
    {"main.js": "export const handler = () => 'well';"},
    {"main.js": "exports.handler = require('./lib').handler;", "lib/package.json": '{"type": "module"}',
     "lib/index.js": "export const handler = () => 'well';"},
])
def test_an_es_module_that_passed_its_trial_starts_each_time(server, files):
    function = server.deploy(f"module-{time.monotonic_ns()}", "node", files, handler="main.handler", keepAlive="0s")
    for _ in range(4):
        answer = server.call(function)
        assert (answer.body, answer.headers["Magpie-Start"]) == (b"well", "cold")


@pytest.mark.parametrize("runtime, origin", [
    ("python3", "interpreter"), ("node", "interpreter"), ("native", "sandbox"), ("exec", "sandbox")])
def test_a_cold_start_from_stock_has_nothing_to_make(server, deploy, runtime, origin):
    function = deploy(server, runtime, keepAlive="0s")
    answers = []

    def comes_from_stock():
        answers.append(server.call(function, b""))
        return origin_of(answers[-1]) == origin
    assert eventually(comes_from_stock)
    timing = answers[-1].timing()
    assert 0 < timing["stock"] < timing["init"] and not set(MAKING) & set(timing)
    assert timing["first_byte"] > 0
    counted = server.metrics()
    assert counted[f'magpie_cold_starts_total{{runtime="{runtime}",from="{origin}"}}'] >= 1
    assert counted[f'magpie_cold_start_seconds_count{{runtime="{runtime}",phase="stock"}}'] >= 1


def test_a_cold_call_that_fails_tells_its_phases_too(bare_server, deploy):
    function = deploy(bare_server, "python3", keepAlive="0s")
    answer = bare_server.call(function, b"fail")
    assert answer.status == 502
    names = names_of(answer)
    assert names[:4] == ["wait", "init", "run", "stock"] and "import" in names
    assert "first_byte" not in names


@pytest.mark.parametrize("value, believed", [
    (0, set()), (2**64 - 1, set()), (3_600_000_000, set()), (3_600_000_000 << 32, set()),
    (7, {"import"}), (7 << 32 | 5, {"import", "interpreter"})])
def test_what_a_worker_says_of_its_start_is_believed_where_it_can_be(
        bare_server, compile_native, value, believed):
    function = bare_server.deploy(f"says-{value}", "native", {"main": compile_native("protocol")},
                                  env={"START": str(value)})
    answer = bare_server.call(function, b"")
    assert answer.status == 201 and answer.headers["Magpie-Start"] == "cold"
    timing = answer.timing()
    assert {"import", "interpreter"} & set(timing) == believed
    if believed:
        assert timing["import"] == (value & 0xFFFFFFFF) / 1000


# ---- what GET /api/v1/functions/{id} shows ----


def shown_of(server, function):
    return server.request("GET", f"/api/v1/functions/{function}").json()["coldStarts"]


def test_a_function_shows_its_last_cold_start_and_the_mean_of_the_latest(bare_server, deploy):
    function = deploy(bare_server, "python3", keepAlive="0s")
    assert shown_of(bare_server, function) == {"count": 0}
    timings = []
    for count in (1, 2, 3):
        before = time.time()
        timings.append(bare_server.call(function, b"1").timing())
        shown = shown_of(bare_server, function)
        last, phases = shown["last"], shown["last"]["phases"]
        assert shown["count"] == shown["mean"]["of"] == count and last["from"] == "request"
        at = datetime.datetime.fromisoformat(last["at"].replace("Z", "+00:00")).timestamp()
        assert before - 1 < at < time.time() + 1
        assert set(phases) == {"sandbox", *MAKING, "load", "interpreter", "import", "total",
                               "first_byte"}
        # To the microsecond what the caller of it was told.
        for phase in (*MAKING, "interpreter", "import", "first_byte"):
            assert phases[phase] == timings[-1][phase], phase
        assert phases["total"] == pytest.approx(timings[-1]["init"], abs=0.002)
        assert phases["sandbox"] + phases["load"] == pytest.approx(phases["total"], abs=0.002)
    for phase in (*MAKING, "import", "first_byte"):
        mean = sum(timing[phase] for timing in timings) / 3
        assert shown["mean"]["phases"][phase] == pytest.approx(mean, abs=0.001 + 1e-9), phase


def test_an_instance_that_nobody_waited_for_has_no_first_byte(bare_server, deploy):
    function = deploy(bare_server, "native", min=1)
    assert eventually(lambda: shown_of(bare_server, function)["count"] == 1)
    assert bare_server.call(function, b"x").headers["Magpie-Start"] in ("warm", "thawed")
    assert "first_byte" not in shown_of(bare_server, function)["last"]["phases"]


def test_a_new_version_begins_to_count_anew_and_warm_calls_do_not_count(bare_server, deploy):
    function = deploy(bare_server, "native")
    for _ in range(3):
        bare_server.call(function, b"x")
    assert shown_of(bare_server, function)["count"] == 1
    change(bare_server, function, env={"A": "1"})
    assert shown_of(bare_server, function) == {"count": 0}
