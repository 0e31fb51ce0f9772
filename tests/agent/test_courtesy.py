"""How a function's threads wake up: as any other's, or politely, as the gateway asks."""
import json
import os

import pytest
from agent_client import COURTESY, EXEC, PYTHON3

POLITE, PLAIN, OWN = os.SCHED_BATCH, os.SCHED_OTHER, os.SCHED_IDLE

# Three threads that wait and one that has chosen for itself; each call tells what all are.
THREADS = b"""
import json, os, threading
forever = threading.Event()

def idle():
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    forever.wait()

def handle(event, context):
    if event == "begin":
        for target in (forever.wait,) * 3 + (idle,):
            threading.Thread(target=target, daemon=True).start()
    if event == "one more":
        threading.Thread(target=forever.wait, daemon=True).start()
    return sorted(os.sched_getscheduler(int(thread)) for thread in os.listdir("/proc/self/task"))
"""


@pytest.fixture(scope="module")
def agent(either_agent):
    return either_agent


@pytest.fixture
def function(agent, gateway):
    code = agent.add_code({"main.py": (0o644, THREADS)})
    with gateway.spawn(code, "main.handle", runtime=PYTHON3) as instance:
        instance.wait_ready()
        yield instance


def ask(instance, what):
    return json.loads(instance.invoke(json.dumps(what).encode()))


def teach(gateway, instance, code):
    gateway.send(COURTESY, code=code, instance_id=instance.id)
    await_agent(gateway)


def await_agent(gateway):
    """It has done what it was asked for before: it answers what comes behind."""
    gateway.spawn(next(path.name for path in (gateway.agent.data_dir / "code").iterdir()), "nothing",
                  runtime=EXEC).kill()


def test_they_are_born_plain(sandbox, watch):
    assert {os.sched_getscheduler(pid) for pid in watch.pids()} == {PLAIN}


def test_all_of_its_threads_become_polite_and_plain_again(gateway, function, watch):
    ask(function, "begin")
    teach(gateway, function, 1)
    assert ask(function, "") == [POLITE] * 4 + [OWN]
    assert {os.sched_getscheduler(pid) for pid in watch.pids()} == {POLITE}
    assert ask(function, "one more") == [POLITE] * 5 + [OWN]
    teach(gateway, function, 0)
    assert ask(function, "") == [PLAIN] * 5 + [OWN]
    assert {os.sched_getscheduler(pid) for pid in watch.pids()} == {PLAIN}


def test_more_threads_than_a_read_brings_learn_it(agent, gateway, watch):
    many = THREADS.replace(b"* 3", b"* 1000")
    code = agent.add_code({"main.py": (0o644, many)})
    with gateway.spawn(code, "main.handle", runtime=PYTHON3, processes=1100) as instance:
        instance.wait_ready()
        ask(instance, "begin")
        teach(gateway, instance, 1)
        assert ask(instance, "") == [POLITE] * 1001 + [OWN]


def test_one_that_is_frozen_learns_it_too(gateway, function, freeze):
    freeze(function)
    teach(gateway, function, 1)
    function.set_frozen(False)
    assert ask(function, "") == [POLITE]


def test_another_gateways_instance_is_not_taught(agent, gateway, function):
    other = agent.connect()
    other.next_id = function.id + 1
    for number in range(function.id + 1):
        other.send(COURTESY, code=1, instance_id=number)
    await_agent(other)
    assert ask(function, "") == [PLAIN]
    teach(gateway, function, 1)
    assert ask(function, "") == [POLITE]


def test_of_what_is_gone_or_never_was_it_is_harmless(gateway, function):
    function.kill()
    gateway.send(COURTESY, code=1, instance_id=function.id)
    gateway.send(COURTESY, code=1, instance_id=123456789)
    teach(gateway, function, 1)


@pytest.mark.parametrize("request_", [{"code": 2}, {"code": 2**32 - 1}, {"extra": b"x\0"}])
def test_what_is_no_courtesy_ends_the_connection(agent, request_):
    connection = agent.connect()
    connection.send(COURTESY, instance_id=1, **request_)
    with pytest.raises((EOFError, ConnectionResetError)):
        connection.receive()
    connection.close()
