"""Workers of each runtime for the tests of its shim."""
import subprocess

import pytest
from shims import ECHO, ENVIRONMENT, NODE, PYTHON, RUNTIMES, Starter
from worker_client import READY, Worker


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
        assert worker.until_ready().kind == READY
        return worker

    yield start
    for worker in workers:
        worker.__exit__()


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
