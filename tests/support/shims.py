"""Starts each runtime's shim as the agent would, but as a plain child process."""
import functools
import os
import pathlib
import subprocess

from worker_client import READY, Worker

RUNTIMES = pathlib.Path(__file__).resolve().parents[2] / "runtimes"
PYTHON = ["/usr/bin/python3", "-I", "-S", str(RUNTIMES / "python/shim.py")]
NODE = [os.environ.get("MAGPIE_TEST_NODE", "/usr/bin/node"), str(RUNTIMES / "node/shim.js")]
ENVIRONMENT = {
    "MAGPIE_HANDLER": "main.handler",
    "MAGPIE_FUNCTION_NAME": "greeter",
    "MAGPIE_FUNCTION_VERSION": "7",
    "MAGPIE_MEMORY_BYTES": str(128 << 20),
    "MAGPIE_TIMEOUT_MS": "30000",
}


ECHO = {
    "python3": "def handler(event, context):\n    return event\n",
    "node": "exports.handler = (event, context) => event;\n",
}


@functools.cache
def takes_modules():
    """Does require() take ES modules, in the Node that sandboxes have?"""
    return subprocess.run(["/usr/bin/node", "-p", "process.features.require_module === true"],
                          stdout=subprocess.PIPE, check=True).stdout == b"true\n"


class Starter:
    """start({"main.py": text}) -> a Worker that has said READY."""

    def __init__(self, command, main, folder):
        self.command, self.main, self.folder = command, main, folder
        self.workers = []

    def boot(self, files, **environment):
        """A Worker that has said nothing yet. A text alone is the main file."""
        folder = self.folder / f"code{len(self.workers)}"
        folder.mkdir()
        for name, content in (files if isinstance(files, dict) else {self.main: files}).items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        worker = Worker(self.command, folder, ENVIRONMENT | environment)
        self.workers.append(worker)
        return worker

    def start(self, files, **environment):
        worker = self.boot(files, **environment)
        frame = worker.until_ready()
        assert frame.kind == READY, frame.payload.decode()
        return worker

    def refusal(self, files, **environment):
        """The text of a worker that must refuse, and then end."""
        worker = self.boot(files, **environment)
        frame = worker.until_ready()
        assert frame.kind != READY, "it was not refused"
        assert worker.receive() is None and worker.wait() == 1
        return frame.payload.decode()

    def stop(self):
        for worker in self.workers:
            worker.__exit__()
