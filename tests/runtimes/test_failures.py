"""Logs, errors and the ways of a process to end, the same in Python and in Node."""
import pytest
from worker_client import DATA, END, FRAME_MAX, INVOKE, pack

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
  if (event === "long") {
    console.log("x".repeat(200_000));
    console.log("y".repeat(40_000) + "\\n" + "z".repeat(40_000));
  }
  if (event === "crash") {
    console.log("last words"); process.stderr.write("and these\\n"); process.reallyExit(9);
  }
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
