"""The http contract: a server of the function's own, of any make."""
import json
import os
import re
import socket
import threading
import time

import pytest
from conftest import NODE, PYTHON, await_log, held
from http_servers import ECHO, url
from worker_client import DATA, END, INVOKE, RESULT, pack

# ---- requests ----


def test_an_api_call_is_a_post_of_json_to_the_root(echo):
    seen = echo.invoke(b'{"a":1}', user="01USER", invocation="01INV").json
    headers = dict(seen["headers"])
    assert (seen["method"], seen["path"], seen["body"]) == ("POST", "/", '{"a":1}')
    assert headers["content-type"] == "application/json" and headers["content-length"] == "7"
    assert headers["magpie-user"] == "01USER" and headers["magpie-invocation-id"] == "01INV"
    assert abs(int(headers["magpie-deadline-ms"]) - time.time() * 1000) < 60_000


def test_a_function_url_request_passes_as_it_was_sent(echo):
    seen = echo.invoke(b"abc", user="me", **url("PUT", "/a%20b/", "x=1&y", [
        ("host", "other.example"), ("accept", "a"), ("accept", "b"), ("x-empty", ""),
        ("content-type", "text/plain"), ("content-length", "3"), ("expect", "100-continue"),
        ("x-forwarded-for", "198.51.100.1"), ("magpie-user", "forged"), ("connection", "close"),
        ("magpie-invocation-id", "forged")])).json
    assert (seen["method"], seen["path"], seen["body"]) == ("PUT", "/a%20b/?x=1&y", "abc")
    assert seen["headers"] == [
        ["host", "fn.example.org"], ["accept", "a"], ["accept", "b"], ["x-empty", ""],
        ["content-type", "text/plain"], ["x-forwarded-for", "198.51.100.1, 192.0.2.7"],
        ["x-forwarded-proto", "http"],
        ["forwarded", 'for="192.0.2.7";host="fn.example.org";proto=http'], ["magpie-user", "me"],
        ["magpie-invocation-id", "01HTESTINVOCATION000000000"],
        ["magpie-deadline-ms", dict(seen["headers"])["magpie-deadline-ms"]],
        ["content-length", "3"]]


@pytest.mark.parametrize("host", ["fn.example.org:8080", "[::1]:8080"])
def test_the_host_keeps_its_port(echo, host):
    headers = dict(echo.invoke(host=host, **url()).json["headers"])
    assert headers["host"] == host and f'host="{host}"' in headers["forwarded"]


@pytest.mark.parametrize("name", [
    "magpie_user", "magpie-invocation_id", "magpie_invocation-id", "magpie_deadline_ms", "x_forwarded_for",
    "x-forwarded_proto", "content_length", "transfer_encoding"])
def test_a_name_that_a_server_would_read_as_the_platforms_is_dropped(echo, name):
    seen = echo.invoke(user="me", **url("POST", headers=[("x_mine", "a"), (name, "7")])).json
    headers = dict(seen["headers"])
    assert name not in headers and headers["x_mine"] == "a"
    assert (headers["magpie-user"], headers["x-forwarded-for"]) == ("me", "192.0.2.7")
    assert (headers["x-forwarded-proto"], headers["content-length"]) == ("http", "0")


def test_an_anonymous_caller_is_none_and_a_proxys_protocol_stays(echo):
    headers = dict(echo.invoke(**url(headers=[("x-forwarded-proto", "https")])).json["headers"])
    assert "magpie-user" not in headers and "content-length" not in headers
    assert headers["x-forwarded-proto"] == "https"


@pytest.mark.parametrize("method, length", [("GET", None), ("DELETE", None), ("POST", "0"), ("PUT", "0")])
def test_a_body_of_nothing_is_said_where_the_method_expects_one(echo, method, length):
    assert dict(echo.invoke(**url(method)).json["headers"]).get("content-length") == length


def test_all_requests_of_a_lane_take_one_connection(echo):
    assert len({echo.invoke().json["peer"] for _ in range(5)}) == 1


@pytest.mark.parametrize("size", [0, 1, 60_000, 70_000, 3_000_000])
@pytest.mark.parametrize("known", [True, False])
def test_bodies_of_any_size_pass_both_ways(echo, size, known):
    body = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    headers = [("content-length", str(size))] if known else []
    sender = threading.Thread(target=echo.send, args=(body,), kwargs=url("POST", "/body", "", headers))
    number = echo.last_number + 1
    sender.start()
    answer = echo.result(number)
    sender.join()
    assert answer.body == body and answer.status == 200


def test_a_body_without_a_length_goes_out_in_chunks_as_it_comes(raw):
    worker = raw("""
connection.sendall(b"HTTP/1.1 200 OK\\r\\nConnection: close\\r\\n\\r\\n")
connection.sendall(text.split(b"\\r\\n\\r\\n", 1)[1])
while not (piece := connection.recv(65536)).endswith(b"0\\r\\n\\r\\n"):
    connection.sendall(piece)
connection.sendall(piece)
return True
""")
    number = 7
    meta = b"01INV\n\nPOST\n/\n\n192.0.2.7\nhost\n"
    worker.gateway.send(pack(INVOKE, 2, number, 0, meta, b"first"))
    assert b"".join(pieces(worker, number, 10)) == b"5\r\nfirst\r\n"
    worker.gateway.send(pack(DATA, 0, number, 0, b"", b"second"))
    assert b"".join(pieces(worker, number, 11)) == b"6\r\nsecond\r\n"
    worker.gateway.send(pack(DATA, END, number, 0, b"", b""))
    assert b"".join(pieces(worker, number, None)) == b"0\r\n\r\n"


def pieces(worker, number, length):
    """The body's pieces until so many bytes have come, or the end."""
    came = 0
    while length is None or came < length:
        frame = worker.receive()
        assert frame.kind in (RESULT, DATA) and frame.number == number
        came += len(frame.payload)
        yield frame.payload
        if frame.flags & END:
            assert length is None
            return


def test_a_body_shorter_than_its_head_says_is_a_failure(echo):
    answer = echo.invoke(b"abc", **url("POST", "/", "", [("content-length", "3")]))
    assert answer.json["body"] == "abc"
    number = 9
    meta = b"01INV\n\nPOST\n/\n\n192.0.2.7\nhost\ncontent-length:10\n"
    echo.gateway.send(pack(INVOKE, 2, number, 0, meta, b"abc"))
    echo.gateway.send(pack(DATA, END, number, 0, b"", b"def"))
    assert echo.result(number).error["errorMessage"] == (
        "The request's body is not as long as its head says.")
    assert echo.invoke().json["method"] == "POST"


def test_a_websocket_is_refused_before_the_server_hears_of_it(echo):
    answer = echo.invoke(**url("GET", "/chat", "", [
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="), ("sec-websocket-version", "13")]))
    assert answer.status == 501 and b"WebSocket" in answer.body
    assert echo.invoke().json["method"] == "POST" and "/chat" not in echo.raw_log()


# ---- answers ----


def test_status_and_headers_come_through_and_hop_by_hop_ones_do_not(echo):
    answer = echo.invoke(**url("GET", "/teapot"))
    assert answer.status == 418 and answer.frames == 1 and answer.ran_us > 0
    names = [name.lower() for name, _ in answer.headers]
    assert answer.header("x-twice") == ["a", "b"] and "content-length" not in names


@pytest.mark.parametrize("head, body", [
    ("HTTP/1.1 204 No Content\r\n\r\n", b""),
    ("HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n", b""),
    ("HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", b"ok"),
    ("HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", b""),
    ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
     "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok"),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;x=y\r\no\r\n1\r\nk\r\n0\r\nX: y\r\n\r\n", b"ok"),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b""),
])
@pytest.mark.parametrize("step", [1, 7, 100_000])
def test_answers_end_where_they_say_and_the_connection_stays(raw, head, body, step):
    worker = raw(f"""
answer = {head.encode()!r}.replace(b"200 OK", b"200 %d" % number)
for at in range(0, len(answer), {step}):
    connection.sendall(answer[at:at + {step}])
if path == "/count":
    return False
""")
    for _ in range(3):
        answer = worker.invoke()
        assert answer.error is None and answer.body == body
    assert worker.raw_log() == ""


def test_a_head_request_has_an_answer_without_a_body(echo):
    for _ in range(2):
        answer = echo.invoke(**url("HEAD", "/"))
        assert answer.status == 200 and answer.body == b""
    assert echo.invoke().json["method"] == "POST"


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
def test_an_answer_may_end_with_its_connection(raw, version):
    worker = raw(f"""
connection.sendall(b"{version} 200 OK\\r\\nContent-Type: text/plain\\r\\nConnection: close\\r\\n\\r\\n")
connection.sendall(b"x" * 100000 + b"%d" % number)
return True
""")
    first, second = worker.invoke(), worker.invoke()
    assert first.body[:-1] == second.body[:-1] == b"x" * 100_000
    assert int(second.body[-1:]) > int(first.body[-1:])


def test_an_old_server_may_keep_the_connection(raw):
    worker = raw("""
body = b"%d" % number
connection.sendall(b"HTTP/1.0 200 OK\\r\\nConnection: keep-alive\\r\\nContent-Length: %d\\r\\n\\r\\n%b"
                   % (len(body), body))
""")
    assert len({worker.invoke().body for _ in range(4)}) == 1


def test_a_short_answer_in_pieces_is_one_frame(raw):
    worker = raw("""
for piece in (b"HTTP/1.1 200 OK\\r\\n", b"Content-Length: 10\\r\\n\\r\\n", b"01234", b"56789"):
    connection.sendall(piece)
    time.sleep(0.002)
""")
    answer = worker.invoke()
    assert answer.body == b"0123456789" and answer.frames == 1


def test_events_flow_one_by_one_when_the_server_sends_them(raw):
    worker = raw("""
connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Type: text/event-stream\\r\\n"
                   b"Transfer-Encoding: chunked\\r\\n\\r\\n")
for event in range(3):
    connection.sendall(b"9\\r\\ndata: %d\\n\\n\\r\\n" % event)
    gate.acquire()
connection.sendall(b"0\\r\\n\\r\\n")
""")
    lane = worker.open_lane()
    number = lane.send(**url("GET", "/events"))
    frame = lane.receive()
    assert (frame.kind, frame.meta) == (RESULT, b"Content-Type:text/event-stream\n")
    came = frame.payload
    for event in range(3):
        came = came or next(pieces(lane, number, 1))
        assert came == b"data: %d\n\n" % event
        came = b""
        assert worker.invoke(**url("POST", "/go")).status == 204
    assert b"".join(pieces(lane, number, None)) == b""


def test_a_client_that_does_not_read_stops_the_server_and_memory_does_not_grow(raw):
    worker = raw("""
connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 40000000\\r\\n\\r\\n")
sent = 0
connection.settimeout(2)
try:
    while sent < 40000000:
        sent += connection.send(b"x" * 65536)
except TimeoutError:
    print("stopped at", sent, flush=True)
connection.settimeout(None)
while sent < 40000000:
    sent += connection.send(b"x" * min(65536, 40000000 - sent))
""")
    worker.send()
    log = ""
    while "stopped at" not in log:
        log += worker.raw_log()
    assert int(log.split()[-1]) < 20_000_000
    assert sum(map(len, pieces(worker, worker.last_number, None))) == 40_000_000


# ---- connections that end ----


def test_a_connection_closed_between_requests_is_tried_anew(raw):
    worker = raw("""
body = b"%d %s" % (number, text.split(b"\\r\\n\\r\\n")[1])
connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n%b" % (len(body), body))
if path == "/close":
    connection.close()
    print("closed", flush=True)
    return True
""")
    numbers = []
    for path in ("/close", "/close", "/", "/"):
        answer = worker.invoke(b"body", **url("POST", path))
        number, body = answer.body.split()
        assert body == b"body"
        numbers.append(int(number))
        if path == "/close":
            await_log(worker, "closed")
    assert numbers == [0, 1, 2, 2]


def test_a_post_is_not_sent_on_a_connection_that_was_closed_since_the_last_look(raw, tmp_path):
    os.mkfifo(tmp_path / "door")
    worker = raw("""
connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 1\\r\\n\\r\\n%d" % number)
if number == 0:
    open("door").read()
    connection.close()
    print("closed", flush=True)
    return True
""")
    assert worker.invoke().body == b"0"
    with held(worker):
        number = worker.send()  # comes first, so that it is looked at before the connection's end
        (tmp_path / "door").write_text("")
        await_log(worker, "closed")
    assert worker.result(number).body == b"1"


# Whatever it is that swallows the first.
SWALLOW = """
print("asked", flush=True)
if path != "/" and number == 0:
    return True
connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 1\\r\\n\\r\\n%d" % number)
"""


@pytest.mark.parametrize("method", ["GET", "OPTIONS", "TRACE", "PUT", "DELETE"])
def test_a_request_that_a_dying_connection_swallows_is_tried_once_more(raw, method):
    worker = raw(SWALLOW)
    assert worker.invoke(**url("GET", "/")).body == b"0"
    assert worker.invoke(**url(method, "/swallow")).body == b"1"


@pytest.mark.parametrize("method", ["POST", "PATCH", "LOCK", "get"])
def test_what_must_not_be_done_twice_is_not_tried_once_more(raw, method):
    worker = raw(SWALLOW)
    assert worker.invoke(**url("GET", "/")).body == b"0"
    answer = worker.invoke(**url(method, "/swallow"))
    assert answer.status is None and "closed the connection" in answer.error["errorMessage"]
    assert worker.invoke(**url(method, "/")).body == b"1"
    assert worker.raw_log().count("asked") == 3


def test_a_connection_that_has_rested_for_a_second_takes_nothing_that_must_not_be_done_twice(raw):
    worker = raw("""
connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 1\\r\\n\\r\\n%d" % number)
if path == "/rest":
    time.sleep(1.5)
    print("rested", flush=True)
""")
    for _ in range(2):
        assert worker.invoke(**url("GET", "/rest")).body == b"0"
        await_log(worker, "rested")
    assert worker.invoke(**url("POST", "/")).body == b"1"
    assert worker.invoke(**url("POST", "/")).body == b"1"


@pytest.mark.parametrize("method, times", [("GET", 2), ("POST", 1)])
def test_a_request_is_not_tried_twice_on_new_connections(raw, method, times):
    worker = raw("print('asked', flush=True)\nreturn True")
    answer = worker.invoke(**url(method, "/"))
    assert answer.error["errorType"] == "ProtocolError"
    assert "closed the connection" in answer.error["errorMessage"]
    # On the connection that was kept from the start, and perhaps on a new one.
    assert worker.raw_log().count("asked") == times


def test_an_answer_that_breaks_off_is_an_error_after_its_beginning(raw):
    worker = raw("""
connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 1000000\\r\\n\\r\\n" + b"x" * 100000)
return True
""")
    answer = worker.invoke()
    assert answer.status == 200 and len(answer.body) == 100_000
    assert answer.error["errorType"] == "ProtocolError"


@pytest.mark.parametrize("nonsense, fault", [
    (b"hello", "HTTP/1.1"),
    (b"SSH-2.0-OpenSSH_9.2\r\n", "HTTP/1.1"),
    (b"HTTP/2 200\r\n\r\n", "HTTP/1.1"),
    (b"HTTP/1.1 abc\r\n\r\n", "three digits"),
    (b"HTTP/1.1 700 X\r\n\r\n", "100 and 599"),
    (b"HTTP/1.1 200 OK\n\nhello", "LF"),
    (b"HTTP/1.1 200 OK\r\nNo colon\r\n\r\n", "colon"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "number"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "exclude"),
    (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "protocols"),
    (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 50_000 + b"\r\n\r\n", "too large"),
], ids=lambda value: ascii(value)[:40])
def test_nonsense_is_an_error_and_the_next_request_takes_a_new_connection(raw, nonsense, fault):
    worker = raw(f"""
if path == "/nonsense":
    connection.sendall({nonsense!r})
else:
    connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")
""")
    answer = worker.invoke(**url("GET", "/nonsense"))
    assert answer.status is None and answer.error["errorType"] == "ProtocolError"
    assert fault in answer.error["errorMessage"]
    assert worker.invoke().body == b"ok"


def test_broken_chunks_break_the_answer_off(raw):
    worker = raw("""
connection.sendall(b"HTTP/1.1 200 OK\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n2\\r\\nok\\r\\n")
time.sleep(0.01)
connection.sendall(b"zz\\r\\n")
""")
    answer = worker.invoke()
    assert (answer.status, answer.body) == (200, b"ok")
    assert answer.error["errorType"] == "ProtocolError"


def test_what_comes_behind_an_answer_is_nobodys(raw):
    worker = raw("""
connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 1\\r\\n\\r\\n%dHTTP/1.1 500 Evil\\r\\n\\r\\n" % number)
""")
    assert [worker.invoke().body for _ in range(3)] == [b"0", b"1", b"2"]


# ---- the server's life ----


@pytest.mark.parametrize("how, status", [("os._exit(3)", 3), ("os.kill(os.getpid(), 9)", 137)])
def test_a_server_that_dies_ends_the_sandbox_as_it_ended(raw, how, status):
    worker = raw(how)
    answer = worker.invoke()
    assert answer.status is None and answer.error is None and worker.wait() == status


def test_an_answer_that_a_dying_server_has_sent_arrives(raw):
    worker = raw("""
connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")
os._exit(0)
""")
    assert worker.invoke().body == b"ok" and worker.wait() == 0


def test_a_server_that_ends_before_it_listens_was_never_ready(init):
    worker = init.boot("http", "8000", "/bin/sh", "-c", "echo cannot >&2; exit 5")
    assert worker.receive() is None and worker.wait() == 5 and worker.raw_log() == "cannot\n"


def test_the_gateways_end_is_the_workers(echo):
    echo.gateway.shutdown(socket.SHUT_RDWR)
    assert echo.wait() == 0


def test_the_gateways_end_before_the_server_listens_is_the_workers_too(init):
    worker = init.boot("http", "8000", "/bin/sh", "-c", "echo started; exec sleep 1000")
    while "started" not in worker.raw_log():
        pass
    worker.gateway.shutdown(socket.SHUT_RDWR)
    assert worker.wait() == 0


def test_nonsense_of_the_gateway_ends_the_worker(echo):
    echo.gateway.send(b"short")
    assert echo.wait() == 127


@pytest.mark.parametrize("bind", ['"::1"', '"0.0.0.0"', '"::"', '"127.0.0.1"'])
def test_a_server_may_listen_on_any_address_and_begin_late(serve, bind):
    worker = serve(f"""
import http.server, os, socket, time
time.sleep(0.05)
class Server(http.server.HTTPServer):
    address_family = socket.AF_INET6 if ":" in {bind} else socket.AF_INET
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"here")
Server(({bind}, int(os.environ["PORT"])), Handler).serve_forever()
""")
    assert [worker.invoke().body for _ in range(3)] == [b"here"] * 3


def test_the_environments_port_counts(init):
    path = init.write("server.py", ECHO)
    worker = init.start("http", "8000", PYTHON, path, PORT="8123")
    assert worker.invoke().json["path"] == "/"


@pytest.mark.parametrize("port", ["0", "65536", "http", ""])
def test_a_port_that_is_none_is_refused(init, port):
    text, status = init.refusal("http", port, "/bin/true")
    assert "no port" in text and status == 127


def test_a_program_that_cannot_be_run_is_refused(init):
    text, status = init.refusal("http", "8000", "no-such-program")
    assert text == "'no-such-program' cannot be run: No such file or directory" and status == 127


def test_what_the_server_prints_is_the_log(echo):
    echo.invoke(**url("GET", "/printed"))
    assert re.search(r'"GET /printed HTTP/1.1" 200', echo.raw_log())


def test_the_worker_tells_how_long_the_server_took_to_listen(init):
    path = init.write("server.py", "import time; time.sleep(0.2)\n" + ECHO)
    worker = init.boot("http", "8000", PYTHON, path)
    assert worker.until_ready().value & 0xFFFFFFFF >= 200_000


# ---- lanes ----


def test_each_lane_has_a_connection_and_a_call_of_its_own(echo):
    lanes = [echo] + [echo.open_lane() for _ in range(7)]
    for _ in range(2):
        for number, lane in enumerate(lanes):
            lane.send(b"%d" % number)
        seen = [lane.result().json for lane in lanes]
        assert [each["body"] for each in seen] == [str(number) for number in range(8)]
        assert len({each["peer"] for each in seen}) == 8


def test_a_lane_comes_through_while_lane_0_is_busy(raw):
    worker = raw("""
gate.acquire()
connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")
""")
    worker.send()
    lane = worker.open_lane()
    assert lane.invoke(**url("POST", "/go")).status == 204
    assert worker.result().body == b"ok"


def test_a_lane_that_is_not_read_does_not_stop_the_others(raw):
    worker = raw("""
if path == "/flood":
    connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 10000000\\r\\n\\r\\n" + b"x" * 10000000)
else:
    connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")
""")
    lane = worker.open_lane()
    worker.send(**url("GET", "/flood"))
    for _ in range(100):
        assert lane.invoke(**url("GET", "/")).body == b"ok"
    assert len(worker.result().body) == 10_000_000


def test_a_lane_that_the_gateway_closes_drops_its_request_alone(raw):
    worker = raw("""
if path == "/slow":
    print("begun", flush=True)
    print("gone" if connection.recv(1) == b"" else "odd", flush=True)
    return True
connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")
""")
    lane = worker.open_lane()
    lane.send(**url("GET", "/slow"))
    log = ""
    while "begun" not in log:
        log += worker.raw_log()
    lane.gateway.close()
    while "gone" not in log:
        log += worker.raw_log()
    assert worker.invoke(**url("GET", "/")).body == b"ok"


def test_a_lane_frame_without_a_descriptor_ends_the_worker(echo):
    echo.gateway.send(pack(9, 0, 1))
    assert echo.wait() == 127


def test_several_hundred_lanes_work_at_once(echo):
    lanes = [echo.open_lane() for _ in range(300)]
    for lane in lanes:
        lane.send(b"x")
    assert all(lane.result().json["body"] == "x" for lane in lanes)


def test_node_serves_unchanged(init):
    path = init.write("server.js", """
const http = require("http");
http.createServer((request, response) => {
  if (request.url === "/events") {
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    response.write("data: 1\\n\\n");
    setTimeout(() => response.end("data: 2\\n\\n"), 50);
    return;
  }
  response.setHeader("Content-Type", "application/json");
  request.pipe(response);
}).listen(process.env.PORT);
""")
    worker = init.start("http", "8000", NODE, path)
    assert worker.invoke(b'{"a":1}').json == {"a": 1}
    worker.send(**url("GET", "/events"))
    assert b"".join(pieces(worker, worker.last_number, None)) == b"data: 1\n\ndata: 2\n\n"
    assert json.loads(worker.invoke(b"[1]").body) == [1]
