"""What the documentation shows is what happens."""
import pathlib
import re
import subprocess

import pytest
from worker_client import END, INVOKE, LOG, READY, RESULT, Frame

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", (DOCS / page).read_text(), re.M | re.S)


def test_the_protocols_example_is_an_invocation():
    frames = []
    for dump in blocks("worker-protocol.md", "hex"):
        frames.append(Frame.parse(bytes.fromhex("".join(line[6:54] for line in dump.splitlines()))))
    ready, invoke, log, result = frames
    assert (ready.kind, ready.number, ready.value) == (READY, 0, 26000 << 32 | 1500)
    assert (invoke.kind, invoke.flags, invoke.number) == (INVOKE, END, 1)
    assert invoke.meta == b"01K0Z6Q4G3W9T2D7M5N8R1XHYB\n\n" and invoke.payload == b'{"name":"magpie"}'
    assert (log.kind, log.number, log.value, log.payload) == (LOG, 1, 1, b"greeting magpie\n")
    assert (result.kind, result.flags, result.number, result.value) == (RESULT, END, 1, 42 << 32)
    assert result.meta == b"content-type:application/json\n"
    assert result.payload == b'{"message":"Hello, magpie!"}'


def test_the_protocols_example_is_what_the_example_function_does(python):
    example = (DOCS.parent / "examples/python3/main.py").read_text()
    answer = python.start(example).invoke(b'{"name":"magpie"}')
    assert answer.logs == [(1, "greeting magpie\n")] and answer.body == b'{"message":"Hello, magpie!"}'


@pytest.mark.parametrize("number, event, status, body", [
    (0, b'{"name":"you"}', 0, b'{"message":"Hello, you!"}'),
    (1, b"", 404, b"<h1>Not here</h1>"),
    (2, b"", 0, b"".join(b"line %d\n" % n for n in range(10))),
])
def test_the_python_examples_work(python, number, event, status, body):
    answer = python.start(blocks("functions.md", "python")[number]).invoke(event)
    assert (answer.status, answer.body) == (status, body)


@pytest.mark.parametrize("number, name, event, body", [
    (0, "main.mjs", b'{"name":"you"}', b'{"message":"Hello, you!"}'),
    (1, "main.js", b"", b"data: 0\n\ndata: 1\n\ndata: 2\n\n"),
])
def test_the_node_examples_work(node, number, name, event, body):
    assert node.start({name: blocks("functions.md", "js")[number]}).invoke(event).body == body


def test_the_native_example_works(native):
    (example,) = blocks("functions.md", "c")
    worker = native(example)
    assert worker.invoke(b"you").body == b"Hello, you!\n" and worker.invoke(b"").body == b"Hello, world!\n"


def test_the_exec_example_works():
    (example,) = blocks("functions.md", "sh")
    done = subprocess.run(["/bin/sh", "-c", example], input=b"you", capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"Hello, you!\n", b"called\n")


def test_the_manual_in_the_header_works(native):
    header = (DOCS.parent / "runtimes/c/magpie.h").read_text()
    example = re.search(r"^ \*     #include.*?^ \*     }\n(?! \*\n \*     int)", header, re.M | re.S).group()
    source = re.sub(r"^ \*( {5})?", "", example, flags=re.M)
    assert native(source).invoke(invocation="01INV").body == b"Hello, invocation 01INV!\n"


@pytest.mark.parametrize("runtime", ["python3", "node", "native", "exec"])
def test_a_new_function_works(runtime, python, node, native):
    folder = DOCS.parent / "src/cli/templates" / runtime
    files = {path.name: path.read_text() for path in folder.iterdir()}
    if runtime == "python3":
        assert b"Hello" in python.start(files).invoke(b'{"name":"you"}').body
    elif runtime == "node":
        assert b"Hello" in node.start(files, MAGPIE_HANDLER="index.handler").invoke(b'{"name":"you"}').body
    elif runtime == "native":
        assert b"Hello, you" in native(files["main.c"]).invoke(b"you").body
    else:
        done = subprocess.run([folder / "main.sh"], input=b"you", capture_output=True, check=True)
        assert b"Hello, you" in done.stdout


def test_the_native_example_builds_by_its_own_command(tmp_path):
    folder = DOCS.parent / "examples/native"
    command = re.search(r"^build: (.*)$", (folder / "function.yaml").read_text(), re.M).group(1)
    command = command.replace("-o echo", f"-o {tmp_path}/echo")
    subprocess.run(["/bin/sh", "-c", command], cwd=folder, check=True)
    assert (tmp_path / "echo").read_bytes()[:4] == b"\x7fELF"
