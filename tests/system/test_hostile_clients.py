"""Crowds of clients that are slow, silent or restless: whoever calls beside them is served, and when
they have gone nothing of theirs is left. What becomes of one such client is told in test_invoke_http.py
and test_invoke_streams.py; `./dev bench hostile` has the same in full size."""
import pytest
from attacks import Attack, HalfOpen, half_open_count
from node_host import NodeHost, resident_bytes
from raw_http import RawConnection, eventually, request
from server import Server

CALLS = 300
MIB = 1 << 20
ATTACKS = {  # kind: (connections, whether they go to the function, options, memory of each)
    "idle": (1000, False, {}, 4096),
    "resting": (1000, False, {}, 4096),
    "slow-head": (300, False, {}, 16384),
    "slow-body": (300, True, {}, 80000),
    "slow-reader": (50, True, {"body": "download 50000000"}, 600000),
    "churn": (50, False, {"rate": 1000}, 16384),
}


class Crowd:
    def __init__(self, node, function):
        self.node = node
        self.path = f"/f/{function}"
        self.gateway = NodeHost(node).gateway

    def connections(self):
        """The one that asks is not counted."""
        return self.node.metrics()["magpie_connections"] - 1

    def descriptors(self):
        return self.node.metrics()["process_open_fds"]

    def memory(self):
        return resident_bytes(self.gateway)

    def call_often(self):
        """As one that means well: on a connection that stays, and on new ones."""
        with RawConnection(self.node.port) as kept:
            for number in range(CALLS):
                payload = b"%d" % number
                assert kept.send(request("POST", self.path, payload)).read_answer().body == payload
                if number % 10 == 0:
                    with RawConnection(self.node.port) as fresh:
                        fresh.send("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
                        assert fresh.read_answer().status == 200


@pytest.fixture(scope="module")
def crowd(compile_native):
    # Stalls are long, so that slow ones stay as long as they can.
    with Server("--threads", "1", "--head-timeout", "3s") as node:
        function = node.deploy("echo", "native", {"main": compile_native("worker")}, public=True,
                               memory="16MiB")
        crowd = Crowd(node, function)
        crowd.call_often()
        yield crowd


@pytest.mark.parametrize("kind", ATTACKS)
def test_calls_go_on_beside(crowd, kind):
    count, calls, options, memory_each = ATTACKS[kind]
    connections, descriptors, memory = crowd.connections(), crowd.descriptors(), crowd.memory()
    options = {**options, "path": crowd.path} if calls else options
    with Attack(kind, crowd.node.port, count, **options):
        if kind != "churn":
            eventually(lambda: crowd.connections() >= connections + count, "all are there")
        crowd.call_often()
        assert crowd.memory() - memory < count * memory_each + 4 * MIB
    eventually(lambda: crowd.connections() <= connections, "all have gone")
    crowd.call_often()
    # Instances that were made for them have descriptors, too, until they expire.
    instances = 3 * sum(value for name, value in crowd.node.metrics().items()
                        if name.startswith("magpie_instances{"))
    assert crowd.descriptors() <= descriptors + instances
    assert crowd.memory() - memory < 24 * MIB


def test_half_of_a_handshake_costs_the_others_nothing(compile_native):
    with HalfOpen() as network, Server("--threads", "1", host="0.0.0.0") as node:
        function = node.deploy("echo", "native", {"main": compile_native("worker")}, public=True)
        crowd = Crowd(node, function)
        crowd.call_often()
        descriptors = crowd.descriptors()
        with network.attack(node.port, count=2000, rate=1000):
            eventually(lambda: half_open_count(node.port) > 50, "they are half there")
            crowd.call_often()
            assert crowd.connections() == 0
        assert crowd.descriptors() <= descriptors


def test_idle_crowds_larger_than_the_limit_lock_nobody_out(compile_native):
    with Server("--threads", "1", "--connections-max", "100") as node:
        function = node.deploy("echo", "native", {"main": compile_native("worker")}, public=True)
        crowd = Crowd(node, function)
        with Attack("idle", node.port, 400):
            crowd.call_often()
            assert crowd.connections() <= 100
            assert node.metrics()["magpie_connections_closed_for_room_total"] >= 300
        eventually(lambda: crowd.connections() == 0, "all have gone")
