"""The lambda contract: the AWS Lambda Runtime API, as a plain client of it sees it."""
import base64
import json
import threading
import time

import pytest
from worker_client import DATA, END, INVOKE, RESULT, pack

HEAD = """
import base64, json, os, sys, threading
from lambda_runtime import Runtime
runtime = Runtime()
"""


@pytest.fixture
def lambda_(runtime):
    """lambda_(text) -> the Worker of a program that has a Runtime called `runtime`."""
    return lambda source, **options: runtime(HEAD + source, **options)


@pytest.fixture
def answering(lambda_):
    """answering(expression of event and headers) -> a Worker that answers each invocation so."""
    return lambda expression: lambda_(
        f"runtime.serve(lambda event, headers: {expression})\n")


def url(method="GET", path="/", query="", headers=()):
    return {"http": (method, path, query, list(headers))}


# ---- events ----


def test_an_api_call_is_the_event_as_it_is(answering):
    worker = answering("event")
    for body in (b'{"a": 1}', b"null", b'"text"', b"[1, 2.5e3, true]"):
        answer = worker.invoke(body)
        assert (answer.status, answer.body) == (0, body)
        assert answer.headers == [("content-type", "application/json")]
        assert answer.frames == 1 and answer.ran_us > 0


@pytest.mark.parametrize("size", [70_000, 3_000_000])
def test_a_large_event_and_a_large_answer_pass_whole(answering, size):
    worker = answering("event")
    body = json.dumps("x" * size).encode()
    sender = threading.Thread(target=worker.send, args=(body,))
    sender.start()
    assert worker.result(1).body == body
    sender.join()


def test_an_event_that_was_not_taken_whole_is_the_next_clients(lambda_):
    worker = lambda_("""
import socket
host, port = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
with socket.create_connection((host, int(port))) as early:
    early.sendall(b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
    assert early.recv(100).startswith(b"HTTP/1.1 200 ")
runtime.serve(lambda event, headers: event)
""")
    body = json.dumps("x" * 6_000_000).encode()
    sender = threading.Thread(target=worker.send, args=(body,))
    sender.start()
    assert worker.result(1).body == body
    sender.join()
    assert worker.invoke(b"2").body == b"2"


def test_an_event_that_is_too_large_is_an_error_and_the_next_is_served(answering):
    worker = answering("event")
    sender = threading.Thread(target=worker.send, args=(b"x" * 7_000_000,))
    sender.start()
    assert worker.result(1).error["errorType"] == "RequestTooLarge"
    sender.join()
    assert worker.invoke(b"1").body == b"1"


def test_the_headers_are_what_clients_need(answering):
    worker = answering("json.dumps(dict(headers)).encode()")
    seen = worker.invoke(b"1", invocation="01K0Z6Q4G3W9T2D7M5N8R1XHYB").json
    # The ULID's 128 bits as a UUID.
    assert seen["Lambda-Runtime-Aws-Request-Id"] == "01983e6b-9203-e274-269e-85aa301ec7cb"
    assert seen["Lambda-Runtime-Invoked-Function-Arn"] == (
        "arn:aws:lambda:us-east-1:000000000000:function:greeter")
    assert int(seen["Lambda-Runtime-Deadline-Ms"]) > 1_700_000_000_000
    trace = dict(part.split("=") for part in seen["Lambda-Runtime-Trace-Id"].split(";"))
    assert len(trace["Root"]) == 35 and len(trace["Parent"]) == 16 and trace["Sampled"] == "0"
    assert seen["Content-Type"] == "application/json"


def test_a_trace_that_the_caller_brings_goes_on(answering):
    worker = answering("json.dumps(headers['Lambda-Runtime-Trace-Id']).encode()")
    trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
    assert worker.invoke(**url(headers=[("x-amzn-trace-id", trace)])).json == trace


def test_the_environment_is_lambdas(answering, init):
    worker = answering("json.dumps(dict(os.environ)).encode()")
    seen = worker.invoke(b"").json
    expected = {
        "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001", "AWS_LAMBDA_FUNCTION_NAME": "greeter",
        "AWS_LAMBDA_FUNCTION_VERSION": "7", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/greeter", "AWS_LAMBDA_LOG_STREAM_NAME": "[7]",
        "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1", "_HANDLER": "main.handler",
        "LAMBDA_TASK_ROOT": str(init.folder), "LAMBDA_RUNTIME_DIR": "/var/runtime", "TZ": ":UTC"}
    assert expected.items() <= seen.items() and "MAGPIE_BOOT_NS" not in seen


def test_what_the_image_says_counts(lambda_):
    worker = lambda_("runtime.serve(lambda event, headers: json.dumps([os.environ[name] for name in "
                     "('AWS_REGION', '_HANDLER', 'LAMBDA_TASK_ROOT', 'TZ')]).encode())",
                     AWS_REGION="eu-west-1", _HANDLER="app.handler", LAMBDA_TASK_ROOT="/var/task",
                     TZ="Europe/Berlin")
    assert worker.invoke(b"").json == ["eu-west-1", "app.handler", "/var/task", "Europe/Berlin"]


def test_a_function_url_request_is_an_event_of_format_2(answering):
    worker = answering("json.dumps({'body': event.decode()}).encode()")
    event = json.loads(worker.invoke(b"text \xc3\xbc", user="01USER", **url(
        "POST", "/a%20b", "x=1&x=a+b&y=%C3%BC&z=%zz&&=e", [
            ("host", "fn.example.org"), ("user-agent", 'a"b\\'), ("accept", "a"), ("accept", "b"),
            ("cookie", "a=1; b=2"), ("cookie", "c=3")])).json["body"])
    context = event.pop("requestContext")
    assert event == {
        "version": "2.0", "routeKey": "$default", "rawPath": "/a%20b",
        "rawQueryString": "x=1&x=a+b&y=%C3%BC&z=%zz&&=e", "cookies": ["a=1", "b=2", "c=3"],
        "headers": {"host": "fn.example.org", "user-agent": 'a"b\\', "accept": "a,b",
                    "cookie": "a=1; b=2; c=3"},
        "queryStringParameters": {"x": "1,a b", "y": "ü", "z": "%zz", "": "e"},
        "body": "text ü", "isBase64Encoded": False}
    assert context["http"] == {
        "method": "POST", "path": "/a%20b", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.7",
        "userAgent": 'a"b\\'}
    assert context["authorizer"]["iam"]["userId"] == context["authorizer"]["userId"] == "01USER"
    assert (context["accountId"], context["apiId"]) == ("01USER", "greeter")
    assert (context["domainName"], context["domainPrefix"]) == ("fn.example.org", "fn")
    assert context["requestId"] == "01HTESTINVOCATION000000000"
    assert abs(context["timeEpoch"] / 1000 - time.time()) < 600
    assert context["time"].endswith(" +0000")


def test_an_event_is_what_magpies_own_shim_makes_of_the_request(answering, python):
    """All but the time, which is another."""
    request = {"user": "u", "host": "h.example:8080", **url("PUT", "/p/%2f", "a=1&b&c=%00%ff&a=2", [
        ("host", "h"), ("x-a", "1"), ("x-a", "2"), ("cookie", " ;a=1;; b"), ("x-empty", "")])}
    ours = answering("json.dumps({'event': event.decode()}).encode()")
    theirs = python.start("def handler(event, context): return {'event': event}")
    for body in (b"", b"text", b"\x00\x01", b"\xff\xfe binary"):
        a = json.loads(ours.invoke(body, **request).json["event"])
        b = theirs.invoke(body, **request).json["event"]
        for event in (a, b):
            del event["requestContext"]["time"], event["requestContext"]["timeEpoch"]
        assert a == b


def test_a_body_that_is_no_text_comes_in_base64(answering):
    worker = answering("json.dumps({'body': event.decode()}).encode()")
    event = json.loads(worker.invoke(b"\xff\x00", **url("POST")).json["body"])
    assert event["isBase64Encoded"] is True and base64.b64decode(event["body"]) == b"\xff\x00"


# ---- answers ----


@pytest.mark.parametrize("answer, status, headers, body", [
    ({"statusCode": 201, "headers": {"X-A": "b", "X-N": 1, "X-L": ["c", "d"]}, "body": "text",
      "cookies": ["a=1; Path=/", "b=2"]}, 201,
     [("X-A", "b"), ("X-N", "1"), ("X-L", "c"), ("X-L", "d"), ("set-cookie", "a=1; Path=/"),
      ("set-cookie", "b=2"), ("content-type", "application/json")], b"text"),
    ({"statusCode": "404", "headers": {"content-type": "text/html"}, "body": "ü\n\"\U0001f426"}, 404,
     [("content-type", "text/html")], "ü\n\"\U0001f426".encode()),
    ({"statusCode": 200, "isBase64Encoded": True, "body": "/wA=", "headers": {"Content-Type": "a/b"}},
     200, [("Content-Type", "a/b")], b"\xff\x00"),
    ({"statusCode": 204}, 204, [], b""),
    ({"statusCode": 200, "body": None, "headers": None}, 200, [], b""),
    ({"statusCode": 200, "body": {"a": [1]}}, 200, [("content-type", "application/json")], b'{"a": [1]}'),
])
def test_an_object_with_a_status_is_an_http_answer(answering, answer, status, headers, body):
    worker = answering(f"json.dumps(json.loads({json.dumps(json.dumps(answer))})).encode()")
    for request in ({}, url()):
        got = worker.invoke(b"1", **request)
        assert (got.status, got.headers, got.body) == (status, headers, body)


@pytest.mark.parametrize("answer, fault", [
    ({"statusCode": 99}, "statusCode"), ({"statusCode": "x"}, "statusCode"),
    ({"statusCode": 200, "headers": {"a b": "c"}}, "name"),
    ({"statusCode": 200, "headers": {"a": "b\r\nc: d"}}, "value"),
    ({"statusCode": 200, "headers": []}, "headers"), ({"statusCode": 200, "cookies": "a"}, "cookies"),
    ({"statusCode": 200, "headers": {"a": "x" * 50_000}}, "too long"),
    ({"statusCode": 200, "isBase64Encoded": True, "body": "%%%"}, "base64"),
])
def test_an_answer_that_http_cannot_carry_is_an_error(answering, answer, fault):
    worker = answering(f"json.dumps(json.loads({json.dumps(json.dumps(answer))})).encode()")
    for _ in range(2):
        error = worker.invoke(b"1").error
        assert error["errorType"] == "MarshalError" and fault in error["errorMessage"]


@pytest.mark.parametrize("expression, kind", [
    ("b'just text'", "text/plain; charset=utf-8"), ("b'\\xff\\x00'", "application/octet-stream"),
    ("b'{\"a\": }'", "text/plain; charset=utf-8"), ("b' [1] '", "application/json")])
def test_an_answer_says_what_it_is(answering, expression, kind):
    answer = answering(expression).invoke(b"1")
    assert answer.headers == [("content-type", kind)] and answer.status == 0


def test_an_answer_of_nothing_is_one(answering):
    answer = answering("b''").invoke(b"1")
    assert (answer.status, answer.headers, answer.body) == (0, [], b"")


def test_an_answer_that_is_too_large_is_an_error_and_the_program_is_told(lambda_):
    worker = lambda_("""
request_id, event, headers = runtime.next()
print(*runtime.respond(request_id, b"x" * 12_000_000), flush=True)
runtime.serve(lambda event, headers: event)
""")
    assert worker.invoke(b"1").error["errorType"] == "Function.ResponseSizeTooLarge"
    assert worker.invoke(b"2").body == b"2"
    assert "413" in worker.raw_log()


# ---- streamed answers ----


def test_pieces_flow_as_they_come(lambda_):
    worker = lambda_("""
first, event, headers = runtime.next()
send = runtime.begin_stream(first, "text/event-stream")
other = Runtime()
for piece in (b"one", b"two"):
    send(b"3\\r\\n" + piece + b"\\r\\n")
    other.respond(other.next()[0], b"go")
send(b"0\\r\\n\\r\\n")
print(runtime.connection.getresponse().status, flush=True)
runtime.next()
""")
    lane = worker.open_lane()
    number = lane.send(b"1", invocation="01STREAM")
    frame = lane.receive()
    assert (frame.kind, frame.meta) == (RESULT, b"content-type:text/event-stream\n")
    for piece in (b"one", b"two"):
        while not frame.payload:
            frame = lane.receive()
        assert frame.payload == piece and not frame.flags & END
        assert worker.invoke(b"2").body == b"go"
        frame.payload = b""
    last = lane.receive()
    assert (last.kind, last.number, last.flags, last.payload) == (DATA, number, END, b"")
    assert worker.process.poll() is None


def test_a_streamed_answer_of_any_size_arrives(lambda_):
    worker = lambda_("""
while True:
    request_id, event, headers = runtime.next()
    assert runtime.stream(request_id, [b"0123456789" * n for n in (1, 1000, 100_000)] * 3)[0] == 202
""")
    for _ in range(2):
        answer = worker.invoke(b"1")
        assert answer.body == b"0123456789" * 303_003
        assert answer.headers == [("content-type", "application/octet-stream")]


def test_a_stream_may_have_a_length_instead_of_chunks(lambda_):
    worker = lambda_("""
request_id, event, headers = runtime.next()
print(*runtime.ask("POST", f"/invocation/{request_id}/response", b"whole",
                   Lambda_Runtime_Function_Response_Mode="streaming", Content_Type="a/b"), flush=True)
runtime.next()
""")
    answer = worker.invoke(b"1")
    assert (answer.headers, answer.body) == ([("content-type", "a/b")], b"whole")


PRELUDE = "application/vnd.awslambda.http-integration-response"


@pytest.mark.parametrize("cut", [1, 5, 1000])
def test_a_prelude_is_status_headers_and_cookies(lambda_, cut):
    worker = lambda_(f"""
text = json.dumps({{"statusCode": 203, "headers": {{"Content-Type": "text/html"}},
                   "cookies": ["a=1"]}}).encode() + bytes(8) + b"<h1>" + bytes(9) + b"</h1>"
request_id, event, headers = runtime.next()
runtime.stream(request_id, [text[at:at + {cut}] for at in range(0, len(text), {cut})], "{PRELUDE}")
runtime.next()
""")
    answer = worker.invoke(b"1")
    assert (answer.status, answer.body) == (203, b"<h1>" + bytes(9) + b"</h1>")
    assert answer.headers == [("Content-Type", "text/html"), ("set-cookie", "a=1")]


@pytest.mark.parametrize("pieces, fault", [
    ("[b'{}']", "no end"), ("[b'[]' + bytes(8)]", "JSON object"), ("[]", "no end"),
    ("[b'{' + bytes(8)]", "JSON object"), ("[b'x' * 200_000]", "too long"),
    ("[b'{\"statusCode\": 1}' + bytes(8)]", "statusCode")])
def test_a_prelude_that_is_none_is_an_error(lambda_, pieces, fault):
    worker = lambda_(f"""
request_id, event, headers = runtime.next()
runtime.stream(request_id, {pieces}, "{PRELUDE}")
runtime.serve(lambda event, headers: event)
""")
    error = worker.invoke(b"1").error
    assert error["errorType"] == "MarshalError" and fault in error["errorMessage"]
    assert worker.invoke(b"2").body == b"2"


@pytest.mark.parametrize("pieces", [[], ["some"]])
def test_trailers_tell_of_an_error_that_comes_late(lambda_, pieces):
    worker = lambda_(f"""
report = base64.b64encode(json.dumps({{"errorMessage": "late ü", "stackTrace": ["x"] * 500}}).encode())
request_id, event, headers = runtime.next()
print(*runtime.stream(request_id, {pieces!r} and [b"some"], "text/plain", {{
    "Lambda-Runtime-Function-Error-Type": "Late", "Lambda-Runtime-Function-Error-Body": report.decode()}}),
    flush=True)
runtime.serve(lambda event, headers: event)
""")
    answer = worker.invoke(b"1")
    assert answer.body == b"".join(piece.encode() for piece in pieces)
    assert answer.error == {"errorType": "Late", "errorMessage": "late ü", "stackTrace": ["x"] * 500}
    assert worker.invoke(b"2").body == b"2"


def test_a_stream_that_breaks_off_is_an_error(lambda_):
    worker = lambda_("""
request_id, event, headers = runtime.next()
send = runtime.begin_stream(request_id)
send(b"4\\r\\nsome\\r\\n")
runtime.connection.close()
Runtime().serve(lambda event, headers: event)
""")
    answer = worker.invoke(b"1")
    assert answer.body == b"some" and answer.error["errorType"] == "Runtime.BrokenResponse"
    assert worker.invoke(b"2").body == b"2"


def test_a_caller_that_does_not_read_stops_a_stream_and_no_other_call(lambda_):
    worker = lambda_("""
def flood(request_id):
    Runtime().stream(request_id, [b"x" * 50_000] * 200)
while True:
    request_id, event, headers = runtime.next()
    if event == b"flood":
        threading.Thread(target=flood, args=(request_id,)).start()
    else:
        runtime.respond(request_id, event)
""")
    lane = worker.open_lane()
    worker.send(b"flood", invocation="01FLOOD")
    for _ in range(50):
        assert lane.invoke(b"1").body == b"1"
    assert len(worker.result().body) == 10_000_000


# ---- errors ----


def test_an_error_is_the_functions(lambda_):
    worker = lambda_("""
reports = [{"errorMessage": "bad \\n\\"ü\\"", "errorType": "Odd", "stackTrace": ["a", "b"]},
           {"errorMessage": "x" * 200_000, "errorType": "Long", "stackTrace": ["y"]},
           {"errorMessage": "typed"}, [1], {"errorMessage": 5, "stackTrace": [1], "errorType": None}]
for report in reports:
    request_id, event, headers = runtime.next()
    assert runtime.fail(request_id, report, Lambda_Runtime_Function_Error_Type=
                        "Header" if report == reports[2] else "") == (202, {"status": "OK"})
runtime.next()
""")
    assert worker.invoke(b"1").error == {
        "errorType": "Odd", "errorMessage": 'bad \n"ü"', "stackTrace": ["a", "b"]}
    error = worker.invoke(b"1").error
    assert error["errorType"] == "Long" and error["errorMessage"].startswith("xxx")
    assert worker.invoke(b"1").error == {
        "errorType": "Header", "errorMessage": "typed", "stackTrace": []}
    assert worker.invoke(b"1").error["errorMessage"] == "[1]"
    assert worker.invoke(b"1").error == {
        "errorType": "Runtime.Unknown", "errorMessage": "5", "stackTrace": []}


def test_init_error_is_a_refusal(runtime, init):
    text, status = runtime(HEAD + """
print(*runtime.ask("POST", "/init/error", json.dumps({"errorMessage": "no module", "errorType": "Import",
                   "stackTrace": ["line 1", "line 2"]})), flush=True)
sys.exit(7)
""", starter=init.refusal)
    assert text == "Import: no module\nline 1\nline 2" and status == 7


def test_a_program_that_hangs_after_init_error_is_ended(runtime, init):
    text, status = runtime(HEAD + """
runtime.ask("POST", "/init/error", b"", Lambda_Runtime_Function_Error_Type="Runtime.Odd")
threading.Event().wait()
""", starter=init.refusal)
    assert text == "Runtime.Odd: " and status == 1


@pytest.mark.parametrize("how, text, status", [
    ("sys.exit(3)", "ended with exit status 3", 3), ("os.kill(os.getpid(), 9)", "signal 9", 137)])
def test_an_end_before_the_first_next_is_a_refusal(runtime, init, how, text, status):
    said, ended = runtime(HEAD + how, starter=init.refusal)
    assert text in said and "before it asked" in said and ended == status


def test_a_program_that_cannot_be_run_is_refused(init):
    text, status = init.refusal("lambda", "./absent")
    assert text == "'./absent' cannot be run: No such file or directory" and status == 127


def test_an_end_within_an_invocation_is_the_instances(lambda_):
    worker = lambda_("runtime.next()\nsys.exit(4)\n")
    answer = worker.invoke(b"1")
    assert answer.status is None and answer.error is None and worker.wait() == 4


def test_an_answer_that_a_dying_program_has_sent_arrives(lambda_):
    worker = lambda_("""
request_id, event, headers = runtime.next()
runtime.begin_stream(request_id)(b"4\\r\\nlast\\r\\n0\\r\\n\\r\\n")
os._exit(6)
""")
    assert worker.invoke(b"1").body == b"last" and worker.wait() == 6


def test_a_client_may_come_back_with_the_answer_on_another_connection(lambda_):
    worker = lambda_("""
while True:
    one, other = Runtime(), Runtime()
    request_id, event, headers = one.next()
    one.connection.close()
    other.respond(request_id, event)
    other.connection.close()
""")
    assert [worker.invoke(b"%d" % n).body for n in range(5)] == [b"%d" % n for n in range(5)]


def test_an_answer_that_was_cut_off_can_be_sent_again(lambda_):
    worker = lambda_("""
request_id, event, headers = runtime.next()
runtime.connection.putrequest("POST", f"/2018-06-01/runtime/invocation/{request_id}/response")
runtime.connection.putheader("Content-Length", "100")
runtime.connection.endheaders()
runtime.connection.send(b"half")
runtime.connection.close()
other = Runtime()
while True:
    status, _ = other.respond(request_id, b"whole")
    if status == 202:
        break
other.next()
""")
    assert worker.invoke(b"1").body == b"whole"


# ---- the API's own errors ----


def test_requests_that_mean_nothing_are_told_so(lambda_):
    worker = lambda_("""
first, event, headers = runtime.next()
runtime.respond(first, b"1")
second, event, headers = runtime.next()
other = Runtime()
send = other.begin_stream(second)
seen = [runtime.respond(second, b"2")]
send(b"0\\r\\n\\r\\n")
other.connection.getresponse().read()
seen += [runtime.respond(first, b"again"), runtime.respond("nonsense", b"x" * 100_000),
         runtime.fail(first, {}), runtime.ask("POST", "/init/error", b"{}"),
         runtime.ask("GET", "/nothing"), runtime.ask("POST", "/invocation/next", b""),
         runtime.ask("GET", "/invocation/x/response"), runtime.ask("PUT", "/invocation/x/y/z")]
request_id, event, headers = runtime.next()
runtime.respond(request_id, json.dumps(seen).encode())
runtime.next()
""")
    worker.invoke(b"1")
    worker.invoke(b"2")
    seen = worker.invoke(b"3").json
    assert [(status, text["errorType"]) for status, text in seen] == [
        (403, "InvalidStateTransition"), (400, "InvalidRequestID"), (400, "InvalidRequestID"),
        (400, "InvalidRequestID"), (403, "InvalidStateTransition"), (404, "NotFound"),
        (405, "MethodNotAllowed"), (405, "MethodNotAllowed"), (404, "NotFound")]


def test_nonsense_on_a_connection_ends_it_alone(lambda_):
    worker = lambda_("""
import socket
request_id, event, headers = runtime.next()
seen = []
for text in (b"nonsense\\r\\n\\r\\n", b"GET /x HTTP/1.1\\r\\n\\r\\n", b"POST " + b"/" * 9000 + b" HTTP/1.1\\r\\n\\r\\n"):
    raw = socket.create_connection(("127.0.0.1", 9001))
    raw.sendall(text)
    answer = b""
    while piece := raw.recv(65536):
        answer += piece
    seen.append(answer.split()[1].decode())
raw = socket.create_connection(("127.0.0.1", 9001))
raw.sendall(f"POST /2018-06-01/runtime/invocation/{request_id}/response HTTP/1.1\\r\\nHost: a\\r\\n"
            "Expect: 100-continue\\r\\nContent-Length: 100\\r\\n\\r\\n".encode())
seen.append(raw.recv(65536).split()[1].decode())
raw.close()
other = Runtime()
while other.respond(request_id, json.dumps(seen).encode())[0] != 202:
    pass
other.next()
""")
    assert worker.invoke(b"1").json == ["400", "400", "414", "100"]


# ---- several at once ----


def test_a_program_with_several_nexts_gets_several_invocations(lambda_):
    worker = lambda_("""
barrier = threading.Barrier(8)
def serve():
    mine = Runtime()
    while True:
        request_id, event, headers = mine.next()
        barrier.wait()  # all eight are running
        mine.respond(request_id, event)
threads = [threading.Thread(target=serve) for _ in range(8)]
for thread in threads:
    thread.start()
""")
    lanes = [worker] + [worker.open_lane() for _ in range(7)]
    for _ in range(3):
        for number, lane in enumerate(lanes):
            lane.send(b"%d" % number, invocation=f"01LANE{number}")
        assert [lane.result().body for lane in lanes] == [b"%d" % n for n in range(8)]


def test_an_invocation_waits_in_its_lane_until_a_next_comes(lambda_):
    """What was not received, the gateway can take back."""
    worker = lambda_("""
first, event, headers = runtime.next()
print("first", flush=True)
Runtime().respond(runtime.next()[0], b"2")
Runtime().respond(first, b"1")
runtime.next()
""")
    lanes = [worker.open_lane(), worker.open_lane()]
    lanes[0].send(b"1", invocation="01FIRST")
    log = ""
    while "first" not in log:
        log += worker.raw_log()
    lanes[1].send(b"2")
    assert lanes[1].result().body == b"2" and lanes[0].result().body == b"1"


def test_a_lane_that_the_gateway_closes_leaves_an_id_that_nobody_waits_for(lambda_):
    worker = lambda_("""
first, event, headers = runtime.next()
print("first", flush=True)
other = Runtime()
second = other.next()[0]
status = runtime.respond(first, b"1")[0]
other.respond(second, json.dumps(status).encode())
other.next()
""")
    lane = worker.open_lane()
    lane.send(b"1", invocation="01FIRST")
    log = ""
    while "first" not in log:
        log += worker.raw_log()
    lane.gateway.close()
    assert worker.invoke(b"2").json == 400


def test_the_gateways_end_is_the_workers(answering):
    worker = answering("event")
    worker.gateway.close()
    assert worker.wait() == 0


def test_nonsense_of_the_gateway_ends_the_worker(answering):
    worker = answering("event")
    worker.gateway.send(pack(DATA, END, 1))
    worker.gateway.send(pack(INVOKE, END, 1, 0, b"no meta"))
    assert worker.wait() == 127
