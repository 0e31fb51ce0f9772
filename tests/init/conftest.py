"""magpie-init as the first process of namespaces of its own, without the rest of a sandbox."""
import contextlib
import os
import pathlib
import signal
import time

import pytest
from http_servers import ECHO, RAW
from shims import ENVIRONMENT, Starter
from shims import PYTHON as PYTHON_SHIM
from worker_client import READY, REFUSED, Worker

ROOT = pathlib.Path(__file__).resolve().parents[2]
INIT = ROOT / os.environ.get("MAGPIE_BUILD", "build") / "magpie-init"
PYTHON = "/usr/bin/python3"
NODE = os.environ.get("MAGPIE_TEST_NODE", "/usr/bin/node")


class InitStarter:
    """boot("http", "8000", ...) -> a Worker that has said nothing yet."""

    # The first process of a pid namespace, as in a sandbox: what it leaves behind ends with it. A
    # network of its own, so that ports are nobody else's.
    NAMESPACES = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--",
                  "/bin/sh", "-c", 'ip link set lo up && exec "$0" "$@"', str(INIT)]

    def __init__(self, folder):
        self.folder = folder
        self.workers = []
        if os.geteuid() != 0:
            self.NAMESPACES = ["unshare", "--map-root-user", *self.NAMESPACES[1:]]

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o755)
        return str(path)

    def boot(self, *words, **environment):
        worker = Worker([*self.NAMESPACES, *words], self.folder, ENVIRONMENT | environment)
        self.workers.append(worker)
        return worker

    def start(self, *words, **environment):
        worker = self.boot(*words, **environment)
        frame = worker.until_ready()
        assert frame.kind == READY, frame.payload.decode()
        return worker

    def refusal(self, *words, **environment):
        """What one that must refuse says, and its exit status."""
        worker = self.boot(*words, **environment)
        frame = worker.until_ready()
        assert frame.kind == REFUSED, "it was not refused"
        assert worker.receive() is None
        return frame.payload.decode(), worker.wait()

    def stop(self):
        for worker in self.workers:
            worker.__exit__()


@contextlib.contextmanager
def held(worker):
    """magpie-init stands still within, and the function's program goes on: what happens meanwhile is all
    there, in its order, when it looks again."""
    outer = worker.process.pid
    inner = int(pathlib.Path(f"/proc/{outer}/task/{outer}/children").read_text())
    os.kill(inner, signal.SIGSTOP)
    while pathlib.Path(f"/proc/{inner}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        time.sleep(0.001)
    yield
    os.kill(inner, signal.SIGCONT)


def await_log(worker, text):
    """Until the program has printed it."""
    came = ""
    while text not in came:
        came += worker.raw_log()


@pytest.fixture
def init(tmp_path):
    starter = InitStarter(tmp_path)
    yield starter
    starter.stop()


@pytest.fixture
def python(tmp_path):
    """magpie's own shim, to compare with."""
    starter = Starter(PYTHON_SHIM, "main.py", tmp_path)
    yield starter
    starter.stop()


@pytest.fixture
def serve(init):
    """serve(text of a Python server) -> its Worker under the http contract; the port is 8000."""
    def start(source, *arguments, **environment):
        path = init.write("server.py", source)
        return init.start("http", "8000", PYTHON, path, *arguments, **environment)
    return start


@pytest.fixture
def runtime(init):
    """runtime(text) -> the Worker of a Python program under the lambda contract; it can import
    `client` (lambda_runtime.py)."""
    def start(source, starter=None, **environment):
        path = init.write("bootstrap.py", source)
        support = str(ROOT / "tests/init")
        return (starter or init.start)("lambda", PYTHON, path, PYTHONPATH=support, **environment)
    return start


@pytest.fixture
def echo(serve):
    return serve(ECHO)


@pytest.fixture
def raw(serve):
    """raw(body of `def handle(connection, path, number, text)`) -> a Worker. A true value closes."""
    def start(body, **environment):
        lines = "\n".join("    " + line for line in body.strip("\n").split("\n"))
        return serve(f"{RAW}\ndef handle(connection, path, number, text):\n{lines}\nloop()\n",
                     **environment)
    return start
