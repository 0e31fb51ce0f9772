"""Streamed results, the same in Python and in Node."""
import pytest
from worker_client import END, LOG

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
const pieces = [Buffer.from("a"), new Uint8Array([98]), new Uint8Array([99]).buffer];
exports.handler = (event) => ({ text, bytes: () => pieces[Symbol.iterator](),
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
