"""What only the Python shim has to get right."""
import os
import shutil
import sysconfig
import textwrap

import pytest


def handler(body, before=""):
    return textwrap.dedent(before) + "\ndef handler(event, context):\n" + textwrap.indent(
        textwrap.dedent(body), "    ")


def test_a_coroutine_function_is_awaited(python):
    worker = python.start("""
import asyncio
async def handler(event, context):
    await asyncio.sleep(0)
    if event == "fail":
        await fail()
    return {"got": event}
async def fail():
    raise KeyError("deep")
""")
    assert worker.invoke(b'"x"').json == {"got": "x"}
    answer = worker.invoke(b'"fail"')
    assert answer.error["errorType"] == "KeyError"
    assert [line.split(",")[0] for line in answer.error["stackTrace"]] == ['  File "main.py"'] * 2
    assert worker.invoke(b'"y"').json == {"got": "y"}


def test_the_event_loop_lives_on_between_invocations(python):
    worker = python.start("""
import asyncio
tasks = []
async def background():
    while True:
        await asyncio.sleep(0)
async def handler(event, context):
    if not tasks:
        tasks.append(asyncio.create_task(background()))
    return [id(asyncio.get_running_loop()), tasks[0].done()]
""")
    first, second = worker.invoke().json, worker.invoke().json
    assert first == second and first[1] is False


def test_an_async_generator_is_streamed(python):
    worker = python.start("""
import asyncio
async def handler(event, context):
    for piece in ("a", "b"):
        await asyncio.sleep(0)
        yield piece
    if event == "fail":
        raise ValueError("late")
""")
    answer = worker.invoke()
    assert answer.body == b"ab" and answer.frames == 3 and answer.error is None
    assert worker.invoke(b'"fail"').error["errorMessage"] == "late"


def test_subclasses_of_the_plain_kinds_are_sent_like_them(python):
    worker = python.start("""
import collections, enum
class Text(str): pass
class Number(enum.IntEnum): ONE = 1
def handler(event, context):
    return {"text": Text("a"), "bytes": bytearray(b"b"), "view": memoryview(b"c"), "number": Number.ONE,
            "dict": collections.OrderedDict(a=1), "list": collections.UserList, "tuple": (1, 2),
            "http": collections.OrderedDict(statusCode=201, body="d")}[event]
""")
    assert worker.invoke(b'"text"').body == b"a"
    assert worker.invoke(b'"bytes"').body == b"b" and worker.invoke(b'"view"').body == b"c"
    assert worker.invoke(b'"number"').json == 1 and worker.invoke(b'"dict"').json == {"a": 1}
    assert worker.invoke(b'"tuple"').json == [1, 2] and worker.invoke(b'"http"').status == 201
    assert worker.invoke(b'"list"').error["errorType"] == "Runtime.MarshalError"


def test_a_forked_child_does_not_answer_for_its_parent(python):
    worker = python.start("""
import os
def handler(event, context):
    pid = os.fork()
    if pid == 0:
        print("in the child")
        if event == "raise":
            raise ValueError("in the child")
        return "the child's answer"
    os.waitpid(pid, 0)
    return "the parent's answer"
""")
    for event in (b'"return"', b'"raise"'):
        answer = worker.invoke(event)
        assert answer.body == b"the parent's answer" and answer.logs == []
    raw = worker.raw_log()
    assert raw.count("in the child\n") == 3 and "Traceback" in raw, "a child writes to the pipe itself"
    assert worker.invoke(b"1").body == b"the parent's answer"


def test_multiprocessing_works(python):
    worker = python.start("""
import multiprocessing
def work(number, end):
    print("working")
    end.send(number * number)
def handler(event, context):
    context = multiprocessing.get_context(event)
    mine, theirs = context.Pipe()
    child = context.Process(target=work, args=(7, theirs))
    child.start()
    result = mine.recv()
    child.join()
    return [result, child.exitcode]
""")
    assert worker.invoke(b'"fork"').json == [49, 0]
    assert worker.invoke(b'"spawn"').json == [49, 0]


def test_a_thread_may_print_at_any_moment(python):
    """Its lines carry a running invocation's number or none: the client checks each."""
    worker = python.start("""
import sys, threading, time
sys.setswitchinterval(1e-5)
count = 0
def chatter():
    global count
    while True:
        print("line", count)
        count += 1
def handler(event, context):
    global thread
    if event == "start":
        threading.Thread(target=chatter, daemon=True).start()
    time.sleep(0.0001)  # so that it speaks within invocations, too
    return count
""")
    worker.invoke(b'"start"')
    for _ in range(200):
        worker.invoke(b"1")
    lines = "".join(text for _, text in worker.all_logs).split("\n")[:-1]
    assert len(lines) > 200 and lines == [f"line {n}" for n in range(len(lines))]
    assert 0 < len(worker.loose_logs) < len(worker.all_logs), "some fell between invocations"


def test_an_exception_in_a_thread_is_logged_and_no_more(python):
    worker = python.start(handler("""
        thread = threading.Thread(target=lambda: 1 / 0)
        thread.start()
        thread.join()
        return "fine"
    """, "import threading"))
    answer = worker.invoke()
    assert answer.body == b"fine" and "ZeroDivisionError" in answer.log(2)


def test_logging_goes_where_print_goes(python):
    worker = python.start(handler("""
        logging.warning("careful")
        logging.getLogger("deep").error("broken %s", 5)
    """, "import logging"))
    assert worker.invoke().logs == [(2, "WARNING:root:careful\n"), (2, "ERROR:deep:broken 5\n")]


def test_the_streams_are_what_programs_expect_of_them(python):
    worker = python.start(handler("""
        sys.stdout.buffer.write(b"bytes\\n")
        sys.stdout.writelines(["a", "b\\n"])
        sys.stdout.reconfigure(line_buffering=True)
        print("c", end="", flush=True)
        print("d")
        sys.__stderr__.write("e\\n")
        with contextlib.redirect_stdout(sys.stderr):
            print("f")
        return [sys.stdout.fileno(), sys.stderr.fileno(), sys.stdout.isatty(), sys.stdout.encoding]
    """, "import sys, contextlib"))
    answer = worker.invoke()
    assert answer.json == [1, 2, False, "utf-8"]
    assert answer.log(1) == "bytes\nab\ncd\n" and answer.log(2) == "e\nf\n"


def test_a_function_that_closes_stdout_goes_on(python):
    worker = python.start(handler("sys.stdout.close()\nreturn 1", "import sys"))
    assert worker.invoke().json == 1
    assert worker.invoke().json == 1


def test_a_signal_handler_may_print_while_the_worker_waits(python):
    worker = python.start(handler("signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)", """
        import signal
        signal.signal(signal.SIGALRM, lambda *_: print("alarm"))
    """))
    worker.invoke()
    while sum(text == "alarm\n" for _, text in worker.loose_logs) < 5:
        assert worker.receive().number == 0
    assert worker.invoke().json is None


def test_the_users_objects_do_not_outlive_the_invocation(python):
    worker = python.start(handler("""
        before = Big.alive
        return {"statusCode": 200, "body": str(before), "big": Big()}
    """, """
        class Big:
            alive = 0
            def __init__(self): Big.alive += 1
            def __del__(self): Big.alive -= 1
    """))
    assert [worker.invoke().body for _ in range(3)] == [b"0", b"0", b"0"]


@pytest.mark.parametrize("modules", ["ssl, sqlite3, urllib.request, ctypes, decimal, zoneinfo, uuid"])
def test_the_standard_library_is_there(python, modules):
    assert python.start(handler("return 'all there'", f"import {modules}")).invoke().body == b"all there"


def test_modules_and_extensions_in_the_bundle_come_first(python):
    folder = sysconfig.get_path("stdlib", vars={"base": "/usr", "installed_base": "/usr"})
    extension = next(name for name in os.listdir(f"{folder}/lib-dynload") if name.startswith("_lsprof."))
    worker = python.boot({
        "main.py": handler("return [_lsprof.__file__, helper.VALUE, inner.VALUE]",
                           "import _lsprof, helper, package.inner as inner"),
        "helper.py": "VALUE = 1",
        "package/inner.py": "VALUE = 2",
        extension: open(f"{folder}/lib-dynload/{extension}", "rb").read(),
    })
    worker.until_ready()
    path, *values = worker.invoke().json
    assert os.path.dirname(path) == os.path.realpath(python.folder / "code0") and values == [1, 2]


def test_user_code_sees_nothing_of_the_shim_on_its_path(python):
    worker = python.start(handler("""
        import os
        return [sys.path[0] == os.getcwd(), [p for p in sys.path if "runtimes" in p or "magpie" in p]]
    """, "import sys"))
    assert worker.invoke().json == [True, []]


def test_nothing_is_written_into_the_bundle(python):
    python.start({"main.py": handler("return 1", "import helper"), "helper.py": ""})
    assert sorted(os.listdir(python.folder / "code0")) == ["helper.py", "main.py"]


def test_a_chained_exception_is_logged_whole(python):
    worker = python.start(handler("""
        try:
            {}["missing"]
        except KeyError as error:
            raise RuntimeError("wrapped") from error
    """))
    answer = worker.invoke()
    assert answer.error["errorType"] == "RuntimeError"
    assert "KeyError: 'missing'" in answer.log(2) and "direct cause" in answer.log(2)


def test_a_context_shows_what_it_is(python):
    worker = python.start(handler("return [repr(context), context.user_id]"))
    assert worker.invoke(invocation="01INV", user="01USER").json == [
        "<Context of greeter, invocation 01INV>", "01USER"]


def test_start_imports_no_more_than_it_needs(python):
    """Each of these costs milliseconds of every cold start."""
    worker = python.start(handler("return sorted(sys.modules)", "import sys"))
    loaded = set(worker.invoke().json)
    assert not loaded & {"json", "re", "os", "traceback", "asyncio", "enum", "collections", "site", "socket"}


def test_a_module_named_like_one_of_the_shims_is_the_users(python):
    worker = python.start({
        "main.py": handler("return [worker.MINE, frame.MINE]", "import worker, frame"),
        "worker.py": "MINE = 1", "frame.py": "MINE = 2"})
    assert worker.invoke().json == [1, 2]


def test_a_broken_import_inside_a_package_is_not_taken_for_a_missing_handler(python):
    text = python.refusal({"main.py": "import package", "package/__init__.py": "import missing"})
    assert "No module named 'missing'" in text and 'File "package/__init__.py", line 1' in text
    assert "the bundle needs" not in text


def test_verification_names_every_broken_file(python):
    text = python.refusal({"main.py": "x = (", "a.py": "def f(:\n", "b.py": b"x = '\xff'", "c.py": "x = '\0'"},
                          MAGPIE_VERIFY="1")
    for name in ("main.py", "a.py", "b.py", "c.py"):
        assert f'"{name}"' in text
    assert shutil.which("python3") and text.count("Error") >= 4
