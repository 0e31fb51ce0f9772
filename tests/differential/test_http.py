"""magpie's HTTP parser against Node's (llhttp, strict) over requests made for smuggling.

Where the two differ, magpie must be the stricter: it refuses, or it frames the message in the same
way. So no message may reach a function that a Node in front of or behind magpie would see otherwise.
`test_the_differences_are_shown` prints where they differ.
"""
import base64
import json
import pathlib
import re
import shutil
import subprocess

import pytest
from server import build_dir

HERE = pathlib.Path(__file__).parent

# What we take and Node does not, and why that cannot be used for smuggling.
TAKEN_BY_US_ALONE = {
    "length-tabs-around": "a tab is white space like a space (RFC 9110, 5.6.3)",
    "upgrade-ignored": "Node handles the request, but forgets what was pipelined behind it",
}


def read_cases():
    cases = {}
    for line in (HERE / "cases.txt").read_text(encoding="ascii").splitlines():
        if not line or line.startswith("#"):
            continue
        # Names have 25 characters at most; a space after that column belongs to the bytes.
        name, text = line[:26].strip(), line[26:]
        text = re.sub(r"\{(.)\*(\d+)\}", lambda m: m.group(1) * int(m.group(2)), text)
        assert name not in cases, f"two cases are named {name}"
        cases[name] = text.encode().decode("unicode_escape").encode("latin-1")
    return cases


CASES = read_cases()


def ask_magpie(data):
    """([[method, target, body]], verdict), as node_verdict.js tells it."""
    done = subprocess.run([build_dir() / "tests/differential/http_verdict"], input=data,
                          stdout=subprocess.PIPE, check=True)
    *messages, verdict = done.stdout.decode("latin-1").splitlines()
    messages = [message.split(" ")[1:] for message in messages]
    return [[method, target, body[1:]] for method, target, body in messages], verdict


@pytest.fixture(scope="module")
def node_verdicts():
    node = "/usr/bin/node" if pathlib.Path("/usr/bin/node").exists() else shutil.which("node")
    question = {name: base64.b64encode(data).decode() for name, data in CASES.items()}
    done = subprocess.run([node, HERE / "node_verdict.js"], input=json.dumps(question).encode(),
                          stdout=subprocess.PIPE, check=True, timeout=120)
    return {name: (answer["messages"], answer["verdict"])
            for name, answer in json.loads(done.stdout).items()}


def laxness(ours, node):
    """How our reading goes beyond Node's, in a sentence; None where it does not."""
    our_messages, our_verdict = ours
    node_messages, node_verdict = node
    for number, message in enumerate(our_messages):
        if number >= len(node_messages):
            return f"we take message {number + 1}, Node: {node_verdict}"
        if message != node_messages[number]:
            return f"message {number + 1} is {message} for us, {node_messages[number]} for Node"
    if our_verdict.startswith("refused") or our_verdict == "closed":
        return None
    if len(node_messages) > len(our_messages):
        return f"Node sees message {len(our_messages) + 1}, we: {our_verdict}"
    if our_verdict == "incomplete" and node_verdict.startswith("refused"):
        return f"we wait for more, Node: {node_verdict}"
    return None


@pytest.mark.parametrize("name", CASES)
def test_magpie_is_as_strict_as_node(name, node_verdicts):
    problem = laxness(ask_magpie(CASES[name]), node_verdicts[name])
    assert problem is None or name in TAKEN_BY_US_ALONE


def test_both_take_what_is_plain_and_refuse_what_is_not(node_verdicts):
    """The comparison itself works: it has seen both kinds of verdict from both sides."""
    for verdicts in (node_verdicts, {name: ask_magpie(data) for name, data in CASES.items()}):
        messages, verdict = verdicts["chunked-trailer"]
        assert messages == [["POST", "/a", b"hello".hex()], ["GET", "/next", ""]]
        assert verdict == "end"
        assert verdicts["unfinished-body"] == ([], "incomplete")
        assert verdicts["cl-te"][0] == [] and verdicts["cl-te"][1].startswith("refused")


def test_the_differences_are_shown(node_verdicts, capsys):
    rows = []
    for name, data in CASES.items():
        ours, node = ask_magpie(data), node_verdicts[name]
        # After a message that closes the connection, what follows is nobody's.
        same_end = ours[1] == "closed" or ours[1].split()[0] == node[1].split()[0]
        if ours[0] != node[0] or not same_end:
            rows.append((name, len(ours[0]), ours[1], len(node[0]), node[1]))
    with capsys.disabled():
        print(f"\n{len(rows)} of {len(CASES)} cases differ (messages taken, then the verdict):")
        for name, our_count, our_verdict, node_count, node_verdict in rows:
            print(f"  {name:26} magpie {our_count} {our_verdict:58} Node {node_count} {node_verdict}")
