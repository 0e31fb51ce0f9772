"""What finds no room in an instance's socket, because its worker does not read: it waits, and nobody
who is in order pays for it. Gateway and worker are stopped, so that each finds all at once."""
import contextlib
import itertools
import os
import pathlib
import signal
import socket

import pytest
from node_host import NodeHost, is_stopped, stopped
from raw_http import RawConnection, eventually, request
from server import Server

AHEAD_MAX = 64


@pytest.fixture
def server():
    with Server("--threads", "1") as node:
        yield node


def connections(server, count):
    """That their gateway thread knows."""
    clients = [RawConnection(server.port) for _ in range(count)]
    for client in clients:
        assert client.send(request("GET", "/healthz")).read_answer().status == 200
    return clients


class Quick:
    """A quick echo in one instance: calls are put ahead."""

    def __init__(self, server, program):
        self.server = server
        self.function = server.deploy("quick", "native", {"main": program}, max=1)
        for _ in range(30):
            assert self.call(b"warm").read_answer().body == b"warm"

    def request(self, payload):
        return request("POST", f"/api/v1/functions/execute/{self.function}", payload, self.server.token)

    def call(self, payload):
        return RawConnection(self.server.port).send(self.request(payload))

    def busy(self):
        return self.server.metrics().get('magpie_instances{function="admin/quick",state="busy"}')


@pytest.fixture
def quick(server, compile_native):
    return Quick(server, compile_native("quick"))


@pytest.mark.parametrize("size", [1400, 1900])
def test_calls_of_any_size_wait_for_a_worker_that_does_not_read(server, quick, size):
    host = NodeHost(server)
    worker = host.worker()
    clients = connections(server, AHEAD_MAX)
    with stopped(worker):
        with stopped(host.gateway):
            for number, client in enumerate(clients):
                client.send(quick.request(b"%02d" % number + b"x" * size))
        eventually(lambda: quick.busy() == 1, "all calls have been given a place")
    for number, client in enumerate(clients):
        answer = client.read_answer()
        assert answer.status == 201 and answer.body.startswith(b"%02dx" % number), answer
    assert host.worker() == worker


def test_what_becomes_of_some_calls_is_not_written_into_others(server, quick, compile_native):
    """More than the gateway keeps for the end of a turn: the first calls leave while one of the others is
    put together."""
    count = 80
    lanes = server.deploy("lanes", "native", {"main": compile_native("lanes")}, max=1, concurrency=count)

    def call(payload):
        return request("POST", f"/api/v1/functions/execute/{lanes}", payload, server.token)
    first, others = connections(server, AHEAD_MAX), connections(server, count)
    for client in others:
        client.send(call(b"meet %d" % count))
    assert {client.read_answer().status for client in others} == {201}
    with stopped(NodeHost(server).gateway):
        for client in first:
            client.send(quick.request(b"x" * 1900))
        for number, client in enumerate(others):
            client.send(call(b"%02d" % number * 3950))
    for number, client in enumerate(others):
        answer = client.read_answer()
        assert answer.status == 201 and answer.body == b"%02d" % number * 3950, answer
    assert {client.read_answer().status for client in first} == {201}


def small_frames_in_a_socket():
    """How many there are until it is full."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs, contextlib.suppress(BlockingIOError):
        ours.setblocking(False)
        for count in itertools.count():
            ours.send(b"x" * 17)
    return count


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


@pytest.mark.parametrize("size", [10, 20000, 200000])
def test_a_call_behind_a_body_that_nobody_reads_goes_to_another_instance(server, compile_native, size):
    function = server.deploy("protocol", "native", {"main": compile_native("protocol")}, max=1)
    path = f"/api/v1/functions/execute/{function}"

    def call(payload):
        return RawConnection(server.port).send(request("POST", path, payload, server.token))
    assert call(b"warm").read_answer().status == 201
    worker = NodeHost(server).worker()
    early = RawConnection(server.port).send(
        request("POST", path, token=server.token, headers=["Transfer-Encoding: chunked"]) +
        chunk(b"stop\0".ljust(70000)) + chunk(b"now"))
    eventually(lambda: is_stopped(worker), "it has read so far")
    early.send(chunk(b"x") * (small_frames_in_a_socket() - 1) + chunk(b""))
    late = call(b"well?\0".ljust(size))
    for _ in range(20):  # turns of the gateway's
        assert server.request("GET", "/healthz").status == 200
    os.kill(worker, signal.SIGCONT)
    assert early.read_answer().body == b"stopped"
    assert late.read_answer().body == b"well?"


def busy_seconds(pid):
    """What the process has used of a processor."""
    fields = (pathlib.Path("/proc") / str(pid) / "stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("name, concurrency", [("protocol", 1), ("lanes", 8)])
def test_a_gateway_that_has_nothing_more_to_send_sleeps(server, compile_native, name, concurrency):
    """It had to wait for room, and has sent the rest before the socket's buffer was nearly empty, when it
    would have been woken. The answer and that come at once."""
    function = server.deploy(name, "native", {"main": compile_native(name)}, max=1, concurrency=concurrency)
    path = f"/api/v1/functions/execute/{function}"
    assert server.call(function, b"warm").status == 201
    worker, gateway = NodeHost(server).worker(), NodeHost(server).gateway
    client = RawConnection(server.port).send(
        request("POST", path, token=server.token, headers=["Transfer-Encoding: chunked"]) +
        chunk(b"sip\0".ljust(70000)) + chunk(b"now"))
    eventually(lambda: is_stopped(worker), "it has read so far")
    client.send(chunk(b"x") * (small_frames_in_a_socket() + 1))
    for _ in range(20):  # turns of the gateway's
        assert server.request("GET", "/healthz").status == 200
    os.kill(worker, signal.SIGCONT)
    eventually(lambda: is_stopped(worker), "it has read a little more")
    client.send(chunk(b"x") + chunk(b""))
    for _ in range(20):
        assert server.request("GET", "/healthz").status == 200
    with stopped(gateway):
        os.kill(worker, signal.SIGCONT)
        eventually(lambda: is_stopped(worker), "it has answered")
    assert client.read_answer().body == b"sipped"
    before = busy_seconds(gateway)
    assert client.is_silent(1)
    assert busy_seconds(gateway) - before < 0.1
    os.kill(worker, signal.SIGCONT)


@pytest.mark.parametrize("threads", [1, 3])
def test_more_lanes_at_once_than_a_socket_holds_are_opened_one_after_the_other(compile_native, threads):
    count = 400
    with Server("--threads", str(threads)) as node:
        function = node.deploy("crowd", "native", {"main": compile_native("crowd")}, max=1, concurrency=1000)
        for _ in range(2):  # the second time all lanes are there
            clients = [RawConnection(node.port) for _ in range(count)]
            for client in clients:
                client.send(request("POST", f"/api/v1/functions/execute/{function}", b"%d" % count,
                                    node.token))
            for client in clients:
                answer = client.read_answer()
                assert answer.status == 201 and answer.body == b"%d" % count, answer
