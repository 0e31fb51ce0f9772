"""AWS's own runtime client for Node in an image, as its documentation packs it: nothing of it knows
that this is not Lambda. `tools/lambda_client` puts it where it is looked for."""
import http.client
import pathlib

import pytest
from conftest import ROOT
from image_layers import add_folder, libraries
from oci import Image, Layer
from people import expect_problem

CLIENT = ROOT / "build/lambda-client/node_modules"

pytestmark = pytest.mark.skipif(
    not (CLIENT / "aws-lambda-ric/dist/rapid-client.node").exists(),
    reason="aws-lambda-ric has not been built: tools/lambda_client")

APP = """
const { once } = require('events');
const { setTimeout: sleep } = require('timers/promises');
exports.handler = async (event, context) => ({ event, name: context.functionName,
  memory: context.memoryLimitInMB, root: process.env.LAMBDA_TASK_ROOT });
exports.answer = async (event) => ({ statusCode: 418, headers: { 'x-a': 'b' }, cookies: ['c=1'],
  body: event.requestContext.http.method + event.rawPath + '?' + event.rawQueryString + event.body });
exports.fail = async () => { throw new RangeError('bad'); };
exports.exit = async () => process.exit(3);
exports.late = async () => sleep(60_000);
exports.stream = awslambda.streamifyResponse(async (event, stream) => {
  stream = awslambda.HttpResponseStream.from(stream, { statusCode: 202,
    headers: { 'content-type': 'text/plain' } });
  for (let piece = 0; piece < 50; piece++)
    if (!stream.write('x'.repeat(20_000))) await once(stream, 'drain');
  stream.end('end');
});
"""


@pytest.fixture(scope="module")
def client(registry, node_layer):
    """client("app.handler", ...) -> reference of an image whose Cmd is that handler."""
    modules = add_folder(Layer(""), CLIENT, "function/node_modules")
    for library in libraries(CLIENT / "aws-lambda-ric/dist/rapid-client.node"):
        modules.file(library.lstrip("/"), pathlib.Path(library).read_bytes(), 0o755)
    code = Layer().file("function/app.js", APP).file(
        "function/broken.js", "throw new TypeError('at the start');")

    def client(handler):
        image = Image([node_layer, modules, code], {
            "Entrypoint": ["/usr/bin/node", "node_modules/aws-lambda-ric/bin/index.mjs"],
            "Cmd": [handler], "WorkingDir": "/function",
            "Labels": {"magpie.contract": "lambda"}})
        return registry.push("lambda/client", handler.replace(".", "-"), image)
    return client


@pytest.fixture
def function(client, person, deployed):
    def function(handler, **fields):
        made = deployed(person, client(handler), name=handler.replace(".", "-"), **fields)
        assert made["contract"] == "lambda"
        return made
    return function


def test_a_buffered_answer(function, person):
    made = function("app.handler", memory="192MiB")
    answer = person.server.call(made["functionId"], b'{"n":1}', token=person.token)
    assert answer.status == 201, answer
    assert answer.json() == {"event": {"n": 1}, "name": "app-handler", "memory": "192",
                             "root": "/function"}


def test_an_event_of_a_url_and_an_http_answer(function, ask):
    made = function("app.answer")
    for _ in range(2):
        answer = ask(made, "/a/b?c=d", b"body", "PUT")
        assert (answer.status, answer.body) == (418, b"PUT/a/b?c=dbody")
        assert answer.headers["X-A"] == "b" and answer.headers["Set-Cookie"] == "c=1"


def test_a_streamed_answer(function, person):
    made = function("app.stream")
    connection = http.client.HTTPConnection("127.0.0.1", person.server.port, timeout=60)
    connection.request("GET", f"/f/{made['functionId']}/",
                       headers={"Authorization": "Bearer " + person.token})
    answer = connection.getresponse()
    assert answer.status == 202 and answer.headers["Transfer-Encoding"] == "chunked"
    assert answer.read() == b"x" * 1_000_000 + b"end"
    connection.close()


def test_an_error_has_its_type_and_the_client_goes_on(function, person):
    made = function("app.fail")
    for start in ("cold", "warm"):
        answer = person.server.call(made["functionId"], b"{}", token=person.token)
        expect_problem(answer, 502, "function.error", "RangeError", "bad")
        assert (answer.headers["Magpie-Start"] == "cold") == (start == "cold"), answer.headers


def test_an_exit_fails_the_call_and_the_next_has_another_instance(function, person):
    made = function("app.exit")
    for _ in range(2):
        answer = person.server.call(made["functionId"], b"{}", token=person.token)
        expect_problem(answer, 502, "function.exited", "status 3")
        assert answer.headers["Magpie-Start"] == "cold"


def test_a_time_out_ends_the_instance(function, person):
    made = function("app.late", timeout="1s")
    for _ in range(2):
        answer = person.server.call(made["functionId"], b"{}", token=person.token)
        expect_problem(answer, 504, "function.timeout")
        assert answer.headers["Magpie-Start"] == "cold"


@pytest.mark.parametrize("handler, words", [
    ("broken.handler", "TypeError: at the start"), ("absent.handler", "Runtime.ImportModuleError"),
    ("app.absent", "Runtime.HandlerNotFound")])
def test_what_cannot_be_loaded_is_refused_in_the_clients_words(client, person, handler, words):
    answer = person.request("POST", "/api/v1/functions", {
        "image": client(handler), "name": handler.replace(".", "-")})
    expect_problem(answer, 400, "function.refused", words)
