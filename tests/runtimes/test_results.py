"""Events, contexts and results, the same in Python and in Node."""
import json
import time

import pytest


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


def test_what_is_no_number_is_null_in_node_as_in_lambda(node):
    worker = node.start("exports.handler = (event) => "
                        "({ a: NaN, b: { a: NaN, b: [-Infinity] } })[event];\n")
    assert worker.invoke(b'"a"').body == b"null"
    assert worker.invoke(b'"b"').body == b'{"a":null,"b":[null]}'


@pytest.mark.parametrize("number", ["nan", "inf", "-inf"])
def test_what_is_no_number_is_an_error_in_python(python, number):
    worker = python.start("def handler(event, context):\n    return {'a': float(event)}\n")
    assert worker.invoke(b'"%s"' % number.encode()).error["errorType"] == "Runtime.MarshalError"


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


def test_a_result_says_how_long_the_handler_ran(starter, pick):
    worker = starter.start(
        pick(
            "import time\n"
            "def handler(event, context):\n"
            "    time.sleep(event / 1000)\n"
            "    return iter('ab') if event == 1 else event\n",
            "const sleep = (ms) => new Promise((done) => setTimeout(done, ms));\n"
            "exports.handler = (event) => {\n"
            "  if (event === 0) return event;\n"
            "  return sleep(event).then(() => (event === 1 ? 'ab'[Symbol.iterator]() : event));\n"
            "};\n",
        )
    )
    worker.invoke(b"0")
    assert 0 < worker.invoke(b"0").ran_us < 5_000_000
    assert 19_000 < worker.invoke(b"20").ran_us < 5_000_000
    assert worker.invoke(b"1").ran_us == 0, "a stream is not at its end when its RESULT leaves"
