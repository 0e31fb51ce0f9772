"""function.yaml: strict, and every refusal names the line."""
import json

import pytest


def plan(cli, *flags):
    planned = cli.run("deploy", ".", "--dry-run", *flags)
    assert planned.returncode == 0, planned
    return json.loads(planned.stdout)


@pytest.fixture
def folder(cli):
    cli.write("main.py", "def handler(event, context):\n    return event\n")
    cli.write("home/.keep", "")
    cli.write(".magpieignore", "home/\n")
    return cli


def test_every_key_reaches_the_node(folder):
    folder.write("function.yaml", """
name: hello
runtime: python3
handler: main.handler
memory: 256MiB
timeout: 5s
keepAlive: 0s
concurrency: 4
min: 1
max: 9
public: true
zygote: off
layers:
  - tools
  - other:3
env:
  GREETING: Hi there
  EMPTY: ""
  NUMBER: 42
""")
    settings = plan(folder)
    del settings["packedBytes"]
    assert settings == {
        "name": "hello", "runtime": "python3", "handler": "main.handler", "memory": "256MiB",
        "timeout": "5s", "keepAlive": "0s", "concurrency": 4, "min": 1, "max": 9, "public": True,
        "zygote": "off", "layers": ["tools", "other:3"], "env": {"GREETING": "Hi there", "EMPTY": "", "NUMBER": "42"},
        "files": ["main.py"]}


def test_every_flag_says_what_its_key_says(folder):
    settings = plan(folder, "--name", "n", "--runtime", "python3", "--handler", "main.handler",
                    "--memory", "256MiB", "--timeout", "5s", "--env", "A=1", "--concurrency", "4",
                    "--min", "1", "--max", "9", "--keep-alive", "0s", "--zygote", "off",
                    "--layer", "tools", "--layer=other:3", "--public")
    del settings["packedBytes"]
    assert settings == {
        "name": "n", "runtime": "python3", "handler": "main.handler", "memory": "256MiB",
        "timeout": "5s", "keepAlive": "0s", "concurrency": 4, "min": 1, "max": 9, "public": True,
        "zygote": "off", "layers": ["tools", "other:3"], "env": {"A": "1"}, "files": ["main.py"]}


def test_flags_override_the_file_and_add_to_its_env(folder):
    folder.write("function.yaml", "name: hello\nmemory: 64MiB\npublic: true\nenv: {A: 1, B: 2}\n")
    settings = plan(folder, "--memory=1GiB", "--private", "--env", "B=3", "--env", "C=x=y",
                    "--name", "other")
    assert settings["name"] == "other" and settings["memory"] == "1GiB"
    assert settings["public"] is False
    assert settings["env"] == {"A": "1", "B": "3", "C": "x=y"}


def test_layers_said_by_flags_are_all_there_are(folder):
    folder.write("function.yaml", "name: hello\nlayers: [a, b:2]\n")
    assert plan(folder)["layers"] == ["a", "b:2"]
    assert plan(folder, "--layer", "c")["layers"] == ["c"]
    folder.write("function.yaml", "name: hello\nlayers: []\n")
    assert plan(folder)["layers"] == []
    folder.write("function.yaml", "name: hello\n")
    assert "layers" not in plan(folder)
    refused = folder.run("deploy", ".", "--dry-run", *["--layer=x"] * 2)
    assert refused.returncode == 2 and "layer 'x' is named twice" in refused.stderr


def test_a_keep_alive_can_be_auto(folder):
    folder.write("function.yaml", "name: hello\nkeepAlive: auto\n")
    assert plan(folder)["keepAlive"] == "auto"
    assert plan(folder, "--keep-alive", "5m")["keepAlive"] == "5m"
    assert folder.run("deploy", ".", "--dry-run", "--keep-alive", "2000h").returncode == 2
    folder.write("function.yaml", "name: hello\nkeepAlive: always\n")
    refused = folder.run("deploy", ".", "--dry-run")
    assert refused.returncode == 2
    assert "line 2: keepAlive: 'always' is no keep-alive: write auto" in refused.stderr


def test_the_build_command_runs_in_the_folder_and_its_output_is_shown(folder):
    folder.write("function.yaml", "name: hello\nbuild: |\n  echo working\n  touch made.py\n")
    planned = folder.run("deploy", ".", "--dry-run")
    assert planned.returncode == 0, planned
    assert "working\n" in planned.stderr
    assert json.loads(planned.stdout)["files"] == ["made.py", "main.py"]


def test_a_build_that_fails_ends_the_deployment(folder):
    folder.write("function.yaml", "build: echo broken >&2; exit 3\n")
    refused = folder.run("deploy", ".", "--dry-run")
    assert refused.returncode == 1 and refused.stdout == ""
    assert "broken\n" in refused.stderr
    assert "the build failed with exit status 3" in refused.stderr


@pytest.mark.parametrize("text, line, sentence", [
    ("name: a\nmemroy: 1\n", 2, "there is no key 'memroy'; did you mean 'memory'?"),
    ("name: a\n\nname: b\n", 3, "'name' is said twice"),
    ("name: Not A Name\n", 1, "is not allowed"),
    ("runtime: ruby\n", 1, "runtime is python3, node, native or exec, not 'ruby'"),
    ("# one\n# two\nmemory: lots\n", 3, "memory: 'lots' is not a size"),
    ("timeout: soon\n", 1, "timeout: 'soon' is not a duration"),
    ("concurrency: two\n", 1, "concurrency is a whole number, not 'two'"),
    ("max: 99999999999999999999\n", 1, "max is a whole number"),
    ("memory: 1KiB\n", 1, "memory 1KiB is not allowed: it may be 8MiB to 64GiB"),
    ("name: a\ntimeout: 2h\n", 2, "timeout 2h is not allowed: it may be 1ms to 1h"),
    ("keepAlive: 9000h\n", 1, "is not allowed: it may be 0s to 24h"),
    ("concurrency: 0\n", 1, "concurrency 0 is not allowed"),
    ("min: 20000\n", 1, "min 20000 is not allowed"),
    ("public: yes\n", 1, "public is true or false, not 'yes'"),
    ("handler: ''\n", 1, "handler is empty"),
    ("zygote: no\n", 1, "zygote is auto or off, not 'no'"),
    ("env: NAME=value\n", 1, "env is a mapping"),
    ("reach: db\n", 1, "reach is a list: lines of - NAME"),
    ("reach:\n  - db\n  - db\n", 3, "reach 'db' is given twice"),
    ("reach: [A]\n", 1, "reach 'A' is not allowed"),
    ("reach: [[a]]\n", 1, "a name in reach is one plain value"),
    ("network: lan\n", 1, "network is none or egress, not 'lan'"),
    ("env:\n  A: 1\n  B: [1]\n", 3, "B is one plain value"),
    ("env:\n  A: 1\n  A: 2\n", 3, "'A' is said twice"),
    ("env:\n  1A: x\n", 2, "env name '1A' is not allowed"),
    ("env:\n  \"A=B\": 1\n", 2, "env name 'A=B' is not allowed"),
    ("env:\n  MAGPIE_X: x\n", 2, "MAGPIE_ are the platform's"),
    ("layers: tools\n", 1, "layers is a list: lines of - NAME"),
    ("layers: {a: b}\n", 1, "layers is a list: lines of - NAME"),
    ("layers: &x [a]\n", 1, "layers is a list: lines of - NAME"),
    ("layers:\n  - a\n  - [b]\n", 3, "a layer is one plain value"),
    ("layers:\n  - a\n  - b: c\n", 3, "a layer is one plain value"),
    ("layers:\n  - a\n  - a:2\n", 3, "layer 'a' is named twice"),
    ("layers:\n  - a:0\n", 2, "layer 'a:0' is not of the form NAME or NAME:VERSION"),
    ("layers:\n  -\n", 2, "layer: name '' is not allowed"),
    ("layers: [a, b, c, d, e, f]\n", 1, "a function has at most 5 layers"),
    ("layers: [a]\nlayers: [b]\n", 2, "'layers' is said twice"),
    ("name: [a]\n", 1, "name is one plain value"),
    ("- a\n", 1, "this is a mapping"),
    ("just words\n", 1, "this is a mapping"),
    ("name: a\n---\nname: b\n", 2, "one document is enough"),
    ("name: &x a\n", 1, "anchors and tags are not used here"),
    ("name: !!str a\n", 1, "anchors and tags are not used here"),
    ("name: a\nhandler: *x\n", 2, "aliases are not used here"),
    ('handler: "a\\0b"\n', 1, "NUL"),
    ("name: a\n\tmemory: 1\n", 2, "this is not YAML"),
    ("name: a\nhandler: 'open\n", 3, "this is not YAML"),
])
def test_a_refusal_names_the_line_and_what_is_wrong(folder, text, line, sentence):
    folder.write("function.yaml", text)
    refused = folder.run("deploy", ".", "--dry-run")
    assert refused.returncode == 2 and refused.stdout == ""
    assert f"function.yaml: line {line}: " in refused.stderr, refused.stderr
    assert sentence in refused.stderr


def test_more_instances_at_least_than_at_most_are_refused(folder):
    folder.write("function.yaml", "min: 2\nmax: 9\n")
    assert plan(folder, "--min", "10", "--max", "20")["min"] == 10
    refused = folder.run("deploy", ".", "--dry-run", "--max", "1")
    assert refused.returncode == 2 and "min 2 is more than max 1" in refused.stderr


def test_an_empty_file_says_nothing(folder):
    folder.write("function.yaml", "---\n")
    assert plan(folder, "--name", "x")["runtime"] == "python3"


def test_a_file_that_is_far_too_large_is_refused(folder):
    folder.write("function.yaml", "name: a\n" + "# padding\n" * 10000)
    refused = folder.run("deploy", ".", "--dry-run")
    assert refused.returncode == 1 and "is larger than 65536 bytes" in refused.stderr
