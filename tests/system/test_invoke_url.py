"""Function URLs: the function sees the request and makes the whole answer, the platform vouches for
the caller."""
import base64
import json

import pytest
from raw_http import RawConnection

SHOW = {
    "python3": {"main.py": "def handler(event, context):\n    return [event, context.user_id]\n"},
    "node": {"main.mjs": "export const handler = async (event, context) => "
                         "[event, context.userId];\n"},
}
# Answers with what the body says, as JSON; "bytes" is base64 of the body.
ANSWER = {
    "python3": {"main.py": "import base64\nimport json\n\n\ndef handler(event, context):\n"
                           "    answer = json.loads(event['body'])\n"
                           "    if 'bytes' in answer:\n"
                           "        answer['body'] = base64.b64decode(answer.pop('bytes'))\n"
                           "    return answer\n"},
    "node": {"main.js": "exports.handler = async (event) => {\n"
                        "  const answer = JSON.parse(event.body);\n"
                        "  if ('bytes' in answer) {\n"
                        "    answer.body = Buffer.from(answer.bytes, 'base64');\n"
                        "    delete answer.bytes;\n  }\n  return answer;\n};\n"},
}
USER_SHOWN = "def handler(event, context):\n    return str(context.user_id)\n"


@pytest.fixture(scope="module")
def user_id(server):
    return server.request("GET", "/api/v1/users/me").json()["userId"]


@pytest.fixture(scope="module", params=["python3", "node"])
def show(request, server):
    return server.deploy(f"show-{request.param}", request.param, SHOW[request.param],
                         handler="main.handler", public=True)


@pytest.fixture(scope="module", params=["python3", "node"])
def answering(request, server):
    """Calls a function that answers with what it is given."""
    function = server.deploy(f"answer-{request.param}", request.param, ANSWER[request.param],
                             handler="main.handler")
    return lambda answer, **options: server.request("POST", f"/f/{function}", answer, **options)


def test_the_event_is_the_request_in_payload_format_two(server, show, user_id):
    answer = server.request("PUT", f"/f/{show}/a%20path/b?x=1&x=2&name=a+b", b"text", {
        "X-Own": "1", "Cookie": "a=1; b=2", "User-Agent": "tests", "Content-Type": "text/plain"})
    event, user = answer.json()
    assert answer.status == 200 and user == user_id
    assert event["version"] == "2.0"
    assert event["rawPath"] == "/a%20path/b" and event["rawQueryString"] == "x=1&x=2&name=a+b"
    assert event["queryStringParameters"] == {"x": "1,2", "name": "a b"}
    assert event["cookies"] == ["a=1", "b=2"]
    assert event["headers"]["x-own"] == "1" and "X-Own" not in event["headers"]
    assert event["body"] == "text" and event["isBase64Encoded"] is False
    context = event["requestContext"]
    assert context["requestId"] == answer.headers["Magpie-Invocation-Id"]
    assert context["authorizer"]["userId"] == user_id
    assert (context["http"]["method"], context["http"]["path"]) == ("PUT", "/a%20path/b")
    assert context["http"]["sourceIp"] == "127.0.0.1"
    assert context["http"]["userAgent"] == "tests"
    assert event["headers"]["host"] == f"127.0.0.1:{server.port}"
    assert context["domainName"] == "127.0.0.1"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_every_method_reaches_the_function(server, show, method):
    event, _ = server.request(method, f"/f/{show}").json()
    assert event["requestContext"]["http"]["method"] == method


def test_by_namespace_and_name_the_rest_is_the_path(server, show):
    name = server.request("GET", f"/api/v1/functions/{show}").json()["name"]
    for path, seen in (("", "/"), ("/", "/"), ("/a/b", "/a/b"), ("//x", "//x")):
        event, _ = server.request("GET", f"/f/admin/{name}{path}?q").json()
        assert event["rawPath"] == seen and event["rawQueryString"] == "q"


def test_a_body_that_is_no_text_comes_as_base64(server, show):
    event, _ = server.request("POST", f"/f/{show}", b"\xff\x00").json()
    assert event["isBase64Encoded"] is True and base64.b64decode(event["body"]) == b"\xff\x00"


def test_an_anonymous_caller_of_a_public_function_is_nobody(server, show):
    event, user = server.request("GET", f"/f/{show}", token=None).json()
    assert user is None and "authorizer" not in event["requestContext"]
    assert event["requestContext"]["accountId"] == "anonymous"


@pytest.mark.parametrize("name", ["Magpie-User", "magpie-user", "MAGPIE-USER", "Magpie_User"])
def test_a_caller_cannot_claim_to_be_somebody(server, show, user_id, name):
    event, user = server.request("GET", f"/f/{show}", headers={name: user_id}, token=None).json()
    assert user is None and "authorizer" not in event["requestContext"]
    assert "magpie-user" not in [header.replace("_", "-") for header in event["headers"]]


def test_a_native_function_sees_the_verified_user_not_the_claimed(server, tmp_path):
    """By the exec contract the user is in the environment, too."""
    function = server.deploy("who-exec", "exec", {"main": '#!/bin/sh\nprintf "%s" "$MAGPIE_USER"\n'},
                             public=True)
    claimed = {"Magpie-User": "01HFORGEDFORGEDFORGEDFORGE"}
    assert server.request("GET", f"/f/{function}", headers=claimed, token=None).body == b""
    mine = server.request("GET", "/api/v1/users/me").json()["userId"].encode()
    assert server.request("GET", f"/f/{function}", headers=claimed).body == mine


def test_credentials_and_what_is_of_one_connection_stay_outside(server, show):
    event, _ = server.request("GET", f"/f/{show}", headers={
        "Connection": "keep-alive", "Keep-Alive": "timeout=5", "TE": "trailers",
        "Proxy-Authorization": "Basic eDp5"}).json()
    assert not {"authorization", "connection", "keep-alive", "te", "proxy-authorization"} & \
        set(event["headers"])


def test_a_public_function_takes_credentials_that_are_none_of_ours(server, show):
    # The last is made like ours but for its claims.
    for own in ("Own xyz", "Bearer xyz", "bearer eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmVk",
                "Bearer eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0." + "x" * 43):
        answer = server.request("GET", f"/f/{show}", headers={"Authorization": own}, token=None)
        event, user = answer.json()
        assert answer.status == 200 and user is None
        assert event["headers"]["authorization"] == own


def test_credentials_that_may_be_ours_stay_outside_though_they_are_wrong(server, show):
    forged = server.token[:-2] + ("AA" if server.token[-2:] != "AA" else "BB")
    unknown = "Basic " + base64.b64encode(b"nobody@example.org:password").decode()
    for wrong in (f"Bearer {forged}", unknown, unknown.replace(" ", "\t"), server.token,
                  f"Bearer  {server.token}", f"Token {server.token}", f"Bearer {server.token},",
                  server.token.rpartition(".")[0]):
        answer = server.request("GET", f"/f/{show}", headers={"Authorization": wrong}, token=None)
        event, user = answer.json()
        assert answer.status == 200 and user is None and "authorization" not in event["headers"]


def test_a_private_function_is_for_its_owner_alone(server):
    function = server.deploy("private", "python3", {"main.py": USER_SHOWN}, handler="main.handler")
    assert server.request("GET", f"/f/{function}").status == 200
    assert server.request("GET", "/f/admin/private").status == 200
    assert server.request("GET", f"/f/{function}", token=None).status == 401
    assert server.request("GET", "/f/admin/private", token=None).status == 401
    somebody = {"email": "somebody@example.org", "password": "long enough"}
    assert server.request("POST", "/api/v1/users", somebody, token=None).status == 201
    token = server.request("POST", "/api/v1/users/login", somebody, token=None).json()["token"]
    for path in (f"/f/{function}", "/f/admin/private"):
        assert server.request("GET", path, token=token).status == 404
    assert server.call(function, token=token).status == 404
    assert server.request("PATCH", f"/api/v1/functions/{function}", {"public": True}).status == 200
    assert server.request("GET", f"/f/{function}", token=token).status == 200
    assert server.request("GET", f"/f/{function}", token=None).body == b"None"
    assert server.request("PATCH", f"/api/v1/functions/{function}", {"public": False}).status == 200
    assert server.request("GET", f"/f/{function}", token=None).status == 401


@pytest.mark.parametrize("status", [200, 201, 204, 301, 304, 404, 418, 500, 503, 599])
def test_the_functions_status_is_the_answers(answering, status):
    answer = answering({"statusCode": status})
    assert answer.status == status and answer.body == b""


def test_headers_cookies_and_body_are_the_functions(answering):
    answer = answering({"statusCode": 200, "headers": {"X-Own": "1", "Content-Type": "text/html"},
                        "cookies": ["a=1", "b=2; HttpOnly"], "body": "<p>"})
    assert answer.headers["x-own"] == "1" and answer.headers["content-type"] == "text/html"
    assert answer.headers.get_all("set-cookie") == ["a=1", "b=2; HttpOnly"]
    assert answer.body == b"<p>"


def test_a_base64_body_is_decoded(answering):
    raw = bytes(range(256))
    answer = answering({"statusCode": 200, "isBase64Encoded": True,
                        "body": base64.b64encode(raw).decode()})
    assert answer.body == raw


def test_a_binary_body_is_sent_as_it_is(answering):
    raw = bytes(range(256))
    answer = answering({"statusCode": 200, "bytes": base64.b64encode(raw).decode()})
    assert answer.body == raw


def test_a_function_cannot_speak_in_the_platforms_name(answering):
    answer = answering({"statusCode": 200, "body": "x", "headers": {
        "Magpie-Invocation-Id": "forged", "magpie-start": "forged", "Magpie-Anything": "forged"}})
    assert answer.headers.get_all("Magpie-Invocation-Id")[0] != "forged"
    assert len(answer.headers.get_all("Magpie-Invocation-Id")) == 1
    assert answer.headers.get_all("Magpie-Start")[0] in ("cold", "warm", "thawed", "stolen")
    assert len(answer.headers.get_all("Magpie-Start")) == 1
    assert answer.headers["Magpie-Anything"] is None
    assert b"forged" not in str(answer.headers).encode()


@pytest.mark.parametrize("headers", [{"Content-Length": "1"}, {"Transfer-Encoding": "chunked"},
                                     {"Connection": "close"}, {"Content-Length": "1000"}])
def test_the_platform_alone_frames_the_answer(answering, headers):
    answer = answering({"statusCode": 200, "headers": headers, "body": "four"})
    assert answer.status == 200 and answer.body == b"four"


@pytest.mark.parametrize("headers", [{"a b": "1"}, {"a": "1\r\nb: 2"}, {"a\n": "1"}, {"": "1"},
                                     {"a:b": "1"}, {"a": "\x00"}])
def test_headers_that_http_forbids_are_the_functions_failure(answering, headers):
    answer = answering({"statusCode": 200, "headers": headers, "body": "x"})
    assert answer.status == 502 and answer.json()["reason"] == "function.error"


@pytest.mark.parametrize("status", [99, 100, 199, 600, "abc"])
def test_a_status_that_is_none_is_the_functions_failure(answering, status):
    answer = answering({"statusCode": status, "body": "x"})
    assert answer.status == 502 and answer.json()["reason"] == "function.error"


def test_head_has_the_headers_of_get_and_no_body(server, show):
    with RawConnection(server.port) as client:
        client.send(f"HEAD /f/{show} HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = client.read_answer(head_only=True)
        assert answer.status == 200 and int(answer.headers["content-length"]) > 0
        # Nothing of a body is in the way of the next answer.
        client.send(f"GET /f/{show} HTTP/1.1\r\nHost: x\r\n\r\n")
        assert json.loads(client.read_answer().body)[1] is None
