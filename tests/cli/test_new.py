"""`magpie new`: what it makes can be deployed as it is."""
import json
import os

import pytest

RUNTIMES = ["python3", "node", "native", "exec"]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_each_runtime_has_a_template_that_deploy_understands(cli, runtime):
    made = cli.run("new", "hello", "--runtime", runtime)
    assert made.returncode == 0, made
    files = made.stdout.splitlines()
    assert "hello/function.yaml" in files and len(files) >= 2
    assert all((cli.folder / name).is_file() for name in files)
    assert "magpie deploy hello" in made.stderr

    plan = cli.run("deploy", "hello", "--dry-run")
    assert plan.returncode == 0, plan
    settings = json.loads(plan.stdout)
    assert (settings["name"], settings["runtime"]) == ("hello", runtime)
    assert "function.yaml" not in settings["files"]


def test_the_default_is_python3(cli):
    cli.run("new", "hello")
    assert "runtime: python3" in (cli.folder / "hello/function.yaml").read_text()


def test_a_script_in_a_template_is_executable(cli):
    cli.run("new", "hello", "--runtime", "exec")
    scripts = [path for path in (cli.folder / "hello").iterdir()
               if path.read_bytes().startswith(b"#!")]
    assert scripts and all(os.access(path, os.X_OK) for path in scripts)


def test_the_folder_may_lie_anywhere_and_may_be_empty(cli):
    (cli.folder / "functions/hello").mkdir(parents=True)
    assert cli.run("new", "functions/hello/").returncode == 0
    assert "name: hello" in (cli.folder / "functions/hello/function.yaml").read_text()


def test_nothing_is_overwritten(cli):
    kept = cli.write("hello/main.py", "precious")
    refused = cli.run("new", "hello")
    assert refused.returncode == 1
    assert "exists and is not empty" in refused.stderr and "magpie deploy hello" in refused.stderr
    assert kept.read_text() == "precious" and os.listdir(cli.folder / "hello") == ["main.py"]
