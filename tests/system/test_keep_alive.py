"""keepAlive: auto: instances are let go, and are there again before the call that is expected.

The node tells idle times apart by a fifth of a second instead of a minute. The calls' rhythm comes
from what happens: each follows when the instance of the one before has been let go."""
import pytest
from raw_http import eventually
from server import Server


@pytest.fixture(scope="module")
def server():
    with Server("--keep-alive-step", "200ms") as node:
        yield node


@pytest.fixture(scope="module")
def program(compile_native):
    return {"main": compile_native("worker")}


def instances(server, name, *states):
    metrics = server.metrics()
    return sum(metrics.get(f'magpie_instances{{function="admin/{name}",state="{state}"}}', 0)
               for state in states or ("idle", "frozen", "busy", "starting", "ending"))


def prewarmed(server, name):
    return server.metrics().get(f'magpie_prewarmed_instances_total{{function="admin/{name}"}}', 0)


def call(server, name):
    answer = server.call(name, b"x")
    assert answer.status == 201
    return answer.headers["Magpie-Start"]


def learn_a_rhythm(server, name):
    """Each call follows when the instance of the one before has been let go: after eleven steps while
    nothing is known, then later. Afterwards both are known."""
    for _ in range(2):
        assert call(server, name) == "cold"
        eventually(lambda: instances(server, name) == 0, "the instance is let go")
    assert call(server, name) == "cold" and prewarmed(server, name) == 0


def test_an_instance_is_let_go_and_is_there_again_before_the_call_that_is_expected(server, program):
    server.deploy("rhythm", "native", program, keepAlive="auto")
    learn_a_rhythm(server, "rhythm")
    eventually(lambda: instances(server, "rhythm") == 0, "the instance is let go")
    eventually(lambda: prewarmed(server, "rhythm") > 0, "one is booted ahead")
    eventually(lambda: instances(server, "rhythm", "idle", "frozen") == 1, "it stands ready")
    assert call(server, "rhythm") in ("warm", "thawed")


def test_an_instance_that_was_booted_ahead_in_vain_is_let_go(server, program):
    server.deploy("vain", "native", program, keepAlive="auto")
    learn_a_rhythm(server, "vain")
    eventually(lambda: prewarmed(server, "vain") > 0, "one is booted ahead")
    eventually(lambda: instances(server, "vain") == 0, "nobody came, and it is let go")


def test_a_new_version_goes_on_with_what_was_learned(server, program):
    function = server.deploy("heir", "native", program, keepAlive="auto")
    learn_a_rhythm(server, "heir")
    before = prewarmed(server, "heir")
    assert server.request("PATCH", f"/api/v1/functions/{function}",
                          {"env": {"A": "1"}}).status == 200
    eventually(lambda: prewarmed(server, "heir") > before and
               instances(server, "heir", "idle", "frozen") == instances(server, "heir") == 1,
               "one of the new version stands ready")
    assert call(server, "heir") in ("warm", "thawed")


def test_a_fixed_keep_alive_boots_nothing_ahead(server, program):
    server.deploy("fixed", "native", program, keepAlive="200ms")
    for _ in range(4):
        assert call(server, "fixed") == "cold"
        eventually(lambda: instances(server, "fixed") == 0, "the instance is gone")
    assert prewarmed(server, "fixed") == 0
