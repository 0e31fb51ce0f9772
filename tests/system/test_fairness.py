"""Several tenants, and functions of one, on one gateway thread: nobody waits behind all that another has asked
for.

What was begun when is read from the invocations' ids, which begin with the millisecond in which a
request was taken. The gateway is stopped while the requests come, so that it finds all at once.
"""
import concurrent.futures
import contextlib
import os
import signal
import socket
import threading
import time

import pytest
from node_host import NodeHost
from people import Person
from raw_http import RawConnection, eventually, request
from server import Server

MANY = 900
ACTIVE_SECONDS = 0.9  # less than what a tenant counts as active for after his last call
WAITED = "magpie_turns_waited_total"


class Tenant:
    def __init__(self, node, program, person=None):
        self.node = node
        self.person = person or Person(node)
        self.path = "/f/" + node.deploy("other" if person else "echo", "native", {"main": program}, token=self.person.token,
                                        public=True)

    def request(self, payload=b"x"):
        return request("POST", self.path, payload)

    def call(self, payload=b"x"):
        with RawConnection(self.node.port) as connection:
            answer = connection.send(self.request(payload)).read_answer()
        assert (answer.status, answer.body) == (200, payload), answer


class Node:
    """A node with one gateway thread and two tenants, of which one has two functions."""

    def __init__(self, program, *options):
        self.server = Server("--threads", "1", *options)
        self.program = program

    def __enter__(self):
        self.server.__enter__()
        self.host = NodeHost(self.server)
        self.loud, self.quiet = (Tenant(self.server, self.program) for _ in range(2))
        self.sister = Tenant(self.server, self.program, self.loud.person)
        return self

    def __exit__(self, *failure):
        self.server.__exit__(*failure)

    @contextlib.contextmanager
    def stopped(self):
        gateway = self.host.gateway
        os.kill(gateway, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(gateway, signal.SIGCONT)

    def waited(self):
        return self.server.metrics()[WAITED]


@pytest.fixture(scope="module")
def node(compile_native):
    with Node(compile_native("worker")) as node:
        yield node


@pytest.fixture(scope="module")
def unfair(compile_native):
    with Node(compile_native("worker"), "--no-fairness") as node:
        yield node


@contextlib.contextmanager
def connections(node, count):
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(RawConnection(node.server.port, timeout=60)) for _ in range(count)]


def taken_ms(answer):
    assert answer.status == 200, answer
    number = 0
    for character in answer.headers["magpie-invocation-id"][:10]:
        number = number * 32 + "0123456789ABCDEFGHJKMNPQRSTVWXYZ".index(character)
    return number


def taken_before_the_last(node, other):
    """Of MANY requests of one function, how many were taken in a millisecond before that of the other's
    single request, which came behind all of them."""
    with connections(node, MANY) as loud, connections(node, 1) as quiet:
        for connection in loud:  # each has its tenant from then on
            connection.send(node.loud.request()).read_answer()
        for _ in range(20):
            node.loud.call()
            quiet[0].send(other.request()).read_answer()
            with node.stopped():
                began = time.monotonic()
                for connection in loud:
                    connection.send(node.loud.request())
                quiet[0].send(other.request())
            in_time = time.monotonic() - began < ACTIVE_SECONDS
            last_ms = taken_ms(quiet[0].read_answer())
            all_ms = [taken_ms(connection.read_answer()) for connection in loud]
            if in_time:
                return sum(ms < last_ms for ms in all_ms)
    raise AssertionError("the requests were never sent quickly enough")


@pytest.mark.parametrize("who", ["quiet", "sister"])
def test_who_asks_once_does_not_wait_behind_a_flood(node, who):
    before = node.waited()
    assert taken_before_the_last(node, getattr(node, who)) < MANY // 3
    assert node.waited() - before >= MANY // 2


@pytest.mark.parametrize("who", ["quiet", "sister"])
def test_without_fairness_the_flood_comes_first(unfair, who):
    assert taken_before_the_last(unfair, getattr(unfair, who)) > MANY // 2
    assert unfair.waited() == 0


def flood(tenant, port, rounds, count=50):
    """`count` connections of one tenant, each with `rounds` requests; what failed."""
    failures = []
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(RawConnection(port, timeout=60)) for _ in range(count)]
        for number in range(rounds):
            for connection in held:
                connection.send(tenant.request(b"%d" % number))
            failures += [answer for answer in (connection.read_answer() for connection in held)
                         if (answer.status, answer.body) != (200, b"%d" % number)]
    return failures


def test_one_tenant_alone_never_waits(compile_native):
    with Node(compile_native("worker")) as node:
        node.loud.call()
        assert flood(node.loud, node.server.port, 40) == []
        assert node.waited() == 0


@contextlib.contextmanager
def somebody_else(node):
    """The quiet tenant calls on and on, so that turns are taken."""
    ended = threading.Event()
    failures = []

    def go_on():
        with RawConnection(node.server.port) as connection:
            while not ended.is_set():
                answer = connection.send(node.quiet.request(b"still there")).read_answer()
                if (answer.status, answer.body) != (200, b"still there"):
                    failures.append(answer)
    node.quiet.call()
    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    assert failures == []


def test_a_flood_is_answered_in_full_beside_others(node):
    before = node.waited()
    with somebody_else(node):
        assert flood(node.loud, node.server.port, 40) == []
    assert node.waited() > before


def test_requests_behind_each_other_take_turns_and_keep_their_order(node):
    with somebody_else(node), connections(node, 20) as piped:
        before = node.waited()
        for connection in piped:
            connection.send(b"".join(node.loud.request(b"%d" % number) for number in range(100)))
        for connection in piped:
            assert [connection.read_answer().body for _ in range(100)] == [
                b"%d" % number for number in range(100)]
        assert node.waited() > before


def test_bodies_that_take_many_turns_come_back_whole(node):
    body = bytes(range(256)) * 4096
    with somebody_else(node), connections(node, 20) as uploads:
        threads = [threading.Thread(target=connection.send, args=[node.loud.request(body)])
                   for connection in uploads]
        for thread in threads:
            thread.start()
        assert all(connection.read_answer().body == body for connection in uploads)
        for thread in threads:
            thread.join()


def test_clients_that_leave_while_they_wait_leave_nothing(node):
    before = node.server.metrics()["magpie_connections"]
    with somebody_else(node):
        for _ in range(5):
            with connections(node, 200) as left:
                for connection in left:
                    connection.send(node.loud.request()).read_answer()
                node.quiet.call()
                with node.stopped():
                    for connection in left:
                        connection.send(node.loud.request())
                        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                                     b"\1\0\0\0\0\0\0\0")
                    for connection in left[::2]:
                        connection.socket.close()  # with a reset, and unread
                for connection in left[1::2]:
                    assert connection.read_answer().status == 200
    eventually(lambda: node.server.metrics()["magpie_connections"] <= before, "all have gone")


def test_health_is_told_beside_a_flood(node):
    """A connection that has called nothing yet is nobody's and never waits."""
    with connections(node, 300) as loud, somebody_else(node):
        for connection in loud:
            connection.send(node.loud.request()).read_answer()
        for _ in range(20):
            for connection in loud:
                connection.send(node.loud.request())
            with RawConnection(node.server.port) as probe:
                answer = probe.send("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").read_answer()
            assert answer.status == 200
            for connection in loud:
                assert connection.read_answer().status == 200


def test_who_waits_is_answered_when_the_node_goes_down(compile_native):
    with Node(compile_native("worker")) as node, connections(node, 300) as loud:
        for connection in loud:
            connection.send(node.loud.request()).read_answer()
        node.quiet.call()
        process = node.server.process
        with contextlib.ExitStack() as stack:
            with node.stopped():
                for connection in loud:
                    connection.send(node.loud.request())
                new = [stack.enter_context(RawConnection(node.server.port)) for _ in range(100)]
                for connection in new:
                    connection.send(node.quiet.request())
                process.send_signal(signal.SIGTERM)
                eventually(lambda: "finishing the requests" in node.server.log(), "it drains")
            for connection in loud + new:
                assert connection.read_answer().status in (200, 503)
                assert connection.is_closed()
        assert process.wait(30) == 0
        node.server.process = None


PIPED = 500
HEALTH = request("GET", "/healthz")
NOT_TOLD = request("GET", "/api/v1/functions/me")  # 401


@pytest.mark.parametrize("piped", [HEALTH, NOT_TOLD], ids=["health", "401"])
def test_who_asks_once_does_not_wait_for_what_others_have_sent_behind_each_other(node, piped):
    with connections(node, 5) as crowd, connections(node, 1) as other:
        for connection in crowd + other:
            connection.send(HEALTH).read_answer()
        with node.stopped():
            for connection in crowd:
                connection.send(piped * PIPED + node.loud.request())
            other[0].send(node.quiet.request())
        asked_ms = taken_ms(other[0].read_answer())
        for connection in crowd:
            assert {connection.read_answer().status for _ in range(PIPED)} <= {200, 401}
            assert asked_ms < taken_ms(connection.read_answer())


def test_a_turn_begins_no_more_of_a_connection_than_of_a_tenant(node, unfair):
    for of in (node, unfair):
        before = of.waited()
        with connections(of, 1) as piped:
            piped[0].send(HEALTH * PIPED)
            assert [piped[0].read_answer().status for _ in range(PIPED)] == [200] * PIPED
        assert of.waited() - before >= PIPED / 5 - 1


def test_calls_and_what_is_answered_at_once_keep_their_order(node):
    with connections(node, 5) as piped:
        with node.stopped():
            for connection in piped:
                for number in range(100):
                    connection.send(HEALTH + node.loud.request(b"%d" % number) + NOT_TOLD + HEALTH)
        for connection in piped:
            for number in range(100):
                answers = [connection.read_answer() for _ in range(4)]
                assert [answer.status for answer in answers] == [200, 200, 401, 200]
                assert answers[1].body == b"%d" % number


@pytest.mark.parametrize("rounds", [1, 40])  # with 40 the answers do not fit the sockets
def test_who_has_said_that_there_is_no_more_has_all_answers(node, rounds):
    with RawConnection(node.server.port, receive_buffer=4096) as connection:
        sender = threading.Thread(target=lambda: [
            connection.send(HEALTH * PIPED * rounds), connection.socket.shutdown(socket.SHUT_WR)])
        sender.start()
        for _ in range(PIPED * rounds):
            assert connection.read_answer().body == b"ok\n"
        assert connection.is_closed()
        sender.join()


def test_who_has_said_that_there_is_no_more_has_all_answers_behind_a_crowd_that_leaves(node):
    """A login takes a while; then what was sent behind it takes turns, before it is seen that he sends no
    more."""
    login = request("POST", "/api/v1/users/login", b'{"email":"nobody@example.org","password":"correct horse"}')
    for wait in range(10):
        with connections(node, 1) as piped, connections(node, 1000) as leaving:
            for connection in leaving:
                connection.send(HEALTH).read_answer()
            piped[0].send(login + HEALTH * PIPED)
            time.sleep(wait * 0.01)
            with node.stopped():
                for connection in leaving:
                    connection.socket.close()
                piped[0].socket.shutdown(socket.SHUT_WR)
            assert piped[0].read_answer().status == 401
            assert [piped[0].read_answer().body for _ in range(PIPED)] == [b"ok\n"] * PIPED
            assert piped[0].is_closed()


def test_who_leaves_in_the_middle_of_his_requests_leaves_nothing(node):
    before = node.server.metrics()["magpie_connections"]
    for _ in range(3):
        with connections(node, 20) as left:
            with node.stopped():
                for connection in left:
                    connection.send(HEALTH * PIPED)
            for connection in left:
                connection.read_answer()
    eventually(lambda: node.server.metrics()["magpie_connections"] <= before, "all have gone")


CROWD = 24


@pytest.mark.parametrize("who", ["quiet", "sister"])
def test_a_crowd_of_boots_does_not_stand_before_the_only_one_of_another(compile_native, who):
    program = compile_native("worker", "-DBOOT_MS=150")
    with Node(program, "--boots-max", "2") as node, connections(node, CROWD) as crowd, \
            connections(node, 1) as quiet:
        other = getattr(node, who)
        for connection in crowd:
            connection.send(node.loud.request(b"sleep 5000"))

        name = node.loud.person.email.split("@")[0]

        def booted():
            metrics = node.server.metrics()
            return sum(metrics.get(f'magpie_instances{{function="{name}/echo",state="{state}"}}', 0)
                       for state in ("busy", "idle", "frozen"))
        eventually(lambda: booted() >= 1, "the crowd boots")
        assert quiet[0].send(other.request(b"x")).read_answer().status == 200
        assert 1 <= booted() <= CROWD / 2
        for connection in crowd:
            assert connection.read_answer().status == 200


class Sleepers:
    """The loud tenant's functions sleep while they load; each call of the quiet one's is a cold start."""

    def __init__(self, node, compile_native):
        self.node = node
        self.program = compile_native("worker", "-DBOOT_MS=2500")
        self.cold = "/f/" + node.server.deploy("cold", "native", {"main": node.program}, public=True,
                                               token=node.quiet.person.token, keepAlive="0s")

    def deploy(self, name):
        return "/f/" + self.node.server.deploy(name, "native", {"main": self.program}, public=True,
                                               token=self.node.loud.person.token)

    def expect_cold_starts_before(self, ended):
        for _ in range(3):
            with RawConnection(self.node.server.port, timeout=60) as connection:
                answer = connection.send(request("POST", self.cold, b"x")).read_answer()
            assert answer.headers["magpie-start"] == "cold", answer
        assert not ended()


def test_a_cold_start_does_not_wait_for_another_tenants_functions_that_sleep_while_they_load(compile_native):
    with Node(compile_native("worker"), "--boots-max", "2") as node, connections(node, 2) as calls:
        sleepers = Sleepers(node, compile_native)
        path = sleepers.deploy("sleeper")
        for call in calls:
            call.send(request("POST", path, b"x"))

        def instances(*states):
            return sum(value for name, value in node.server.metrics().items()
                       if any(f'/sleeper",state="{state}"' in name for state in states))
        eventually(lambda: instances("starting"), "it boots")
        sleepers.expect_cold_starts_before(lambda: instances("busy", "idle", "frozen"))
        for call in calls:
            assert call.read_answer().status == 200


def test_a_cold_start_does_not_wait_for_the_trials_of_another_tenants_functions(compile_native):
    with Node(compile_native("worker"), "--boots-max", "2") as node, \
            concurrent.futures.ThreadPoolExecutor(2) as pool:
        sleepers = Sleepers(node, compile_native)
        uploads = [pool.submit(sleepers.deploy, f"sleeper{number}") for number in range(2)]
        eventually(node.host.instances, "one is tried")
        sleepers.expect_cold_starts_before(lambda: any(upload.done() for upload in uploads))
        for upload in uploads:
            upload.result()


SLEEPS_MS = 50


class Memory:
    """A node with room for four instances, and two functions whose calls last a while, of two tenants or of
    one."""

    def __init__(self, program, tenants, other="64MiB"):
        self.sizes = ("64MiB", other)
        self.server = Server("--threads", "1", "--memory", "256MiB", "--wait-max", "20s")
        self.program, self.tenants = program, tenants

    def __enter__(self):
        self.server.__enter__()
        self.paths, self.names = {}, {}
        people = [Person(self.server) for _ in range(self.tenants)]
        for number in range(2):
            person = people[number % self.tenants]
            self.paths[number] = "/f/" + self.server.deploy(
                f"sleeper{number}", "native", {"main": self.program}, token=person.token, public=True,
                memory=self.sizes[number])
        return self

    def __exit__(self, *failure):
        self.server.__exit__(*failure)

    def instances(self, number, state=""):
        """Those that are not on their way out, or in that state."""
        return sum(value for name, value in self.server.metrics().items()
                   if name.startswith("magpie_instances{") and f"/sleeper{number}\"" in name
                   and "ending" not in name and state in name)

    @contextlib.contextmanager
    def flood(self, number):
        """Twelve clients that ask again and again; all of their calls must succeed."""
        ended = threading.Event()
        failures = []

        def go_on():
            with RawConnection(self.server.port, timeout=60) as connection:
                while not ended.is_set():
                    answer = connection.send(request("POST", self.paths[number],
                                                     b"sleep %d" % SLEEPS_MS)).read_answer()
                    if answer.status != 200:
                        failures.append(answer)
        threads = [threading.Thread(target=go_on) for _ in range(12)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            ended.set()
            for thread in threads:
                thread.join()
        assert failures == []


@pytest.fixture(params=[2, 1], ids=["two tenants", "two functions of one"])
def memory(compile_native, request):
    with Memory(compile_native("worker"), request.param) as memory:
        yield memory


def test_what_a_larger_function_needs_is_kept_until_there_is_enough(compile_native):
    with Memory(compile_native("worker"), 1, "128MiB") as memory, memory.flood(0):
        eventually(lambda: memory.instances(0) == 4, "one has everything")
        with RawConnection(memory.server.port, timeout=60) as other:
            answer = other.send(request("POST", memory.paths[1], b"x")).read_answer()
        assert answer.status == 200, answer


def test_who_uses_all_of_the_memory_gives_some_back_to_who_has_none(memory):
    with memory.flood(0):
        eventually(lambda: memory.instances(0) == 4, "one has everything")
        with RawConnection(memory.server.port, timeout=60) as other:
            answer = other.send(request("POST", memory.paths[1], b"x")).read_answer()
        assert answer.status == 200, answer


def test_who_called_lately_keeps_his_instance_beside_who_wants_all_of_the_memory(memory):
    ask = request("POST", memory.paths[1], b"x")
    with memory.flood(0):
        eventually(lambda: memory.instances(0) == 4, "one has everything")
        with RawConnection(memory.server.port, timeout=60) as other:
            assert other.send(ask).read_answer().status == 200
            for _ in range(3):
                eventually(lambda: memory.instances(1, "frozen") == 1, "his rests")
                assert other.send(ask).read_answer().headers["magpie-start"] == "thawed"


def test_two_who_want_all_of_the_memory_have_half_of_it_each(memory):
    with memory.flood(0):
        eventually(lambda: memory.instances(0) == 4, "one has everything")
        with memory.flood(1):
            eventually(lambda: memory.instances(0) == memory.instances(1) == 2, "both have half")
            for _ in range(20):  # and so it stays
                assert memory.instances(0) <= 2 and memory.instances(1) <= 2
        eventually(lambda: memory.instances(0) == 4, "one has everything again")
