"""Every failure is attributed, fails the one call that met it, and is over with the next call."""
import base64
import json
import threading
import time

import pytest
from raw_http import RawConnection, eventually, request

# One handler a language that does what the event says.
VILLAIN_PY = '''
import ctypes, os, sys, time


def handler(event, context):
    if event == "exit":
        os._exit(7)
    if event == "sys.exit":
        sys.exit(3)
    if event == "crash":
        ctypes.string_at(8)
    if event == "memory":
        hog = []
        while True:
            hog.append(bytearray(1 << 20))
    if event == "memory of a child":
        if os.fork() == 0:
            hog = []
            while True:
                hog.append(bytearray(1 << 20))
        time.sleep(60)
    if event == "hang":
        while True:
            pass
    if event == "sleep":
        time.sleep(60)
    if event == "error":
        raise ValueError("a secret of the owner")
    if event == "close":
        os.close(3)
        time.sleep(60)
    if event == "nonsense":
        os.write(3, b"nonsense")
        time.sleep(60)
    return event
'''
VILLAIN_JS = '''
exports.handler = async (event) => {
  if (event === 'exit') process.exit(7);
  if (event === 'abort') process.abort();
  if (event === 'memory') {
    const hog = [];
    for (;;) hog.push(Buffer.alloc(1 << 20, 1));
  }
  if (event === 'hang') for (;;);
  if (event === 'sleep') await new Promise((done) => setTimeout(done, 60000));
  if (event === 'never') await new Promise(() => {});
  if (event === 'error') throw new TypeError('a secret of the owner');
  if (event === 'late') { setTimeout(() => { throw new Error('late'); }, 0);
    await new Promise((done) => setTimeout(done, 60000)); }
  return event;
};
'''
VILLAIN_SH = '''#!/bin/sh
payload=$(cat)
case $payload in
exit) exit 7 ;;
crash) kill -SEGV $$ ;;
sleep) sleep 60 ;;
hang) while :; do :; done ;;
memory) exec /usr/bin/python3 -ISc 'hog = []
while True: hog.append(bytearray(1 << 20))' ;;
error) echo "a secret of the owner" >&2; exit 1 ;;
esac
printf "%s" "$payload"
'''
TIMEOUT = "1s"


@pytest.fixture(scope="module")
def bystander(server, compile_native):
    return server.deploy("bystander", "native", {"main": compile_native("worker")}, min=1)


def deploy_villains(server, compile_native, name, timeout):
    """{runtime: id}, each with 16 to 96 MiB."""
    def deploy(runtime, files, memory):
        return server.deploy(f"{name}-{runtime}", runtime, files, memory=memory, timeout=timeout,
                             public=True)
    return {"python3": deploy("python3", {"main.py": VILLAIN_PY}, "48MiB"),
            "node": deploy("node", {"main.js": VILLAIN_JS}, "96MiB"),
            "native": deploy("native", {"main": compile_native("worker")}, "16MiB"),
            "exec": deploy("exec", {"main": VILLAIN_SH}, "32MiB")}


@pytest.fixture(scope="module")
def villain(server, compile_native):
    return deploy_villains(server, compile_native, "villain", TIMEOUT)


@pytest.fixture(scope="module")
def patient_villain(server, compile_native):
    """Filling the memory takes a slow machine more than a second."""
    return deploy_villains(server, compile_native, "patient", "20s")


@pytest.fixture(scope="module")
def broken(server, compile_native):
    """Speaks the worker protocol by hand."""
    return server.deploy("broken", "native", {"main": compile_native("protocol")}, timeout=TIMEOUT)


def expect(server, function, event, status, reason, bystander):
    """The call fails as it should; the next one and somebody else's do not."""
    answer = server.call(function, event.encode())
    assert answer.status == status, answer
    problem = answer.json()
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert problem["reason"] == reason and problem["status"] == status
    assert problem["detail"] == problem["message"] and problem["title"]
    assert problem["invocationId"] == answer.headers["Magpie-Invocation-Id"]
    assert answer.headers["Magpie-Start"] in ("cold", "warm", "thawed", "stolen")
    assert list(answer.timing())[:3] == ["wait", "init", "run"]
    assert server.call(bystander, b"well?").body == b"well?"
    after = server.call(function, b"well?")
    assert after.status == 201 and after.body == b"well?", after
    return problem


@pytest.mark.parametrize("runtime,event", [
    ("python3", "hang"), ("python3", "sleep"), ("node", "hang"), ("node", "sleep"),
    ("native", "sleep 60000"), ("exec", "hang"), ("exec", "sleep")])
def test_more_time_than_allowed_is_function_timeout(server, villain, bystander, runtime, event):
    began = time.monotonic()
    expect(server, villain[runtime], event, 504, "function.timeout", bystander)
    assert time.monotonic() - began < 15


@pytest.mark.parametrize("runtime,event", [
    ("python3", "memory"), ("python3", "memory of a child"), ("node", "memory"),
    ("native", "memory"), ("native", "memory of a child"), ("exec", "memory")])
def test_more_memory_than_allowed_is_function_out_of_memory(server, patient_villain, bystander,
                                                            runtime, event):
    expect(server, patient_villain[runtime], event, 502, "function.out_of_memory", bystander)


@pytest.mark.parametrize("runtime,event", [
    ("python3", "exit"), ("python3", "sys.exit"), ("python3", "crash"), ("node", "exit"),
    ("node", "abort"), ("native", "exit 7"), ("native", "exit 0"), ("native", "crash")])
def test_an_end_in_the_middle_is_function_exited(server, villain, bystander, runtime, event):
    problem = expect(server, villain[runtime], event, 502, "function.exited", bystander)
    if event in ("exit", "exit 7"):
        assert "status 7" in problem["detail"]
    if runtime == "native" and event == "crash":
        assert "signal 11" in problem["detail"]


@pytest.mark.parametrize("event", ["exit", "error", "crash"])
def test_an_exec_program_that_fails_is_function_error(server, villain, bystander, event):
    """The program is one call's: its instance goes on."""
    expect(server, villain["exec"], event, 502, "function.error", bystander)


@pytest.mark.parametrize("runtime", ["python3", "node"])
def test_an_exception_is_told_to_the_owner_with_its_traceback(server, villain, bystander, runtime):
    problem = expect(server, villain[runtime], "error", 502, "function.error", bystander)
    assert "a secret of the owner" in problem["detail"]
    assert problem["error"]["errorType"] in ("ValueError", "TypeError")
    assert any("main." in line for line in problem["error"]["stackTrace"])


@pytest.mark.parametrize("runtime", ["python3", "node", "exec", "native"])
def test_an_anonymous_caller_learns_nothing_of_what_went_wrong_inside(server, villain, runtime):
    answer = server.request("POST", f"/f/{villain[runtime]}",
                            b"error" if runtime == "exec" else b"fail", token=None)
    if runtime in ("python3", "node"):
        function = server.deploy(f"secret-{runtime}", runtime, {
            "main.py": "def handler(event, context):\n    raise ValueError('a secret')\n",
        } if runtime == "python3" else {
            "main.js": "exports.handler = () => { throw new Error('a secret'); };\n"}, public=True)
        answer = server.request("POST", f"/f/{function}", token=None)
        assert "a secret" in server.request("POST", f"/f/{function}").json()["detail"]
    assert answer.status == 502 and answer.json()["reason"] == "function.error"
    assert "error" not in answer.json() and b"secret" not in answer.body
    assert b"Own.Error" not in answer.body


def test_a_promise_that_nothing_can_settle_fails_at_once(server, villain, bystander):
    problem = expect(server, villain["node"], "never", 502, "function.error", bystander)
    assert "Runtime.UnsettledPromise" in problem["detail"]


def test_an_exception_outside_of_the_handler_ends_the_instance_and_is_told(server, villain,
                                                                          bystander):
    answer = server.call(villain["node"], b"late")
    assert answer.status == 502
    assert answer.json()["reason"] in ("function.error", "function.exited")
    assert server.call(villain["node"], b"well?").body == b"well?"


@pytest.mark.parametrize("event", [
    "short frame", "unknown type", "unknown flag", "gateway's type", "unknown id", "ready again",
    "data first", "status 99", "status 700", "split header", "no header", "log of nobody"])
def test_nonsense_from_a_worker_is_function_protocol(server, broken, bystander, event):
    expect(server, broken, event, 502, "function.protocol", bystander)


def test_nonsense_from_python_is_function_protocol(server, villain, bystander):
    expect(server, villain["python3"], "nonsense", 502, "function.protocol", bystander)


@pytest.mark.parametrize("event", ["twice", "data after the end"])
def test_who_answers_twice_is_ended_and_only_the_first_answer_counts(server, broken, bystander,
                                                                     event):
    for _ in range(5):
        answer = server.call(broken, event.encode())
        assert answer.status == 201 and answer.body == event.encode()
        assert server.call(bystander, b"well?").body == b"well?"
    assert server.call(broken, b"well?").body == b"well?"


@pytest.mark.parametrize("event", ["close", "shut"])
def test_a_worker_that_hangs_up_fails_its_call_at_once(server, broken, bystander, event):
    began = time.monotonic()
    answer = server.call(broken, event.encode())
    assert answer.status in (502, 504), answer
    assert answer.json()["reason"] in ("function.protocol", "function.exited", "function.timeout")
    assert time.monotonic() - began < 10
    assert server.call(broken, b"well?").body == b"well?"
    assert server.call(bystander, b"well?").body == b"well?"


def test_a_worker_that_never_answers_runs_out_of_time(server, broken, bystander):
    expect(server, broken, "silence", 504, "function.timeout", bystander)


def test_a_flood_of_output_costs_the_function_alone(server, bystander):
    flood = ("import os\n\n\ndef handler(event, context):\n    if event == 'flood':\n"
             "        while True:\n            os.write(1, b'x' * 65536)\n"
             "    if event == 'lines':\n        while True:\n            print('line')\n"
             "    return event\n")
    function = server.deploy("flood", "python3", {"main.py": flood}, timeout=TIMEOUT)
    for event in ("flood", "lines"):
        failed = []
        thread = threading.Thread(target=lambda event=event: failed.append(
            server.call(function, event.encode())))
        thread.start()
        while thread.is_alive():
            assert server.call(bystander, b"well?").body == b"well?"
        assert failed[0].status == 504 and failed[0].json()["reason"] == "function.timeout"
    assert server.call(function, b"well?").body == b"well?"
    logs = sum(path.stat().st_size for path in (server.data_dir / "logs").rglob("*")
               if path.is_file())
    assert logs < 64 << 20, "the log is not bounded"


@pytest.mark.parametrize("size, meta", [(0, 0), (100, 0), (65000, 0), (40000, 40000)])
def test_a_flood_of_log_frames_waits_like_one_of_output(server, compile_native, bystander, size, meta):
    function = server.deploy(f"log-flood-{size}", "native", {"main": compile_native("protocol")})
    answers = []
    thread = threading.Thread(
        target=lambda: answers.append(server.call(function, b"flood %d %d" % (size, meta))))
    thread.start()
    while thread.is_alive():
        assert server.call(bystander, b"well?").body == b"well?"
    assert answers[0].status == 201, answers
    # Half a second at 3 MiB/s, and what the socket held; a frame without a text counts too.
    assert int(answers[0].body) * max(size, 64) < 3 << 20
    assert server.call(function, b"well?").body == b"well?"


def test_pieces_of_nothing_wait_like_log_frames(server, compile_native):
    function = server.deploy("dribble", "native", {"main": compile_native("protocol")})
    answer = server.call(function, b"dribble")
    assert answer.status == 201 and int(answer.body) * 64 < 3 << 20, answer
    assert server.call(function, b"well?").body == b"well?"


CRASHES_WHEN_LOADED = ("import os\n\nif os.environ.get('MAGPIE_VERIFY') != '1':\n    {}\n\n\n"
                       "def handler(event, context):\n    return 'first'\n")
RECOVERED = b"def handler(event, context):\n    return 'recovered'\n"


@pytest.mark.parametrize("how", ["raise RuntimeError('no database')", "os._exit(3)",
                                 "os.write(3, b'nonsense')"])
def test_a_function_that_cannot_be_loaded_backs_off_and_recovers_with_new_code(server, bystander,
                                                                               how):
    name = "init-" + {"r": "error", "o": "exit"}[how[0]] + str(len(how))
    function = server.deploy(name, "python3", {"main.py": CRASHES_WHEN_LOADED.format(how)})
    first = server.call(function)
    assert first.status == 502 and first.json()["reason"] in (
        "function.init", "function.exited", "function.protocol"), first
    if how.startswith("raise"):
        assert first.json()["reason"] == "function.init"
        assert "no database" in first.json()["detail"]
    reasons = []
    deadline = time.monotonic() + 10
    while "function.backing_off" not in reasons:
        answer = server.call(function)
        assert answer.status in (502, 503)
        reasons.append(answer.json()["reason"])
        assert time.monotonic() < deadline, reasons
    assert answer.status == 503 and int(answer.headers["Retry-After"]) >= 1
    assert server.call(bystander, b"well?").body == b"well?"

    updated = server.request("PUT", f"/api/v1/functions/{function}/code", RECOVERED)
    assert updated.status == 200, updated
    assert server.call(function).body == b"recovered"


def problems_when_loaded(server, function, **options):
    """Calls until it has failed to load and backs off; the two problems as they were sent."""
    told = {}

    def fails():
        answer = server.request("POST", f"/f/{function}", **options)
        told[answer.json()["reason"]] = answer.body
        return {"function.init", "function.backing_off"} <= set(told)
    eventually(fails, "it fails to load and backs off")
    return told["function.init"], told["function.backing_off"]


def test_why_a_function_cannot_be_loaded_is_told_to_its_owner_alone(server):
    how = "raise RuntimeError('postgres://user:secret@database')"
    function = server.deploy("secret-init", "python3",
                             {"main.py": CRASHES_WHEN_LOADED.format(how)}, public=True)
    for problem in problems_when_loaded(server, function, token=None):
        assert b"secret" not in problem and b"RuntimeError" not in problem
    for problem in problems_when_loaded(server, function):
        assert b"postgres://user:secret@database" in problem


def test_why_a_function_cannot_be_loaded_is_logged_without_empty_lines(server):
    how = "raise RuntimeError('no database')"
    function = server.deploy("logged-init", "python3", {"main.py": CRASHES_WHEN_LOADED.format(how)})
    problems_when_loaded(server, function)
    log = server.request("GET", f"/api/v1/functions/{function}/logs").body.decode()
    lines = [json.loads(line) for line in log.splitlines()]
    assert any("no database" in line["text"] for line in lines)
    assert all(line["text"].strip() for line in lines), lines


def test_what_does_not_compile_is_refused_with_the_compilers_words(server):
    for runtime, name, text in (("python3", "main.py", "def handler(:\n"),
                                ("node", "main.js", "exports.handler = (;\n")):
        answer = server.request("POST", "/api/v1/functions", {
            "name": "typo", "runtime": runtime,
            "code": base64.b64encode(text.encode()).decode()})
        assert answer.status == 400 and "Syntax" in answer.json()["detail"], answer


def run_clients(server, function, count, calls, bad):
    """`count` keep-alive clients, `calls` each; every 200th call of all says `bad`. Returns the
    statuses of the bad calls, and whatever else was wrong."""
    bad_statuses, wrong = [], []
    path = f"/api/v1/functions/execute/{function}"

    def client(number):
        try:
            connection = RawConnection(server.port, timeout=60)
            for call in range(calls):
                index = number * calls + call
                is_bad = index % 200 == 100
                payload = bad if is_bad else b"%d" % index
                answer = connection.send(request("POST", path, payload, token)).read_answer()
                if is_bad:
                    bad_statuses.append(answer.status)
                elif answer.status != 201 or answer.body != payload:
                    wrong.append((index, answer))
                if answer.headers.get("connection") == "close":
                    connection.socket.close()
                    connection = RawConnection(server.port, timeout=60)
            connection.socket.close()
        except Exception as error:  # a thread must not die in silence
            wrong.append((number, repr(error)))
    token = server.token
    threads = [threading.Thread(target=client, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return bad_statuses, wrong


@pytest.mark.parametrize("bad,status", [(b"crash", 502), (b"hang", 504)])
def test_of_many_calls_put_ahead_only_the_bad_ones_fail(server, compile_native, bad, status):
    function = server.deploy("quick-" + bad.decode(), "native", {"main": compile_native("quick")},
                             timeout="300ms")
    bad_statuses, wrong = run_clients(server, function, 64, 100, bad)
    assert not wrong, wrong[:5]
    assert bad_statuses == [status] * 32
