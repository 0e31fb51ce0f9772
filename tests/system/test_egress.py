"""Outbound network through a whole node, on a host that is a network namespace (support/outside.py)."""
import contextlib
import json
import os
import pathlib
import signal

import pytest
from outside import ECHO, HERE, HOST, NAME, OFFICE, SERVER, World
from people import expect_problem
from raw_http import eventually
from server import Server

TALK = (HERE / "talk.py").read_text()
PYTHON = {"main.py": "from talk import try_one\n\n\ndef handle(words, context):\n"
                     "    return [try_one(word) for word in words]\n", "talk.py": TALK}
NODE = {"main.js": f"""
exports.handle = async () => {{
    const socket = require("net").connect({ECHO}, "{NAME}");
    return new Promise((done) => {{
        socket.on("error", (error) => done(error.code));
        socket.on("connect", () => socket.write("hello"));
        socket.on("data", (data) => {{ socket.end(); done(data.toString().split(" ")[0]); }});
    }});
}};
"""}
OFFICE_RANGE = ("--egress-range", "office=10.1.0.0/16")


class Node(Server):
    """Its clients are on its host, too."""

    def __init__(self, world, *arguments, wrapper=()):
        self.world = world
        super().__init__(*arguments, wrapper=[*world.on_host(), *wrapper])

    def request(self, *arguments, **options):
        with self.world.entered(f"/run/netns/{self.world.host}"):
            return super().request(*arguments, **options)

    def deploy_talker(self, name, **fields):
        return self.deploy(name, "python3", PYTHON, handler="main.handle", **fields)

    def talk(self, function, *words):
        answer = self.call(function, json.dumps(words).encode())
        assert answer.status == 201, answer
        return answer.json()


@pytest.fixture(scope="module")
def world():
    with World() as made:
        yield made


@pytest.fixture(scope="module")
def node(world):
    with Node(world, *OFFICE_RANGE) as made:
        yield made


def test_a_function_that_asks_for_it_reaches_the_outside_and_another_does_not(node):
    words = [f"tcp:{SERVER}:{ECHO}", f"name:{NAME}"]
    assert node.talk(node.deploy_talker("out", network="egress"), *words) == [HOST, [SERVER]]
    assert node.talk(node.deploy_talker("in"), *words) == ["ENETUNREACH", "EAI_AGAIN"]


def test_a_node_function_reaches_the_outside_by_name(node):
    function = node.deploy("js", "node", NODE, handler="main.handle", network="egress")
    assert node.call(function).body.decode() == HOST


def test_the_way_out_is_opened_and_closed_by_a_change(node):
    function = node.deploy_talker("changing")
    reaches = lambda: node.talk(function, f"tcp:{SERVER}:{ECHO}")  # noqa: E731
    assert reaches() == ["ENETUNREACH"]
    for network, expected in (("egress", HOST), ("none", "ENETUNREACH")):
        changed = node.request("PATCH", f"/api/v1/functions/{function}", {"network": network})
        assert changed.status == 200, changed
        assert reaches() == [expected]


def test_a_private_range_is_reached_by_name_and_shown(node):
    function = node.deploy_talker("named", network="egress", reach=["office"])
    assert node.talk(function, f"tcp:{OFFICE}:{ECHO}") == [HOST]
    assert node.request("GET", f"/api/v1/functions/{function}").json()["reach"] == ["office"]
    changed = node.request("PATCH", f"/api/v1/functions/{function}", {"reach": []})
    assert changed.status == 200, changed
    assert node.talk(function, f"tcp:{OFFICE}:{ECHO}") == ["ECONNREFUSED"]


def test_what_was_reached_goes_with_the_way_out(node):
    function = node.deploy_talker("closed", network="egress", reach=["office"])
    changed = node.request("PATCH", f"/api/v1/functions/{function}", {"network": "none"})
    assert changed.status == 200, changed
    shown = node.request("GET", f"/api/v1/functions/{function}").json()
    assert (shown["network"], shown["reach"]) == ("none", [])


@pytest.mark.parametrize("fields, sentence", [
    ({"network": "egress", "reach": ["moon"]}, "reach 'moon' is not known here"),
    ({"network": "egress", "reach": ["office", "office"]}, "reach 'office' is given twice"),
    ({"network": "egress", "reach": ["Office"]}, "reach 'Office' is not allowed"),
    ({"network": "egress", "reach": "office"}, "reach must be a list of names"),
    ({"network": "egress", "reach": ["a,b"]}, "reach must be a list of names"),
    ({"reach": ["office"]}, "reach is for network: egress alone"),
    ({"network": "all"}, "network must be none or egress"),
])
def test_what_cannot_be_reached_is_refused_at_registration(node, fields, sentence):
    answer = node.request("POST", "/api/v1/functions", {
        "name": "refused", "runtime": "python3", "code": "eA==", **fields})
    expect_problem(answer, 400, "invalid", sentence)


def test_a_range_that_the_server_has_forgotten_is_told_at_the_call(world):
    with Node(world, *OFFICE_RANGE) as node:
        function = node.deploy_talker("named", network="egress", reach=["office"])
        node.stop()
        node.arguments = []
        node.start()
        answer = node.call(function, b"[]")
        assert answer.status == 502 or answer.status == 503, answer
        assert "by a name that this node does not know any more" in answer.json()["detail"]
        changed = node.request("PATCH", f"/api/v1/functions/{function}", {"reach": []})
        assert changed.status == 200, changed
        assert node.talk(function, f"tcp:{SERVER}:{ECHO}") == [HOST]


def test_without_nft_a_function_with_egress_is_refused_and_others_are_not(world):
    hide = ("sh", "-c", 'mount --bind /dev/null "$(readlink -f /usr/sbin/nft)" && exec "$@"', "sh")
    with Node(world, wrapper=hide) as node:
        with pytest.raises(AssertionError, match="apt-get install -y nftables"):
            node.deploy_talker("out", network="egress")
        assert node.talk(node.deploy_talker("in"), "interfaces") == [["lo"]]


@pytest.mark.parametrize("wrong, sentence", [
    (("--egress-range", "x"), "is not of the form NAME=10.0.0.0/8"),
    (("--egress-range", "x=127.0.0.0/8"), "no function may reach"),
    (("--egress-addresses", "10.0.0.1/8"), "has bits set behind its prefix"),
    (("--egress-addresses", "10.0.0.0/30"), "it may have a prefix of 8 to 28"),
])
def test_options_that_mean_nothing_are_refused(world, wrong, sentence):
    with pytest.raises(AssertionError, match=sentence):
        with Node(world, *wrong):
            pass


def processes_of(node):
    """All of the node's on the host: they have its data directory in their words or open."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            comm = (path / "comm").read_text().strip()
            if not comm.startswith("magpie"):
                continue
            own = os.readlink(path / "ns/net") == os.readlink(f"/proc/{node.process.pid}/ns/net")
            if own:
                found.append(int(path.name))
    return found


def test_after_an_end_and_after_kill_9_of_everything_the_host_is_as_it_was():
    with World() as world:
        before = world.state()
        with Node(world) as node:
            function = node.deploy_talker("out", network="egress")
            assert node.talk(function, f"tcp:{SERVER}:{ECHO}") == [HOST]
            node.stop()
            assert world.state() == before
            node.start()
            assert node.talk(function, f"tcp:{SERVER}:{ECHO}") == [HOST]
            for pid in processes_of(node):
                os.kill(pid, signal.SIGKILL)
            node.process.wait()
            node.start()
            eventually(lambda: world.state() == before, "the host is as it was")
            assert node.talk(function, f"tcp:{SERVER}:{ECHO}") == [HOST]
        assert world.state() == before
        assert world.connections("198.18.") + world.connections("100.") == []
