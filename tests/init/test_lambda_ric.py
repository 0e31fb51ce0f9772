"""AWS's own runtime client for Node, unchanged, under the lambda contract. `tools/lambda_client`
puts it where it is looked for."""
import pytest
from conftest import NODE, ROOT

CLIENT = ROOT / "build/lambda-client/node_modules/aws-lambda-ric"

pytestmark = pytest.mark.skipif(not (CLIENT / "dist/rapid-client.node").exists(),
                                reason="aws-lambda-ric has not been built: tools/lambda_client")

APP = """
const {setTimeout: sleep} = require("timers/promises");
exports.handler = async (event, context) => ({
  event, id: context.awsRequestId, name: context.functionName, version: context.functionVersion,
  memory: context.memoryLimitInMB, arn: context.invokedFunctionArn,
  left: context.getRemainingTimeInMillis() > 0,
});
exports.callback = (event, context, callback) => callback(null, { statusCode: 418, body: "tea" });
exports.fail = async () => { throw new RangeError("bad ü"); };
exports.exit = async () => process.exit(3);
exports.stream = awslambda.streamifyResponse(async (event, stream) => {
  stream = awslambda.HttpResponseStream.from(stream, {
    statusCode: 202, headers: { "x-a": "b" }, cookies: ["c=1"] });
  stream.write("one");
  await sleep(20);
  stream.write("two");
  stream.end();
});
exports.plain = awslambda.streamifyResponse(async (event, stream) => {
  stream.setContentType("text/plain");
  for (let i = 0; i < 100; i++) if (!stream.write("x".repeat(10_000))) await sleep(1);
  stream.end();
});
exports.late = awslambda.streamifyResponse(async (event, stream) => {
  stream.write("some");
  await sleep(20);
  throw new RangeError("late");
});
"""


@pytest.fixture
def ric(init):
    def start(handler, starter=None):
        init.write("app.js", APP)
        return (starter or init.start)("lambda", NODE, str(CLIENT / "bin/index.mjs"), handler,
                                       _HANDLER=handler)
    return start


def test_a_handler_is_called_with_event_and_context(ric):
    worker = ric("app.handler")
    for number in range(3):
        answer = worker.invoke(b'{"n": %d}' % number, invocation="01K0Z6Q4G3W9T2D7M5N8R1XHYB")
        assert answer.json == {
            "event": {"n": number}, "id": "01983e6b-9203-e274-269e-85aa301ec7cb",
            "name": "greeter", "version": "7", "memory": "128", "left": True,
            "arn": "arn:aws:lambda:us-east-1:000000000000:function:greeter"}


def test_a_large_event_passes(ric):
    event = b'"' + b"x" * 60_000 + b'"'
    assert ric("app.handler").invoke(event).json["event"] == "x" * 60_000


def test_an_http_answer_is_one(ric):
    answer = ric("app.callback").invoke(b"{}", http=("GET", "/", "", []))
    assert (answer.status, answer.body) == (418, b"tea")


def test_an_error_has_its_type_message_and_stack(ric):
    worker = ric("app.fail")
    for _ in range(2):
        error = worker.invoke(b"{}").error
        assert (error["errorType"], error["errorMessage"]) == ("RangeError", "bad ü")
        assert any("app.js" in line for line in error["stackTrace"])
    assert "Invoke Error" in worker.raw_log()


def test_an_exit_ends_the_instance(ric):
    worker = ric("app.exit")
    answer = worker.invoke(b"{}")
    assert answer.status is None and answer.error is None and worker.wait() == 3


def test_a_streamed_http_answer_has_status_headers_and_cookies(ric):
    worker = ric("app.stream")
    for _ in range(2):
        answer = worker.invoke(b"{}", http=("GET", "/", "", []))
        assert (answer.status, answer.body) == (202, b"onetwo")
        assert answer.headers == [("x-a", "b"), ("set-cookie", "c=1")] and answer.frames > 2


def test_a_plain_stream_has_its_content_type(ric):
    answer = ric("app.plain").invoke(b"{}")
    assert answer.headers == [("content-type", "text/plain")] and answer.body == b"x" * 1_000_000


def test_an_error_in_the_middle_breaks_a_stream_off(ric):
    worker = ric("app.late")
    for _ in range(2):
        answer = worker.invoke(b"{}")
        assert answer.body == b"some" and answer.error["errorMessage"] == "late"


def test_a_handler_that_is_missing_is_a_refusal(ric, init):
    text, status = ric("absent.handler", starter=init.refusal)
    assert text.startswith("Runtime.ImportModuleError: Error: Cannot find module 'absent'")
    assert status == 129
