"""The runtime `provided`: a zip with a program `bootstrap` that speaks the Lambda Runtime API."""
import base64
import itertools
import json
import pathlib
import threading

import pytest
from server import pack

CLIENT = (pathlib.Path(__file__).parents[1] / "init/lambda_runtime.py").read_text()
NUMBERS = itertools.count()
ECHO = """#!/usr/bin/python3
import json, os, sys, threading
sys.path.insert(0, os.environ["LAMBDA_TASK_ROOT"])
from lambda_runtime import Runtime
def handle(event, headers):
    try:
        event = json.loads(event)
    except ValueError:
        pass
    if event == "exit":
        os._exit(3)
    return json.dumps({"event": event, "root": os.environ["LAMBDA_TASK_ROOT"], "pid": os.getpid(),
                       "memory": os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]}).encode()
"""
ALONE = ECHO + "Runtime().serve(handle)\n"
# Answers when four are there.
TOGETHER = ECHO + """
barrier = threading.Barrier(4)
def together(event, headers):
    barrier.wait()
    return handle(event, headers)
for _ in range(4):
    threading.Thread(target=lambda: Runtime().serve(together)).start()
"""


@pytest.fixture
def deploy(server):
    def deploy(bootstrap, **fields):
        return server.deploy(f"p{next(NUMBERS)}", "provided", {
            "bootstrap": bootstrap, "lambda_runtime.py": CLIENT}, **fields)
    return deploy


def test_a_bootstrap_gets_events_and_its_answers_arrive(server, deploy):
    function = deploy(ALONE, memory="64MiB")
    for number in range(3):
        answer = server.call(function, json.dumps({"n": number}).encode())
        assert answer.status == 201, answer
        assert answer.json()["event"] == {"n": number}
        assert answer.json()["root"] == "/code" and answer.json()["memory"] == "64"


def test_a_function_url_request_is_an_event(server, deploy):
    function = deploy(ALONE, public=True)
    answer = server.request("PUT", f"/f/{function}/a/b?x=1", b"body")
    event = answer.json()["event"]
    assert answer.status == 200 and (event["rawPath"], event["body"]) == ("/a/b", "body")
    assert event["requestContext"]["http"]["method"] == "PUT"


def test_its_end_within_a_call_is_told_and_the_next_call_has_a_new_one(server, deploy):
    function = deploy(ALONE)
    answer = server.call(function, b'"exit"')
    assert answer.status == 502 and "status 3" in answer.json()["detail"]
    assert server.call(function, b"1").json()["event"] == 1


def test_four_calls_at_once_are_one_processs(server, deploy):
    function = deploy(TOGETHER, concurrency=4, max=1)
    for _ in range(2):
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(server.call(function, b"1")))
                   for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [answer.status for answer in answers] == [201] * 4
        assert len({answer.json()["pid"] for answer in answers}) == 1


def test_one_that_asks_for_nothing_is_refused_with_its_last_words(server):
    answer = server.request("POST", "/api/v1/functions", {
        "name": "ends-at-once", "runtime": "provided",
        "code": base64.b64encode(pack({"bootstrap": "#!/bin/sh\nexit 5\n"})).decode()})
    assert answer.status == 400, answer
    assert "exit status 5" in answer.json()["detail"]
