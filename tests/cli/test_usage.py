"""Words, help and exit codes, as far as no node is needed."""
import json
import socket
import subprocess

import pytest

VERBS = ["new", "deploy", "invoke", "logs", "ls", "inspect", "rm", "login", "user", "serve",
         "bench", "doctor", "version", "help"]


def test_no_arguments_show_every_verb_and_succeed(cli):
    shown = cli.run()
    assert shown.returncode == 0 and shown.stderr == ""
    for verb in VERBS:
        assert f"\n  {verb} " in shown.stdout
    assert all(len(line) <= 100 for line in shown.stdout.splitlines())


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_explains_itself_on_stdout(cli, verb):
    shown = cli.run(verb, "--help")
    assert shown.returncode == 0 and shown.stderr == ""
    assert shown.stdout.startswith(f"usage: magpie {verb}")
    assert "--help" in shown.stdout
    assert cli.run("help", verb).stdout == shown.stdout


@pytest.mark.parametrize("slip, meant", [("depoly", "deploy"), ("lgos", "logs"), ("list", "ls"),
                                         ("delete", "rm"), ("call", "invoke")])
def test_an_unknown_verb_suggests_the_one_that_was_meant(cli, slip, meant):
    refused = cli.run(slip)
    assert refused.returncode == 2 and refused.stdout == ""
    assert f"did you mean 'magpie {meant}'?" in refused.stderr
    assert cli.run("help", slip).stderr == refused.stderr


def test_an_unknown_verb_that_is_like_nothing_suggests_nothing(cli):
    refused = cli.run("bananas")
    assert refused.returncode == 2
    assert "there is no 'bananas'" in refused.stderr and "did you mean" not in refused.stderr


@pytest.mark.parametrize("arguments, sentence", [
    (["deploy", "--memry", "1"], "did you mean --memory?"),
    (["deploy", "-z"], "has no option -z"),
    (["deploy", "--memory"], "--memory needs a value"),
    (["deploy", "--public=yes"], "--public takes no value"),
    (["deploy", "--public", "--private"], "not both"),
    (["deploy", "a", "b"], "'b' is one too many"),
    (["deploy", "--memory", "lots", "."], "memory: 'lots' is not a size"),
    (["deploy", "--concurrency", "-1", "."], "concurrency is a whole number, not '-1'"),
    (["deploy", "--env", "NAME", "."], "'NAME' is not of the form NAME=value"),
    (["invoke"], "magpie invoke NAME"),
    (["logs", "x", "-n", "many"], "-n takes a number"),
    (["logs", "x", "-n", "0"], "-n takes a number from 1"),
    (["logs", "x", "-n", "5", "-f"], "one or the other"),
    (["ls", "-o", "xml"], "-o takes json or table"),
    (["user", "creat"], "did you mean 'create'?"),
    (["user", "create"], "--email"),
    (["login"], "--email"),
    (["new", "Hello"], "is not allowed"),
    (["new", "x", "--runtime", "nod"], "did you mean node?"),
    (["--server"], "--server needs a value"),
    (["ls", "--server", "ftp://example.org"], "is not the address of a node"),
    (["ls", "--server", "http://user@example.org"], "no user"),
    (["serve", "--thread", "1"], "has no option --thread; did you mean --threads?"),
    (["serve", "now"], "'now' is one too many"),
    (["serve", "--listen"], "--listen needs a value: --listen HOST:PORT"),
    (["serve", "--listen", "8080"], "listen: '8080' is not of the form HOST:PORT"),
    (["serve", "--threads", "0"], "--threads: '0' is not a number from 1 on"),
    (["serve", "--threads", "all"], "--threads: 'all' is not a number from 1 on"),
    (["serve", "--threads", "65"], "threads: at most 64"),
    (["serve", "--wait-max", "30"], "--wait-max: '30' is not a duration"),
    (["serve", "--config", "/nowhere"], "opening '/nowhere': No such file or directory"),
])
def test_a_wrong_command_line_is_2_and_says_what_is_wrong(cli, arguments, sentence):
    refused = cli.run(*arguments)
    assert refused.returncode == 2, refused
    assert sentence in refused.stderr and refused.stdout == ""


@pytest.mark.parametrize("text, sentence", [
    ("# a node\nlisten: 127.0.0.1:1\nthread: 2\n", "line 3: there is no 'thread'"),
    ("listen 127.0.0.1:1\n", "line 1: 'listen 127.0.0.1:1' is not of the form `name: value`"),
    ("threads: many\n", "line 1: threads: 'many' is not a number"),
])
def test_a_wrong_line_in_a_nodes_file_is_named(cli, text, sentence):
    refused = cli.run("serve", "--config", cli.write("node.conf", text))
    assert refused.returncode == 2
    assert f"node.conf, {sentence}" in refused.stderr and "magpie serve --help" in refused.stderr


def test_a_wrong_variable_of_a_node_is_named(cli):
    refused = cli.run("serve", MAGPIE_THREADS="0")
    assert refused.returncode == 2
    assert "the environment's MAGPIE_THREADS: '0' is not a number from 1 on" in refused.stderr


def test_version_is_one_line_or_json(cli):
    line = cli.run("version")
    assert line.returncode == 0 and line.stdout.startswith("magpie ")
    assert line.stdout == cli.run("--version").stdout
    version = json.loads(cli.run("version", "-o", "json").stdout)["version"]
    assert line.stdout == f"magpie {version}\n"


@pytest.mark.parametrize("arguments", [["ls"], ["inspect", "x"], ["invoke", "x", "-d", "1"],
                                       ["logs", "x"], ["rm", "x"], ["user", "me"]])
def test_without_a_node_it_is_1_and_the_hint_is_how_to_start_one(cli, arguments):
    with socket.socket() as unheard:  # bound, but it does not listen
        unheard.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unheard.getsockname()[1]}"
        for refused in (cli.run(*arguments, "--server", url), cli.run(*arguments, MAGPIE_URL=url),
                        cli.run("--server", url, *arguments)):
            assert refused.returncode == 1 and refused.stdout == ""
            assert f"nothing answers at {url}" in refused.stderr
            assert "magpie serve" in refused.stderr


def test_the_option_counts_before_the_environment(cli):
    refused = cli.run("ls", "--server", "127.0.0.1:1", MAGPIE_URL="http://127.0.0.1:2")
    assert "nothing answers at http://127.0.0.1:1\n" in refused.stderr


def test_a_full_disk_is_a_failure(cli):
    with open("/dev/full", "w", encoding="ascii") as full:
        ended = subprocess.run([cli.program, "version"], stdout=full, stderr=subprocess.PIPE, text=True,
                               env=cli.environment, timeout=60)
    assert ended.returncode == 1
    assert "cannot write the output: No space left on device" in ended.stderr


@pytest.mark.parametrize("plain", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"CI": "true"}])
def test_colours_only_where_a_person_watches(cli, plain):
    assert "\033[" in cli.watch("help")[1]
    assert "\033[" not in cli.watch("help", **plain)[1]
    assert "\033[" not in cli.run("help").stdout
