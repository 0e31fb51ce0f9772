"""Gateway and agent live, but their connection has ended: they are brought together again."""
import concurrent.futures
import ctypes
import os
import socket
import time

import pytest
from node_host import NodeHost, leftover_groups
from raw_http import eventually
from server import Server

BACK_SECONDS = 3  # as in test_kills.py
CONTROL_FD = 3  # the agent's
PIDFD_GETFD = 438
LIBC = ctypes.CDLL(None, use_errno=True)


def packet_sockets(pid):
    """Duplicates of its SOCK_SEQPACKET sockets, by their numbers there. pidfd_getfd(2)."""
    found = {}
    process = os.pidfd_open(pid)
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            is_socket = os.readlink(f"/proc/{pid}/fd/{name}").startswith("socket:")
        except FileNotFoundError:
            continue  # closed meanwhile
        if is_socket:
            fd = LIBC.syscall(PIDFD_GETFD, process, int(name), 0)
            assert fd >= 0, os.strerror(ctypes.get_errno())
            duplicate = socket.socket(fileno=fd)
            if duplicate.type == socket.SOCK_SEQPACKET:
                found[int(name)] = duplicate
    os.close(process)
    return found


def the_gateway_asks_for_nonsense(host):
    """The supervisor, at the end of its other socket, reads nothing."""
    for duplicate in packet_sockets(host.gateway).values():
        duplicate.send(b"nonsense")


def the_agent_answers_nonsense(host):
    for number, duplicate in packet_sockets(host.agent).items():
        if number != CONTROL_FD:
            duplicate.send(b"nonsense")


def the_agent_sees_an_end(host):
    for number, duplicate in packet_sockets(host.agent).items():
        if number != CONTROL_FD:
            duplicate.shutdown(socket.SHUT_RD)


@pytest.mark.parametrize("part", [the_gateway_asks_for_nonsense, the_agent_answers_nonsense,
                                  the_agent_sees_an_end])
def test_gateway_and_agent_that_parted_are_together_again_at_once(compile_native, part):
    with Server("--no-stock") as node:
        host = NodeHost(node)
        function = node.deploy("worker", "native", {"main": compile_native("worker")})
        # Without instances and stock the two have no other sockets of that kind.
        eventually(lambda: host.instances() == [], "the trial's sandbox is gone")
        gateway, parents = host.gateway, host.parent_groups()
        for _ in range(3):
            part(host)
            parted = time.monotonic()
            answer = node.call(function, b"exit 0")  # so that none is left for the next round
            assert answer.status == 502 and answer.json()["reason"] == "function.exited", answer
            assert time.monotonic() - parted < BACK_SECONDS
            eventually(lambda: host.instances() == [], "its sandbox is gone")
        assert host.gateway == gateway
        assert node.call(function, b"well?").body == b"well?"
        parents |= host.parent_groups()
    assert leftover_groups(parents) == []


SLEEPER = ("import time\n\n\ndef handler(event, context):\n    print('it began')\n"
           "    time.sleep(event)\n    return event\n")


def test_a_call_under_way_fails_when_gateway_and_agent_part():
    with Server("--no-stock") as node, concurrent.futures.ThreadPoolExecutor(1) as pool:
        function = node.deploy("sleeper", "python3", {"main.py": SLEEPER})
        call = pool.submit(node.call, function, b"20")
        # One that is only on its way to its instance would wait for the next.
        eventually(lambda: b"it began" in node.request(
            "GET", f"/api/v1/functions/{function}/logs").body, "it runs")
        the_agent_sees_an_end(NodeHost(node))
        answer = call.result(BACK_SECONDS)
        assert answer.status == 502 and answer.json()["reason"] == "platform.error"
        assert node.call(function, b"0").body == b"0"
