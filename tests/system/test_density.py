"""What an instance takes of what there is only so much of."""
import collections
import os
import signal

import pytest
from node_host import NodeHost
from raw_http import eventually
from server import Server

COUNT = 40
MORE_THAN_THE_AGENTS_SOCKET_TAKES = 320  # of messages


def kind_of(path):
    try:
        return os.readlink(path).split(":")[0]
    except FileNotFoundError:
        return None  # closed since it was listed


def descriptors(pid):
    """How many of each kind a process has open."""
    folder = f"/proc/{pid}/fd"
    return collections.Counter(filter(None, (kind_of(f"{folder}/{fd}") for fd in os.listdir(folder))))


@pytest.fixture(scope="module")
def grown(compile_native):
    """What agent and gateway have open: with one instance, and with as many more as COUNT, all frozen."""
    with Server("--no-stock") as node:
        host, found = NodeHost(node), []
        for name, count in (("first", 1), ("more", COUNT)):
            node.deploy(name, "native", {"main": compile_native("worker")}, min=count, max=count)
            state = f'magpie_instances{{function="admin/{name}",state="frozen"}}'
            eventually(lambda: node.metrics().get(state) == count, "all are frozen")
            found.append({"agent": descriptors(host.agent), "gateway": descriptors(host.gateway)})
        yield {name: found[1][name] - found[0][name] for name in ("agent", "gateway")}


def test_an_instance_takes_three_descriptors_of_the_gateway(grown):
    # A client's connection may have come or gone meanwhile.
    assert abs(grown["gateway"]["socket"] - 2 * COUNT) <= 2 and grown["gateway"]["pipe"] == COUNT
    assert grown["gateway"].total() <= 3 * COUNT + 2


def test_an_instance_takes_three_descriptors_of_the_agent(grown):
    assert grown["agent"].total() <= 3 * COUNT + COUNT // 16 + 1


def test_ending_many_instances_at_once_waits_for_no_agent(compile_native):
    count = MORE_THAN_THE_AGENTS_SOCKET_TAKES
    with Server("--memory", "8GiB", "--threads", "1") as node:
        host = NodeHost(node)
        node.deploy("many", "native", {"main": compile_native("worker")}, min=count, max=count,
                    memory="16MiB")
        eventually(lambda: len(host.instances()) == count, "all are there", 60)
        os.kill(host.agent, signal.SIGSTOP)
        try:
            assert node.request("DELETE", "/api/v1/functions/many").status == 200
            for _ in range(100):
                assert node.request("GET", "/healthz", timeout=20).status == 200
        finally:
            os.kill(host.agent, signal.SIGCONT)
        eventually(lambda: not host.instances(), "all have ended", 60)
