"""docs/sandbox.md: its figures are those of a sandbox."""
import pathlib
import re

import pytest
from server import ROOT

TEXT = pathlib.Path(ROOT, "docs/sandbox.md").read_text(encoding="utf-8")
THREADS = """
import _thread

def handler(event, context):
    count, end = 0, _thread.allocate_lock()
    end.acquire()
    try:
        while True:
            _thread.start_new_thread(end.acquire, ())
            count += 1
    except RuntimeError:
        return count
"""


def row(name):
    return re.search(rf"^\| {re.escape(name)} \| (.*) \|$", TEXT, re.MULTILINE).group(1)


@pytest.mark.parametrize("memory", ["16MiB", "256MiB"])
def test_tmp_is_as_large_as_is_said(server, memory):
    script = "#!/bin/sh\ndf -m --output=size /tmp | tail -n 1\n"
    function = server.deploy(f"tmp-{memory.lower()}", "exec", {"main": script}, memory=memory)
    said = int(re.search(r"(\d+) MiB", row("`/tmp`")).group(1))
    assert int(server.call(function).body) == said


def test_opt_holds_without_layers_what_is_said(server):
    function = server.deploy("opt", "exec", {"main": "#!/bin/sh\ncd /opt && find . -mindepth 1\n"})
    assert server.call(function).body == b"./lib\n"
    assert "an empty folder `lib`" in row("`/opt`")


def test_processes_and_threads_are_as_many_as_is_said(server):
    function = server.deploy("threads", "python3", {"main.py": THREADS}, handler="main.handler")
    said = int(re.search(r"(\d+) processes and threads", row("memory, processes, CPU")).group(1))
    magpie_init_and_python = 2
    assert server.call(function).json() == said - magpie_init_and_python


@pytest.mark.parametrize("setting", ["tmp", "cpu"])
def test_a_setting_that_there_is_not_is_not_spoken_of(server, setting):
    server.deploy(f"no-{setting}", "exec", {"main": "#!/bin/sh\n"})
    answer = server.request("PATCH", f"/api/v1/functions/no-{setting}", {setting: 1})
    assert answer.status == 400 and setting in answer.json()["detail"]
    assert f"function's `{setting}`" not in TEXT and "CPU limit" not in TEXT
