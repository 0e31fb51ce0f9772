"""docs/api.md: its examples run, one after another, and give what it says."""
import json
import pathlib
import re
import subprocess

from server import ROOT

DOCUMENT = pathlib.Path(ROOT, "docs/api.md")


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


def test_the_object_that_is_shown_has_the_members_that_there_are(server):
    text = DOCUMENT.read_text(encoding="utf-8")
    shown = json.loads(re.search(r"^```json\n(\{\n  \"functionId\".*?)^```$", text,
                                 re.MULTILINE | re.DOTALL).group(1))
    function = server.deploy("shown", "python3", {"main.py": "def handler(e, c):\n    return e\n"})
    real = server.request("GET", f"/api/v1/functions/{function}").json()
    assert list(real) == list(shown)
    assert list(real["instances"]) == list(shown["instances"])
