"""magpie.h with a ring: memory by which small calls go to a worker and their answers come back."""
import contextlib
import os
import select
import signal

import node_host
import pytest
from raw_http import eventually
from worker_client import HEADER, RINGS
from worker_ring import ANSWERED, BEGUN, FRAME_SIZE, FREE, PLACES, SENT, Ring

ROOM = FRAME_SIZE - HEADER.size  # for an answer without headers


@pytest.fixture
def ring(handlers):
    return Ring(handlers)


def wait_until_stopped(worker):
    """By itself, in a handler, or by us."""
    eventually(lambda: node_host.is_stopped(worker.process.pid), "the worker is stopped")


@contextlib.contextmanager
def stopped(worker):
    with node_host.stopped(worker.process.pid):
        wait_until_stopped(worker)
        yield


def go_on(worker):
    os.kill(worker.process.pid, signal.SIGCONT)


def fall_asleep(ring):
    ring.settle()
    eventually(lambda: not ring.is_awake(), "the worker says that it sleeps")


def numbered(number):
    return b"whole %03d" % number


def answer_to(number):
    return b"3 3 1 0 %03d" % number


def test_ready_says_that_the_worker_takes_a_ring(handlers):
    assert handlers.ready.flags == RINGS


def test_a_worker_without_a_ring_works_as_ever(handlers):
    numbers = [handlers.send(numbered(n)) for n in range(50)]
    assert [handlers.result(number).body for number in numbers] == [answer_to(n) for n in range(50)]


def test_a_call_by_the_ring_is_answered_there_and_the_worker_rings_once(ring):
    ring.put(b"show", user="01USER", invocation="01INV", http=(
        "POST", "/a%20b", "x=1&y", [("user-agent", "tests"), ("x-a", "b:c"), ("x-empty", "")]))
    answer = ring.result()
    assert answer.status == 203 and answer.ran_us > 0
    assert answer.headers == [("content-type", "text/plain"), ("X-Twice", "a"), ("X-Twice", "b")]
    assert answer.body.decode() == (
        "01INV|01USER|POST|/a%20b|x=1&y|192.0.2.7|fn.example.org|tests\n"
        "user-agent=tests\nx-a=b:c\nx-empty=\n1")
    ring.settle()
    assert ring.bells_heard == 1


def test_many_calls_at_once_are_answered_in_order_and_told_of_by_one_bell(ring):
    fall_asleep(ring)
    with stopped(ring.worker):
        for n in range(PLACES):
            ring.put(numbered(n))
    eventually(lambda: ring.state(PLACES - 1) == ANSWERED, "the last call is answered")
    assert [ring.result().body for _ in range(PLACES)] == [answer_to(n) for n in range(PLACES)]
    ring.settle()
    assert (ring.bells_sent, ring.bells_heard) == (1, 1)


@pytest.mark.parametrize("places, place_size", [(66, 1664), (3, 2048), (1, 1664)])
@pytest.mark.parametrize("at_once", [1, 66])
def test_the_places_wrap_around(handlers, places, place_size, at_once):
    ring = Ring(handlers, places, place_size)
    asked = answered = 0
    while answered < 5 * PLACES:
        while len(ring.calls) < min(at_once, places):
            ring.put(numbered(asked))
            asked += 1
        assert ring.result().body == answer_to(answered)
        answered += 1


def test_an_answer_that_just_fits_lies_in_its_place(ring):
    ring.put(b"fill %d" % ROOM)
    assert ring.result().body == b"f" * ROOM


@pytest.mark.parametrize("call, body, error", [
    (b"fill %d" % (ROOM + 1), b"f" * (ROOM + 1), None),
    (b"fill 300000", b"f" * 300_000, None),
    (b"stream", b"onetwo", None),
    (b"fail plain", b"", "OddError"),
    (b"fail midway", b"begun", "OddError"),
    (b"misuse late header", b"", "Runtime.MarshalError"),
], ids=["too large", "very large", "streamed", "failed", "failed midway", "misused"])
def test_what_is_no_small_answer_comes_by_the_socket_and_those_behind_it_lie_there(ring, call, body, error):
    for _ in range(2):
        with stopped(ring.worker):
            ring.put(numbered(1))
            ring.put(call)
            ring.put(numbered(2))
            ring.put(numbered(3))
        assert ring.result().body == answer_to(1)
        answer = ring.result_by_socket()
        assert answer.body == body and (answer.error or {}).get("errorType") == error
        assert [ring.result().body, ring.result().body] == [answer_to(2), answer_to(3)]


def test_a_large_call_by_the_socket_is_begun_behind_what_lies_in_the_ring(ring):
    with stopped(ring.worker):
        ring.put(numbered(1))
        ring.put(numbered(2))
        number = ring.worker.send(b"stop " + b"l" * 30_000)
    wait_until_stopped(ring.worker)
    assert [ring.state(0), ring.state(1)] == [ANSWERED, ANSWERED] and ring.hear()
    assert [ring.result().body, ring.result().body] == [answer_to(1), answer_to(2)]
    ring.put(numbered(3))
    go_on(ring.worker)
    assert ring.socket_result(number).body == b"" and ring.result().body == answer_to(3)


def test_large_calls_by_the_socket_and_small_ones_by_the_ring_alternate(ring):
    large = b"l" * 300_000
    for n in range(10):
        number = ring.worker.send(b"whole " + large)
        assert ring.socket_result(number).body == b"300000 300000 1 0 " + large
        ring.put(numbered(n))
        assert ring.result().body == answer_to(n)


def test_calls_that_were_pushed_before_the_ring_are_answered_before_those_in_it(handlers):
    with stopped(handlers):
        numbers = [handlers.send(numbered(n)) for n in range(3)]
        ring = Ring(handlers)
        ring.put(numbered(3))
    assert [handlers.result(number).body for number in numbers] == [answer_to(n) for n in range(3)]
    assert ring.result().body == answer_to(3)


def test_what_was_taken_back_is_never_run(ring):
    with stopped(ring.worker):
        ring.put(numbered(1))
        ring.put(b"log")
        ring.put(b"log")
        assert ring.take_back() and ring.take_back()
    assert ring.result().body == answer_to(1)
    ring.put(numbered(2))
    assert ring.result().body == answer_to(2)
    assert ring.worker.raw_log() == ""


def test_all_that_a_sleeping_worker_was_woken_for_may_be_taken_back(ring):
    fall_asleep(ring)
    with stopped(ring.worker):
        ring.put(b"log")
        assert ring.bells_sent == 1 and ring.take_back()
    ring.settle()
    ring.put(numbered(1))
    assert ring.result().body == answer_to(1)
    assert ring.worker.raw_log() == ""


def test_what_has_begun_is_not_taken_back_and_what_is_behind_it_is(ring):
    ring.put(b"stop")
    wait_until_stopped(ring.worker)
    assert ring.state() == BEGUN
    ring.put(b"log")
    assert ring.take_back() and not ring.take_back()
    ring.put(numbered(1))
    go_on(ring.worker)
    assert ring.result().body == b"" and ring.result().body == answer_to(1)
    assert ring.worker.raw_log() == ""


def test_a_worker_that_sleeps_is_woken_by_a_bell(ring):
    for n in range(3):
        fall_asleep(ring)
        ring.put(numbered(n))
        assert ring.result().body == answer_to(n) and ring.bells_sent == n + 1


def test_a_worker_that_runs_a_call_needs_no_bell(ring):
    ring.put(b"stop")
    wait_until_stopped(ring.worker)
    ring.put(numbered(1))
    assert ring.bells_sent == 1
    go_on(ring.worker)
    assert ring.result().body == b"" and ring.result().body == answer_to(1)


def test_a_worker_that_runs_a_call_by_the_socket_needs_no_bell(ring):
    fall_asleep(ring)
    number = ring.worker.send(b"stop")
    wait_until_stopped(ring.worker)
    ring.put(numbered(1))
    assert ring.bells_sent == 0
    go_on(ring.worker)
    assert ring.socket_result(number).body == b"" and ring.result().body == answer_to(1)


def test_a_bell_that_tells_of_nothing_does_no_harm(ring):
    for n in range(3):
        ring.send_bell()
        ring.send_bell()
        ring.settle()
        assert ring.bells_heard == n
        ring.send_bell()
        ring.put(numbered(n))
        assert ring.result().body == answer_to(n)
        ring.settle()
        assert ring.bells_heard == n + 1


def test_an_answer_lies_there_while_the_call_behind_it_runs(ring):
    with stopped(ring.worker):
        ring.put(numbered(1))
        ring.put(b"stop")
        ring.put(numbered(2))
    wait_until_stopped(ring.worker)
    assert [ring.state(n) for n in range(4)] == [ANSWERED, BEGUN, SENT, FREE]
    assert ring.result().body == answer_to(1)
    go_on(ring.worker)
    assert ring.result().body == b"" and ring.result().body == answer_to(2)


@pytest.mark.parametrize("calls", [[b"sleep 1"], [b"some 1", b"sleep 1"], [b"spin 10"] * 40],
                         ids=["long", "quick, then long", "many"])
def test_answers_that_took_long_are_told_before_the_call_behind_them_ends(ring, calls):
    with stopped(ring.worker):
        for call in [*calls, b"stop"]:
            ring.put(call)
    wait_until_stopped(ring.worker)
    assert ring.hear() and ring.state(len(calls)) == BEGUN
    assert [ring.result().error for _ in calls] == [None] * len(calls)
    go_on(ring.worker)
    assert ring.result().body == b""


def test_a_quick_answer_is_not_told_of_as_long_as_calls_are_there(ring):
    for _ in range(50):  # a machine that is busy may make a quick one long
        with stopped(ring.worker):
            ring.put(numbered(1))
            ring.put(b"stop")
        wait_until_stopped(ring.worker)
        is_told = bool(select.select([ring.worker.gateway], [], [], 0)[0])
        go_on(ring.worker)
        assert ring.result().body == answer_to(1) and ring.result().body == b""
        ring.settle()
        if not is_told:
            return
    pytest.fail("each is told of at once")


def test_a_forked_child_has_no_ring_and_writes_nothing_there(ring):
    for n in range(2):
        ring.put(b"fork and stop")
        wait_until_stopped(ring.worker)  # its child has ended
        assert ring.state() == BEGUN and ring.frame().endswith(b"fork and stop")
        go_on(ring.worker)
        assert ring.result().body == b"the parent"
        ring.settle()
        assert ring.bells_heard == n + 1
    assert ring.worker.raw_log() == "in the child\n" * 2


@pytest.mark.parametrize("has_ring", [False, True], ids=["by the socket", "by the ring"])
def test_a_child_that_was_forked_after_a_failure_ends_well(handlers, has_ring):
    if has_ring:
        ring = Ring(handlers)
        ring.put(b"fork after failing")
        answer = ring.result_by_socket()
    else:
        answer = handlers.invoke(b"fork after failing")
    assert answer.error["errorMessage"] == "before the child"
    assert handlers.invoke(b"some ok").body == b"ok"
    assert handlers.raw_log() == "in the child\n"


def test_child_processes_get_nothing_of_the_ring(ring):
    ring.put(b"child")
    assert ring.result().body == b"256"


def test_what_was_answered_before_the_worker_ended_lies_there(ring):
    with stopped(ring.worker):
        ring.put(numbered(1))
        ring.put(b"exit")
    assert ring.worker.wait() == 7
    assert ring.result().body == answer_to(1) and ring.state() == BEGUN


def test_a_function_that_closes_the_connection_ends_and_does_not_hang(ring):
    ring.put(b"close")
    assert ring.worker.wait() == 1 and "cannot send" in ring.worker.raw_log()


def test_when_the_platform_leaves_a_worker_that_sleeps_ends(ring):
    fall_asleep(ring)
    ring.worker.gateway.close()
    assert ring.worker.wait() == 0


def test_when_the_platform_leaves_a_worker_with_calls_in_its_ring_ends(ring):
    with stopped(ring.worker):
        ring.put(b"sleep 1")
        ring.put(b"log")
        ring.worker.gateway.close()
    assert ring.worker.wait() == 1
    assert [ring.state(0), ring.state(1)] == [ANSWERED, SENT], "nobody could be told of the first"
