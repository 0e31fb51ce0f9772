"""What Python and Node functions have in common: the same story, told in both languages."""
import base64
import json
import os
import time

import pytest
from worker_client import DATA, END, FRAME_MAX, INVOKE, LOG, pack

ECHO = {
    "python3": "def handler(event, context):\n    return event\n",
    "node": "exports.handler = (event, context) => event;\n",
}


@pytest.fixture(params=["python3", "node"])
def runtime(request):
    return request.param


@pytest.fixture
def starter(runtime, python, node):
    return {"python3": python, "node": node}[runtime]


@pytest.fixture
def echo(runtime, starter):
    return starter.start(ECHO[runtime])


@pytest.fixture
def pick(runtime):
    """The text in this runtime's language."""
    return lambda python3, node: {"python3": python3, "node": node}[runtime]


# ---- events and results ----


@pytest.mark.parametrize(
    "text",
    ['{"a":[1,2.5,{"b":null}],"ü":"☃"}', "[]", "{}", "null", "true", "12", "-0.5", '"x\\ny"', "[[1]]"],
)
def test_a_json_payload_arrives_parsed_and_leaves_as_json(echo, text):
    answer = echo.invoke(text.encode())
    if text.startswith('"'):
        assert answer.body.decode() == json.loads(text)
        assert answer.header("content-type") == ["text/plain; charset=utf-8"]
    else:
        assert answer.body.decode() == text
        assert answer.header("content-type") == ["application/json"]
    assert answer.status == 0, "the platform's default"


def test_white_space_around_json_is_no_part_of_it(echo):
    assert echo.invoke(b' \r\n\t{"a": 1}\n').json == {"a": 1}


@pytest.mark.parametrize("text", ["", "hello", "NaN", "{", "{'a':1}", "1 2", "[1,]", "Infinity", "ä ☃ 🐦"])
def test_what_is_no_json_arrives_as_text(echo, text):
    answer = echo.invoke(text.encode())
    assert answer.body.decode() == text
    assert answer.header("content-type") == ["text/plain; charset=utf-8"]


@pytest.mark.parametrize("body", [b"\xff", b'{"a":"\xc3"}', bytes(range(256)), b"\xed\xa0\x80"])
def test_what_is_no_utf8_arrives_as_bytes(echo, body):
    answer = echo.invoke(body)
    assert answer.body == body
    assert answer.header("content-type") == ["application/octet-stream"]


def test_text_that_contains_the_replacement_character_is_still_text(echo):
    answer = echo.invoke("a \ufffd b".encode())
    assert answer.body.decode() == "a \ufffd b"
    assert answer.header("content-type") == ["text/plain; charset=utf-8"]


@pytest.mark.parametrize("size", [65400, 65460, 65520, 65536, 200_000, 5_000_000])
def test_bodies_of_any_size_pass_both_ways(echo, size):
    body = bytes(97 + i % 26 for i in range(1000)) * (size // 1000 + 1)
    answer = echo.invoke(body[:size])
    assert answer.body == body[:size]


def test_a_long_text_of_many_byte_characters_passes(echo):
    body = "☃".encode() * 50_000
    assert echo.invoke(body).body == body


def test_deep_nesting_does_not_end_the_instance(echo):
    echo.invoke(b"[" * 100_000 + b"]" * 100_000)
    assert echo.invoke(b"1").body == b"1"


def test_half_a_surrogate_pair_survives_within_json(echo):
    assert json.loads(echo.invoke(b'["\\ud83d"]').body) == ["\ud83d"]


def test_requests_pushed_ahead_are_answered_in_order(echo):
    numbers = [echo.send(b'{"n":%d}' % n) for n in range(50)]
    for n, number in enumerate(numbers):
        assert echo.result(number).json == {"n": n}


def test_a_result_that_json_cannot_carry_is_an_error(starter, pick):
    worker = starter.start(
        pick(
            "def handler(event, context):\n"
            "    circle = []\n"
            "    circle.append(circle)\n"
            "    return {'a': [object()], 'b': circle, 'c': [float('nan')]}[event]\n",
            "exports.handler = (event) => {\n"
            "  const circle = [];\n"
            "  circle.push(circle);\n"
            "  return { a: [10n], b: circle, c: { toJSON() { throw new Error('no') } } }[event];\n"
            "};\n",
        )
    )
    for event in "abc":
        answer = worker.invoke(b'"%s"' % event.encode())
        assert answer.error["errorType"] == "Runtime.MarshalError"
        assert "not JSON" in answer.error["errorMessage"] and answer.status is None
        assert "Runtime.MarshalError" in answer.log(2)


def test_the_context_tells_what_runs(starter, pick):
    worker = starter.start(
        pick(
            "def handler(event, context):\n"
            "    return [context.invocation_id, context.aws_request_id, context.function_name,\n"
            "            context.function_version, context.memory_limit_in_mb, context.user_id,\n"
            "            context.deadline_ms, context.get_remaining_time_in_millis()]\n",
            "exports.handler = (event, context) => [\n"
            "  context.invocationId, context.awsRequestId, context.functionName,\n"
            "  context.functionVersion, context.memoryLimitInMB, context.userId,\n"
            "  context.deadlineMs, context.getRemainingTimeInMillis()];\n",
        )
    )
    now = time.time() * 1000
    answer = worker.invoke(b"", user="01USER", invocation="01INVOCATION", timeout=9).json
    assert answer[:6] == ["01INVOCATION", "01INVOCATION", "greeter", "7", 128, "01USER"]
    assert now + 8900 < answer[6] < now + 12000 and 0 < answer[7] <= 9000
    assert worker.invoke(b"").json[5] is None, "an anonymous caller"
    assert worker.invoke(b"", timeout=-5).json[7] == 0


# ---- HTTP ----


def answering(pick, result, js=None):
    """A function that returns this JSON value (or these expressions)."""
    text = result if isinstance(result, str) else json.dumps(result)
    python = text.replace("null", "None").replace("true", "True").replace("false", "False")
    return pick(
        f"def handler(event, context):\n    return {python}\n",
        f"exports.handler = () => ({js or text});\n",
    )


def test_an_object_with_status_code_is_an_http_answer(starter, pick):
    worker = starter.start(
        answering(
            pick,
            {
                "statusCode": 418,
                "headers": {"Content-Type": "text/html", "X-Number": 5, "x-list": ["a", "b"]},
                "cookies": ["a=1; HttpOnly", "b=2"],
                "body": "<p>ü</p>",
            },
        )
    )
    answer = worker.invoke()
    assert answer.status == 418 and answer.body.decode() == "<p>ü</p>"
    assert answer.headers == [
        ("Content-Type", "text/html"),
        ("X-Number", "5"),
        ("x-list", "a"),
        ("x-list", "b"),
        ("set-cookie", "a=1; HttpOnly"),
        ("set-cookie", "b=2"),
    ]


def test_an_http_answer_without_content_type_is_json(starter, pick):
    answer = starter.start(answering(pick, {"statusCode": 200, "body": '{"a":1}'})).invoke()
    assert answer.header("content-type") == ["application/json"] and answer.json == {"a": 1}


def test_an_http_answer_without_body_has_no_content_type(starter, pick):
    answer = starter.start(answering(pick, {"statusCode": 204})).invoke()
    assert answer.status == 204 and answer.headers == [] and answer.body == b""


def test_a_base64_body_is_decoded(starter, pick):
    body = bytes(range(256)) * 1000
    result = {"statusCode": 200, "isBase64Encoded": True, "body": base64.b64encode(body).decode()}
    assert starter.start(answering(pick, result)).invoke().body == body


def test_a_body_may_be_an_object_or_bytes(starter, pick):
    assert starter.start(answering(pick, {"statusCode": 200, "body": {"a": [1]}})).invoke().json == {"a": [1]}
    in_bytes = answering(pick, "{'statusCode': '201', 'body': b'\\xff'}",
                         "{ statusCode: '201', body: Buffer.from([0xff]) }")
    answer = starter.start(in_bytes).invoke()
    assert answer.body == b"\xff" and answer.status == 201


@pytest.mark.parametrize(
    "result, complaint",
    [
        ({"statusCode": 99}, "statusCode"),
        ({"statusCode": 600}, "statusCode"),
        ({"statusCode": "ok"}, "statusCode"),
        ({"statusCode": [1]}, "statusCode"),
        ({"statusCode": 200, "headers": {"a": "b\r\nc: d"}}, "control character"),
        ({"statusCode": 200, "headers": {"a b": "c"}}, "no name for a header"),
        ({"statusCode": 200, "headers": {"": "c"}}, "no name for a header"),
        ({"statusCode": 200, "headers": {"ü": "c"}}, "no name for a header"),
        ({"statusCode": 200, "headers": "a"}, "headers"),
        ({"statusCode": 200, "headers": {"a": "b" * 50_000}}, "headers"),
        ({"statusCode": 200, "cookies": ["a\n"]}, "control character"),
    ],
)
def test_an_http_answer_that_http_forbids_is_an_error_of_the_function(starter, pick, result, complaint):
    worker = starter.start(answering(pick, result))
    for _ in range(2):
        answer = worker.invoke()
        assert answer.status is None and answer.error["errorType"] == "Runtime.MarshalError"
        assert complaint in answer.error["errorMessage"]


def http(method="GET", path="/", query="", headers=()):
    return {"http": (method, path, query, headers)}


def test_a_function_url_event_has_the_shape_of_payload_format_2(echo):
    now = int(time.time() * 1000)
    headers = [
        ("host", "fn.example.org"),
        ("user-agent", "tests/1"),
        ("x-twice", "a"),
        ("x-twice", "b"),
        ("cookie", "a=1; b=2"),
        ("content-type", "text/plain"),
    ]
    request = http("POST", "/a%20b/c", "x=1&x=2&y=%C3%BC+z&flag&bad=%zz", headers)
    event = echo.invoke(b"hello", user="01USER", invocation="01INV", **request).json
    context = event["requestContext"]
    assert abs(context.pop("timeEpoch") - now) < 20_000
    time.strptime(context.pop("time"), "%d/%b/%Y:%H:%M:%S +0000")
    assert context.pop("authorizer")["iam"] == {
        "accessKey": None, "accountId": "01USER", "callerId": "01USER", "cognitoIdentity": None,
        "principalOrgId": None, "userArn": None, "userId": "01USER",
    }
    assert event == {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/a%20b/c",
        "rawQueryString": "x=1&x=2&y=%C3%BC+z&flag&bad=%zz",
        "cookies": ["a=1", "b=2"],
        "headers": {
            "host": "fn.example.org",
            "user-agent": "tests/1",
            "x-twice": "a,b",
            "cookie": "a=1; b=2",
            "content-type": "text/plain",
        },
        "queryStringParameters": {"x": "1,2", "y": "ü z", "flag": "", "bad": "%zz"},
        "requestContext": {
            "accountId": "01USER",
            "apiId": "greeter",
            "authentication": None,
            "domainName": "fn.example.org",
            "domainPrefix": "fn",
            "http": {
                "method": "POST",
                "path": "/a%20b/c",
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.7",
                "userAgent": "tests/1",
            },
            "requestId": "01INV",
            "routeKey": "$default",
            "stage": "$default",
        },
        "body": "hello",
        "isBase64Encoded": False,
    }


def test_an_anonymous_bare_request_has_neither_authorizer_nor_body(echo):
    event = echo.invoke(b"", **http()).json
    assert "authorizer" not in event["requestContext"] and "body" not in event
    assert event["requestContext"]["accountId"] == "anonymous"
    assert "cookies" not in event and "queryStringParameters" not in event


def test_a_binary_body_of_a_function_url_comes_in_base64(echo):
    body = bytes(range(256)) * 500
    event = echo.invoke(body, **http("POST")).json
    assert event["isBase64Encoded"] is True and base64.b64decode(event["body"]) == body


def test_a_json_body_of_a_function_url_stays_text(echo):
    assert echo.invoke(b'{"a":1}', **http("POST")).json["body"] == '{"a":1}'


@pytest.mark.parametrize("name", ["__proto__", "constructor", "toString", "hasOwnProperty"])
def test_no_query_or_header_name_is_special(echo, name):
    event = echo.invoke(b"", **http("GET", "/", f"{name}=1&{name}=2", [(name.lower(), "v")])).json
    assert event["queryStringParameters"] == {name: "1,2"} and event["headers"] == {name.lower(): "v"}


# ---- streams ----

STREAMS = {
    "python3": """
import sys
def handler(event, context):
    return {"text": text, "bytes": lambda: iter([b"a", bytearray(b"b"), memoryview(b"c")]),
            "empty": lambda: iter(()), "big": big, "early": early, "late": late, "wrong": wrong,
            "head": lambda: {"statusCode": 202, "headers": {"x-a": "b"}, "body": text()},
            "file": lambda: __import__("io").BytesIO(b"one\\ntwo\\n")}[event]()
def text():
    yield "ä"
    print("between")
    yield ""
    yield "b"
    sys.stdout.write("at the end")
def big():
    for n in range(100): yield bytes([n]) * 100_001
def early():
    raise KeyError("early")
    yield
def late():
    yield "begun"
    raise KeyError("late")
def wrong():
    yield "begun"
    yield 5
""",
    "node": """
const { Readable } = require("stream");
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
exports.handler = (event) => ({ text, bytes: () => [Buffer.from("a"), new Uint8Array([98]), new Uint16Array([99]).subarray(0, 1)]
  .map((b) => new Uint8Array(b.buffer, b.byteOffset, 1))[Symbol.iterator](),
  empty: () => Readable.from([]), big, early, late, wrong,
  head: () => ({ statusCode: 202, headers: { "x-a": "b" }, body: text() }),
  file: () => Readable.from([Buffer.from("one\\n"), Buffer.from("two\\n")]) })[event]();
async function* text() {
  yield "ä";
  console.log("between");
  await sleep(2);
  yield "";
  yield "b";
  process.stdout.write("at the end");
}
function* big() { for (let n = 0; n < 100; n++) yield Buffer.alloc(100_001, n); }
async function* early() { throw new RangeError("early"); }
async function* late() { yield "begun"; await sleep(1); throw new RangeError("late"); }
function* wrong() { yield "begun"; yield 5; }
""",
}


@pytest.fixture
def streams(runtime, starter):
    return starter.start(STREAMS[runtime])


def test_an_iterator_is_a_streamed_answer(streams):
    answer = streams.invoke(b'"text"')
    assert answer.body.decode() == "äb" and answer.frames >= 3
    assert answer.header("content-type") == ["text/plain; charset=utf-8"]
    assert answer.logs == [(1, "between\n"), (1, "at the end")]


def test_a_streams_first_piece_leaves_before_the_second_is_made(streams):
    streams.send(b'"text"')
    first = streams.receive()
    assert first.payload.decode() == "ä" and not first.flags & END
    assert streams.receive().kind == LOG


def test_pieces_may_be_bytes(streams):
    answer = streams.invoke(b'"bytes"')
    assert answer.body == b"abc" and answer.header("content-type") == ["application/octet-stream"]
    assert streams.invoke(b'"file"').body == b"one\ntwo\n"


def test_an_empty_stream_is_an_empty_answer(streams):
    answer = streams.invoke(b'"empty"')
    assert answer.body == b"" and answer.status == 0


def test_a_stream_of_large_pieces_comes_whole(streams):
    assert streams.invoke(b'"big"').body == b"".join(bytes([n]) * 100_001 for n in range(100))


def test_a_stream_may_have_status_and_headers(streams):
    answer = streams.invoke(b'"head"')
    assert answer.status == 202 and answer.header("x-a") == ["b"] and answer.body.decode() == "äb"


def test_a_stream_that_fails_before_its_first_piece_is_a_clean_error(streams):
    answer = streams.invoke(b'"early"')
    assert answer.status is None and "early" in answer.error["errorMessage"]


def test_a_stream_that_fails_later_breaks_off(streams):
    answer = streams.invoke(b'"late"')
    assert answer.status == 0 and answer.body == b"begun" and "late" in answer.error["errorMessage"]
    answer = streams.invoke(b'"wrong"')
    assert answer.body == b"begun" and answer.error["errorType"] == "Runtime.MarshalError"
    assert streams.invoke(b'"bytes"').body == b"abc", "the next one is not hurt"


# ---- logs ----

LOGS = {
    "python3": """
import sys, os, subprocess
print("loading")
def handler(event, context):
    if event == "mixed":
        print("one"); print("two", file=sys.stderr); print("three\\nfour"); sys.stdout.write("half")
    if event == "long":
        print("x" * 200_000); print("y" * 40_000 + "\\n" + "z" * 40_000)
    if event == "crash":
        print("last words"); sys.stderr.write("and these\\n"); os._exit(9)
    if event == "raw":
        os.write(1, b"raw out\\n"); os.write(2, b"raw err\\n")
        subprocess.run(["echo", "from a child"], check=True)
    if event == "unicode":
        print("ü ☃ \\ud800")
    return event
""",
    "node": """
const fs = require("fs");
console.log("loading");
exports.handler = (event) => {
  if (event === "mixed") {
    console.log("one"); console.error("two"); console.log("three\\nfour"); process.stdout.write("half");
  }
  if (event === "long") { console.log("x".repeat(200_000)); console.log("y".repeat(40_000) + "\\n" + "z".repeat(40_000)); }
  if (event === "crash") { console.log("last words"); process.stderr.write("and these\\n"); process.reallyExit(9); }
  if (event === "raw") {
    fs.writeSync(1, "raw out\\n"); fs.writeSync(2, "raw err\\n");
    require("child_process").execFileSync("echo", ["from a child"], { stdio: "inherit" });
  }
  if (event === "unicode") console.log("ü ☃ \\ud800");
  return event;
};
""",
}


@pytest.fixture
def logger(runtime, starter):
    return starter.start(LOGS[runtime])


def test_what_is_printed_while_loading_belongs_to_no_invocation(logger):
    assert logger.loose_logs == [(1, "loading\n")]


def test_lines_come_in_order_and_before_the_result(logger):
    answer = logger.invoke(b'"mixed"')
    lines = [(stream, line) for stream, text in answer.logs for line in text.splitlines()]
    assert lines == [(1, "one"), (2, "two"), (1, "three"), (1, "four"), (1, "half")]
    assert answer.body == b"mixed" and logger.raw_log() == ""


def test_long_lines_are_split_over_frames_and_nothing_is_lost(logger):
    answer = logger.invoke(b'"long"')
    assert answer.log(1) == "x" * 200_000 + "\n" + "y" * 40_000 + "\n" + "z" * 40_000 + "\n"
    assert any(text == "y" * 40_000 + "\n" for _, text in answer.logs), "cut at line ends"


def test_a_crash_loses_no_line(logger):
    answer = logger.invoke(b'"crash"')
    assert answer.logs == [(1, "last words\n"), (2, "and these\n")]
    assert answer.status is None and answer.error is None and logger.wait() == 9


def test_the_raw_descriptors_stay_the_sandboxes_pipe(logger):
    answer = logger.invoke(b'"raw"')
    assert answer.logs == [] and logger.raw_log() == "raw out\nraw err\nfrom a child\n"


def test_any_character_can_be_printed(logger):
    assert logger.invoke(b'"unicode"').log(1).startswith("ü ☃ ")


# ---- errors ----

ERRORS = {
    "python3": """
class OddError(Exception):
    def __str__(self): raise ValueError("no text for you")
def inner(event):
    raise {"plain": ValueError("bad ü"), "long": ValueError("x" * 1_000_000), "odd": OddError(),
           "base": KeyboardInterrupt("stop"), "surrogate": ValueError("\\ud800")}[event]
def deep(n):
    return deep(n + 1)
def handler(event, context):
    print("before")
    if event == "deep": deep(0)
    if event == "memory": return bytearray(1 << 60)
    inner(event)
""",
    "node": """
class OddError extends Error { get message() { throw new Error("no text for you"); } }
function inner(event) {
  throw { plain: new RangeError("bad ü"), long: new Error("x".repeat(1_000_000)), odd: new OddError(),
          base: "a string", surrogate: new Error("\\ud800") }[event];
}
function deep(n) { return deep(n + 1) + 1; }
exports.handler = (event) => {
  console.log("before");
  if (event === "deep") deep(0);
  if (event === "memory") return new Uint8Array(2 ** 60);
  inner(event);
};
""",
}


@pytest.fixture
def failing(runtime, starter):
    return starter.start(ERRORS[runtime])


def test_an_exception_is_told_with_type_message_and_the_users_frames(failing, pick):
    answer = failing.invoke(b'"plain"')
    trace = "\n".join(answer.error["stackTrace"])
    assert answer.error["errorType"] == pick("ValueError", "RangeError")
    assert answer.error["errorMessage"] == "bad ü" and answer.status is None
    assert "inner" in trace and "handler" in trace and pick("main.py", "main.js:") in trace
    for stranger in ("shim", "node:internal", "/code", "magpie"):
        assert stranger not in trace and stranger not in answer.log()


def test_an_exception_is_logged_after_what_was_printed(failing, pick):
    answer = failing.invoke(b'"plain"')
    assert answer.logs[0] == (1, "before\n") and answer.logs[1][0] == 2
    assert "bad ü" in answer.log(2) and pick("Traceback", "at inner") in answer.log(2)


@pytest.mark.parametrize("event", ["long", "odd", "base", "deep", "memory", "surrogate"])
def test_no_exception_ends_the_instance(failing, event):
    for _ in range(2):
        answer = failing.invoke(b'"%s"' % event.encode())
        assert answer.error["errorType"] and isinstance(answer.error["errorMessage"], str)


def test_a_long_error_fits_into_its_frame(failing):
    answer = failing.invoke(b'"long"')
    assert answer.error["errorMessage"].startswith("xxxx") and len(answer.error["errorMessage"]) < 10_000


# ---- the process ----


def test_when_the_gateway_leaves_the_worker_ends(echo):
    echo.invoke(b"1")
    echo.gateway.close()
    assert echo.wait() == 0


def test_leaving_the_process_in_a_handler_ends_the_instance(starter, pick):
    worker = starter.start(
        pick(
            "import sys\ndef handler(event, context):\n    print('bye', end='')\n    sys.exit(7)\n",
            "exports.handler = () => { process.stdout.write('bye'); process.exit(7); };\n",
        )
    )
    answer = worker.invoke()
    assert answer.status is None and answer.error is None and answer.log() == "bye"
    assert worker.wait() == 7


def test_child_processes_do_not_get_the_connection(starter, pick):
    worker = starter.start(
        pick(
            "import subprocess\ndef handler(event, context):\n"
            "    return subprocess.run(['ls', '/proc/self/fd'], capture_output=True, text=True,\n"
            "                          close_fds=False, check=True).stdout\n",
            "const { spawnSync } = require('child_process');\n"
            "exports.handler = () => spawnSync('ls', ['/proc/self/fd'], { encoding: 'utf8' }).stdout;\n",
        )
    )
    inherited = set(worker.invoke().body.decode().split())
    assert inherited - {"0", "1", "2"} <= {"3"}, "ls itself opens one for the folder it lists"
    links = pick("['readlink', '/proc/self/fd/3']", "'readlink', ['/proc/self/fd/3']")
    worker = starter.start(
        pick(
            f"import subprocess\ndef handler(event, context):\n"
            f"    return subprocess.run({links}, capture_output=True, text=True, close_fds=False).stdout\n",
            "const { spawnSync } = require('child_process');\n"
            f"exports.handler = () => spawnSync({links}, {{ encoding: 'utf8' }}).stdout;\n",
        )
    )
    assert worker.invoke().body == b""


def test_a_function_that_closes_the_connection_ends_and_does_not_hang(starter, pick):
    worker = starter.start(
        pick(
            "import os\ndef handler(event, context):\n    os.close(3)\n    return 1\n",
            "exports.handler = () => { require('fs').closeSync(3); return 1; };\n",
        )
    )
    worker.invoke()
    assert worker.wait() == 1 and "cannot go on" in worker.raw_log()


@pytest.mark.parametrize(
    "frame",
    [
        b"x",
        pack(DATA, END, 1),
        pack(99, END, 1),
        pack(INVOKE, 0, 1, 0, b"id\n\n", b"a") ,
    ],
    ids=["short", "data between invocations", "unknown type", "body of another invocation"],
)
def test_a_gateway_that_talks_nonsense_is_not_served(echo, frame):
    echo.gateway.send(frame)
    if frame[0] == INVOKE:
        echo.gateway.send(pack(DATA, END, 2, 0, b"", b"b"))
    assert echo.wait() != 0


def test_frames_never_exceed_their_size(echo):
    for size in range(FRAME_MAX - 80, FRAME_MAX + 3):  # Frame.parse() checks each
        assert len(echo.invoke(b"x" * size).body) == size


# ---- loading ----


def test_a_handler_may_lie_in_a_folder(starter, pick):
    suffix, code = pick((".py", "def go(e, c): return 'deep'\n"), (".js", "exports.go = () => 'deep';\n"))
    worker = starter.start({f"pkg/sub/file{suffix}": code}, MAGPIE_HANDLER="pkg/sub/file.go")
    assert worker.invoke().body == b"deep"


def test_the_bundle_can_be_named_by_a_variable(starter, pick, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / pick("main.py", "main.js")).write_text(ECHO[pick("python3", "node")])
    assert starter.start({}, MAGPIE_CODE=str(elsewhere)).invoke(b"1").body == b"1"


def test_a_syntax_error_is_refused_with_line_and_caret(starter, pick):
    text = starter.refusal(pick("def ok(): pass\ndef handler(:\n    pass\n", "let a = 1;\nlet b = = 2;\n"))
    assert pick('File "main.py", line 2', "main.js:2") in text
    assert "^" in text and "SyntaxError" in text and "shim" not in text


def test_an_import_that_fails_is_refused_with_the_users_frames(starter, pick):
    text = starter.refusal(pick("import os\nimport nosuchthing\n", "require('fs');\nrequire('nosuchthing');\n"))
    assert "nosuchthing" in text and pick('File "main.py", line 2', "main.js:2") in text
    assert "shim" not in text and "The handler is" not in text


def test_an_exception_while_loading_is_refused(starter, pick):
    text = starter.refusal(pick("x = 1 / 0\n", "null.x;\n"))
    assert pick("ZeroDivisionError", "TypeError") in text and pick("main.py", "main.js:1") in text


def test_a_missing_file_is_refused_and_what_there_is_is_named(starter, pick):
    files = {pick("other.py", "other.js"): "", "README": ""}
    text = starter.refusal(files)
    assert pick("main.py", "main.js") in text and pick("other.py", "other.js") in text
    assert "README" not in text


def test_a_missing_function_is_refused_and_what_there_is_is_named(starter, pick):
    text = starter.refusal(pick("def handle(e, c): pass\n", "exports.handle = () => 1;\n"))
    assert "no 'handler'" in text and "functions" in text and "handle." in text


def test_a_handler_that_is_no_function_is_refused(starter, pick):
    assert "no function" in starter.refusal(pick("handler = 5\n", "exports.handler = 5;\n"))


@pytest.mark.parametrize("handler", ["", "main", ".", "main.", ".handler"])
def test_a_malformed_handler_is_refused(starter, pick, handler):
    text = starter.refusal(ECHO[pick("python3", "node")], MAGPIE_HANDLER=handler)
    assert "file.function" in text


def test_leaving_the_process_while_loading_is_refused(starter, pick):
    assert "exit(3)" in starter.refusal(pick("import sys\nsys.exit(3)\n", "process.exit(3);\n"))


def test_what_a_refused_module_printed_is_not_lost(starter, pick):
    worker = starter.boot(pick("print('half', end='')\n1/0\n", "process.stdout.write('half');\nnull.x;\n"))
    worker.until_ready()
    assert worker.loose_logs[0] == (1, "half")


def test_loading_tells_how_long_it_took(starter, pick):
    slow = pick("import time\ntime.sleep(0.05)\n", "const e = Date.now() + 50; while (Date.now() < e);\n")
    frame = starter.boot(slow + ECHO[pick("python3", "node")]).until_ready()
    assert 50_000 <= frame.value < 20_000_000


# ---- the check at registration ----


def test_verification_compiles_what_the_handler_never_loads(starter, pick):
    files = {
        pick("main.py", "main.js"): ECHO[pick("python3", "node")],
        pick("lib/broken.py", "lib/broken.js"): pick("x = 1\nif x\n", "let x = 1;\nlet y = ;\n"),
    }
    assert starter.start(files).invoke(b"1").body == b"1", "unverified, it does not matter"
    text = starter.refusal(files, MAGPIE_VERIFY="1")
    assert pick('File "lib/broken.py", line 2', "lib/broken.js:2") in text
    assert "^" in text and "SyntaxError" in text


def test_verification_passes_a_good_bundle_and_loads_it(starter, pick):
    worker = starter.start(ECHO[pick("python3", "node")], MAGPIE_VERIFY="1")
    assert worker.invoke(b"1").body == b"1"
    assert "no 'handler'" in starter.refusal(pick("x = 1\n", "exports.x = 1;\n"), MAGPIE_VERIFY="1")


def test_verification_leaves_installed_packages_alone(starter, pick):
    files = pick(
        {
            "main.py": ECHO["python3"],
            "package/template.py": "this is {{ no }} python",
            "package-1.0.dist-info/RECORD": "package/template.py,sha256=x,1\n",
        },
        {"main.js": ECHO["node"], "node_modules/a/template.js": "this is no javascript"},
    )
    assert starter.start(files, MAGPIE_VERIFY="1").invoke(b"1").body == b"1"


def test_the_environment_of_the_function_is_its_own(starter, pick):
    worker = starter.start(
        pick(
            "import os\ndef handler(e, c): return os.environ['COLOUR']\n",
            "exports.handler = () => process.env.COLOUR;\n",
        ),
        COLOUR="grün",
    )
    assert worker.invoke().body.decode() == "grün"


def test_the_examples_greet(runtime, starter):
    folder = os.path.join(os.path.dirname(__file__), "../../examples", runtime)
    handler = {"python3": "main.handler", "node": "index.handler"}[runtime]
    worker = starter.start({}, MAGPIE_CODE=os.path.realpath(folder), MAGPIE_HANDLER=handler)
    assert worker.invoke(b'{"name":"magpie"}').json == {"message": "Hello, magpie!"}
    assert worker.invoke(b"").json == {"message": "Hello, world!"}
