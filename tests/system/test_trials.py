"""New code that could not be tried, by no fault of its own: its owner is not told that it is bad."""
import concurrent.futures
import contextlib
import os
import resource
import signal
import threading

import pytest
from node_host import NodeHost
from people import ECHO, Person, code_of, create, deployment, expect_problem
from raw_http import eventually
from server import Server


@contextlib.contextmanager
def without_descriptors(pid):
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (4, limits[1]))
    yield
    resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)


@contextlib.contextmanager
def stopped(pid):
    os.kill(pid, signal.SIGSTOP)
    yield
    os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("disturbed", [without_descriptors, stopped])
def test_a_sandbox_that_cannot_be_made_is_the_platforms_failure(disturbed):
    with Server("--boot-timeout", "3s") as node:
        person = Person(node)
        create(person, "old")
        agent = NodeHost(node).agent
        for method, path, body in (
                ("POST", "/api/v1/functions", deployment("new")),
                ("POST", "/api/v1/functions/old/versions", {"code": deployment("old")["code"]})):
            with disturbed(agent):
                answer = person.request(method, path, body)
            expect_problem(answer, 503, "platform.error")
            assert int(answer.headers["Retry-After"]) >= 1
        assert person.request("GET", "/api/v1/functions/new").status == 404
        assert person.request("GET", "/api/v1/functions/old").json()["version"] == 1
        create(person, "new")
        assert NodeHost(node).agent == agent


def test_a_trial_whose_sandbox_was_killed_from_outside_begins_anew():
    with Server() as node:
        host, person = NodeHost(node), Person(node)
        code = code_of("import time\n\ntime.sleep(0.5)\n" + ECHO["main.py"])
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            created = pool.submit(create, person, "killed", code=code)
            os.kill(eventually(host.instances, "it is tried")[0], signal.SIGKILL)
            created.result()


def test_a_function_that_kills_itself_while_it_is_tried_is_refused(server):
    code = code_of("import os\n\nos.kill(os.getpid(), 9)\n" + ECHO["main.py"])
    answer = Person(server).request("POST", "/api/v1/functions", deployment("kills-itself", code=code))
    expect_problem(answer, 400, "function.refused", "signal 9")


def test_why_a_program_is_refused_stands_before_what_it_printed(server):
    for how, why in (("os._exit(4)", "status 4"), ("raise RuntimeError('why')", "RuntimeError: why")):
        code = code_of(f"import os\n\nos.write(1, b'bye' * 2000)\n{how}\n" + ECHO["main.py"])
        answer = Person(server).request("POST", "/api/v1/functions", deployment("says-bye", code=code))
        expect_problem(answer, 400, "function.refused", why)
        assert answer.json()["detail"].splitlines()[-1].startswith("byebye")


def test_no_room_for_a_sandbox_is_overload(compile_native):
    with Server("--memory", "64MiB", "--wait-max", "500ms") as node:
        busy = node.deploy("busy", "native", {"main": compile_native("worker")}, memory="48MiB")
        call = threading.Thread(target=node.call, args=(busy, b"sleep 1500"))
        call.start()
        eventually(lambda: node.metrics().get(
            'magpie_instances{function="admin/busy",state="busy"}') == 1, "it runs")
        person = Person(node)
        answer = person.request("POST", "/api/v1/functions", deployment("new", memory="48MiB"))
        call.join()
        expect_problem(answer, 503, "overloaded", "no room")
        assert int(answer.headers["Retry-After"]) >= 1
        create(person, "new", memory="48MiB")


def test_a_trial_gets_the_room_that_becomes_free(compile_native):
    """An instance that has just answered is stock, and stock makes room."""
    with Server("--memory", "64MiB") as node:
        busy = node.deploy("busy", "native", {"main": compile_native("worker")}, memory="48MiB")
        call = threading.Thread(target=node.call, args=(busy, b"sleep 500"))
        call.start()
        eventually(lambda: node.metrics().get(
            'magpie_instances{function="admin/busy",state="busy"}') == 1, "it runs")
        create(Person(node), "new", memory="48MiB")
        call.join()
