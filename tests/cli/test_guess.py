"""Without function.yaml: what deploy takes from the code, and what it asks for."""
import io
import json
import pathlib
import shutil
import subprocess
import zipfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PYTHON = "import os\n\ndef handler(event, context):\n    return event\n"


def plan(cli, *arguments):
    planned = cli.run("deploy", *arguments, "--dry-run")
    assert planned.returncode == 0, planned
    return json.loads(planned.stdout), planned.stderr


def refusal(cli, *arguments, ended=1):
    refused = cli.run("deploy", *arguments, "--dry-run")
    assert refused.returncode == ended and refused.stdout == "", refused
    return refused.stderr


@pytest.mark.parametrize("files, runtime, handler", [
    ({"main.py": PYTHON}, "python3", "main.handler"),
    ({"whatever.py": "async def handle(e, c):\n  pass\n"}, "python3", "whatever.handle"),
    ({"app.py": "def lambda_handler(e, c):\n  pass\ndef other():\n  pass\n", "util.py": "x = 1\n"},
     "python3", "app.lambda_handler"),
    ({"main.py": "def _private():\n  pass\ndef shout(e, c):\n  pass\n"}, "python3", "main.shout"),
    ({"index.js": "exports.handler = async () => 1\n"}, "node", "index.handler"),
    ({"index.mjs": "export async function handler() {}\n"}, "node", "index.handler"),
    ({"main.mjs": "export const handle = () => 1\n"}, "node", "main.handle"),
    ({"index.js": "function handler() {}\nmodule.exports = { other: 1, handler }\n"},
     "node", "index.handler"),
    ({"index.js": "module.exports.handler = () => 1\n", "package.json": "{}", "tool.py": "x = 1\n"},
     "node", "index.handler"),
    ({"run": "#!/bin/sh\ncat\n"}, "exec", "run"),
    ({"main.sh": "#!/bin/sh\ncat words.txt\n", "words.txt": "a\n"}, "exec", "main.sh"),
    ({"helper.sh": "#!/bin/sh\n", "main": "#!/bin/sh\ncat\n"}, "exec", "main"),
])
def test_name_runtime_and_handler_are_taken_from_the_code(cli, files, runtime, handler):
    for name, content in files.items():
        cli.write(f"My Echo_2/{name}", content, 0o755)
    settings, said = plan(cli, "My Echo_2")
    assert (settings["name"], settings["runtime"]) == ("my-echo-2", runtime)
    assert settings.get("handler") == handler
    assert "name:    my-echo-2" in said and f"runtime: {runtime}" in said
    assert f"handler: {handler}" in said


def test_a_program_made_with_the_c_shim_is_native_and_another_one_is_exec(cli):
    if not shutil.which("cc"):
        pytest.skip("needs a C compiler")
    cli.run("new", "shim", "--runtime", "native")
    (cli.folder / "made").mkdir()
    subprocess.run(["cc", "-s", "-o", "made/shim", "shim/main.c"], check=True, cwd=cli.folder)
    assert plan(cli, "made/shim")[0]["runtime"] == "native"
    cli.write("plain.c", "int main(void) { return 0; }\n")
    subprocess.run(["cc", "-o", "plain", "plain.c"], check=True, cwd=cli.folder)
    assert plan(cli, "plain")[0]["runtime"] == "exec"


def test_a_single_file_is_named_after_itself_or_its_folder(cli):
    cli.write("code/resize.py", PYTHON)
    cli.write("code/main.py", PYTHON)
    settings, _ = plan(cli, "code/resize.py")
    assert (settings["name"], settings["handler"]) == ("resize", "resize.handler")
    assert settings["files"] == ["resize.py"]
    assert plan(cli, "code/main.py")[0]["name"] == "code"


def test_a_zip_is_looked_into(cli):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("lib/util.py", "x = 1\n")
        archive.writestr("main.py", PYTHON)
    (cli.folder / "greet.zip").write_bytes(packed.getvalue())
    settings, _ = plan(cli, "greet.zip")
    assert (settings["name"], settings["handler"]) == ("greet", "main.handler")
    assert settings["files"] == ["lib/util.py", "main.py"]
    assert settings["packedBytes"] == len(packed.getvalue())


def test_a_zip_may_bring_its_function_yaml_which_counts_before_the_one_beside_it(cli):
    with zipfile.ZipFile(cli.folder / "greet.zip", "w") as archive:
        archive.writestr("main.py", PYTHON)
        archive.writestr("function.yaml", "name: inside\nbuild: exit 1\n")
    cli.write("function.yaml", "name: beside\n")
    assert plan(cli, "greet.zip")[0]["name"] == "inside"
    with zipfile.ZipFile(cli.folder / "greet.zip", "w") as archive:
        archive.writestr("main.py", PYTHON)
    assert plan(cli, "greet.zip")[0]["name"] == "beside"


def test_quiet_guesses_without_a_word(cli):
    cli.write("hello/main.py", PYTHON)
    planned = cli.run("deploy", "hello", "--dry-run", "-q")
    assert planned.returncode == 0 and planned.stderr == ""


@pytest.mark.parametrize("files, sentence", [
    ({"main.py": PYTHON, "index.js": "exports.handler = 1\n"}, "--runtime python3 or --runtime node"),
    ({"a.py": PYTHON, "b.py": PYTHON}, "--handler FILE.FUNCTION"),
    ({"main.py": "def a():\n  pass\ndef b():\n  pass\n"}, "--handler main.FUNCTION"),
    ({"main.py": "x = 1\n"}, "--handler main.FUNCTION"),
    ({"notes.txt": "hello\n"}, "say --runtime"),
])
def test_what_cannot_be_told_is_asked_for(cli, files, sentence):
    for name, content in files.items():
        cli.write(f"code/{name}", content)
    assert sentence in refusal(cli, "code", ended=2)


def test_of_a_runtime_that_was_said_the_only_program_is_the_handler(cli):
    cli.write("code/function.yaml", "runtime: exec\n")
    cli.write("code/run.sh", "#!/bin/sh\ncat\n", 0o755)
    cli.write("code/words.txt", "a\n")
    assert plan(cli, "code")[0]["handler"] == "run.sh"
    cli.write("code/other.sh", "#!/bin/sh\ncat\n", 0o755)
    assert "handler" not in plan(cli, "code")[0]  # the node may know one by its name


@pytest.mark.parametrize("name", ["me", "execute"])
def test_a_name_that_the_api_has_for_itself_is_refused(cli, name):
    taken = f"the name '{name}' is taken by the API itself"
    cli.write(f"{name}/main.py", PYTHON)
    assert taken in refusal(cli, name, ended=2)
    assert taken in refusal(cli, name, "--name", name, ended=2)
    made = cli.run("new", f"below/{name}")
    assert made.returncode == 2 and taken in made.stderr and not (cli.folder / "below").exists()
    for verb in ("inspect", "rm"):
        missing = cli.run(verb, name)
        assert missing.returncode == 3
        assert f"there is no function '{name}'" in missing.stderr


def test_a_damaged_zip_and_a_missing_path_are_told_apart(cli):
    (cli.folder / "broken.zip").write_bytes(b"PK\x03\x04 and then nothing of the kind")
    assert "cannot be read as a zip" in refusal(cli, "broken.zip")
    assert "cannot open 'nowhere'" in refusal(cli, "nowhere")


@pytest.mark.parametrize("path", ["nowhere", "nowhere.py", "empty"])
def test_where_there_is_no_code_one_is_told_how_to_begin(cli, path):
    (cli.folder / "empty").mkdir()
    assert "magpie new NAME" in refusal(cli, path)
