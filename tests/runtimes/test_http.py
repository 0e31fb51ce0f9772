"""HTTP in and out, the same in Python and in Node."""
import base64
import json
import time

import pytest


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


@pytest.mark.parametrize("text", [
    "+/+/AQ==", "-_-_AQ==", "+/+/AQ", "+/+/AQ=", "+/+/AQ===", "+/+/\r\nAQ==\r\n", " +/\t+/AQ\n==", "+_-/AR==",
])
def test_base64_may_have_line_breaks_either_alphabet_and_any_padding(starter, pick, text):
    result = {"statusCode": 200, "isBase64Encoded": True, "body": text}
    assert starter.start(answering(pick, result)).invoke().body == b"\xfb\xff\xbf\x01"


@pytest.mark.parametrize("body", ["", "=", "\n"])
def test_base64_may_be_of_nothing(starter, pick, body):
    answer = starter.start(answering(pick, {"statusCode": 200, "isBase64Encoded": True, "body": body})).invoke()
    assert answer.status == 200 and answer.body == b""


def test_base64_may_be_in_bytes(starter, pick):
    worker = starter.start(answering(
        pick, "{'statusCode': 200, 'isBase64Encoded': True, 'body': b'-_-_\\n'}",
        "{ statusCode: 200, isBase64Encoded: true, body: Buffer.from('-_-_\\n') }"))
    assert worker.invoke().body == b"\xfb\xff\xbf"


@pytest.mark.parametrize("body", [
    "!!!", "Q", "Q===", "QUJDQ", "QUJD,QUJD", "QUJDQUJ!", "QQ==QQ==", "QQ=Q", "=QQ", "QUJD\0", "é", "QUJ\u0141",
    {"a": 1}, ["QUJD"], 5, True,
])
def test_a_body_that_is_called_base64_and_is_not_is_an_error(starter, pick, body):
    worker = starter.start(answering(pick, {"statusCode": 200, "isBase64Encoded": True, "body": body}))
    answer = worker.invoke()
    assert answer.status is None and answer.error["errorType"] == "Runtime.MarshalError"
    assert "isBase64Encoded is set, but the body is not" in answer.error["errorMessage"]


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
        ({"statusCode": 200, "headers": "a"}, "headers is of the type "),
        ({"statusCode": 200, "headers": ["a"]}, "headers is of the type "),
        ({"statusCode": 200, "headers": []}, "headers is of the type "),
        ({"statusCode": 200, "headers": False}, "headers is of the type "),
        ({"statusCode": 200, "cookies": "nope"}, "cookies is of the type "),
        ({"statusCode": 200, "cookies": ""}, "cookies is of the type "),
        ({"statusCode": 200, "cookies": {"a": "b"}}, "cookies is of the type "),
        ({"statusCode": 200, "cookies": 5}, "cookies is of the type "),
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


def test_headers_and_cookies_that_are_null_are_none(starter, pick):
    result = {"statusCode": 200, "headers": None, "cookies": None}
    answer = starter.start(answering(pick, result)).invoke()
    assert answer.status == 200 and answer.headers == []


@pytest.mark.parametrize("made", ["new Headers({ a: 'b' })", "new Map([['a', 'b']])"])
def test_headers_that_would_be_lost_are_an_error_in_node(node, made):
    worker = node.start(f"exports.handler = () => ({{ statusCode: 200, headers: {made} }});\n")
    assert "headers is of the type " in worker.invoke().error["errorMessage"]


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


@pytest.mark.parametrize("host, name, prefix", [
    ("localhost:8080", "localhost", "localhost"),
    ("fn.example.org:80", "fn.example.org", "fn"),
    ("fn.example.org:", "fn.example.org", "fn"),
    ("192.0.2.1:8080", "192.0.2.1", "192"),
    ("[::1]:8080", "[::1]", "[::1]"),
    ("[::1]", "[::1]", "[::1]"),
    ("", "", ""),
])
def test_a_domain_name_has_no_port(echo, host, name, prefix):
    context = echo.invoke(b"", host=host, **http()).json["requestContext"]
    assert (context["domainName"], context["domainPrefix"]) == (name, prefix)


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
