"""HTTP/1.1 as clients speak it, well or badly: by hand, byte by byte."""
import time

import pytest
from raw_http import RawConnection, eventually, request
from server import Server

PAYLOAD_MAX = 6 << 20
ECHO = {"main.py": "def handler(event, context):\n    return event\n"}


@pytest.fixture(scope="module")
def server():
    with Server("--head-timeout", "1s", "--idle-timeout", "2s", "--stall-timeout", "1s") as node:
        yield node


@pytest.fixture(scope="module")
def echo(server, compile_native):
    return server.deploy("echo", "native", {"main": compile_native("worker")}, public=True)


@pytest.fixture(scope="module")
def execute(server, echo):
    """The bytes of a call with a payload."""
    def execute(payload=b"", *headers):
        return request("POST", f"/api/v1/functions/execute/{echo}", payload, server.token, headers)
    return execute


@pytest.fixture
def client(server):
    with RawConnection(server.port) as connection:
        yield connection


def head(server, echo, *lines, method="POST"):
    """A head without a word about its body."""
    return "\r\n".join([f"{method} /f/{echo} HTTP/1.1", "Host: localhost", *lines, "", ""])


def test_a_connection_serves_many_requests(client, execute):
    for number in range(50):
        answer = client.send(execute(b"%d" % number)).read_answer()
        assert answer.status == 201 and answer.body == b"%d" % number
        assert answer.headers.get("connection") != "close"


def test_pipelined_requests_are_answered_in_their_order(client, execute):
    client.send(b"".join(execute(b"%d" % number) for number in range(100)))
    assert [client.read_answer().body for _ in range(100)] == [b"%d" % n for n in range(100)]


def test_a_slow_request_holds_up_the_pipeline_behind_it_only(server, client, execute):
    client.send(execute(b"sleep 200") + execute(b"second"))
    with RawConnection(server.port) as other:
        assert other.send(execute(b"other")).read_answer().body == b"other"
    assert [client.read_answer().body for _ in range(2)] == [b"slept", b"second"]


def test_a_request_may_come_byte_by_byte(client, execute):
    for byte in execute(b"slowly"):
        client.send(bytes([byte]))
    assert client.read_answer().body == b"slowly"


def test_the_client_may_ask_for_the_end(client, execute):
    answer = client.send(execute(b"x", "Connection: close")).read_answer()
    assert answer.body == b"x" and answer.headers["connection"] == "close" and client.is_closed()


def test_http_1_0_ends_after_its_answer(client, echo):
    client.send(f"POST /f/{echo} HTTP/1.0\r\nContent-Length: 3\r\n\r\nold")
    answer = client.read_answer()
    assert answer.status == 200 and answer.body == b"old" and client.is_closed()


def test_http_1_0_with_keep_alive_goes_on(client, echo):
    for _ in range(2):
        client.send(f"POST /f/{echo} HTTP/1.0\r\nConnection: keep-alive\r\n"
                    "Content-Length: 3\r\n\r\nold")
        answer = client.read_answer()
        assert answer.body == b"old" and answer.headers["connection"].lower() == "keep-alive"


def test_a_stream_to_http_1_0_is_not_chunked(client, echo):
    client.send(f"POST /f/{echo} HTTP/1.0\r\nContent-Length: 15\r\n\r\ndownload 100000")
    status, headers = client.read_head()
    assert status == 200 and "transfer-encoding" not in headers
    assert client.read_rest() == b"begin\n" + b"x" * 100000


def test_head_has_no_body(client, server, echo, execute):
    answer = client.send(head(server, echo, method="HEAD")).read_answer(head_only=True)
    assert answer.status == 200
    assert client.send(execute(b"next")).read_answer().body == b"next"


def test_expect_100_continue_is_answered_before_the_body_is_sent(client, server, echo):
    client.send(head(server, echo, "Content-Length: 4", "Expect: 100-continue"))
    assert client.read_head()[0] == 100
    assert client.send("body").read_answer().body == b"body"


def test_expect_100_continue_with_a_large_body(client, server, echo):
    client.send(head(server, echo, f"Content-Length: {1 << 20}", "Expect: 100-continue"))
    assert client.read_head()[0] == 100
    assert client.send(b"x" * (1 << 20)).read_answer().body == b"x" * (1 << 20)


def test_expect_100_continue_is_not_said_to_what_is_refused(client, server, echo):
    client.send(head(server, echo, f"Content-Length: {PAYLOAD_MAX + 1}", "Expect: 100-continue"))
    assert client.read_answer().status == 413 and client.is_closed()


def test_an_expectation_that_is_none_is_417(client, server, echo):
    client.send(head(server, echo, "Content-Length: 1", "Expect: miracles"))
    assert client.read_answer().status == 417


@pytest.mark.parametrize("sizes", [[5], [1] * 300, [65536, 1, 65535], [1 << 20] * 6],
                         ids=["one", "many small", "frames", "six MiB"])
def test_a_chunked_body_arrives_whole(client, server, echo, sizes):
    client.send(head(server, echo, "Transfer-Encoding: chunked"))
    sent = b""
    for number, size in enumerate(sizes):
        data = bytes([97 + number % 26]) * size
        client.send(b"%x;extension=1\r\n%s\r\n" % (size, data))
        sent += data
    answer = client.send("0\r\nTrailer: x\r\n\r\n").read_answer()
    assert answer.status == 200 and answer.body == sent


def test_a_connection_goes_on_after_a_large_chunked_body(client, server, echo, execute):
    client.send(head(server, echo, "Transfer-Encoding: chunked"))
    client.send(b"%x\r\ncount%s\r\n0\r\n\r\n" % (PAYLOAD_MAX, b"\0" * (PAYLOAD_MAX - 5)))
    assert client.read_answer().body == b"%d %d" % (PAYLOAD_MAX, sum(b"count"))
    assert client.send(execute(b"next")).read_answer().body == b"next"


def test_an_answer_that_comes_before_the_whole_request_is_the_last(client, server, echo):
    """The echo begins to answer at once. Who keeps sending cannot be told from the next request."""
    client.send(head(server, echo, "Content-Length: 200000") + "x" * 150000)
    status, headers = client.read_head()
    assert status == 200 and headers["connection"] == "close"
    client.send("x" * 50000)
    assert client.read_body(headers) == b"x" * 200000 and client.is_closed()


def test_an_empty_chunked_body_is_an_empty_payload(client, server, echo):
    answer = client.send(head(server, echo, "Transfer-Encoding: chunked") + "0\r\n\r\n").read_answer()
    assert answer.status == 200 and answer.body == b""


def test_the_largest_payload_is_taken(client, execute):
    client.send(execute(b"count" + b"\0" * (PAYLOAD_MAX - 5)))
    assert client.read_answer().body == b"%d %d" % (PAYLOAD_MAX, sum(b"count"))


def test_a_payload_that_is_too_large_is_refused_before_it_is_read(client, server, echo):
    client.send(head(server, echo, f"Content-Length: {PAYLOAD_MAX + 1}"))
    answer = client.read_answer()
    assert answer.status == 413 and b"payload.too_large" in answer.body and client.is_closed()


def test_a_chunked_payload_that_grows_too_large_is_refused(client, server, echo):
    client.send(head(server, echo, "Transfer-Encoding: chunked"))
    client.send(b"%x\r\n" % (PAYLOAD_MAX + 1))
    answer = client.read_answer()
    assert answer.status == 413 and b"payload.too_large" in answer.body and client.is_closed()


def test_a_client_that_sends_its_refused_body_all_the_same_reads_the_answer(client, server, echo):
    """Closing at once would reset the connection, and the client lose the 413."""
    client.send(head(server, echo, f"Content-Length: {PAYLOAD_MAX + 1}"))
    client.send(b"x" * 500000)
    assert client.read_answer().status == 413


GOOD = "POST /f/{} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n"
MALFORMED = {
    "no sense": "nonsense\r\n\r\n",
    "binary": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "no version": "GET /f/{}\r\nHost: a\r\n\r\n",
    "no host": "GET /f/{} HTTP/1.1\r\n\r\n",
    "two hosts": "GET /f/{} HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "two lengths": GOOD + "Content-Length: 1\r\n\r\n",
    "signed length": "POST /f/{} HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n",
    "length in words": "POST /f/{} HTTP/1.1\r\nHost: a\r\nContent-Length: one\r\n\r\n",
    "endless length": "POST /f/{} HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
    "length and chunked": GOOD + "Transfer-Encoding: chunked\r\n\r\n",
    "bare line feeds": "GET /f/{} HTTP/1.1\nHost: a\n\n",
    "bare carriage return": "GET /f/{} HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
    "folded header": "GET /f/{} HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
    "space before the colon": "GET /f/{} HTTP/1.1\r\nHost : a\r\n\r\n",
    "header without a colon": "GET /f/{} HTTP/1.1\r\nHost: a\r\nnothing\r\n\r\n",
    "NUL in a header": "GET /f/{} HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
    "space in the target": "GET /f/{} /x HTTP/1.1\r\nHost: a\r\n\r\n",
    "odd coding": "POST /f/{} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n",
    "chunked in 1.0": "POST /f/{} HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
}


@pytest.mark.parametrize("what", MALFORMED)
def test_a_malformed_request_is_400_and_the_end(client, echo, execute, what):
    # What comes behind must not be taken for a request: that would be smuggling.
    client.send(MALFORMED[what].format(echo).encode("latin-1") + execute(b"smuggled"))
    answer = client.read_answer()
    assert answer.status == 400 and b"request.malformed" in answer.body
    assert answer.headers["connection"] == "close" and client.is_closed()


@pytest.mark.parametrize("chunk", ["xyz\r\n", "-1\r\n", "5\r\nhelloX", "5\n", "\r\n",
                                   "fffffffffffffffff\r\n", "1 \r\na\r\n"])
def test_a_malformed_chunk_ends_the_connection_and_harms_nobody(server, client, echo, execute,
                                                                chunk):
    client.send(head(server, echo, "Transfer-Encoding: chunked") + chunk)
    answer = client.read_answer()
    assert answer.status in (400, 413) and client.is_closed()
    with RawConnection(server.port) as other:
        assert other.send(execute(b"well?")).read_answer().body == b"well?"


def test_a_version_that_is_unknown_is_505(client, echo):
    client.send(f"GET /f/{echo} HTTP/3.0\r\nHost: a\r\n\r\n")
    assert client.read_answer().status == 505 and client.is_closed()


def test_a_method_that_is_unknown_is_501(client, echo):
    client.send(f"BREW /f/{echo} HTTP/1.1\r\nHost: a\r\n\r\n")
    assert client.read_answer().status == 501 and client.is_closed()


def test_a_target_that_is_too_long_is_414(client):
    client.send("GET /" + "x" * 9000 + " HTTP/1.1\r\nHost: a\r\n\r\n")
    assert client.read_answer().status == 414 and client.is_closed()


@pytest.mark.parametrize("lines", [["X: " + "x" * 40000], ["X: x"] * 200], ids=["long", "many"])
def test_headers_that_are_too_large_are_431(client, server, echo, lines):
    client.send(head(server, echo, *lines))
    assert client.read_answer().status == 431 and client.is_closed()


def test_headers_up_to_the_limits_reach_the_function(client, server):
    function = server.deploy("headers", "python3", {
        "main.py": "def handler(event, context):\n    return len(event['headers'])\n"}, public=True)
    client.send(head(server, function, "Content-Length: 0",
                     *[f"X-{n}: {'x' * 200}" for n in range(95)]))
    answer = client.read_answer()
    assert answer.status == 200 and int(answer.body) == 97


def test_a_head_that_does_not_come_is_timed_out(client, echo):
    began = time.monotonic()
    client.send(f"GET /f/{echo} HTTP/1.1\r\nHost: a\r\n")
    assert client.read_answer().status == 408 and client.is_closed()
    assert 0.9 <= time.monotonic() - began < 10


def test_a_head_that_began_behind_a_call_has_no_longer(compile_native):
    with Server("--head-timeout", "1s", "--idle-timeout", "600s") as node:
        function = node.deploy("echo", "native", {"main": compile_native("worker")}, public=True)
        for before in (request("POST", f"/f/{function}", b"sleep 100"), request("GET", "/healthz")):
            with RawConnection(node.port) as connection:
                connection.send(before + b"GET / HT")
                assert connection.read_answer().status == 200
                assert connection.read_answer().status == 408 and connection.is_closed()


def test_a_head_that_trickles_is_timed_out_all_the_same(client, echo):
    """A byte now and then must not keep a connection for ever."""
    began = time.monotonic()
    client.send(f"GET /f/{echo} HTTP/1.1\r\nHost: a\r\nX: ")
    try:
        while client.is_silent(0.1):
            client.send("x")
            assert time.monotonic() - began < 10, "nobody ended it"
        assert client.read_answer().status == 408
    except ConnectionError:
        pass  # it is closed between two of our bytes


@pytest.mark.parametrize("length", [100, 100000])
def test_a_body_that_does_not_come_is_timed_out(client, server, echo, length):
    began = time.monotonic()
    client.send(head(server, echo, f"Content-Length: {length}") + "begun")
    answer = client.read_answer()
    assert answer.status == 408 and b"request body" in answer.body and client.is_closed()
    assert 0.9 <= time.monotonic() - began < 10


@pytest.mark.parametrize("parts_of_head", [1, 2])
def test_a_body_may_take_any_time_as_long_as_it_moves(compile_native, parts_of_head):
    with Server("--head-timeout", "1s", "--stall-timeout", "2s") as node:
        function = node.deploy("echo", "native", {"main": compile_native("worker")}, public=True)
        client = RawConnection(node.port)
        whole = head(node, function, "Content-Length: 10")
        if parts_of_head == 2:
            assert client.send(whole[:20]).is_silent(0.1)
            whole = whole[20:]
        client.send(whole)
        began = time.monotonic()
        for _ in range(9):
            assert client.send("x").is_silent(0.25), "it was not waited for"
        assert time.monotonic() - began > 2
        assert client.send("x").read_answer().body == b"xxxxxxxxxx"


def test_an_idle_connection_is_closed_without_a_word(client, execute):
    assert client.send(execute(b"x")).read_answer().body == b"x"
    assert client.is_closed()


def test_a_connection_that_says_nothing_is_closed(client):
    assert client.is_closed()


def busy(server):
    return server.metrics().get('magpie_instances{function="admin/echo",state="busy"}', 0)


def connections(server):
    """Ours that asks is one."""
    return server.metrics()["magpie_connections"] - 1


PIECES = {
    "nothing": lambda call: b"",
    "half a head": lambda call: call(b"x")[:20],
    "half a small body": lambda call: call(b"x" * 1000)[:-1],
    "half a large body": lambda call: call(b"x" * 1000000)[:-1],
    "a whole request": lambda call: call(b"sleep 50"),
    "two requests": lambda call: call(b"sleep 50") + call(b"x"),
    "a request for a stream": lambda call: call(b"download 50000000"),
    "half a chunk": lambda call: call(b"").replace(
        b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n") + b"ff\r\nabc",
}


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("what", PIECES)
def test_a_client_that_leaves_in_the_middle_leaves_nothing_behind(server, execute, what, reset):
    with RawConnection(server.port) as client:
        client.send(PIECES[what](execute))
        if reset:
            client.socket.setsockopt(1, 13, b"\1\0\0\0\0\0\0\0")  # SO_LINGER 0: RST
    with RawConnection(server.port) as other:
        assert other.send(execute(b"well?")).read_answer().body == b"well?"
    eventually(lambda: busy(server) == 0, "no instance is busy")
    eventually(lambda: connections(server) == 0, "no connection is left")


def test_a_client_that_leaves_while_its_answer_streams_frees_the_instance(server, execute):
    with RawConnection(server.port, receive_buffer=4096) as client:
        client.send(execute(b"download 1000000000"))
        assert client.read_head()[0] == 201
        eventually(lambda: busy(server) == 1, "the instance is busy")
    eventually(lambda: busy(server) == 0, "the instance is free again")


def test_a_client_that_has_shut_its_sending_side_gets_its_answer(client, execute):
    client.send(execute(b"sleep 100"))
    client.socket.shutdown(1)
    assert client.read_answer().body == b"slept" and client.is_closed()


@pytest.mark.parametrize("of_a_fourth", [0, 20])
@pytest.mark.parametrize("first,length", [(b"sleep 200", 5), (b"download 10000000", 10000006)])
def test_all_that_was_asked_before_shutting_the_sending_side_is_answered(server, execute, first,
                                                                         length, of_a_fourth):
    with RawConnection(server.port, receive_buffer=8192) as client:
        client.send(execute(first) + execute(b"second") + execute(b"third") + execute()[:of_a_fourth])
        client.socket.shutdown(1)
        assert len(client.read_answer().body) == length
        assert [client.read_answer().body for _ in range(2)] == [b"second", b"third"]
        assert client.is_closed()
