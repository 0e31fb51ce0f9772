"""kill -9 of every process at any moment: nothing that was acknowledged is lost, service is back at
once, and nothing is left behind.

MAGPIE_KILL_ROUNDS says how many kills there are (12).
"""
import base64
import collections
import http.client
import itertools
import os
import random
import signal
import threading
import time

import pytest
from node_host import NodeHost, leftover_groups, mounts_of, processes_of
from raw_http import eventually
from sandbox_host import host_uid
from server import Server

ROUNDS = int(os.environ.get("MAGPIE_KILL_ROUNDS", "12"))
BACK_SECONDS = 3  # a second on a machine of one's own; others test here at the same time
NO_ANSWER = (OSError, http.client.HTTPException)
# What a call may be told when its gateway lives and its instance does not.
HONEST = {"platform.error", "function.exited", "overloaded", "draining", "function.backing_off"}
PASSWORD = "long enough"
SCRIPT = base64.b64encode(b"#!/bin/sh\ncat\n").decode()


class Load:
    """Clients that call, deploy and register without a pause, and remember what was promised."""

    def __init__(self, server, function):
        self.server = server
        self.function = function
        self.stop = threading.Event()
        self.answered = threading.Condition()
        # When the latest call and deployment began that were answered well.
        self.last_good = {"call": 0.0, "deployment": 0.0}
        self.functions, self.users, self.wrong = [], [], []
        self.threads = [threading.Thread(target=self._run, args=(work,)) for work in
                        (self._call, self._call, self._call, self._deploy, self._register)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()

    def _run(self, work):
        for number in itertools.count():
            if self.stop.is_set():
                return
            try:
                work(number)
            except NO_ANSWER:
                self.stop.wait(0.005)  # as a client does before it tries again
            except Exception as error:  # a thread must not die in silence
                self.wrong.append(repr(error))

    def _note(self, what, began):
        with self.answered:
            self.last_good[what] = max(self.last_good[what], began)
            self.answered.notify_all()

    def _call(self, number):
        began = time.monotonic()
        answer = self.server.call(self.function, b"%d" % number, timeout=10)
        if answer.status == 201 and answer.body == b"%d" % number:
            self._note("call", began)
        elif answer.status == 201 or answer.json()["reason"] not in HONEST:
            self.wrong.append(answer)

    def _deploy(self, number):
        name, began = f"made-{number}", time.monotonic()
        answer = self.server.request("POST", "/api/v1/functions", {
            "name": name, "runtime": "exec", "code": SCRIPT, "env": {"NUMBER": str(number)}},
            timeout=10)
        if answer.status == 201:
            self.functions.append((name, answer.json()["functionId"]))
            self._note("deployment", began)
        elif answer.status < 500:
            self.wrong.append(answer)

    def _register(self, number):
        email = f"user{number}@example.org"
        answer = self.server.request("POST", "/api/v1/users",
                                     {"email": email, "password": PASSWORD}, token=None, timeout=10)
        if answer.status == 201:
            self.users.append(email)
        elif answer.status < 500:
            self.wrong.append(answer)

    def wait_good(self, what, since, seconds=20):
        """How long until one that began after `since` was answered."""
        with self.answered:
            good = self.answered.wait_for(lambda: self.last_good[what] >= since, seconds)
        assert good, f"no {what} succeeded for {seconds} s:\n{self.server.log()[-3000:]}"
        return time.monotonic() - since


def kill(*pids):
    for pid in pids:
        if pid:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


def is_gone(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(") ", 1)[1][0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


class Victims:
    def __init__(self, server):
        self.server = server
        self.host = NodeHost(server)

    def gateway(self):
        kill(self.host.gateway)

    def agent(self):
        kill(self.host.agent)

    def both(self):
        kill(self.host.gateway, self.host.agent)

    def instance(self):
        instances = self.host.instances()
        if instances:
            kill(random.choice(instances))

    def supervisor(self):
        """Alone: the others must end by themselves."""
        others = [pid for pid in (self.host.gateway, self.host.agent) if pid]
        others += self.host.instances()
        self.server.kill()
        eventually(lambda: all(is_gone(pid) for pid in others), "gateway and agent have ended")
        self.server.start()

    def everything(self):
        pids = [self.host.gateway, self.host.agent]
        kill(self.server.process.pid, *pids)
        self.server.kill()
        self.server.start()


KINDS = ("gateway", "agent", "both", "instance", "supervisor", "everything")


@pytest.fixture(scope="module")
def aftermath(compile_native):
    """All the kills; what became of it is the tests' to judge."""
    result = {"call": collections.defaultdict(list), "deployment": collections.defaultdict(list),
              "uids": set()}
    with Server() as server:
        function = server.deploy("steady", "native", {"main": compile_native("worker")})
        victims = Victims(server)
        chance = random.Random()
        with Load(server, function) as load:
            for number in range(ROUNDS):
                kind = KINDS[number % len(KINDS)]
                time.sleep(chance.uniform(0.05, 0.4))  # at any moment, in a boot or a commit too
                watch = victims.host.watch()
                result["uids"] |= {host_uid(int(pid)) for pid in victims.host.instances()
                                   if not is_gone(pid)} - {0, None}
                result["parents"] = watch.parents
                killed = time.monotonic()
                getattr(victims, kind)()
                if kind in ("supervisor", "everything"):
                    killed = time.monotonic()  # whoever runs the supervisor has started it again
                for what in ("call", "deployment"):
                    result[what][kind].append(load.wait_good(what, killed))
        result["load"] = load
        known = {item["name"]: item for item in
                 server.request("GET", "/api/v1/functions/me").json()}
        result["lost"] = [item for item in load.functions
                          if known.get(item[0], {}).get("functionId") != item[1]]
        result["calls"] = [server.call(identity, b"still there") for _, identity in
                           load.functions[:: max(1, len(load.functions) // 20)]]
        result["logins"] = [server.request(
            "POST", "/api/v1/users/login", {"email": email, "password": PASSWORD},
            token=None).status for email in load.users]
        server.stop()
        result["staging"] = list((server.data_dir / "staging").iterdir())
        result["mounts"] = mounts_of(server.own_dir)
        yield result


def test_nothing_that_was_acknowledged_is_lost(aftermath):
    load = aftermath["load"]
    assert load.functions and load.users
    assert not aftermath["lost"]
    assert set(aftermath["logins"]) == {201}
    assert {(answer.status, answer.body) for answer in aftermath["calls"]} == \
        {(201, b"still there")}


def milliseconds(seconds):
    return " ".join(f"{second * 1000:.0f}" for second in sorted(seconds)) + " ms"


def test_service_is_back_at_once(aftermath, capsys):
    with capsys.disabled():
        print()
        for kind in aftermath["call"]:
            print(f"kill -9 of {kind}:", ", ".join(
                f"a {what} succeeded after {milliseconds(aftermath[what][kind])}"
                for what in ("call", "deployment")))
    for what in ("call", "deployment"):
        assert max(itertools.chain(*aftermath[what].values())) < BACK_SECONDS


def test_clients_were_told_nothing_wrong(aftermath):
    assert not aftermath["load"].wrong, aftermath["load"].wrong[:5]


def test_nothing_is_left_behind(aftermath):
    assert processes_of(aftermath["uids"]) == []
    assert leftover_groups(aftermath["parents"]) == []
    assert aftermath["mounts"] == []
    assert aftermath["staging"] == []


def test_the_gateways_user_freezes_what_an_agent_makes_that_was_started_again(compile_native):
    """The gateway greets it long before it listens."""
    with Server("--user", "games") as node:
        function = node.deploy("worker", "native", {"main": compile_native("worker")})
        agent = NodeHost(node).agent
        kill(agent)
        eventually(lambda: is_gone(agent), "the agent is gone")
        assert node.call(function, b"one").status == 201
        eventually(lambda: node.metrics().get(
            'magpie_instances{function="admin/worker",state="frozen"}') == 1, "it is frozen")
        answer = node.call(function, b"two")
        assert answer.status == 201 and answer.headers["Magpie-Start"] == "thawed", answer


def test_a_gateway_that_was_healthy_once_is_started_again_until_it_can_run():
    """Alone at its first start a node ends with a gateway that says why it cannot run."""
    with Server() as server:
        host = NodeHost(server)
        time.sleep(2.1)  # for so long it must live to be healthy
        secret = server.data_dir / "secret"
        owner = secret.stat()
        os.chown(secret, 0, 0)
        os.kill(host.gateway, signal.SIGKILL)
        eventually(lambda: server.log().count("the gateway ended with status") > 1, "two vain restarts")
        os.chown(secret, owner.st_uid, owner.st_gid)
        server.wait_ready()
        assert server.request("GET", "/healthz").status == 200
