"""The second tree of a SPAWN: at /opt, beside the code, for whoever runs there."""
import errno
import json
import subprocess

import pytest
from agent_client import EXEC, NODE, PYTHON3, Refused
from conftest import start_agent
from stocked import from_nursery, from_stock

LS = b"#!/bin/sh\ncd /opt && ls -R . && env | grep -E '^(PATH|LD_|NODE_|MAGPIE_LAYERS)' | sort\n"
ECHO = b"def handle(event, context):\n    return event\n"


@pytest.fixture(scope="module")
def agent(either_agent):
    return either_agent


@pytest.fixture(scope="module")
def stocked():
    with start_agent(stock=8) as running:
        yield running


@pytest.fixture(scope="module")
def stocked_gateway(stocked):
    return stocked.connect()


def listed(agent, gateway, files, **options):
    code = agent.add_code({"main": (0o755, LS)})
    layers = agent.add_code(files) if files else ""
    with gateway.spawn(code, "main", runtime=EXEC, layers=layers, **options) as made:
        made.wait_ready()
        return made.invoke().decode().splitlines()


def test_the_tree_lies_at_opt_and_only_where_it_was_asked_for(agent, gateway):
    assert listed(agent, gateway, {"data": (0o644, b"x")})[:2] == [".:", "data"]
    without = listed(agent, gateway, {})
    assert without == [".:", "lib", "", "./lib:", "PATH=/usr/local/bin:/usr/bin:/bin"]


def test_variables_are_set_for_what_the_tree_has(agent, gateway):
    assert listed(agent, gateway, {"data": (0o644, b"x")})[2:] == [
        "MAGPIE_LAYERS=/opt", "PATH=/usr/local/bin:/usr/bin:/bin"]
    everything = {"bin/tool": (0o755, b"#!/bin/sh\n"), "lib": (None, "lib64"), "lib64/x": (0o644, b"x"),
                  "nodejs/node_modules/x/index.js": (0o644, b"x")}
    variables = [line for line in listed(agent, gateway, everything) if "=" in line]
    assert variables == ["LD_LIBRARY_PATH=/opt/lib", "MAGPIE_LAYERS=/opt",
                         "PATH=/usr/local/bin:/usr/bin:/bin:/opt/bin"]
    own = [line for line in listed(agent, gateway, everything,
                                   env=["PATH=/bin:/usr/bin", "LD_LIBRARY_PATH="]) if "=" in line]
    assert own == ["LD_LIBRARY_PATH=", "MAGPIE_LAYERS=/opt", "PATH=/bin:/usr/bin"]


def test_a_file_of_that_name_is_no_folder(agent, gateway):
    variables = [line for line in listed(agent, gateway, {"bin": (0o644, b"x"), "lib": (0o644, b"x")})
                 if "=" in line]
    assert variables == ["MAGPIE_LAYERS=/opt", "PATH=/usr/local/bin:/usr/bin:/bin"]


def test_layers_that_are_not_there_are_refused_and_the_agent_goes_on(agent, gateway):
    code = agent.add_code({"main": (0o755, LS)})
    with pytest.raises(Refused) as refused:
        gateway.spawn(code, "main", runtime=EXEC, layers="e" * 64)
    assert refused.value.code == errno.ENOENT and "layers" in str(refused.value)
    assert listed(agent, gateway, {"data": (0o644, b"x")})[:2] == [".:", "data"]


def test_a_trial_finds_its_code_in_staging_and_its_layers_where_they_were_kept(agent, gateway):
    code = agent.add_code({"main": (0o755, b"#!/bin/sh\ncat /opt/data\n")}, staging=True)
    layers = agent.add_code({"data": (0o644, b"kept")})
    with gateway.spawn(code, "main", runtime=EXEC, layers=layers, verify=True) as made:
        made.wait_ready()
        assert made.invoke() == b"kept"
    staged = agent.add_code({"data": (0o644, b"staged")}, staging=True)
    with pytest.raises(Refused):
        gateway.spawn(code, "main", runtime=EXEC, layers=staged, verify=True)


# ---- interpreters that waited ----


def python(version=1):
    return {"python/who.py": (0o644, f"NAME = {version}\n".encode())}


WHO = b"""import os, time, who
time.sleep(0.02)
LOADED = os.urandom(8).hex()
def handle(event, context):
    return [who.NAME, LOADED]
"""


def test_a_layer_of_modules_alone_leaves_python_its_nursery_and_snapshots(stocked, stocked_gateway):
    code = stocked.add_code({"main.py": (0o644, WHO)})
    found = []
    for _ in range(4):
        with from_nursery(stocked, stocked_gateway, code, layers=stocked.add_code(python())) as made:
            found.append(json.loads(made.invoke(b"{}")))
    assert {name for name, _ in found} == {1} and len({loaded for _, loaded in found}) == 1


def test_other_layers_are_another_snapshot(stocked, stocked_gateway):
    code = stocked.add_code({"main.py": (0o644, WHO + b"# differs\n")})
    trees = [stocked.add_code(python(version)) for version in (1, 2)]
    found = []
    for _ in range(3):
        for tree in trees:
            with from_nursery(stocked, stocked_gateway, code, layers=tree) as made:
                found.append(tuple(json.loads(made.invoke(b"{}"))))
    assert {name for name, _ in found} == {1, 2} and len(set(found)) == 2


def interpreter(made):
    return made.phases["clone"] == 0 and made.origin == 3


def test_a_python_interpreter_that_waited_loads_libraries_of_layers(stocked, stocked_gateway,
                                                                     tmp_path):
    source = tmp_path / "answer.c"
    source.write_text("int answer(void) { return 42; }\n")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", tmp_path / "libanswer.so", source], check=True)
    layers = stocked.add_code({"lib/libanswer.so": (0o755, (tmp_path / "libanswer.so").read_bytes())})
    code = stocked.add_code({"main.py": (0o644, b"""import ctypes
ANSWER = ctypes.CDLL("libanswer.so").answer()
def handle(event, context):
    return ANSWER
""")})
    for _ in range(3):
        with from_stock(stocked_gateway, code, "main.handle", runtime=PYTHON3, layers=layers,
                        which=interpreter) as made:
            assert made.invoke(b"{}") == b"42"


SCRIPT = b"""for (const end = Date.now() + 15; Date.now() < end;);
const { name } = require('pack');
const fs = require('fs');
const before = fs.readFileSync('/run/compile-cache');
const names = before.length < 16 ? [] :
    JSON.parse(before.subarray(16, 16 + before.readUInt32LE(8)).toString()).map((each) => each[0]);
exports.handle = () => [name, names.sort()];
"""


def node(name):
    return {"nodejs/node_modules/pack/index.js": (0o644, f"exports.name = '{name}';\n".encode())}


def test_a_node_interpreter_that_waited_finds_packages_and_keeps_what_it_compiled(stocked,
                                                                                  stocked_gateway):
    code = stocked.add_code({"main.js": (0o644, SCRIPT)})
    for name in ("one", "two"):
        layers = stocked.add_code(node(name))
        found = []
        for _ in range(4):
            with from_stock(stocked_gateway, code, "main.handle", runtime=NODE, layers=layers,
                            which=interpreter) as made:
                found.append(json.loads(made.invoke(b"{}")))
        assert {answer[0] for answer in found} == {name}
        assert found[-1][1] == ["/code/main.js", "/opt/nodejs/node_modules/pack/index.js"]


def test_without_layers_nothing_of_theirs_is_in_the_environment(stocked, stocked_gateway):
    code = stocked.add_code({"main.py": (0o644, b"""import os, sys
def handle(event, context):
    return [sorted(os.environ), [each for each in sys.path if each.startswith("/opt")]]
""")})
    with from_nursery(stocked, stocked_gateway, code) as made:
        names, paths = json.loads(made.invoke(b"{}"))
    assert "MAGPIE_LAYERS" not in names and "LD_LIBRARY_PATH" not in names and paths == []
