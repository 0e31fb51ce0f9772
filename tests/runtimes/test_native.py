"""magpie.h, the native runtime's shim: programs made with it, by several compilers."""
import pathlib
import subprocess
import threading

import pytest
from worker_client import DATA, END, HTTP, INVOKE, RESULT, pack

HERE = pathlib.Path(__file__).parent
ECHO = (HERE.parents[1] / "examples/native/echo.c").read_text()


@pytest.fixture
def echo(native):
    return native(ECHO, "musl-gcc", "-static")


def invoke_large(worker, body):
    """A body that flows both ways at once needs somebody at each end."""
    sender = threading.Thread(target=worker.send, args=(body,))
    number = worker.last_number + 1
    sender.start()
    answer = worker.result(number)
    sender.join()
    return answer


def resident_kib(worker):
    status = pathlib.Path(f"/proc/{worker.process.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])


def test_every_compiler_makes_a_program_that_answers(handlers):
    answer = handlers.invoke(b"show", user="01USER", invocation="01INV", http=(
        "POST", "/a%20b", "x=1&y", [("user-agent", "tests"), ("x-a", "b:c"), ("x-empty", "")]))
    assert answer.status == 203
    assert answer.headers == [("content-type", "text/plain"), ("X-Twice", "a"), ("X-Twice", "b")]
    assert answer.body.decode() == (
        "01INV|01USER|POST|/a%20b|x=1&y|192.0.2.7|fn.example.org|tests\n"
        "user-agent=tests\nx-a=b:c\nx-empty=\n1")
    assert handlers.invoke(b"some abcdef" * 20_000).body == b"ab"
    assert handlers.invoke(b"fill 300000").body == b"f" * 300_000
    assert handlers.invoke(b"fail plain").error["errorType"] == "OddError"
    assert handlers.invoke(b"misuse long headers").error["errorType"] == "Runtime.MarshalError"
    assert handlers.invoke(b"whole " + b"x" * 100_000).body == b"100000 100000 1 0 " + b"x" * 100_000
    assert handlers.raw_log().replace("printed before", "") == ""


@pytest.mark.parametrize("host, domain", [
    ("fn.example.org:8080", "fn.example.org"), ("[::1]:8080", "[::1]"), ("[::1]", "[::1]"), ("", "")])
def test_a_domain_has_no_port(worker, host, domain):
    answer = worker.invoke(b"show", host=host, http=("GET", "/", "", []))
    assert answer.body.decode().split("|")[6] == domain


def test_without_http_the_requests_head_is_empty(worker):
    assert worker.invoke(b"show", invocation="01INV").body == b"01INV|||||||(none)\n1"


@pytest.mark.parametrize("size", [0, 1, 65467, 65480, 65520, 65536, 1_000_000])
def test_an_echo_gives_back_bodies_of_any_size(echo, size):
    body = bytes(range(256)) * (size // 256 + 1)
    answer = invoke_large(echo, body[:size])
    assert answer.body == body[:size] and answer.status == 0 and answer.headers == []


def test_a_small_answer_is_one_frame(echo):
    for size in (0, 10, 60_000):
        assert echo.invoke(b"x" * size).frames == 1


def test_bodies_flow_in_bounded_memory(echo):
    invoke_large(echo, b"x" * 300_000)
    before = resident_kib(echo)
    assert len(invoke_large(echo, b"x" * 30_000_000).body) == 30_000_000
    assert resident_kib(echo) - before < 64


def test_a_hundred_mebibytes_stream_in_bounded_memory(worker):
    worker.send(b"fill %d" % (100 << 20))
    length = 0
    while True:
        frame = worker.receive()
        length += len(frame.payload)
        if frame.flags & END:
            break
    assert length == 100 << 20 and resident_kib(worker) < 4096


def test_a_result_says_how_long_the_handler_ran(worker):
    assert 0 < worker.invoke(b"some ab").ran_us < 5_000_000
    assert 19_000 < worker.invoke(b"sleep 20").ran_us < 5_000_000
    assert worker.invoke(b"stream").ran_us == 0, "it is not at its end when its RESULT leaves"


def test_requests_pushed_ahead_are_answered_in_order(echo):
    numbers = [echo.send(b"%d" % n) for n in range(50)]
    assert [echo.result(number).body for number in numbers] == [b"%d" % n for n in range(50)]


def test_flush_sends_what_there_is(worker):
    worker.send(b"stream")
    frames = [worker.receive() for _ in range(3)]
    assert [(frame.kind, frame.flags, frame.payload) for frame in frames] == [
        (RESULT, 0, b"one"), (DATA, 0, b"two"), (DATA, END, b"")]


@pytest.mark.parametrize("size", [1, 65400, 65520, 300_000])
def test_the_whole_body_can_be_had_in_memory(worker, size):
    body = b"b" * size
    assert worker.invoke(b"whole " + body).body == b"%d %d 1 0 " % (size, size) + body


def test_a_body_that_was_not_read_does_not_reach_the_next_request(worker):
    assert worker.invoke(b"some ab" + b"x" * 500_000).body == b"ab"
    assert worker.invoke(b"some cd").body == b"cd"
    assert worker.invoke(b"fail " + b"x" * 500_000).error is not None
    assert worker.invoke(b"some ef").body == b"ef"


def test_a_body_may_come_in_empty_and_tiny_frames(worker):
    meta = b"01INV\n\n"
    worker.last_number = 1
    worker.gateway.send(pack(INVOKE, 0, 1, 0, meta, b""))
    for byte in b"whole abc":
        worker.gateway.send(pack(DATA, 0, 1, 0, b"", b""))
        worker.gateway.send(pack(DATA, 0, 1, 0, b"", bytes([byte])))
    worker.gateway.send(pack(DATA, END, 1, 0, b"", b""))
    assert worker.result(1).body == b"3 3 1 0 abc"


def test_a_long_print_is_not_cut(worker):
    assert worker.invoke(b"print tail").body == b" " * 1999 + b"7|tail"


@pytest.mark.parametrize("how, message", [
    ("plain", 'with "quotes", \\, \n and \x01 ü'), ("after writing", 'with "quotes", \\, \n and \x01 ü')])
def test_a_failure_replaces_what_was_not_sent(worker, how, message):
    answer = worker.invoke(b"fail " + how.encode())
    assert answer.error == {"errorType": "OddError", "errorMessage": message, "stackTrace": []}
    assert answer.status is None and worker.raw_log() == "printed before"
    assert worker.invoke(b"some ok").body == b"ok"


def test_a_failure_midway_breaks_the_answer_off(worker):
    answer = worker.invoke(b"fail midway")
    assert answer.body == b"begun" and answer.error["errorType"] == "OddError"


def test_a_long_failure_is_cut_between_characters(worker):
    message = worker.invoke(b"fail long").error["errorMessage"]
    assert set(message) == {"ü"} and 4000 < len(message) < 10_000


@pytest.mark.parametrize(
    "how", ["status", "late status", "late header", "line break", "name", "no name", "long headers"])
def test_what_http_forbids_is_an_error_of_the_function(worker, how):
    answer = worker.invoke(b"misuse " + how.encode())
    assert answer.error["errorType"] == "Runtime.MarshalError" and answer.status is None
    assert worker.invoke(b"some ok").body == b"ok"


def test_stdout_is_flushed_at_the_end_of_each_invocation(worker):
    worker.invoke(b"log")
    assert worker.raw_log() == "half a line"


def test_a_crash_loses_no_line(worker):
    assert worker.invoke(b"crash").status is None
    assert worker.wait() == -6 and worker.raw_log() == "a line\n"


def test_exit_in_a_handler_ends_the_instance(worker):
    assert worker.invoke(b"exit").status is None
    assert worker.wait() == 7


def test_a_forked_child_does_not_answer_for_its_parent(worker):
    for _ in range(2):
        assert worker.invoke(b"fork").body == b"the parent"
    assert worker.raw_log() == "in the child\n" * 2


def test_child_processes_do_not_get_the_connection(worker):
    assert worker.invoke(b"child").body == b"256"


def test_a_function_that_closes_the_connection_ends_and_does_not_hang(worker):
    worker.invoke(b"close")
    assert worker.wait() == 1 and "cannot send" in worker.raw_log()


def test_when_the_platform_leaves_the_worker_ends(echo):
    echo.invoke(b"1")
    echo.gateway.close()
    assert echo.wait() == 0


def test_when_the_platform_leaves_within_a_body_the_worker_ends(worker):
    worker.gateway.send(pack(INVOKE, 0, 1, 0, b"01INV\n\n", b"whole "))
    worker.gateway.close()
    assert worker.wait() == 0


def test_a_program_started_by_hand_says_what_is_missing(compile_c):
    result = subprocess.run([compile_c(ECHO)], capture_output=True, text=True, check=False, close_fds=True)
    assert result.returncode == 1 and "runs under magpie" in result.stderr


@pytest.mark.parametrize("frames", [
    [b"x"],
    [pack(DATA, END, 1)],
    [pack(99, END, 1)],
    [b"\x01\x01\xff\xff" + bytes(12) + b"short"],
    [pack(INVOKE, 0, 1, 0, b"01INV\n\n", b"whole "), pack(DATA, END, 2, 0, b"", b"b")],
    [pack(INVOKE, 0, 1, 0, b"01INV\n\n", b"whole "), pack(INVOKE, END, 1, 0, b"01INV\n\n", b"b")],
    [pack(INVOKE, END | HTTP, 1, 0, b"01INV\n\nGET\n/\n\n1.2.3.4\nname\nno header\n", b"show")],
    [pack(INVOKE, END | HTTP, 1, 0, b"01INV", b"show")],
], ids=["short", "data", "type", "meta", "other number", "invoke", "header", "no line"])
def test_a_platform_that_talks_nonsense_is_not_served(worker, frames):
    for frame in frames:
        worker.gateway.send(frame)
    assert worker.wait() == 1 and "the platform sent" in worker.raw_log()
