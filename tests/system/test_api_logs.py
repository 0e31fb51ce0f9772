"""What functions print: kept, shown, followed."""
import http.client
import json
import socket
import threading

import pytest
from people import Person, create, code_of, expect_problem
from raw_http import RawConnection, request

CODE = '''
import sys

def handle(event, context):
    print("out", event)
    print("err", event, file=sys.stderr)
    return event
'''


CHILD = '''
import os

def handle(event, context):
    os.system("echo child; echo child >&2")
'''


@pytest.fixture(scope="module")
def person(server):
    return Person(server)


def call(person, name, body):
    answer = person.server.call(name, body, token=person.token)
    assert answer.status == 201, answer
    return answer.headers["Magpie-Invocation-Id"]


def logs(person, name, query=""):
    answer = person.request("GET", f"/api/v1/functions/{name}/logs{query}")
    assert answer.status == 200, answer
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.body.splitlines()]


class Follower:
    """GET .../logs?follow=1, line by line."""

    def __init__(self, person, name, query=""):
        self.connection = http.client.HTTPConnection("127.0.0.1", person.server.port, timeout=30)
        self.connection.request("GET", f"/api/v1/functions/{name}/logs?follow=1{query}",
                                headers={"Authorization": "Bearer " + person.token})
        self.response = self.connection.getresponse()
        assert self.response.status == 200
        assert self.response.headers["Transfer-Encoding"] == "chunked"

    def line(self):
        return json.loads(self.response.readline())

    def ended(self):
        return self.response.readline() == b""

    def close(self):
        self.connection.close()


def test_a_functions_output_is_kept_by_invocation_newest_first(person):
    function = create(person, "chatty", code=code_of(CODE))
    follower = Follower(person, "chatty")
    ids = [call(person, function, str(number)) for number in range(3)]
    for _ in range(6):
        follower.line()  # all of it has come
    follower.close()

    lines = logs(person, "chatty")
    assert len(lines) == 6
    assert [line["time"] for line in lines] == sorted((line["time"] for line in lines), reverse=True)
    assert {line["invocationId"] for line in lines} == set(ids)
    of_one = logs(person, function, f"?invocation={ids[1]}")
    assert {(line["stream"], line["text"]) for line in of_one} == {("stdout", "out 1"),
                                                                    ("stderr", "err 1")}
    assert logs(person, "chatty", "?limit=1") == lines[:1]
    assert logs(person, "chatty", f"?limit=1&invocation={ids[0]}")[0]["invocationId"] == ids[0]


def test_what_a_child_prints_is_stdout_by_whichever_descriptor(person):
    function = create(person, "parent", code=code_of(CHILD))
    follower = Follower(person, "parent")
    call(person, function, "")
    lines = [follower.line() for _ in range(2)]
    follower.close()
    assert [(line["stream"], line["text"]) for line in lines] == [("stdout", "child")] * 2


def test_a_function_that_has_printed_nothing_has_an_empty_log(person):
    create(person, "silent")
    assert logs(person, "silent") == []
    assert person.request("HEAD", "/api/v1/functions/silent/logs?follow=1").body == b""


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "limit=-1", "limit=10001", "limit=1%00",
                                   "follow=maybe", "invocation=x", "invocation=%zz"])
def test_a_wrong_parameter_is_refused(person, query):
    if person.request("GET", "/api/v1/functions/parameters").status == 404:
        create(person, "parameters")
    answer = person.request("GET", f"/api/v1/functions/parameters/logs?{query}")
    expect_problem(answer, 400, "invalid", query.split("=")[0])


def test_who_follows_sees_each_line_when_it_is_printed(person):
    function = create(person, "followed", code=code_of(CODE))
    call(person, function, b"before")
    follower, other = Follower(person, "followed"), Follower(person, "followed")
    for number in range(3):
        invocation = call(person, function, str(number))
        for reader in (follower, other):
            lines = [reader.line(), reader.line()]
            texts = {line["text"] for line in lines if line["invocationId"] == invocation}
            assert texts == {f"out {number}", f"err {number}"}
    follower.close()
    other.close()
    assert person.request("GET", "/healthz").status == 200


def test_who_follows_one_invocation_sees_no_other(person):
    function = create(person, "selective", code=code_of(CODE))
    other = call(person, function, b"x")
    follower = Follower(person, "selective", f"&invocation={other}")
    all_of_it = Follower(person, "selective")
    call(person, function, b"y")
    all_of_it.line()
    all_of_it.line()
    follower.connection.sock.settimeout(0.2)
    with pytest.raises(TimeoutError):
        follower.response.readline()
    follower.close()
    all_of_it.close()


def test_followers_that_read_slowly_hold_up_nobody(person):
    function = create(person, "torrent", code=code_of(
        "def handle(event, context):\n    for _ in range(3000):\n        print('x' * 200)\n"))
    path = "/api/v1/functions/torrent/logs?follow=1"
    ended = threading.Event()

    def read_slowly():
        with RawConnection(person.server.port, receive_buffer=4096) as client:
            client.send(request("GET", path, token=person.token))
            while not ended.is_set():
                client.socket.recv(2048)
    readers = [threading.Thread(target=read_slowly) for _ in range(8)]
    for reader in readers:
        reader.start()
    for _ in range(10):
        call(person, function, b"")
    ended.set()
    call(person, function, b"")  # so that each hears something
    for reader in readers:
        reader.join()
    assert person.request("GET", "/healthz").status == 200


def test_a_deleted_function_ends_what_follows_it_and_takes_its_log_along(person):
    function = create(person, "leaving", code=code_of(CODE))
    follower = Follower(person, "leaving")
    call(person, function, b"x")
    follower.line()
    follower.line()
    folder = person.server.data_dir / "logs" / function
    assert folder.is_dir() or logs(person, "leaving")
    person.request("DELETE", "/api/v1/functions/leaving")
    assert follower.ended()
    follower.close()
    assert not folder.exists()


def test_a_deleted_function_that_never_wrote_anything_ends_what_follows_it_too(person):
    create(person, "wordless", code=code_of(CODE))
    create(person, "staying", code=code_of(CODE))
    follower, other = Follower(person, "wordless"), Follower(person, "staying")
    person.request("DELETE", "/api/v1/functions/wordless")
    assert follower.ended()
    follower.close()
    call(person, "staying", b"x")
    assert other.line()["text"] in ("out x", "err x")
    other.close()


def test_a_follower_that_goes_leaves_no_connection_behind(person):
    create(person, "abandoned", code=code_of(CODE))
    with socket.create_connection(("127.0.0.1", person.server.port), 30) as client:
        client.sendall(b"GET /api/v1/functions/abandoned/logs?follow=1 HTTP/1.1\r\nHost: x\r\n"
                       b"Authorization: Bearer " + person.token.encode() + b"\r\n\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
        client.shutdown(socket.SHUT_WR)
        received = b""
        while piece := client.recv(65536):
            received += piece
        assert received.endswith(b"0\r\n\r\n")


def test_a_follower_that_goes_before_it_has_begun_leaves_no_connection_behind(person):
    """Its password is still being checked, or the request in front of it runs."""
    create(person, "unheard", code=code_of(CODE))
    path = "/api/v1/functions/unheard/logs?follow=1"
    someone = Person(person.server)  # whose password no thread has seen
    create(someone, "unheard", code=code_of(CODE))
    by_password = [f"{name}: {value}" for name, value in someone.basic().items()]
    pieces = [request("GET", path, headers=by_password),
              request("POST", "/api/v1/functions/execute/unheard", b"x", person.token)
              + request("GET", path, token=person.token)]
    for piece in pieces:
        with RawConnection(person.server.port) as client:
            client.send(piece).socket.shutdown(socket.SHUT_WR)
            received = client.read_rest()
            assert b"application/x-ndjson" in received and received.endswith(b"\r\n0\r\n\r\n")


def test_draining_ends_what_is_followed_and_the_log_survives():
    from server import Server
    with Server() as node:
        person = Person(node)
        function = create(person, "kept", code=code_of(CODE))
        follower = Follower(person, "kept")
        call(person, function, b"x")
        texts = {follower.line()["text"], follower.line()["text"]}
        node.stop()
        assert follower.ended()
        follower.close()
        node.start()
        assert {line["text"] for line in logs(person, "kept")
                if line["stream"] != "platform"} == texts
