"""A function that is called often wakes up politely: it takes nobody's processor away (ADR 0004)."""
import contextlib
import os
import pathlib
import subprocess

import pytest
from node_host import NodeHost
from raw_http import eventually
from server import Server, build_dir


@pytest.fixture(scope="module", params=["1", "3"], ids=["1 thread", "3 threads"])
def server(request):
    with Server("--threads", request.param) as node:
        yield node


class Function:
    """One instance."""

    def __init__(self, server, program, concurrency):
        self.server = server
        self.function = server.deploy(f"function-{concurrency}", "native", {"main": program}, max=1,
                                      concurrency=concurrency)
        self.path = f"/api/v1/functions/execute/{self.function}"
        self.call()
        self.worker = NodeHost(server).worker()

    def call(self):
        assert self.server.request("POST", self.path, b"state").status == 201

    def is_polite(self):
        """When it has been called often."""
        subprocess.run([build_dir() / "magpie", "bench", self.server.url + self.path, "-c", "8", "-d", "500ms",
                        "--data", "state", "-H", f"Authorization: Bearer {self.server.token}"],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return self.policies() == {os.SCHED_BATCH}

    def policies(self):
        """Of all its threads. A call first: it is then that an instance learns."""
        self.call()
        found = set()
        for thread in pathlib.Path(f"/proc/{self.worker}/task").iterdir():
            with contextlib.suppress(ProcessLookupError):  # a lane's, that has just been closed
                found.add(os.sched_getscheduler(int(thread.name)))
        return found

    def remove(self):
        self.server.request("DELETE", f"/api/v1/functions/{self.function}")


@pytest.fixture(params=[("worker", 1), ("lanes", 8)], ids=["one call at once", "eight calls at once"])
def function(server, compile_native, request):
    program, concurrency = request.param
    made = Function(server, compile_native(program), concurrency)
    yield made
    made.remove()


def test_it_is_polite_while_it_is_called_often_and_not_before_or_after(function):
    assert function.policies() == {os.SCHED_OTHER}
    eventually(function.is_polite, "it is polite")
    eventually(lambda: function.policies() == {os.SCHED_OTHER}, "it is as it was")
    eventually(function.is_polite, "it is polite")
