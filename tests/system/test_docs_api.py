"""docs/api.md: its examples run, one after another, and give what it says."""
import json
import pathlib
import re
import subprocess

import pytest
from raw_http import RawConnection
from server import ROOT

DOCUMENT = pathlib.Path(ROOT, "docs/api.md")


def reasons():
    """The rows of the table of statuses and reasons."""
    table = DOCUMENT.read_text(encoding="utf-8").split("| status | reason | |\n")[1].split("\n\n")[0]
    return [[cell.strip() for cell in line.split("|")[1:4]] for line in table.splitlines()[1:]]


def test_every_example_runs_and_gives_what_it_says(server, tmp_path):
    text = DOCUMENT.read_text(encoding="utf-8")
    examples = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    script = "\n".join(examples).replace("http://127.0.0.1:8080", server.url)
    run = subprocess.run(["bash", "-eu", "-o", "pipefail", "-c", script], cwd=tmp_path, timeout=120,
                         capture_output=True, text=True, check=True)
    output = run.stdout.replace("}{", "}\n{").splitlines()
    # What stands behind '#' below a command is its answer; ids, dots and times are any.
    promised = re.findall(r"^# (\{.*\})$", "\n".join(examples), re.MULTILINE)
    assert len(promised) == 10
    for line in promised:
        pattern = re.escape(line).replace(r"\.\.\.", ".*")
        pattern = re.sub(r'"time":"[^"]*"', r'"time":"[^"]*"', pattern)
        assert any(re.fullmatch(pattern, got) for got in output), (line, output)
    for header in ("Magpie-Invocation-Id: 01", "Magpie-Start: ", "Server-Timing: wait;dur="):
        assert any(line.startswith(header) for line in output), output


MALFORMED = {
    400: "GET / HTTP/1.1\r\n\r\n",
    414: f"GET /{'a' * 9000} HTTP/1.1\r\nHost: a\r\n\r\n",
    417: "PUT /f/a/b HTTP/1.1\r\nHost: a\r\nExpect: more\r\n\r\n",
    431: f"GET / HTTP/1.1\r\nHost: a\r\nA: {'a' * 40_000}\r\n\r\n",
    501: "FOO / HTTP/1.1\r\nHost: a\r\n\r\n",
    505: "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
}


@pytest.mark.parametrize("status", MALFORMED)
def test_the_table_has_each_status_of_a_malformed_request(server, status):
    with RawConnection(server.port) as client:
        client.send(MALFORMED[status])
        answer = client.read_answer()
    assert (answer.status, json.loads(answer.body)["reason"]) == (status, "request.malformed")
    assert [row for row in reasons() if str(status) in row[0] and "`request.malformed`" in row[1]]


def test_the_table_has_a_function_that_keeps_failing_to_load():
    (row,) = [row for row in reasons() if "`function.backing_off`" in row[1]]
    assert row[0] == "503" and "node" not in row[2]


def test_a_function_url_takes_the_methods_that_are_named(server):
    text = DOCUMENT.read_text(encoding="utf-8")
    named = re.search(r"^\| (.*), `/f/\{namespace\}", text, re.MULTILINE).group(1)
    methods = re.findall(r"[A-Z]{3,}", named)
    function = server.deploy("methods", "python3", {"main.py": "def handler(e, c):\n    return e\n"})
    assert len(methods) == 8
    for method in methods:
        assert server.request(method, f"/f/{function}").status == 200
    for method in ("CONNECT", "FOO"):
        assert server.request(method, f"/f/{function}").status == 501


def test_the_object_that_is_shown_has_the_members_that_there_are(server):
    text = DOCUMENT.read_text(encoding="utf-8")
    shown = json.loads(re.search(r"^```json\n(\{\n  \"functionId\".*?)^```$", text,
                                 re.MULTILINE | re.DOTALL).group(1))
    function = server.deploy("shown", "python3", {"main.py": "def handler(e, c):\n    return e\n"})
    real = server.request("GET", f"/api/v1/functions/{function}").json()
    assert list(real) == list(shown)
    assert list(real["instances"]) == list(shown["instances"])
