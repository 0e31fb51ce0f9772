"""The exec contract: any program, one process an invocation."""
import os
import select
import socket
import time

import pytest
from agent_client import (DATA, END, ERROR, EXEC, FRAME, FRAME_MAX, MIB, OUT_OF_MEMORY, RESULT,
                          WORKER_REFUSED, FunctionFailed)
from sandbox_host import eventually


@pytest.fixture
def start(agent, gateway):
    """Starts an instance of a script; it ends with the test."""
    made = []

    def start(script, **options):
        script = script.encode() if isinstance(script, str) else script
        code = agent.add_code({"main": (0o755, script)})
        made.append(gateway.spawn(code, "main", runtime=EXEC, **options))
        made[-1].wait_ready()
        return made[-1]
    yield start
    for instance in made:
        instance.__exit__()


CAT = "#!/bin/sh\nexec cat\n"


def test_the_payload_is_on_standard_input(start):
    assert start(CAT).invoke(b"hello") == b"hello"


def test_the_payload_is_the_first_argument_too(start):
    assert start('#!/bin/sh\nprintf %s "$1"\n').invoke(b"a 'b'\n\"c\"") == b"a 'b'\n\"c\""


@pytest.mark.parametrize("payload, count", [
    (b"", 1), (b"x" * 65535, 1), (b"x" * 65536, 0), (b"a\0b", 0), (b"\xff\xfe", 1)])
def test_what_can_be_no_argument_is_none(start, payload, count):
    instance = start("#!/bin/sh\necho $# ${#1}\n")
    number = instance.begin(payload[:60000], end=len(payload) <= 60000)
    if len(payload) > 60000:
        instance.send(DATA, flags=END, invocation=number, payload=payload[60000:])
    assert instance.finish(number).split()[0] == b"%d" % count


def test_each_invocation_has_its_own_number_user_and_deadline(start):
    instance = start('#!/bin/sh\necho "$MAGPIE_INVOCATION_ID $MAGPIE_USER '
                     '$((MAGPIE_DEADLINE_MS / 100000))"\n')
    for number in (1, 2):
        identity, user, deadline = instance.invoke(user=f"user-{number}").decode().split()
        assert identity == f"01INVOCATION{number:014}"
        assert user == f"user-{number}"
        assert abs(int(deadline) - time.time() // 100) <= 2


def test_a_function_url_request_comes_in_the_manner_of_cgi(start):
    instance = start("#!/bin/sh\nenv | grep -E '^(HTTP_|MAGPIE_)' | grep -v DEADLINE | sort\n")
    head = (b"POST\n/a%20b\nx=1&y=2\n192.0.2.7\nexample.org:8080\n"
            b"accept:a\ncontent-type:text/plain\nx-odd.name:v\nproxy:evil\naccept:b\n")
    assert instance.invoke(b"", user="me", http=head).decode().splitlines() == [
        "HTTP_ACCEPT=a, b", "HTTP_CONTENT_TYPE=text/plain", "HTTP_X_ODD_NAME=v",
        "MAGPIE_CLIENT=192.0.2.7", "MAGPIE_DOMAIN=example.org", "MAGPIE_HANDLER=main",
        "MAGPIE_INVOCATION_ID=01INVOCATION00000000000001", "MAGPIE_METHOD=POST",
        "MAGPIE_PATH=/a%20b", "MAGPIE_QUERY=x=1&y=2", "MAGPIE_USER=me"]


def test_one_requests_headers_are_not_the_nexts(start):
    instance = start('#!/bin/sh\necho "${HTTP_SECRET-none} ${MAGPIE_METHOD-none}"\n')
    head = b"GET\n/\n\n::1\nhost\nsecret:x\n"
    assert instance.invoke(http=head) == b"x GET\n"
    assert instance.invoke() == b"none none\n"


def test_standard_error_is_the_log_in_order(start):
    instance = start("#!/bin/sh\necho one >&2; echo result; echo two >&2\n")
    assert instance.invoke() == b"result\n"
    assert b"".join(instance.logs) == b"one\ntwo\n"


@pytest.mark.parametrize("script, message", [
    ("exit 3", '"errorType":"ExitError","errorMessage":"exit status 3"'),
    ("kill -9 $$", '"errorType":"SignalError","errorMessage":"killed by signal 9'),
    ("kill -TERM $$", '"errorMessage":"killed by signal 15'),
])
def test_failure_is_told_plainly_and_the_instance_lives_on(start, script, message):
    instance = start(f'#!/bin/sh\n[ "$1" = fine ] && exit\necho partial\n{script}\n')
    with pytest.raises(FunctionFailed) as failed:
        instance.invoke()
    assert message in str(failed.value)
    assert instance.invoke(b"fine") == b""


def test_a_late_failure_within_the_window_answers_nothing_but_the_error(start):
    instance = start("#!/bin/sh\nhead -c 49151 /dev/zero\nexit 1\n")
    instance.begin()
    assert instance.receive().type == ERROR


def test_a_failure_beyond_the_window_breaks_the_response_off(start):
    instance = start("#!/bin/sh\nhead -c 100000 /dev/zero\nexit 1\n")
    instance.begin()
    frames = []
    while not frames or frames[-1].type != ERROR:
        frames.append(instance.receive())
    assert [frames[0].type, frames[0].flags] == [RESULT, 0]
    assert all(frame.type == DATA and not frame.flags & END for frame in frames[1:-1])


@pytest.mark.parametrize("size", [49151, 49152, 49153, 98304, 5_000_000])
def test_results_of_any_size_come_whole(start, size):
    instance = start(f"#!/bin/sh\nhead -c {size} /dev/zero | tr '\\0' x\n")
    assert instance.invoke() == b"x" * size


def test_a_large_result_streams_before_the_program_ends(start):
    instance = start("#!/bin/sh\nhead -c 60000 /dev/zero; cat\n")
    number = instance.begin(b"", end=False)
    # The program gets no body, hence no argument, until it is known to be complete or too long.
    instance.send(DATA, invocation=number, payload=bytes(65000))
    instance.send(DATA, invocation=number, payload=bytes(1000))
    assert instance.receive().type == RESULT
    instance.send(DATA, flags=END, invocation=number, payload=b"the end")
    assert instance.finish(number).endswith(b"the end")


def test_large_bodies_both_ways_at_once_do_not_deadlock(start):
    """A gateway that reads and writes as either becomes possible, through a program that writes
    whatever it has read: 3 MB against some 100 KB of buffers on the way."""
    instance = start(CAT)
    block = os.urandom(50000)
    number = instance.begin(block, end=False)
    waiting = [(0, block)] * 60 + [(END, b"")]
    poller = select.poll()
    received, ended = b"", False
    while not ended:
        poller.register(instance.socket, select.POLLIN | (select.POLLOUT if waiting else 0))
        events = poller.poll(30000)
        assert events, "deadlock"
        if events[0][1] & select.POLLOUT:
            flags, payload = waiting.pop(0)
            instance.socket.send(FRAME.pack(DATA, flags, 0, number, 0) + payload)
        if events[0][1] & select.POLLIN:
            frame = instance.receive()
            received += frame.payload
            ended = frame.flags & END
    assert received == block * 61


def test_a_body_goes_on_coming_while_the_gateway_does_not_read(start, watch):
    """The result waits for room. Meanwhile magpie-init takes what is sent, and then sleeps."""
    instance = start("#!/bin/sh\nhead -c 30000 >/dev/null; head -c 10000000 /dev/zero; cat\n")
    number = instance.begin(bytes(60000), end=False)
    instance.send(DATA, invocation=number, payload=bytes(10000))
    init = min(watch.pids())
    assert open(f"/proc/{init}/comm", encoding="ascii").read() == "init\n"

    def sleeps():
        return {open(f"/proc/{init}/stat", encoding="ascii").read().split()[2]
                for _ in range(500)} == {"S"}

    assert eventually(sleeps)
    for _ in range(10):
        instance.send(DATA, invocation=number, payload=b"more")
    assert eventually(sleeps)
    with pytest.raises(BlockingIOError):
        instance.worker.recv(FRAME_MAX, socket.MSG_DONTWAIT | socket.MSG_PEEK)


def test_a_program_that_does_not_read_its_input_answers_all_the_same(start):
    instance = start("#!/bin/sh\nexec <&-\necho done\n")
    number = instance.begin(bytes(60000), end=False)
    instance.send(DATA, invocation=number, payload=bytes(60000))
    instance.send(DATA, flags=END, invocation=number, payload=bytes(60000))
    assert instance.finish(number) == b"done\n"
    assert instance.invoke(b"again") == b"done\n"


def test_what_comes_of_a_body_after_the_answer_is_skipped(start):
    instance = start("#!/bin/sh\nhead -c 1 >/dev/null\necho done\n")
    number = instance.begin(bytes(60000), end=False)
    instance.send(DATA, invocation=number, payload=bytes(60000))
    assert instance.finish(number) == b"done\n"
    instance.send(DATA, flags=END, invocation=number, payload=bytes(60000))
    assert instance.invoke(b"x") == b"done\n"


def test_requests_pushed_ahead_are_answered_one_after_the_other(start):
    instance = start(CAT)
    numbers = [instance.begin(b"%d" % n) for n in range(5)]
    assert [instance.finish(number) for number in numbers] == [b"0", b"1", b"2", b"3", b"4"]


def test_a_request_not_begun_can_be_taken_back(start, freeze):
    instance = start("#!/bin/sh\necho started >&2\ncat\n")
    first = instance.begin(b"one", end=False)
    second_number = instance.next_invocation
    instance.send(DATA, flags=END, invocation=first)
    assert instance.finish(first) == b"one"
    freeze(instance)
    instance.begin(b"two")
    assert instance.worker.recv(FRAME_MAX)[4:8] == second_number.to_bytes(4, "little")
    instance.set_frozen(False)
    assert instance.invoke(b"three") == b"three"


@pytest.mark.parametrize("script", [
    "#!/bin/sh\nsleep 1000 &\n(setsid sleep 1000 &)\necho left\n",
    # One whose end would tell its parent nothing: clone(2) without a signal.
    "#!/usr/bin/python3\nimport ctypes, os, time\n"
    "if ctypes.CDLL(None).syscall({'x86_64': 56, 'aarch64': 220}[os.uname().machine], 0, 0, 0, 0, 0) == 0:\n"
    "    time.sleep(1000)\nprint('left')\n"])
def test_what_an_invocation_left_running_ends_before_the_next(start, watch, script):
    instance = start(script)
    assert instance.invoke() == b"left\n"
    assert len(watch.pids()) == 1, "magpie-init alone"
    assert instance.invoke() == b"left\n"


def test_an_answer_does_not_wait_for_a_background_process_that_holds_the_output(start):
    instance = start("#!/bin/sh\nsleep 1000 &\necho prompt\n")
    begun = time.monotonic()
    assert instance.invoke() == b"prompt\n"
    assert time.monotonic() - begun < 100


def test_descriptors_do_not_pile_up(start, watch):
    instance = start("#!/bin/sh\nls /proc/self/fd | wc -l\n")
    first = instance.invoke()
    for _ in range(50):
        instance.invoke()
    assert instance.invoke() == first
    pid = next(iter(watch.pids()))
    assert len(os.listdir(f"/proc/{pid}/fd")) == 5  # three streams, the socket, a signalfd


def test_a_script_without_an_interpreter_line_is_the_shells(start):
    assert start("echo plain $1\n").invoke(b"text") == b"plain text\n"


def test_a_compiled_program_runs(agent, gateway, probe_code):
    with gateway.spawn(probe_code, "probe", runtime=EXEC) as instance:
        instance.wait_ready()
        assert b"become_root" in instance.invoke(b"all")


@pytest.mark.parametrize("mode, content, reason", [
    (0o644, b"#!/bin/sh\n", "Permission denied"), (None, "/nowhere", "No such file or directory")])
def test_a_program_that_cannot_run_is_refused_at_once(agent, gateway, mode, content, reason):
    code = agent.add_code({"main": (mode, content)})
    with gateway.spawn(code, "main", runtime=EXEC) as instance:
        frame = instance.receive()
        assert frame.type == WORKER_REFUSED
        assert frame.payload.decode() == f"'/code/main' cannot be run: {reason}"
        instance.wait_exited()


def test_a_missing_interpreter_is_said(start):
    instance = start("#!/no/such/interpreter\n")
    with pytest.raises(FunctionFailed, match="No such file or directory"):
        instance.invoke()


@pytest.mark.parametrize("frame", [b"", b"x" * 15, bytes(16), bytes([9]) + bytes(15),
                                   bytes([3]) + bytes(15)])
def test_what_is_no_request_ends_the_instance(start, frame):
    instance = start(CAT)
    instance.socket.send(frame)
    instance.wait_exited()


def test_out_of_memory_in_the_program_is_the_instances_end(start):
    instance = start("#!/bin/sh\ntail /dev/zero\n", memory=16 * MIB)
    instance.begin()
    assert instance.wait_exited().cause == OUT_OF_MEMORY
