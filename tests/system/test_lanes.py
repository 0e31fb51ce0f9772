"""Instances that run several calls at once, each on a lane of its own: what one does to the others.
The function (functions/lanes.c) speaks the worker protocol with lanes."""
import contextlib
import itertools
import os
import random
import threading
import time

import pytest
from node_host import NodeHost
from raw_http import RawConnection, eventually, request
from server import Server, build_dir

MIB = 1 << 20
NUMBERS = itertools.count()
FEW = 4096  # descriptors: what a sandbox must be allowed
EXITED = "The function's process exited with status 3 before it answered."


@pytest.fixture(scope="module", params=["1 thread", "3 threads", "3 threads, trunks"])
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def server(kind):
    with Server("--threads", kind[0]) as node:
        yield node


@pytest.fixture(scope="module")
def program(compile_native, kind):
    return {"main": compile_native("lanes", *(["-DTRUNKS"] if "trunks" in kind else []))}


@pytest.fixture
def deploy(server, program):
    """Deploys a function of this test's own."""
    def deploy(**fields):
        return server.deploy(f"lanes-{next(NUMBERS)}", "native", program,
                             **{"concurrency": 8, "max": 1, **fields})
    return deploy


class Calls:
    """Calls that are under way at once, each over a connection of its own."""

    def __init__(self, server, function):
        self.server, self.function = server, function
        self.name = server.request("GET", f"/api/v1/functions/{function}").json()["name"]

    def request(self, payload):
        return request("POST", f"/api/v1/functions/execute/{self.function}", payload,
                       self.server.token)

    def begin(self, payload, **options):
        return RawConnection(self.server.port, **options).send(self.request(payload))

    def call(self, payload):
        return self.server.call(self.function, payload)

    def state(self):
        """(instance, lanes that are open, were at most, calls at once at most)"""
        answer = self.call(b"state")
        assert answer.status == 201, answer
        return tuple(map(int, answer.body.split()))

    def upload(self, command, length, sent):
        """A call of which `sent` bytes of `length` have left."""
        client = RawConnection(self.server.port)
        return client.send(request("POST", f"/api/v1/functions/execute/{self.function}",
                                   token=self.server.token,
                                   headers=[f"Content-Length: {length}"]) + command.ljust(sent))

    def metric(self, name, labels=""):
        return self.server.metrics().get(f'{name}{{function="admin/{self.name}"{labels}}}', 0)

    def instances(self, state):
        return self.metric("magpie_instances", f',state="{state}"')

    def waiters(self):
        return self.metric("magpie_waiters")

    def hold(self, count=1):
        """Calls that are certainly under way, and end with the next release()."""
        held = [self.begin(b"hold") for _ in range(count)]
        eventually(lambda: self.state()[3] > count, f"{count} calls are under way")
        return held

    def release(self):
        assert self.call(b"release").status == 201


@pytest.fixture
def calls(server, deploy):
    return Calls(server, deploy())


def read_all(clients):
    answers = [client.read_answer() for client in clients]
    for client in clients:
        client.socket.close()
    return answers


def test_eight_calls_meet_in_one_instance(calls):
    for _ in range(5):
        answers = read_all([calls.begin(b"meet 8") for _ in range(8)])
        assert [answer.status for answer in answers] == [201] * 8
        assert len({answer.body.split()[0] for answer in answers}) == 1
    instance, is_open, most, together = calls.state()
    assert together == 8 and most >= 8
    eventually(lambda: calls.state()[1] <= 8, "no lane too many is open")


def test_a_call_beyond_the_places_waits_and_gets_the_one_that_comes_free(server, deploy):
    calls = Calls(server, deploy(concurrency=2))
    calls.hold()
    second = calls.upload(b"swallow", 300000, 200000)
    eventually(lambda: calls.waiters() == 0 and calls.instances("busy") == 1, "both run")
    third = calls.begin(b"well?")
    eventually(lambda: calls.waiters() == 1, "the third waits")
    second.send(b"x" * 100000)
    assert second.read_answer().body == b"300000"
    answer = third.read_answer()
    assert answer.body == b"well?" and answer.headers["magpie-start"] == "stolen"
    calls.release()


def test_calls_that_wait_for_a_boot_share_it_and_started_cold(server, deploy):
    calls = Calls(server, deploy(env={"BOOT_MS": "300"}))
    for answer in read_all([calls.begin(b"meet 4") for _ in range(4)]):
        assert answer.headers["magpie-start"] == "cold" and "init;dur" in answer.headers["server-timing"]
    assert calls.call(b"x").headers["Magpie-Start"] == "warm"
    document = calls.server.request("GET", f"/api/v1/functions/{calls.function}").json()
    assert document["coldStarts"]["count"] == 1 and document["concurrency"] == 8


def test_a_burst_beyond_one_instance_fills_the_next(server, deploy):
    calls = Calls(server, deploy(concurrency=4, max=3))
    clients = [calls.upload(b"swallow", 300000, 200000) for _ in range(12)]
    eventually(lambda: calls.instances("busy") == 3 and calls.waiters() == 0, "all of them run")
    with calls.begin(b"one too many") as late:
        eventually(lambda: calls.waiters() == 1, "it waits")
        for client in clients:
            client.send(b"x" * 100000)
        assert [answer.body for answer in read_all(clients)] == [b"300000"] * 12
        assert late.read_answer().body == b"one too many"
    eventually(lambda: calls.instances("busy") == 0, "none is busy any more")


def test_large_bodies_flow_both_ways_on_all_lanes_at_once(calls):
    payloads = [b"%d" % number + b"x" * (3 * MIB + number) for number in range(6)]
    answers = {}

    def run(number):
        answers[number] = calls.call(payloads[number])
    threads = [threading.Thread(target=run, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(answers[number].body == payloads[number] for number in range(6))
    assert calls.state()[3] <= 8


def test_a_slow_reader_slows_its_own_call_and_no_other_of_the_instance(calls):
    with calls.begin(b"download 5000000", receive_buffer=8192) as slow:
        assert slow.read_head()[0] == 201 and slow.read_chunk().startswith(b"begin")
        for _ in range(20):
            assert calls.call(b"quick").body == b"quick"
            with calls.begin(b"download 1000000") as other:
                assert len(other.read_answer().body) == 1000006
        total = 0
        while chunk := slow.read_chunk():
            total += len(chunk)
    assert total >= 5000000 and calls.state()[3] <= 8


def test_a_slow_upload_stops_nobody(calls):
    with calls.upload(b"swallow", 3000000, 200000) as slow:
        for _ in range(20):
            assert calls.call(b"quick").body == b"quick"
        slow.send(b"x" * 2800000)
        assert slow.read_answer().body == b"3000000"


def test_a_time_out_fails_its_call_alone_and_an_answer_takes_the_doubt_away(server, deploy):
    calls = Calls(server, deploy(timeout="2s"))
    first = calls.state()[0]
    others = []
    with calls.begin(b"sleep 60000") as slow:
        while slow.is_silent(0.4):  # some are always young when its time is up
            others.append(calls.upload(b"swallow", 300000, 200000))
        answer = slow.read_answer()
    assert answer.status == 504 and b"function.timeout" in answer.body
    with calls.begin(b"well?") as late:
        eventually(lambda: calls.waiters() == 1, "the instance is in doubt")
        others[-1].send(b"x" * 100000)
        assert others[-1].read_answer().body == b"300000"
        assert late.read_answer().headers["magpie-start"] == "stolen"
    assert calls.state()[0] == first


def test_an_instance_that_answers_nothing_after_a_time_out_is_replaced(server, deploy):
    calls = Calls(server, deploy(timeout="500ms"))
    first = calls.state()[0]
    hung = [calls.begin(b"sleep 60000") for _ in range(3)]
    answers = read_all(hung)
    assert [answer.status for answer in answers] == [504] * 3
    assert calls.state()[0] != first


def test_calls_that_come_after_a_time_out_wait_for_an_answer_or_another_instance(server, deploy):
    calls = Calls(server, deploy(timeout="1s", max=2))
    first = calls.state()[0]
    hung = calls.begin(b"sleep 60000")
    assert hung.read_answer().status == 504
    eventually(lambda: calls.state()[0] != first, "it was replaced")


def test_a_death_fails_every_call_of_the_instance_and_each_is_told_why(calls):
    first = calls.state()[0]
    held = calls.hold(5)
    fatal = calls.call(b"exit 3")
    answers = read_all(held)
    for answer in [fatal, *answers]:
        assert answer.status == 502
        assert b"function.exited" in answer.body and EXITED.encode() in answer.body
    assert calls.state()[0] != first


def test_of_calls_that_were_answered_none_fails_by_a_death(calls):
    for _ in range(10):
        answers = read_all([calls.begin(b"x%d" % number) for number in range(6)])
        assert [answer.body for answer in answers] == [b"x%d" % number for number in range(6)]
        assert calls.call(b"exit 3").status == 502


@pytest.mark.parametrize("how", ["other id", "ready", "ready on main", "log of nobody", "on main",
                                 "short", "lane", "close", "shut"])
def test_nonsense_on_a_lane_ends_the_instance_and_all_its_calls(server, deploy, how):
    calls = Calls(server, deploy(timeout="20s"))
    first = calls.state()[0]
    held = calls.hold(2)
    bad = calls.call(b"bad " + how.encode())
    for answer in [bad, *read_all(held)]:
        assert answer.status == 502 and b"function.protocol" in answer.body, answer
    assert calls.state()[0] != first
    assert calls.call(b"well?").body == b"well?"


def answer_ahead(server, calls):
    """A call is answered together with the one that waits for its lane, which has not been sent."""
    gateway = NodeHost(server).gateway
    for _ in range(5):
        held = calls.hold()
        first = calls.begin(b"ahead 200")
        time.sleep(0.05)
        second = calls.begin(b"well?")
        eventually(lambda: calls.waiters() == 1, "the second waits")
        read_all([first, second])  # whichever of them was believed, and perhaps nothing was amiss
        read_all([calls.begin(b"release"), *held])
        eventually(lambda: calls.call(b"well?").body == b"well?", "another instance answers")
    assert NodeHost(server).gateway == gateway


def test_an_answer_to_a_call_that_was_not_sent_harms_nobody_else(server, deploy):
    answer_ahead(server, Calls(server, deploy(concurrency=2)))


def test_who_answers_twice_is_ended_and_only_the_first_answer_counts(calls):
    for _ in range(5):
        answer = calls.call(b"twice")
        assert answer.status == 201 and answer.body == b"once"
        eventually(lambda: calls.instances("busy") + calls.instances("idle") == 0, "it is ended")
        assert calls.call(b"well?").body == b"well?"


def test_an_error_of_one_call_is_its_own(calls):
    first = calls.state()[0]
    answer = calls.call(b"error")
    assert answer.status == 502 and answer.json()["reason"] == "function.error"
    assert calls.state()[0] == first


def test_an_answer_that_is_too_large_breaks_off_and_the_others_run_on(server, program):
    with Server("--response-max", "1MiB") as node:
        function = node.deploy("large", "native", program, concurrency=8, max=1)
        calls = Calls(node, function)
        first = calls.state()[0]
        with calls.begin(b"too large") as client:
            assert client.read_head()[0] == 201
            with pytest.raises((EOFError, AssertionError, ValueError)):
                while client.read_chunk():
                    pass
        assert calls.call(b"broken 1").body.split()[0] == b"%d" % first


def test_an_endless_answer_that_nobody_hears_any_more_is_broken_off(calls):
    first = calls.state()[0]
    for count in range(1, 4):
        client = calls.begin(b"download")
        assert client.read_head()[0] == 201
        client.socket.close()
        assert calls.call(b"broken %d" % count).body.split()[0] == b"%d" % first
    eventually(lambda: calls.instances("idle") + calls.instances("frozen") == 1, "it is empty")


def test_half_a_body_whose_client_left_is_broken_off(calls):
    first = calls.state()[0]
    client = calls.upload(b"swallow", 3000000, 200000)
    eventually(lambda: calls.instances("busy") == 1, "it has begun")
    client.socket.close()
    assert calls.call(b"broken 1").body.split()[0] == b"%d" % first


def test_an_early_answer_to_half_a_body_costs_its_lane_alone(calls):
    first = calls.state()[0]
    for _ in range(10):
        assert calls.call(b"deaf".ljust(2 * MIB)).body == b"deaf"
    instance = calls.state()[0]
    assert instance == first
    eventually(lambda: calls.state()[1] <= 8, "its lanes have been closed")


def test_a_client_that_leaves_does_not_end_its_call(calls):
    client = calls.hold()[0]
    client.socket.close()
    assert calls.instances("busy") == 1
    calls.release()
    eventually(lambda: calls.instances("busy") == 0, "its call has ended")


def test_an_instance_is_frozen_only_when_its_last_call_has_ended_and_thaws_for_the_next(server,
                                                                                       program):
    with Server("--freeze-after", "50ms") as node:
        calls = Calls(node, node.deploy("freezing", "native", program, concurrency=4, max=1))
        held = calls.hold(2)
        held[0].socket.close()
        assert calls.instances("busy") == 1 and calls.instances("frozen") == 0
        calls.release()
        assert held[1].read_answer().status == 201
        eventually(lambda: calls.instances("frozen") == 1, "it is frozen")
        answers = read_all([calls.begin(b"meet 3") for _ in range(3)])
        assert sorted(answer.headers["magpie-start"] for answer in answers)[0] == "thawed"
        assert len({answer.body.split()[0] for answer in answers}) == 1


def test_an_idle_instance_expires_with_its_lanes(server, deploy):
    calls = Calls(server, deploy(keepAlive="300ms"))
    first = calls.state()[0]
    read_all([calls.begin(b"meet 3") for _ in range(3)])
    eventually(lambda: sum(map(calls.instances, ("idle", "frozen", "busy", "ending"))) == 0,
               "it is gone")
    assert calls.state()[0] != first


def test_keep_alive_zero_is_one_call_an_instance_whatever_the_concurrency(server, compile_native):
    function = server.deploy("single-use", "native", {"main": compile_native("worker")},
                             concurrency=8, keepAlive="0s")
    for _ in range(3):
        answer = server.call(function, b"calls")
        assert answer.body == b"1" and answer.headers["Magpie-Start"] == "cold"


def test_a_native_program_that_does_not_say_that_it_takes_lanes_runs_one_call_at_a_time(
        server, compile_native):
    function = server.deploy("plain", "native", {"main": compile_native("worker")}, concurrency=8,
                             max=2)
    calls = Calls(server, function)
    clients = [calls.upload(b"count", 300000, 200000) for _ in range(3)]
    eventually(lambda: calls.instances("busy") == 2 and calls.waiters() == 1, "two run")
    for client in clients:
        client.send(b"x" * 100000)
    assert [answer.body.split()[0] for answer in read_all(clients)] == [b"300000"] * 3


def test_a_new_version_takes_over_while_calls_of_the_old_one_run_on(server, deploy):
    calls = Calls(server, deploy(timeout="5s"))  # nobody can release what the old version holds
    first = calls.state()[0]
    held = calls.hold(2)
    assert server.request("PATCH", f"/api/v1/functions/{calls.function}", {"timeout": "6s"}).status == 200
    eventually(lambda: calls.state()[0] != first, "the new version answers")
    for client in held:
        assert client.is_silent(0)
        client.socket.close()


@pytest.fixture
def poor(tmp_path, program):
    """A function on a node that may have few descriptors."""
    (tmp_path / "magpie").write_text(
        f"#!/bin/sh\nexec prlimit --nofile={FEW}:{FEW} {build_dir()}/magpie \"$@\"\n")
    (tmp_path / "magpie").chmod(0o755)
    with Server("--threads", "1", "--connections-max", "10000", build=tmp_path) as node:
        yield Calls(node, node.deploy("poor", "native", program, concurrency=8, max=1))


def test_where_descriptors_run_out_calls_are_refused_and_the_others_run_on(poor):
    first = poor.state()[0]
    clients = [RawConnection(poor.server.port) for _ in range(8)]
    for client in clients:  # each has its descriptor before they are short
        assert client.send(poor.request(b"well?")).read_answer().body == b"well?"
    held = [client.send(poor.request(b"hold")) for client in clients[:2]]
    eventually(lambda: poor.state()[3] == 3, "they are under way")
    gateway = NodeHost(poor.server).gateway
    with contextlib.ExitStack() as crowd:
        while (left := FEW - len(os.listdir(f"/proc/{gateway}/fd"))) > 0:
            for _ in range(min(left, 100)):
                crowd.enter_context(RawConnection(poor.server.port))
        asked = [client.send(poor.request(b"hold")) for client in clients[2:6]]
        # One lane is idle.
        eventually(lambda: sum(not client.is_silent(0) for client in asked) == 3, "one runs")
        refused = [client for client in asked if not client.is_silent(0)]
        answers = [client.read_answer() for client in refused]
        held += [client for client in asked if client not in refused]
    assert {answer.status for answer in answers} == {503}
    assert b"descriptors" in answers[0].body and answers[0].headers["retry-after"]
    poor.release()
    assert {answer.body.split()[0] for answer in read_all(held)} == {b"%d" % first}


def run_anything(calls, number, wrong):
    """Calls of every kind, one after the other; what cannot be is added to `wrong`."""
    kinds = [b"echo", b"echo", b"download 200000", b"error", b"deaf", b"leave", b"upload", b"hang",
             b"exit 3", b"twice"]
    chance = random.Random(number)
    for count in range(40):
        kind = chance.choice(kinds[:6 if number % 4 else len(kinds)])
        try:
            if kind == b"leave":
                calls.begin(b"download 3000000").socket.close()
                calls.upload(b"swallow", 300000, 200000).socket.close()
                continue
            payload = {b"echo": b"%d-%d" % (number, count), b"deaf": b"deaf".ljust(300000),
                       b"upload": b"x" * 200000, b"hang": b"sleep 60000"}.get(kind, kind)
            with calls.begin(payload) as client:
                answer = client.read_answer()
            if answer.status == 201 and kind in (b"echo", b"upload") and answer.body != payload:
                wrong.append((kind, answer))
            if answer.status not in (201, 502, 504):
                wrong.append((kind, answer))
        except Exception as error:
            # An answer of several pieces breaks off where its instance is ended by another's call; with
            # a reset, where not all that the client has sent was read.
            expected = {b"download 200000": EOFError, b"upload": (EOFError, ConnectionResetError)}
            if not isinstance(error, expected.get(kind, ())):
                wrong.append((kind, repr(error)))


def link_of(path):
    try:
        return os.readlink(path)
    except FileNotFoundError:
        return ""


@pytest.mark.parametrize("threads", [1, 3])
def test_calls_of_every_kind_at_once_end_each_and_leave_nothing_behind(program, threads):
    with Server("--threads", str(threads)) as node:
        calls = Calls(node, node.deploy("any", "native", program, max=2, concurrency=4,
                                        timeout="300ms", keepAlive="300ms"))
        gateway = NodeHost(node).gateway

        def sockets():
            files = [f"/proc/{gateway}/fd/{fd}" for fd in os.listdir(f"/proc/{gateway}/fd")]
            return {name for name in map(link_of, files) if name.startswith("socket")}

        def is_quiet():
            return node.metrics()["magpie_connections"] == 1 and 0 == sum(
                map(calls.instances, ("idle", "frozen", "busy", "ending")))
        eventually(is_quiet, "nobody else is there")
        before, wrong = sockets(), []
        runners = [threading.Thread(target=run_anything, args=(calls, number, wrong))
                   for number in range(16)]
        for runner in runners:
            runner.start()
        for runner in runners:
            runner.join()
        assert not wrong, wrong[:5]
        assert calls.call(b"well?").body == b"well?" and calls.waiters() == 0
        eventually(is_quiet, "its instances are gone")
        eventually(lambda: sockets() <= before, "their lanes are closed")


def test_a_frame_of_log_tells_its_call_and_raw_output_does_not(calls):
    answer = calls.call(b"log")
    path = f"/api/v1/functions/{calls.function}/logs"

    def lines():
        text = calls.server.request("GET", path).body.decode()
        return [line for line in text.splitlines() if "by " in line]
    eventually(lambda: len(lines()) == 2, "both have been written")
    by_frame = next(line for line in lines() if "by frame" in line)
    by_hand = next(line for line in lines() if "by hand" in line)
    assert answer.headers["Magpie-Invocation-Id"] in by_frame
    assert answer.headers["Magpie-Invocation-Id"] not in by_hand


def test_a_runtime_that_runs_one_call_at_a_time_refuses_more_with_a_clear_sentence(server):
    files = {"python3": {"main.py": "def handler(event, context):\n    return 1\n"},
             "exec": {"main": "#!/bin/sh\necho 1\n"}}
    for runtime, code in files.items():
        function = server.deploy(f"alone-{runtime}", runtime, code, concurrency=1)
        answer = server.request("PATCH", f"/api/v1/functions/{function}", {"concurrency": 2})
        assert answer.status == 400
        assert f"runtime {runtime}" in answer.json()["detail"], answer
        assert "concurrency" in answer.json()["detail"]


# ---- trunks ----


@pytest.fixture
def warmed(kind, server, deploy):
    """Deploys a function whose lanes, of all threads, have each had a call."""
    if "trunks" not in kind:
        pytest.skip("it takes none")

    def warmed(**fields):
        calls = Calls(server, deploy(**fields))
        for _ in range(30):
            calls.state()  # on whichever thread its connection is
        return calls
    return warmed


@pytest.fixture
def trunks(warmed):
    return warmed()


def by_trunk(calls):
    return int(calls.call(b"trunk calls").body)


def test_whole_calls_go_by_trunk_from_a_lanes_second_on(trunks):
    first, before = trunks.state()[0], by_trunk(trunks)
    for turn in range(10):
        answers = read_all([trunks.begin(b"x%d" % number) for number in range(8)])
        assert [answer.body for answer in answers] == [b"x%d" % number for number in range(8)]
    assert trunks.state()[0] == first
    assert by_trunk(trunks) - before > 10


def test_an_answer_that_streams_to_a_call_by_trunk_comes_over_its_lane(trunks):
    for size in (5000, 9000, 100_000, 2_000_000):
        answers = read_all([trunks.begin(b"download %d" % size) for _ in range(4)])
        assert [len(answer.body) for answer in answers] == [len("begin\n") + size] * 4


def test_a_late_answer_by_trunk_is_nobodys_and_the_others_run_on(warmed):
    calls = warmed(timeout="2s")
    first, others = calls.state()[0], []
    with calls.begin(b"sleep 2500") as slow:
        while slow.is_silent(0.4):  # some answer after its time is up, so the instance is not in doubt
            others.append(calls.begin(b"sleep 1000"))
        assert slow.read_answer().status == 504
    assert [answer.body for answer in read_all(others)] == [b"slept"] * len(others)
    assert calls.call(b"sleep 500").body == b"slept"
    assert calls.state()[0] == first


def test_an_answer_by_trunk_to_a_call_that_was_not_sent_harms_nobody_else(server, warmed):
    answer_ahead(server, warmed(concurrency=2))


@pytest.mark.parametrize("how", ["other id", "half", "place", "neighbour", "short"])
def test_nonsense_on_a_trunk_ends_the_instance_and_all_its_calls(trunks, how):
    first = trunks.state()[0]
    held = trunks.hold(2)
    bad = eventually(lambda: next((answer for answer in [trunks.call(b"bad trunk " + how.encode())]
                                   if answer.body != b"first"), None), "one by trunk")
    for answer in [bad, *read_all(held)]:
        assert answer.status == 502 and b"function.protocol" in answer.body, answer
    assert trunks.state()[0] != first


def test_what_finds_no_room_in_a_trunk_goes_over_the_lanes(warmed):
    many = 120
    calls = warmed(concurrency=many)
    read_all([calls.begin(b"meet %d" % many) for _ in range(many)])
    assert calls.call(b"rest 20").status == 201
    before = by_trunk(calls)
    payloads = [b"%d" % number * 2000 for number in range(100, 100 + many)]
    answers = read_all([calls.begin(payload) for payload in payloads])
    assert [answer.body for answer in answers] == payloads
    assert calls.call(b"rest 0").status == 201
    assert 0 < by_trunk(calls) - before < many


def test_a_death_fails_calls_by_trunk_and_each_is_told_why(trunks):
    for _ in range(5):
        held = trunks.hold(5)
        for answer in [trunks.call(b"exit 3"), *read_all(held)]:
            assert answer.status == 502 and EXITED.encode() in answer.body
        for _ in range(10):
            assert trunks.call(b"well?").body == b"well?"
