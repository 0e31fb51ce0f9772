"""What a handler is given, what becomes of what it returns, and what an exec program gets: over HTTP."""
import json
import time

import pytest
from raw_http import eventually

# Answers with what it was given, the kind first.
KIND = {
    "python3": {"main.py": "def handler(event, context):\n"
                           "    shown = list(event) if isinstance(event, bytes) else event\n"
                           "    return [type(event).__name__, shown]\n"},
    "node": {"main.js": "exports.handler = (event) => [\n"
                        "  Buffer.isBuffer(event) ? 'bytes' : typeof event === 'string' ? 'str'\n"
                        "    : 'parsed', Buffer.isBuffer(event) ? [...event] : event];\n"},
}
RESULTS = {
    "python3": {"main.py": "def handler(event, context):\n"
                           "    return {'text': 'h\\u00e9', 'bytes': b'\\xff\\x00', 'list': [1, None],\n"
                           "            'object': {'a': 'h\\u00e9'}, 'nothing': None,\n"
                           "            'answer': {'statusCode': 418, 'body': '/wA=',\n"
                           "                       'isBase64Encoded': True,\n"
                           "                       'headers': {'X-Own': '1',\n"
                           "                                   'Content-Type': 'image/x'}}}[event]\n"},
    "node": {"main.mjs": "const results = {\n"
                         "  text: 'h\\u00e9', bytes: Buffer.from([255, 0]), list: [1, null],\n"
                         "  object: { a: 'h\\u00e9' }, nothing: null,\n"
                         "  answer: { statusCode: 418, body: '/wA=', isBase64Encoded: true,\n"
                         "    headers: { 'X-Own': '1', 'Content-Type': 'image/x' } } };\n"
                         "export const handler = async (event) => results[event];\n"},
}
CONTEXT = {
    "python3": {"main.py": "def handler(event, context):\n"
                           "    return [context.invocation_id, context.function_name,\n"
                           "            context.function_version, context.memory_limit_in_mb,\n"
                           "            context.user_id, context.deadline_ms]\n"},
    "node": {"main.js": "exports.handler = (event, context) => [\n"
                        "  context.invocationId, context.functionName, context.functionVersion,\n"
                        "  context.memoryLimitInMB, context.userId, context.deadlineMs];\n"},
    "exec": {"main": "#!/bin/sh\n"
                     "printf '[\"%s\",\"%s\",%s,%s,\"%s\",%s]' $MAGPIE_INVOCATION_ID"
                     " $MAGPIE_FUNCTION_NAME $MAGPIE_FUNCTION_VERSION"
                     " $((MAGPIE_MEMORY_BYTES >> 20)) $MAGPIE_USER $MAGPIE_DEADLINE_MS\n"},
}
# Its arguments, the length of the first, and of its input; a word to the log.
SCRIPT = "#!/bin/sh\necho \"a word\" >&2\necho $# ${#1} $(wc -c)\n"


def deploy(server, name, runtime, code, **settings):
    """Without a handler: each of these has one that is found."""
    return server.deploy(f"{name}-{runtime}", runtime, code[runtime], **settings)


@pytest.fixture(scope="module", params=sorted(KIND))
def kind(request, server):
    return deploy(server, "kind", request.param, KIND)


@pytest.fixture(scope="module", params=sorted(RESULTS))
def results(request, server):
    return deploy(server, "results", request.param, RESULTS)


@pytest.mark.parametrize("payload, kinds, value", [
    (b'{"a":[1,null]}', {"dict", "parsed"}, {"a": [1, None]}),
    (b" 1.5 ", {"float", "parsed"}, 1.5),
    (b'"text"', {"str"}, "text"),
    (b"no {json}", {"str"}, "no {json}"),
    ("hé".encode(), {"str"}, "hé"),
    (b"", {"str"}, ""),
    (b"\xff\x00", {"bytes"}, [255, 0]),
])
def test_the_event_is_the_json_or_the_text_or_the_bytes(server, kind, payload, kinds, value):
    given, shown = server.call(kind, payload).json()
    assert given in kinds and shown == value


@pytest.mark.parametrize("event, status, kind, body", [
    ("text", 201, "text/plain; charset=utf-8", "hé".encode()),
    ("bytes", 201, "application/octet-stream", b"\xff\x00"),
    ("answer", 418, "image/x", b"\xff\x00"),
])
def test_text_and_bytes_and_http_answers_go_out_as_they_are(server, results, event, status, kind, body):
    answer = server.call(results, json.dumps(event))
    assert (answer.status, answer.headers["Content-Type"], answer.body) == (status, kind, body)
    assert answer.headers["X-Own"] == ("1" if event == "answer" else None)


@pytest.mark.parametrize("event, value", [("list", [1, None]), ("object", {"a": "hé"}),
                                          ("nothing", None)])
def test_everything_else_goes_out_as_json(server, results, event, value):
    answer = server.call(results, json.dumps(event))
    assert answer.status == 201 and answer.headers["Content-Type"] == "application/json"
    assert answer.json() == value


@pytest.mark.parametrize("runtime", sorted(CONTEXT))
def test_the_context_says_what_runs_for_whom_and_until_when(server, runtime):
    function = deploy(server, "context", runtime, CONTEXT, memory="64MiB", timeout="5s")
    server.request("PATCH", f"/api/v1/functions/{function}", {"timeout": "6s"})
    now_ms = time.time() * 1000
    answer = server.call(function)
    invocation, name, version, memory, user, deadline_ms = answer.json()
    assert invocation == answer.headers["Magpie-Invocation-Id"]
    assert (name, str(version), memory) == (f"context-{runtime}", "2", 64)
    assert user == server.request("GET", "/api/v1/users/me").json()["userId"]
    assert now_ms + 5900 < deadline_ms < now_ms + 36000


@pytest.mark.parametrize("payload, given", [
    (b"", "1 0 0"), (b"a b", "1 3 3"), (b"x" * 65535, "1 65535 65535"), (b"x" * 65536, "0 0 65536"),
    (b"a\0b", "0 0 3")], ids=["none", "short", "longest", "longer", "NUL"])
def test_an_exec_program_has_the_payload_as_its_argument_while_it_can_be_one(server, payload, given):
    if server.request("GET", "/api/v1/functions/script").status == 404:
        server.deploy("script", "exec", {"main": SCRIPT})
    answer = server.call("script", payload)
    assert answer.status == 201 and answer.body.decode().split() == given.split()
    eventually(lambda: b"a word" in server.request(
        "GET", "/api/v1/functions/script/logs?invocation=" +
        answer.headers["Magpie-Invocation-Id"]).body, "stderr is the log")
