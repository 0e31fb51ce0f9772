"""Calls that come in crowds go by memory that gateway and function share. Gateway and worker are stopped, so
that each finds all at once."""
import contextlib
import json
import os
import pathlib
import signal

import pytest
from node_host import NodeHost, stopped
from raw_http import RawConnection, eventually, request
from server import Server

CROWDS = 8  # then an instance gets its ring
PLACES = 66


@pytest.fixture(scope="module")
def program(compile_native):
    return compile_native("ring")


@pytest.fixture
def server():
    with Server("--threads", "1") as node:
        yield node


def has_ring(pid):
    return "memfd:magpie-ring" in pathlib.Path(f"/proc/{pid}/maps").read_text()


def numbers(count):
    return [b"%02d" % number for number in range(count)]


class Echo:
    """An echo in one instance, which has a ring."""

    def __init__(self, server, program, name="echo", has_ring=True, **settings):
        self.server = server
        self.host = NodeHost(server)
        self.function = server.deploy(name, "native", {"main": program}, **{"max": 1, **settings})
        self.label = f'function="admin/{name}"'
        self.clients = [RawConnection(server.port) for _ in range(PLACES - 2)]
        for client in self.clients:  # so that its gateway thread knows it
            assert client.send(request("GET", "/healthz")).read_answer().status == 200
        for _ in range(30):
            assert self.call(b"warm") == b"warm"
        if has_ring:
            self.come_in_crowds()

    def request(self, payload):
        return request("POST", f"/api/v1/functions/execute/{self.function}", payload, self.server.token)

    def call(self, payload):
        with RawConnection(self.server.port) as client:
            answer = client.send(self.request(payload)).read_answer()
        assert answer.status == 201, answer
        return answer.body

    def send(self, payloads):
        """All at once."""
        with stopped(self.host.gateway):
            for client, payload in zip(self.clients, payloads):
                client.send(self.request(payload))

    def answers(self, payloads):
        return [client.read_answer() for client, _ in zip(self.clients, payloads)]

    def at_once(self, payloads):
        """The answers to calls that the worker finds all at once."""
        with stopped(self.host.worker()):
            self.send(payloads)
            eventually(self.is_busy, "all have been given a place")
        return self.answers(payloads)

    def count(self, state):
        return self.server.metrics().get(f'magpie_instances{{{self.label},state="{state}"}}')

    def is_busy(self):
        return self.count("busy") == 1

    def come_in_crowds(self):
        """Until it has one: while it seems slow, nothing is sent to it beside the running call."""
        def has_ring():
            payloads = numbers(8)
            assert [answer.body for answer in self.at_once(payloads)] == payloads
            return self.call(b"where") == b"ring"
        eventually(has_ring, "there is a ring")


@pytest.fixture
def echo(server, program):
    return Echo(server, program)


def test_a_function_whose_calls_come_one_by_one_shares_no_memory(server, program):
    echo = Echo(server, program, has_ring=False)
    assert echo.call(b"where") == b"socket"
    assert not has_ring(echo.host.worker())


def test_each_of_a_crowd_has_its_own_answer_wherever_the_ring_begins(echo):
    for count in (64, 7, 64, 1, 33, 64):
        assert [answer.body for answer in echo.at_once(numbers(count))] == numbers(count)
        assert echo.call(b"where") == b"ring"


def test_large_and_failing_calls_between_small_ones_have_their_own_answers(echo):
    payloads = [b"a", b"large", b"b", b"fail", b"large", b"fail", b"c", b"d"]
    answers = echo.at_once(payloads)
    assert [answer.status for answer in answers] == [201, 201, 201, 502, 201, 502, 201, 201]
    assert [len(answer.body) for answer in answers if answer.status == 201] == [
        1, 100000, 1, 100000, 1, 1]
    assert all(b"it was asked to" in answer.body for answer in answers if answer.status == 502)
    assert echo.call(b"where") == b"ring"


def test_a_large_request_has_the_instance_for_itself(echo):
    payloads = numbers(10) + [b"x" * 5000] + numbers(10) + [b"y" * 100000] + numbers(10)
    expected = [payload[:63] for payload in payloads]
    assert [answer.body for answer in echo.at_once(payloads)] == expected
    assert echo.call(b"where") == b"ring"


def test_of_a_crowd_only_the_call_that_ends_its_instance_fails(echo):
    payloads = [b"crash" if number == 20 else b"%02d" % number for number in range(40)]
    answers = echo.at_once(payloads)
    assert [answer.status for answer in answers] == [201] * 20 + [502] + [201] * 19
    assert [answer.body for answer in answers if answer.status == 201] == [
        payload for payload in payloads if payload != b"crash"]


def test_a_call_that_hangs_holds_up_neither_those_before_it_nor_those_behind_it(server, program):
    echo = Echo(server, program, max=2, timeout="3s")
    payloads = [b"hang" if number == 5 else b"%02d" % number for number in range(20)]
    with stopped(echo.host.worker()):
        echo.send(payloads)
        eventually(echo.is_busy, "all have been given a place")
    for client, payload in zip(echo.clients, payloads):
        if payload != b"hang":
            assert client.read_answer().body == payload
    assert echo.is_busy(), "it hangs still"
    assert echo.clients[5].read_answer().status == 504


def printed(server):
    """Whose each line that was printed by hand is said to be, the newest first."""
    log = server.request("GET", "/api/v1/functions/echo/logs").body
    lines = [json.loads(line) for line in log.splitlines()]
    return [line["invocationId"] for line in lines if line["text"].strip() == "by hand"]


def test_what_a_function_prints_by_hand_is_its_calls_once_it_is_known_to_print(server, echo):
    assert echo.call(b"print") == b"print"
    eventually(lambda: printed(server), "it is known")
    ids = [client.send(echo.request(b"print")).read_answer().headers["magpie-invocation-id"]
           for client in echo.clients[:20]]
    assert printed(server)[:-1] == ids[::-1]
    assert echo.call(b"where") == b"ring"


def test_an_instance_that_was_frozen_goes_on_with_its_ring(server, echo):
    worker = echo.host.worker()
    for _ in range(3):
        eventually(lambda: echo.count("frozen") == 1, "it is frozen")
        assert echo.call(b"where") == b"ring"
        eventually(lambda: echo.count("frozen") == 1, "it is frozen again")
        assert [answer.body for answer in echo.at_once(numbers(64))] == numbers(64)
    assert echo.host.worker() == worker


def is_right(answer, payload):
    if payload == b"fail":
        return answer.status == 502 and b"it was asked to" in answer.body
    expected = b"l" * 100000 if payload == b"large" else payload[:63]
    return answer.status == 201 and answer.body == expected


@pytest.mark.parametrize("instances", [1, 3])
def test_instances_go_from_one_gateway_thread_to_the_other_with_their_rings(program, instances):
    """Crowds of all sizes, with calls between them that go by the socket one way or the other."""
    sizes, others = (1, 8, 40, 40, 40), (b"fail", b"large", b"x" * 3000, b"y" * 100000)
    with Server("--threads", "2") as server:
        echo = Echo(server, program, has_ring=False, max=instances)
        clients = [RawConnection(server.port) for _ in range(max(sizes))]
        for turn in range(200):
            payloads = [others[(turn + number) // 31 % 4] if (turn + number) % 31 == 0
                        else b"%d %d" % (turn, number) for number in range(sizes[turn % 5])]
            for client, payload in zip(clients, payloads):
                client.send(echo.request(payload))
            for number, payload in enumerate(payloads):
                answer = clients[number].read_answer()
                assert is_right(answer, payload), (payload[:20], answer)
                if answer.headers.get("connection") == "close":
                    clients[number] = RawConnection(server.port)
        ways = [client.send(echo.request(b"where")).read_answer().body for client in clients]
        assert b"ring" in ways


def test_what_the_worker_has_not_heard_of_its_ring_is_taken_back_with_it(server, program):
    """The crowd that gets it a ring finds it in a call that hangs."""
    echo = Echo(server, program, has_ring=False, max=2, timeout="2s")
    for _ in range(CROWDS - 1):
        assert [answer.body for answer in echo.at_once(numbers(8))] == numbers(8)
    payloads = [b"hang"] + numbers(8)
    echo.send(payloads)
    assert [client.read_answer().body for client in echo.clients[1:9]] == numbers(8)
    assert echo.clients[0].read_answer().status == 504
    assert echo.call(b"after") == b"after"


@pytest.fixture
def bystander(server, program):
    return Echo(server, program, name="bystander", has_ring=False)


@pytest.mark.parametrize("command", [
    b"too long", b"no length", b"half a header", b"an error", b"half an answer", b"unknown id",
    b"no header", b"a heavy bell"])
def test_who_writes_nonsense_into_the_ring_is_ended(server, echo, command):
    worker = echo.host.worker()
    payloads = [b"before", command, b"behind"]
    answers = echo.at_once(payloads)
    assert [answer.status for answer in answers] == [201, 502, 201]
    assert b"function.protocol" in answers[1].body
    assert [answers[0].body, answers[2].body] == [b"before", b"behind"]
    assert echo.host.worker() != worker


def test_what_lies_in_the_ring_cannot_be_changed_for_another_instance(echo):
    answers = echo.at_once([b"forge"] + numbers(63))
    assert [answer.status for answer in answers] == [502] + [201] * 63
    assert [answer.body for answer in answers[1:]] == numbers(63)


@pytest.mark.parametrize("command", [b"bells", b"says"])
def test_bells_of_nothing_and_false_words_harm_nobody_else(server, echo, bystander, command):
    client = RawConnection(server.port).send(echo.request(command))
    for _ in range(50):
        assert bystander.call(b"quick") == b"quick"
    assert client.read_answer().status == 201
    echo.send(numbers(64))
    assert [answer.body for answer in echo.answers(numbers(64))] == numbers(64)


def test_a_worker_that_never_looks_fails_alone(server, program):
    echo = Echo(server, program, max=2, timeout="2s")
    worker = echo.host.worker()
    os.kill(worker, signal.SIGSTOP)
    echo.send(numbers(64))
    assert [client.read_answer().body for client in echo.clients[:64]] == numbers(64)
    with contextlib.suppress(ProcessLookupError):  # its first call's time may be up
        os.kill(worker, signal.SIGCONT)
    echo.send(numbers(64))
    assert [answer.body for answer in echo.answers(numbers(64))] == numbers(64)
