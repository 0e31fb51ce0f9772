"""More comes than can be answered: who is refused, what they are told, and that nobody else suffers."""
import concurrent.futures
import contextlib
import json
import subprocess

import pytest
from people import expect_problem
from raw_http import eventually
from server import Server

DELAY = "50ms"  # of what a line that stands may be worth; it is known to stand after four of these


@pytest.fixture(scope="module")
def program(compile_native):
    return {"main": compile_native("worker")}


@pytest.fixture(scope="module")
def shedding():
    with Server("--queue-delay", DELAY) as node:
        yield node


@pytest.fixture(scope="module")
def patient():
    with Server("--queue-delay", "0") as node:
        yield node


def figure(node, metric, name):
    return node.metrics().get(f'{metric}{{function="admin/{name}"}}', 0)


def together(count, call):
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda _: call(), range(count)))


def load(node, function, *options):
    """magpie bench, as a process."""
    return subprocess.Popen(
        [node.build / "magpie", "bench", f"{node.url}/f/{function}", "--data", "sleep 20", "-o", "json",
         *map(str, options)], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)


def blast(node, function, *options):
    """Three times what two instances can answer."""
    with load(node, function, "--rate", 300, "-d", "4s", *options) as process:
        output = process.communicate(timeout=120)[0]
    assert process.returncode == 0
    return json.loads(output)["stages"][0]


@contextlib.contextmanager
def blast_in_the_background(node, function):
    with load(node, function, "--rate", 300, "-d", "60s") as process:
        try:
            yield
        finally:
            process.kill()


def test_a_line_that_stands_refuses_who_comes_and_serves_the_others_as_fast_as_ever(
        shedding, patient, program):
    stages = {}
    for node in (shedding, patient):
        function = node.deploy("blasted", "native", program, max=2, public=True)
        stages[node] = blast(node, function)
    shed, waited = stages[shedding], stages[patient]
    assert waited["statuses"] == {"200": waited["requests"]}
    assert set(shed["statuses"]) == {"200", "429"}
    assert sum(shed["statuses"].values()) == shed["requests"]
    assert {kind for kind, count in shed["errors"].items() if count} == {"non2xx"}
    assert shed["p50"] < waited["p50"]
    assert shed["rejections"]["p50"] < shed["p50"]
    # Of those 1,200 there is time for 400 and some: the rest of the others' were answered later.
    assert shed["goodput"] > 0.6 * waited["throughput"]


def test_what_was_shed_is_counted_and_the_next_call_finds_no_line(shedding, program):
    function = shedding.deploy("counted", "native", program, max=2, public=True)
    refused = blast(shedding, function)["statuses"]["429"]
    assert figure(shedding, "magpie_shed_total", "counted") == refused
    assert sum(value for name, value in shedding.metrics().items()
               if name.startswith('magpie_invocations_total{function="admin/counted"')
               and 'start="none",outcome="throttled"' in name) == refused
    assert figure(shedding, "magpie_waiters", "counted") == 0
    answer = shedding.call(function, b"sleep 1")
    assert answer.status == 201 and answer.headers["Magpie-Start"] in ("warm", "thawed")


def test_a_refusal_says_why_and_when_to_come_again(shedding, program):
    function = shedding.deploy("told", "native", program, max=2, public=True)
    with blast_in_the_background(shedding, function):
        answers = []

        def is_refused():
            answers.append(shedding.call(function, b"sleep 20"))
            return answers[-1].status != 201
        eventually(is_refused, "one is refused")
    expect_problem(answers[-1], 429, "throttled", "Shed: ", " wait)", "(max: 2)")
    assert int(answers[-1].headers["Retry-After"]) >= 1
    assert {answer.status for answer in answers[:-1]} <= {201}


def test_a_machine_without_room_says_that_it_is_overloaded(program):
    with Server("--memory", "128MiB", "--queue-delay", DELAY) as node:
        function = node.deploy("crowd", "native", program, memory="64MiB", public=True)
        assert set(blast(node, function)["statuses"]) == {"200", "503"}


def test_five_hundred_calls_at_once_to_a_function_without_instances_are_all_answered(shedding, program):
    function = shedding.deploy("burst", "native", program, public=True)
    with load(shedding, function, "-c", 500, "-n", 500) as process:
        stage = json.loads(process.communicate(timeout=120)[0])["stages"][0]
    assert stage["statuses"] == {"200": 500}


def test_clients_who_fit_into_a_short_line_are_all_answered_however_long_it_takes(shedding, program):
    function = shedding.deploy("short", "native", program, max=1, public=True)
    with load(shedding, function, "-c", 20, "-n", 100) as process:
        stage = json.loads(process.communicate(timeout=120)[0])["stages"][0]
    assert stage["statuses"] == {"200": 100}


def test_who_would_wait_for_too_long_is_told_at_once(program):
    with Server("--wait-max", "3s") as node:
        function = node.deploy("late", "native", program, max=1)
        for _ in range(16):
            assert node.call(function, b"sleep 100").status == 201
        answers = together(60, lambda: node.call(function, b"sleep 100"))
        refused = [answer for answer in answers if answer.status != 201]
        shed = [answer for answer in refused if "would become free in time" in answer.json()["detail"]]
        for answer in refused:
            expect_problem(answer, 429, "throttled", "free in time", "(max: 1)")
        for answer in shed:
            assert int(answer.headers["Retry-After"]) >= 2
        assert figure(node, "magpie_shed_total", "late") == len(shed) >= 10
