"""What only the Node shim has to get right."""
import signal
import subprocess

import pytest
from worker_client import LOG

SLEEP = "const sleep = (ms) => new Promise((done) => setTimeout(done, ms));\n"


def test_an_async_handler_is_awaited_however_long_it_takes(node):
    worker = node.start(SLEEP + """
exports.handler = async (event) => {
  if (event === "at once") return 1;
  if (event === "microtasks") { for (let i = 0; i < 100; i++) await null; return 2; }
  if (event === "tick") { await new Promise(process.nextTick); return 3; }
  if (event === "immediate") { await new Promise(setImmediate); return 4; }
  if (event === "timer") { await sleep(3); return 5; }
  if (event === "file") return (await require("fs").promises.readFile(__filename, "utf8")).length > 0 ? 6 : 0;
  if (event === "fail") { await sleep(1); throw new RangeError("late"); }
};
""")
    for round_ in range(2):
        for value, event in enumerate(["at once", "microtasks", "tick", "immediate", "timer", "file"], 1):
            assert worker.invoke(b'"%s"' % event.encode()).json == value
        assert worker.invoke(b'"fail"').error["errorType"] == "RangeError"


def test_async_requests_pushed_ahead_are_answered_one_after_the_other(node):
    worker = node.start(SLEEP + """
let busy = false;
exports.handler = async (event) => {
  if (busy) throw new Error("two at once");
  busy = true;
  if (event % 3 === 0) await sleep(1);
  busy = false;
  return event;
};
""")
    numbers = [worker.send(str(n).encode()) for n in range(30)]
    assert [worker.result(number).json for number in numbers] == list(range(30))


def test_a_thenable_is_awaited(node):
    worker = node.start("exports.handler = () => ({ then: (done) => done('thenable') });")
    assert worker.invoke().body == b"thenable"


def test_a_callback_answers_too(node):
    worker = node.start("""
exports.handler = (event, context, callback) => {
  if (event === "now") callback(null, "now");
  if (event === "later") setTimeout(() => callback(null, "later"), 2);
  if (event === "fail") callback(new RangeError("by callback"));
  if (event === "throw") throw new TypeError("thrown");
  if (event === "promise") return Promise.resolve("promised");
};
""")
    for event in ("now", "later"):
        assert worker.invoke(b'"%s"' % event.encode()).body.decode() == event
    assert worker.invoke(b'"promise"').body == b"promised"
    assert worker.invoke(b'"fail"').error["errorMessage"] == "by callback"
    assert worker.invoke(b'"throw"').error["errorType"] == "TypeError"


def test_what_a_handler_left_behind_goes_on_between_invocations(node):
    worker = node.start(SLEEP + """
exports.handler = (event) => { setTimeout(() => console.log("afterwards"), 5); return 1; };
""")
    assert worker.invoke().json == 1
    frame = worker.receive()
    assert (frame.kind, frame.number, frame.payload) == (LOG, 0, b"afterwards\n")
    assert worker.invoke().json == 1, "and requests still come through"


@pytest.mark.parametrize("statement", [
    "Promise.resolve().then(() => null).then(() => console.log('later'))",
    "process.nextTick(() => console.log('later'))",
    "setImmediate(() => console.log('later'))",
    "queueMicrotask(() => console.log('later'))",
    "require('fs').readFile(__filename, () => console.log('later'))",
])
def test_nothing_that_is_due_waits_for_the_next_request(node, statement):
    worker = node.start("exports.handler = () => { %s; return 1; };" % statement)
    assert worker.invoke().json == 1
    if not worker.loose_logs:
        worker.receive()
    assert worker.loose_logs == [(1, "later\n")]


def test_requests_come_through_while_something_stays_active(node):
    worker = node.start("""
setInterval(() => {}, 1);
exports.handler = (event) => event;
""")
    numbers = [worker.send(str(n).encode()) for n in range(100)]
    assert [worker.result(number).json for number in numbers] == list(range(100))


def test_a_promise_that_can_never_settle_is_an_error_and_not_a_hang(node):
    worker = node.start("""
const kept = [];
exports.handler = (event) => {
  if (event === "never") return new Promise((done) => kept.push(done));
  if (event === "settle it") kept.forEach((done) => done("too late"));
  if (event === "stream") {
    return (async function* () {
      yield "a";
      await new Promise((done) => kept.push(done));
      yield "b";
    })();
  }
  return event;
};
""")
    assert worker.invoke(b'"never"').error["errorType"] == "Runtime.UnsettledPromise"
    assert worker.invoke(b'"settle it"').body == b"settle it", "not the answer of the one given up"
    answer = worker.invoke(b'"stream"')
    assert answer.body == b"a" and answer.error["errorType"] == "Runtime.UnsettledPromise"
    assert worker.invoke(b'"settle it"').body == b"settle it"
    assert [worker.invoke(b"%d" % n).json for n in range(5)] == list(range(5))


@pytest.mark.parametrize("before, after", [("", ""), ("yield 'a';", ""), ("", "yield 'b';")])
@pytest.mark.parametrize("wrap", ["%s", "({statusCode: 200, body: %s})"])
@pytest.mark.parametrize("answer", ["return 'own'", "return (async function* () { yield 'own'; })()"])
def test_the_end_of_a_stream_that_was_given_up_is_nobodys(node, before, after, wrap, answer):
    stream = wrap % f"(async function* () {{ {before} await gate; {after} }})()"
    worker = node.start(f"""
let open;
const gate = new Promise((done) => {{ open = done; }});
exports.handler = async (event) => {{
  if (event === "stream") return {stream};
  open();
  await new Promise(setImmediate); // whatever has waited for it goes on now
  {answer};
}};
""")
    given_up = worker.invoke(b'"stream"')
    assert given_up.error["errorType"] == "Runtime.UnsettledPromise"
    for _ in range(3):
        answer = worker.invoke(b'"other"')
        assert (answer.body, answer.error) == (b"own", None)


@pytest.mark.parametrize("statement, kind", [
    ("setTimeout(() => { throw new RangeError('stray'); }, 1); await sleep(1000)", "RangeError"),
    ("process.nextTick(() => { throw new RangeError('stray'); }); await sleep(1000)", "RangeError"),
    ("Promise.reject(new RangeError('stray')); await sleep(1000)", "RangeError"),
    ("new (require('events'))().emit('error', new RangeError('stray'))", "RangeError"),
])
def test_a_stray_exception_fails_the_invocation_and_ends_the_instance(node, statement, kind):
    worker = node.start(SLEEP + "exports.handler = async () => { console.log('x'); %s; };" % statement)
    answer = worker.invoke()
    assert answer.error["errorType"] == kind and answer.error["errorMessage"] == "stray"
    assert "main.js" in answer.log(2)
    if "emit" not in statement:  # that one the handler itself threw
        assert worker.wait() == 1


def test_a_stray_exception_between_invocations_ends_the_instance(node):
    worker = node.start("""
exports.handler = () => {
  process.nextTick(() => { throw new Error('stray'); });
  return 1;
};
""")
    assert worker.invoke().json == 1
    assert worker.receive().number == 0 and worker.wait() == 1


def test_without_its_addon_the_shim_ends_at_once_all_the_same(node):
    """Where it cannot be loaded, as beside these sources: not with the status that was asked for, but before
    it receives a request."""
    worker = node.start("""
exports.handler = () => { setTimeout(() => { process.stdout.write('bye'); process.exit(3); }, 5); return 1; };
""")
    assert worker.invoke().json == 1
    assert worker.receive().payload == b"bye" and worker.receive() is None
    assert worker.wait() == -signal.SIGKILL


def test_a_rejection_that_the_user_handles_is_none(node):
    worker = node.start("""
process.on("unhandledRejection", (reason) => console.log("handled", reason.message));
exports.handler = () => { Promise.reject(new Error("oops")); return 1; };
""")
    assert worker.invoke().json == 1
    if not worker.loose_logs:
        worker.receive()
    assert worker.loose_logs == [(1, "handled oops\n")]
    assert worker.invoke().json == 1


def test_without_node_s_own_way_to_run_microtasks_all_goes_on(node):
    """process._tickCallback is not documented: the day it is gone, a turn of the loop does its work."""
    worker = node.start({"main.js": SLEEP + """
const later = async (event) => {
  if (event === "timer") await sleep(1);
  return 2;
};
exports.handler = (event) => event === "sync" ? 1 : later(event);
""", "preload.js": "delete process._tickCallback;"}, NODE_OPTIONS="--require ./preload.js")
    for _ in range(3):
        assert worker.invoke(b'"sync"').json == 1
        assert worker.invoke(b'"async"').json == 2 and worker.invoke(b'"timer"').json == 2


def test_typed_arrays_and_undefined_have_their_form(node):
    worker = node.start("""
exports.handler = (event) => ({ view: new Uint16Array([0x4241, 0x4443, 5]).subarray(0, 2),
  buffer: new Uint8Array([65]).buffer, data: new DataView(new Uint8Array([66]).buffer),
  date: new Date(0) })[event];
""")
    assert worker.invoke(b'"view"').body == b"ABCD" and worker.invoke(b'"buffer"').body == b"A"
    assert worker.invoke(b'"data"').body == b"B"
    assert worker.invoke(b'"date"').json == "1970-01-01T00:00:00.000Z"
    assert worker.invoke(b'"nothing"').body == b"null"


def test_a_web_stream_is_a_stream(node):
    worker = node.start("""
exports.handler = () => new Blob(["web ", "stream"]).stream();
""")
    assert worker.invoke().body == b"web stream"


def test_es_modules_are_loaded(node):
    module = ("import fs from 'node:fs';\n"
              "export const handler = async (event) => [event, typeof fs.readFileSync];\n")
    assert node.start({"main.mjs": module}).invoke(b"1").json == [1, "function"]
    typed = {"main.js": module, "package.json": '{"type":"module"}'}
    assert node.start(typed).invoke(b"2").json == [2, "function"]
    assert node.start(typed, MAGPIE_VERIFY="1").invoke(b"3").json == [3, "function"]
    default = {"main.mjs": "export default { handler: () => 'from default' };"}
    assert node.start(default).invoke().body == b"from default"
    waiting = {"main.mjs": SLEEP + "await sleep(2); export const handler = () => 4;"}
    assert node.start(waiting).invoke().json == 4


def test_a_cjs_file_in_a_module_package_is_a_script(node):
    files = {"main.cjs": "exports.handler = () => 5;", "package.json": '{"type":"module"}'}
    assert node.start(files, MAGPIE_VERIFY="1").invoke().json == 5


def test_a_syntax_error_in_a_module_is_refused_with_line_and_caret(node):
    text = node.refusal({"main.mjs": "export const handler = 1;\nlet x = = 2;\n"}, MAGPIE_VERIFY="1")
    assert "main.mjs:2" in text and "^" in text and "SyntaxError" in text
    assert "shim" not in text and "verify" not in text and "Node.js v" not in text
    text = node.refusal({"main.mjs": "export const handler = () => 1;", "lib/a.mjs": "import {;\n"},
                        MAGPIE_VERIFY="1")
    assert "lib/a.mjs:1" in text


def test_verification_takes_hash_bangs_top_level_await_and_meta_for_what_they_are(node):
    files = {"main.mjs": "#!/usr/bin/env node\nawait null; export const handler = () => import.meta.url.slice(-8);",
             "tool.js": "#!/usr/bin/env node\nreturn;\n", "b.cjs": "\ufeffmodule.exports = 1;"}
    assert node.start(files, MAGPIE_VERIFY="1").invoke().body == b"main.mjs"


def test_a_module_that_never_finishes_loading_is_refused(node):
    text = node.refusal({"main.mjs": "await new Promise(() => {}); export const handler = 1;"})
    assert "never finishes" in text


def test_an_exception_beside_a_loading_module_is_refused(node):
    text = node.refusal({"main.mjs": "setTimeout(() => { throw new RangeError('beside'); }, 1);\n"
                                     "await new Promise(() => setTimeout(() => {}, 5000));"})
    assert "RangeError: beside" in text and "main.mjs:1" in text


def test_console_and_streams_are_what_programs_expect_of_them(node):
    worker = node.start("""
const { pipeline } = require("stream/promises");
const { Readable } = require("stream");
exports.handler = async () => {
  console.info("%s is %d", "x", 5); console.warn({ a: [1] }); console.table([[1]]);
  process.stdout.write("callback\\n", () => {});
  await pipeline(Readable.from(["pip", "ed\\n"]), process.stdout, { end: false });
  return [process.stdout.fd, process.stderr.fd, process.stdout.isTTY === true];
};
""")
    answer = worker.invoke()
    assert answer.json == [1, 2, False]
    assert answer.log(1).startswith("x is 5\n┌") and answer.log(1).endswith("callback\npiped\n")
    assert answer.log(2) == "{ a: [ 1 ] }\n"


@pytest.mark.parametrize("end", [
    "await pipeline(['a\\n'], stream)",
    "await pipeline(function* () { yield 'a\\n'; throw new Error('broken'); }, stream).catch(() => {})",
    "await new Promise((done) => stream.end('a\\n', done))",
    "stream.write('a\\n'); stream.destroy()",
])
@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_a_standard_stream_outlives_its_end(node, name, end):
    worker = node.start("""
const { pipeline } = require("stream/promises");
const stream = process.%s;
exports.handler = async () => {
  %s;
  stream.write("b\\n");
  await new Promise(setImmediate);
  stream.write("c\\n");
};
""" % (name, end))
    for _ in range(3):
        answer = worker.invoke()
        assert answer.error is None and answer.log() == "a\nb\nc\n"


def test_worker_threads_work_and_their_prints_are_logged(node):
    worker = node.start("""
const { Worker, isMainThread, parentPort } = require("worker_threads");
exports.handler = () => new Promise((done, failed) => {
  const thread = new Worker(`
    const { parentPort } = require('worker_threads');
    console.log('in a thread');
    parentPort.postMessage(42);`, { eval: true });
  let result;
  thread.on("message", (message) => { result = message; });
  thread.on("error", failed);
  thread.on("exit", () => done(result));
});
""")
    answer = worker.invoke()
    assert answer.json == 42 and answer.log(1) == "in a thread\n"


def test_child_processes_work(node):
    worker = node.start("""
const { execFile } = require("child_process");
const { promisify } = require("util");
exports.handler = async () => (await promisify(execFile)("echo", ["hello"])).stdout;
""")
    assert worker.invoke().body == b"hello\n"


def test_servers_and_sockets_inside_a_function_work(node):
    worker = node.start("""
const http = require("http");
const server = http.createServer((request, response) => response.end("inside"));
const ready = new Promise((done) => server.listen(0, "127.0.0.1", done));
exports.handler = async () => {
  await ready;
  const answer = await fetch(`http://127.0.0.1:${server.address().port}/`);
  return answer.text();
};
""")
    for _ in range(3):
        assert worker.invoke().body == b"inside"


def test_an_error_with_a_cause_or_from_another_realm_is_told(node):
    worker = node.start("""
const vm = require("vm");
exports.handler = (event) => {
  if (event === "cause") throw new Error("outer", { cause: new RangeError("inner") });
  if (event === "realm") vm.runInNewContext("throw new TypeError('elsewhere')");
  if (event === "null") throw null;
  if (event === "object") throw { code: 5 };
  const trap = () => { throw new Error("trap"); };
  if (event === "proxy") throw new Proxy({}, { get: trap, getPrototypeOf: trap });
};
""")
    answer = worker.invoke(b'"cause"')
    assert answer.error["errorMessage"] == "outer" and "inner" in answer.log(2)
    answer = worker.invoke(b'"realm"')
    assert (answer.error["errorType"], answer.error["errorMessage"]) == ("TypeError", "elsewhere")
    for event in ("null", "object", "proxy"):
        assert worker.invoke(b'"%s"' % event.encode()).error["stackTrace"] == []


def test_start_loads_no_more_than_any_script_that_requires_fs_and_a_file(node, tmp_path):
    """Node's stream module alone costs two milliseconds of every cold start."""
    listing = "const loaded = [...process.moduleLoadList];\n"
    worker = node.start(listing + "exports.handler = () => loaded;")
    (tmp_path / "empty.js").write_text("")
    (tmp_path / "bare.js").write_text(
        f"require('fs');\nrequire('./empty');\n{listing}console.log(loaded.join('|'));")
    bare = subprocess.run([node.command[0], tmp_path / "bare.js"], stdout=subprocess.PIPE, text=True, check=True)
    assert set(worker.invoke().json) - set(bare.stdout.strip().split("|")) == set()
