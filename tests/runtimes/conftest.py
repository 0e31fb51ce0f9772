"""Workers of each runtime for the tests of its shim."""
import pathlib
import shutil
import subprocess

import pytest
from shims import ECHO, ENVIRONMENT, NODE, PYTHON, RUNTIMES, Starter
from worker_client import READY, Worker

HANDLERS = (pathlib.Path(__file__).parent / "native/handlers.c").read_text()
COMPILERS = {
    "gcc, strict C99": ("gcc", "-std=c99"),
    "clang": ("clang", "-std=c11", "-fsanitize=undefined", "-fno-sanitize-recover=all"),
    "address sanitizer": ("gcc", "-fsanitize=address,undefined"),
    "musl, static": ("musl-gcc", "-static"),
    "C++11": ("g++", "-std=c++11", "-x", "c++"),
}


@pytest.fixture
def python(tmp_path):
    starter = Starter(PYTHON, "main.py", tmp_path)
    yield starter
    starter.stop()


@pytest.fixture
def node(tmp_path):
    starter = Starter(NODE, "main.js", tmp_path)
    yield starter
    starter.stop()


@pytest.fixture(scope="session")
def compile_c(tmp_path_factory):
    """compile_c(source, "musl-gcc", "-static", ...) -> the path of a program."""
    made = {}

    def compile_once(source, *command):
        command = command or ("cc",)
        if (source, command) not in made:
            folder = tmp_path_factory.mktemp("native")
            (folder / "main.c").write_text(source)
            warnings = ["-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Werror", "-pedantic"]
            subprocess.run([*command, "-O2", *warnings, "-I", RUNTIMES / "c", "-o",
                            folder / "main", folder / "main.c"], check=True)
            made[source, command] = folder / "main"
        return made[source, command]

    return compile_once


@pytest.fixture
def native(compile_c, tmp_path):
    """native(source, compiler...) -> a Worker that has said READY."""
    workers = []

    def start(source, *command):
        worker = Worker([compile_c(source, *command)], tmp_path, ENVIRONMENT)
        workers.append(worker)
        worker.ready = worker.until_ready()
        assert worker.ready.kind == READY
        return worker

    yield start
    for worker in workers:
        worker.__exit__()


@pytest.fixture(params=COMPILERS)
def handlers(request, native):
    command = COMPILERS[request.param]
    if not shutil.which(command[0]):
        pytest.skip(f"{command[0]} is not installed")
    return native(HANDLERS, *command)


@pytest.fixture
def worker(native):
    return native(HANDLERS)


# A test that asks for these is run in both languages.


@pytest.fixture(params=["python3", "node"])
def runtime(request):
    return request.param


@pytest.fixture
def starter(runtime, request):
    return request.getfixturevalue({"python3": "python", "node": "node"}[runtime])


@pytest.fixture
def echo(runtime, starter):
    return starter.start(ECHO[runtime])


@pytest.fixture
def pick(runtime):
    """The text in this runtime's language."""
    return lambda python3, node: {"python3": python3, "node": node}[runtime]
