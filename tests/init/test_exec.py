"""The exec contract of an image: a command line with arguments, and a program in the PATH. What it
does with an invocation is tested in tests/agent/test_exec.py."""
import os

import pytest
from worker_client import BOOT, READY, pack


def test_the_payload_comes_behind_the_arguments(init):
    path = init.write("show", '#!/bin/sh\nprintf "%s|" "$0" "$@"\n')
    worker = init.start("exec", path, "--one", "two words", "")
    for payload in (b"last", b"a 'b'"):
        assert worker.invoke(payload).body.decode().split("|") == [
            path, "--one", "two words", "", payload.decode(), ""]


def test_what_can_be_no_argument_is_not_there(init):
    worker = init.start("exec", "/bin/sh", "-c", "cat >/dev/null; echo $#", "name")
    assert worker.invoke(b"a\0b").body == b"0\n"
    assert worker.invoke(b"text").body == b"1\n"


def test_a_program_without_a_slash_is_searched_in_the_path(init):
    for folder, mode in (("first", 0o644), ("second", 0o755), ("third", 0o755)):
        (init.folder / folder).mkdir()
        program = init.folder / folder / "greet"
        program.write_text(f"#!/bin/sh\necho {folder} $0\n")
        program.chmod(mode)
    path = os.pathsep.join(str(init.folder / name) for name in ("absent", "first", "second", "third"))
    worker = init.start("exec", "greet", PATH=f"{path}:/usr/bin:/bin")
    assert worker.invoke().body.decode() == f"second {init.folder}/second/greet\n"


def test_a_relative_path_is_no_search(init):
    init.write("greet", "#!/bin/sh\necho here\n")
    assert init.start("exec", "./greet").invoke().body == b"here\n"


@pytest.mark.parametrize("program, why", [
    ("absent", "No such file or directory"), ("./absent", "No such file or directory"),
    ("plain", "Permission denied"), ("", "No such file or directory")])
def test_a_program_that_cannot_be_run_is_refused(init, program, why):
    (init.folder / "plain").write_text("no program")
    text, status = init.refusal("exec", program, PATH=f"{init.folder}:/usr/sbin:/usr/bin:/sbin:/bin")
    assert (text, status) == (f"'{program}' cannot be run: {why}", 127)


def test_a_script_without_an_interpreter_is_the_shells(init):
    path = init.write("script", "echo $# $2\n")
    assert init.start("exec", path, "one").invoke(b"two").body == b"2 two\n"


def test_a_working_folder_is_entered_first(init):
    (init.folder / "deep").mkdir()
    worker = init.start("in", str(init.folder / "deep"), "exec", "/bin/pwd")
    assert worker.invoke(b"\0").body.decode() == f"{init.folder}/deep\n"
    worker = init.start("in", str(init.folder / "deep"), "exec", "/bin/sh", "-c", "pwd; exit 3")
    error = worker.invoke(b"\0").error
    assert error["errorType"] == "ExitError" and error["errorMessage"] == "exit status 3"


def test_a_working_folder_that_is_not_there_is_refused(init):
    text, status = init.refusal("in", "/absent", "exec", "/bin/true")
    assert text == "the working folder '/absent' cannot be entered: No such file or directory"
    assert status == 2


@pytest.mark.parametrize("words", [
    (), ("in",), ("in", "/"), ("exec",), ("http", "8000"), ("lambda",), ("odd", "x")])
def test_a_command_line_that_is_none_ends_at_once(init, words):
    worker = init.boot(*words)
    assert worker.receive() is None and worker.wait() == 2


def test_a_parked_one_becomes_what_the_command_line_says(init):
    init.write("show", '#!/bin/sh\necho "$GREETING $PWD $1"\n')
    worker = init.boot("park")
    words = ["in", str(init.folder), "exec", "./show", "arg"] + ["x"] * 60
    meta = b"".join(word.encode() + b"\0" for word in words)
    variables = b"".join(b"V%d=x\0" % n for n in range(170)) + b"GREETING=hello\0PATH=/bin\0"
    worker.gateway.send(pack(BOOT, 0, 0, 0, meta, variables))
    assert worker.until_ready().kind == READY
    assert worker.invoke().body.decode() == f"hello {init.folder} arg\n"
