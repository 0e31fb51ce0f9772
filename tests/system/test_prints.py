"""What a call has printed is its own, and is not lost."""
import json
import os
import signal

import pytest
from node_host import NodeHost, is_stopped, stopped
from raw_http import RawConnection, eventually, request
from server import Server


CHATTER = '''
import os, signal

def handler(event, context):
    if event == "chatter":
        os.kill(os.getpid(), signal.SIGSTOP)
        print("x" * 150000)
        print("last")
        os.kill(os.getpid(), signal.SIGSTOP)
'''


@pytest.fixture
def server():
    with Server("--threads", "1") as node:
        yield node


def begin(server, function, payload):
    return RawConnection(server.port).send(
        request("POST", f"/api/v1/functions/execute/{function}", payload, server.token))


def lines(server, function, query=""):
    answer = server.request("GET", f"/api/v1/functions/{function}/logs{query}")
    assert answer.status == 200, answer
    return [json.loads(line) for line in answer.body.splitlines()]


def test_the_first_line_by_hand_belongs_to_the_call_that_wrote_it(server, compile_native):
    """Line and answer come at once, and somebody waits who is next."""
    function = server.deploy("prints", "native", {"main": compile_native("protocol")}, max=1)
    client = begin(server, function, b"print")
    worker = NodeHost(server).worker()
    eventually(lambda: is_stopped(worker), "it has been called")
    late = begin(server, function, b"well?")
    eventually(lambda: server.metrics().get('magpie_waiters{function="admin/prints"}') == 1, "one waits")
    with stopped(NodeHost(server).gateway):
        os.kill(worker, signal.SIGCONT)
        eventually(lambda: is_stopped(worker), "it has answered")
    answer = client.read_answer()
    os.kill(worker, signal.SIGCONT)
    assert answer.body == b"printed" and late.read_answer().body == b"well?"
    (line,) = eventually(lambda: lines(server, function), "it is in the log")
    assert line["text"] == "by hand"
    assert line.get("invocationId") == answer.headers["magpie-invocation-id"]


@pytest.mark.parametrize("runtime", ["python3", "native"])
def test_what_was_printed_before_a_time_out_is_kept(server, compile_native, runtime):
    """More than the gateway takes at once: when the time is up, the last line is still in the socket."""
    kinds = {"python3": {"files": {"main.py": CHATTER}, "handler": "main.handler"},
             "native": {"files": {"main": compile_native("lanes")}, "concurrency": 8}}
    function = server.deploy("chatter", runtime, timeout="2s", max=1, **kinds[runtime])
    assert server.call(function, b'"warm"').status == 201
    worker = NodeHost(server).worker()
    client = begin(server, function, b"chatter" if runtime == "native" else b'"chatter"')
    eventually(lambda: is_stopped(worker), "it has been called")
    with stopped(NodeHost(server).gateway):
        os.kill(worker, signal.SIGCONT)
        eventually(lambda: is_stopped(worker), "it has printed")
        assert client.is_silent(2)
    answer = client.read_answer()
    assert answer.status == 504, answer
    kept = eventually(lambda: lines(server, function), "there is a log")
    ours = [line["text"] for line in kept if line.get("invocationId") == answer.headers["magpie-invocation-id"]]
    assert "last" in ours, [text[-80:] for text in ours]
