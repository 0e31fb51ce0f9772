"""Every verb against a real node."""
import json
import os
import pty
import re
import select
import shutil
import stat
import subprocess
import time
import zipfile

import pytest
from server import ROOT, Server

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a node makes sandboxes")

ECHO = "def handler(event, context):\n    return event\n"
PASSWORD = "correct horse"


class NodeCommandLine:
    """A command line whose node is `server`, as its administrator (by admin.token)."""

    def __init__(self, cli, server):
        self.cli = cli
        self.server = server
        cli.environment["MAGPIE_URL"] = server.url
        cli.environment["MAGPIE_DATA_DIR"] = str(server.data_dir)

    def __getattr__(self, name):
        return getattr(self.cli, name)

    def good(self, *arguments, **options):
        ended = self.run(*arguments, **options)
        assert ended.returncode == 0, ended
        return ended

    def deploy(self, name, source=ECHO, *flags):
        self.write(f"{name}/main.py", source)
        return self.good("deploy", name, *flags)


@pytest.fixture
def node(cli, server):
    return NodeCommandLine(cli, server)


def test_a_new_function_is_deployed_called_shown_and_deleted(node):
    node.good("new", "first")
    deployed = node.good("deploy", "first")
    url = deployed.stdout.strip()
    assert re.fullmatch(re.escape(node.server.url) + "/f/[a-z0-9-]+/first", url), deployed
    assert "first is deployed: version 1" in deployed.stderr

    called = node.good("invoke", "first", "-d", '{"name": "you"}')
    assert "you" in called.stdout and called.stderr == ""

    assert "first" in node.good("ls", "-q").stdout.splitlines()
    assert re.search(r"^first +python3 +1 ", node.good("ls").stdout, re.MULTILINE)
    shown = node.good("inspect", "first").stdout
    assert f"url          {url}\n" in shown and "handler      main.handler\n" in shown
    function = json.loads(node.good("inspect", "first", "-o", "json").stdout)
    same = node.server.request("GET", "/api/v1/functions/first").json()
    listed = next(entry for entry in json.loads(node.good("ls", "-o", "json").stdout)
                  if entry["name"] == "first")
    for other in (same, listed):  # its instance may have been frozen meanwhile
        assert other.pop("instances").keys() == function["instances"].keys()
        assert other == {key: function[key] for key in function if key != "instances"}

    assert node.good("rm", "first", "-q").stdout == "first\n"
    assert "first" not in node.good("ls", "-q").stdout.splitlines()


@pytest.mark.parametrize("runtime", ["python3", "node", "native", "exec"])
def test_the_template_of_each_runtime_answers(node, runtime):
    name = f"template-{runtime}"
    node.good("new", name, "--runtime", runtime)
    node.good("deploy", name)
    assert "ello" in node.good("invoke", name, "-d", "you").stdout
    assert "greeting " in await_output(node, "logs", name)


def test_inspect_shows_where_the_time_of_cold_starts_went(node):
    node.deploy("timed", ECHO, "--keep-alive", "0s", "--zygote", "off")
    shown = node.good("inspect", "timed").stdout
    assert "cold starts  none of this version yet\n" in shown and "COLD START" not in shown
    assert "zygote       off\n" in shown and "network      none\n" in shown
    for _ in range(2):
        node.good("invoke", "timed", "-d", "1")
    shown = node.good("inspect", "timed").stdout
    cold = json.loads(node.good("inspect", "timed", "-o", "json").stdout)["coldStarts"]
    assert re.search(r"^cold starts  2 of this version; the last (just now|\d+ s ago), "
                     r"(in a sandbox that waited|all made on request)$", shown, re.MULTILINE), shown
    assert re.search(r"^COLD START +LAST +MEAN OF 2$", shown, re.MULTILINE), shown
    for phase, label in (("total", "until loaded"), ("sandbox", "sandbox"), ("load", "load"),
                         ("interpreter", "interpreter"), ("import", "import"),
                         ("first_byte", "first byte")):
        last, mean = (cold[which]["phases"][phase] for which in ("last", "mean"))
        row = re.search(rf"^ *{label} +([0-9.]+) ms +([0-9.]+) ms$", shown, re.MULTILINE)
        # Half of the last digit: 30.45 may be shown either way, and is no sum of powers of two.
        assert float(row[1]) == pytest.approx(last, abs=0.05 + 1e-9), (label, shown)
        assert float(row[2]) == pytest.approx(mean, abs=0.05 + 1e-9), (label, shown)
    assert cold["last"]["phases"]["first_byte"] > cold["last"]["phases"]["load"]


def test_a_second_deployment_is_a_new_version_and_keeps_what_is_not_said(node):
    node.deploy("again", ECHO, "--memory", "64MiB", "--env", "A=1")
    node.deploy("again", "def other(event, context):\n    return 'second'\n", "--timeout", "5s")
    function = json.loads(node.good("inspect", "again", "-o", "json").stdout)
    assert function["version"] >= 2 and function["handler"] == "main.other"
    assert (function["memory"], function["timeout"]) == ("64MiB", "5s")
    assert function["env"] == {"A": "1"}
    assert node.good("invoke", "again").stdout == "second"


def test_a_refusal_shows_the_compilers_words_and_the_old_version_stays(node):
    node.deploy("broken")
    node.write("broken/main.py", "def handler(event, context):\n    return (\n")
    refused = node.run("deploy", "broken", "--memory", "256MiB")
    assert refused.returncode == 1 and refused.stdout == ""
    assert "SyntaxError" in refused.stderr and "main.py" in refused.stderr
    function = json.loads(node.good("inspect", "broken", "-o", "json").stdout)
    assert (function["version"], function["memory"]) == (1, "128MiB")
    assert node.good("invoke", "broken", "-d", "1").stdout == "1"


def test_deployments_at_the_same_time_all_count_and_lose_no_setting_of_each_other(node):
    node.deploy("crowd")
    settings = {"memory": "64MiB", "timeout": "7s", "min": "1", "max": "9"}
    processes = [subprocess.Popen([node.program, "deploy", "crowd", "-q", f"--{name}", value],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                  env=node.environment, cwd=node.folder)
                 for name, value in settings.items()]
    for process in processes:
        output, errors = process.communicate(timeout=60)
        assert (process.returncode, output) == (0, "crowd\n"), errors
    function = json.loads(node.good("inspect", "crowd", "-o", "json").stdout)
    assert function["version"] == 1 + len(settings)
    assert {name: str(function[name]) for name in settings} == settings


@pytest.mark.parametrize("body, word", [({"name": "other", "code": "eA=="}, "name"),
                                        ({"memory": "64MiB"}, "code"),
                                        ({"code": "not base64"}, "base64")])
def test_a_version_that_is_none_is_refused(node, body, word):
    node.deploy("refused")
    answer = node.server.request("POST", "/api/v1/functions/refused/versions", body)
    assert answer.status == 400 and word in answer.json()["detail"]
    assert node.server.request("POST", "/api/v1/functions/none/versions", body).status == 404


def test_deploy_prints_a_name_or_an_object_where_that_is_asked_for(node):
    node.write("quiet/main.py", ECHO)
    assert node.good("deploy", "quiet", "-q").stdout == "quiet\n"
    function = json.loads(node.good("deploy", "quiet", "--public", "-o", "json").stdout)
    assert function["name"] == "quiet" and function["public"] is True
    assert "128MiB, public\n" in node.good("deploy", "quiet").stderr
    assert node.good("inspect", function["functionId"], "-q").stdout == "quiet\n"


@pytest.mark.parametrize("arguments, again", [
    (["below/hints"], "below/hints"), (["two words"], "'two words'"),
    (["below/hints", "--name", "hinted"], "below/hints --name hinted")])
def test_the_hint_after_a_deployment_works_from_where_it_is_shown(node, arguments, again):
    node.write(f"{arguments[0]}/main.py", ECHO)
    assert f"magpie deploy {again} --public opens it" in node.good("deploy", *arguments).stderr


@pytest.mark.parametrize("runtime, answer", [
    ("python3", '{"message":"Hello, magpie!"}'), ("node", '{"message":"Hello, magpie!"}'),
    ("native", '{"name": "magpie"}'), ("exec", 'Hello, {"name": "magpie"}!\n')])
def test_the_examples_deploy_as_they_are(node, runtime, answer):
    for folder in (f"examples/{runtime}", "runtimes/c"):  # native is made with the header
        shutil.copytree(ROOT / folder, node.folder / folder)
    node.good("deploy", f"examples/{runtime}")
    assert node.good("invoke", runtime, "-d", '{"name": "magpie"}').stdout == answer


def test_a_script_is_found_among_its_data(node):
    node.write("reader/main.sh", "#!/bin/sh\ncat words.txt\n", 0o755)
    node.write("reader/words.txt", "some words\n")
    node.good("deploy", "reader")
    assert node.good("invoke", "reader").stdout == "some words\n"


@pytest.mark.parametrize("name, content", [
    ("lone.py", ECHO), ("lone.mjs", "export const handler = (event) => event;\n"),
    ("lone.sh", "#!/bin/sh\ncat\n")])
def test_a_file_deploys_as_it_is(node, name, content):
    node.write(name, content, 0o755)
    node.good("deploy", name, "--name", name.replace(".", "-"))
    assert node.good("invoke", name.replace(".", "-"), "-d", "[1]").stdout == "[1]"


def test_a_zip_deploys_as_it_is(node):
    with zipfile.ZipFile(node.folder / "packed.zip", "w") as archive:
        archive.writestr("main.py", ECHO)
    node.good("deploy", "packed.zip")
    assert node.good("invoke", "packed", "-d", "[1]").stdout == "[1]"


BYTES = bytes(range(256)) * 1000
RAW = "def handler(event, context):\n    return bytes(range(256)) * 1000\n"


def test_a_result_is_printed_byte_for_byte(node):
    node.deploy("raw", RAW)
    called = subprocess.run([node.program, "invoke", "raw"], capture_output=True, timeout=60,
                            env=node.environment, cwd=node.folder)
    assert called.returncode == 0 and called.stdout == BYTES


def test_a_payload_comes_from_text_a_file_or_the_input(node):
    node.deploy("payload", "def handler(event, context):\n    return repr(event)\n")
    node.write("payload.json", '{"from": "file"}')
    assert node.good("invoke", "payload").stdout in ("''", "None", "b''")
    assert node.good("invoke", "payload", "-d", "words").stdout == "'words'"
    assert node.good("invoke", "payload", "-d", "@payload.json").stdout == "{'from': 'file'}"
    assert node.good("invoke", "payload", "-d", "-", input="piped").stdout == "'piped'"
    unsized = node.good("invoke", "payload", "-d", "@/proc/sys/kernel/ostype").stdout
    assert unsized == repr("Linux\n")
    missing = node.run("invoke", "payload", "-d", "@nowhere")
    assert missing.returncode == 2 and "cannot open 'nowhere'" in missing.stderr
    folder = node.run("invoke", "payload", "-d", "@/tmp")
    assert folder.returncode == 2 and "cannot read '/tmp': Is a directory" in folder.stderr


def test_a_payload_over_the_limit_is_refused(node):
    node.deploy("limit")
    (node.folder / "large").write_bytes(b"x" * (7 << 20))
    refused = node.run("invoke", "limit", "-d", "@large")
    assert refused.returncode == 1 and refused.stdout == ""
    assert "larger than" in refused.stderr or "too large" in refused.stderr


def test_a_function_that_fails_is_5_with_its_trace_and_where_to_look(node):
    node.deploy("failing", "def handler(event, context):\n    print('before')\n    return 1 / 0\n")
    failed = node.run("invoke", "failing")
    assert failed.returncode == 5 and failed.stdout == ""
    assert "ZeroDivisionError" in failed.stderr and "main.py" in failed.stderr
    look = re.search(r"magpie (logs failing --invocation \w+)", failed.stderr).group(1)
    assert "before" in await_output(node, *look.split())


def test_a_function_that_takes_too_long_is_124(node):
    node.deploy("slow", "import time\ndef handler(event, context):\n    time.sleep(60)\n",
                "--timeout", "300ms")
    late = node.run("invoke", "slow")
    assert late.returncode == 124 and late.stdout == ""
    assert "--timeout" in late.stderr


BROKEN_OFF = {
    "raises": "    raise ValueError('in the middle')\n",
    "takes-too-long": "    import time\n    time.sleep(60)\n",
    "gives-too-much": "    while True:\n        yield 'x' * 65536\n",
}


def test_an_answer_that_breaks_off_is_5_with_where_to_look(cli):
    with Server("--response-max", "1MiB") as server:
        node = NodeCommandLine(cli, server)
        for name, rest in BROKEN_OFF.items():
            node.deploy(name, "def handler(event, context):\n    print('before')\n"
                              "    yield 'first piece'\n" + rest, "--timeout", "1s")
            broken = node.run("invoke", name)
            assert broken.returncode == 5 and broken.stdout.startswith("first piece"), broken
            assert "the function's answer broke off" in broken.stderr
            look = re.search(rf"magpie (logs {name} --invocation \w+)", broken.stderr).group(1)
            assert "before" in await_output(node, *look.split())


def test_a_functions_own_error_status_is_its_result_and_5(node):
    node.deploy("teapot", "def handler(event, context):\n"
                          "    return {'statusCode': 418, 'body': 'short and stout'}\n")
    answered = node.run("invoke", "teapot")
    assert (answered.returncode, answered.stdout) == (5, "short and stout")
    assert "status 418" in answered.stderr


PROBLEM = '{"title": "No such pet", "status": %s, "reason": "not_found", "detail": "Rex"}'


@pytest.mark.parametrize("status, ended", [(200, 0), (404, 5), (503, 5)])
def test_a_functions_own_problem_is_its_result_and_not_the_platforms(node, status, ended):
    body = PROBLEM % status
    node.deploy(f"own-{status}", "def handler(event, context):\n"
                "    return {'statusCode': %d, 'body': '%s',\n"
                "            'headers': {'content-type': 'application/problem+json'}}\n"
                % (status, body))
    answered = node.run("invoke", f"own-{status}")
    assert (answered.returncode, answered.stdout) == (ended, body), answered
    assert "there is no function" not in answered.stderr and "try again" not in answered.stderr


@pytest.mark.parametrize("verb", ["invoke", "inspect", "logs", "rm"])
def test_what_is_not_there_is_3_and_the_nearest_name_is_suggested(node, verb):
    node.deploy("greeting")
    missing = node.run(verb, "greting")
    assert missing.returncode == 3 and missing.stdout == ""
    assert "there is no function 'greting'" in missing.stderr
    assert "did you mean 'greeting'?" in missing.stderr
    odd = node.run(verb, "../users/me")
    assert odd.returncode in (1, 3) and odd.stdout == ""


def await_output(node, *arguments):
    """Logs are written behind an answer's back: asks until there are some."""
    deadline = time.monotonic() + 20
    while True:
        shown = node.good(*arguments).stdout
        if shown or time.monotonic() > deadline:
            return shown


def test_logs_are_newest_call_first_and_can_be_counted_and_filtered(node):
    node.deploy("chatty", "import sys\ndef handler(event, context):\n"
                          "    print('out', event)\n    print('err', event, file=sys.stderr)\n")
    for number in range(3):
        node.good("invoke", "chatty", "-d", str(number))
    node.good("invoke", "chatty", "-d", "9", "--logs")
    lines = await_output(node, "logs", "chatty").splitlines()
    texts = [line for line in lines if " out" in line or " err" in line]
    assert any("stderr" in line and "err 9" in line for line in texts[:2])
    assert any(texts[-1].endswith(f" {word} 0") for word in ("out", "err"))
    assert node.good("logs", "chatty", "-n", "2").stdout.splitlines() == lines[:2]
    entries = [json.loads(line) for line in
               node.good("logs", "chatty", "-o", "json").stdout.splitlines()]
    assert {"stdout", "stderr"} <= {entry["stream"] for entry in entries}
    chosen = entries[0]["invocationId"]
    of_one = [json.loads(line) for line in
              node.good("logs", "chatty", "-o", "json", "-i", chosen).stdout.splitlines()]
    assert of_one and {entry["invocationId"] for entry in of_one} == {chosen}


def test_a_function_that_has_written_nothing_has_no_logs_and_one_is_told_so(node):
    node.deploy("silent")
    for arguments in (["silent"], ["silent", "-i", "01ARZ3NDEKTSV4RRFFQ69G5FAV"]):
        shown = node.good("logs", *arguments)
        assert shown.stdout == "" and "has written nothing" in shown.stderr
        assert node.good("logs", *arguments, "-o", "json").stderr == ""


def test_invoke_shows_the_logs_of_the_call_on_stderr(node):
    node.deploy("shown", "def handler(event, context):\n    print('a word')\n    return 'result'\n")
    called = node.good("invoke", "shown", "--logs")
    assert called.stdout == "result"
    assert "a word" in called.stderr


def test_logs_are_followed_as_they_come(node):
    node.deploy("followed", "def handler(event, context):\n    print('heard', event)\n")
    follower = subprocess.Popen([node.program, "logs", "followed", "-f"], stdout=subprocess.PIPE,
                                env=node.environment, cwd=node.folder)
    try:
        seen, deadline = b"", time.monotonic() + 30
        while b"heard" not in seen and time.monotonic() < deadline:
            node.good("invoke", "followed", "-d", "1")
            while select.select([follower.stdout], [], [], 0.2)[0] and b"heard" not in seen:
                seen += os.read(follower.stdout.fileno(), 65536)
        assert b"heard 1" in seen
    finally:
        follower.terminate()
        follower.wait(20)
        follower.stdout.close()


def test_a_traceback_reads_from_above(node):
    node.deploy("tracing", "import traceback\ndef handler(event, context):\n    try:\n"
                "        1 / 0\n    except ZeroDivisionError:\n        traceback.print_exc()\n")
    node.good("invoke", "tracing")
    shown = await_output(node, "logs", "tracing")
    assert shown.index("Traceback") < shown.index("1 / 0") < shown.index("division by zero")


def test_who_follows_is_told_that_the_node_has_ended(cli):
    with Server() as server:
        node = NodeCommandLine(cli, server)
        node.deploy("ending", "def handler(event, context):\n    print('heard', event)\n")
        with subprocess.Popen([node.program, "logs", "ending", "-f"], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, env=node.environment, cwd=node.folder,
                              text=True) as follower:
            while not select.select([follower.stdout], [], [], 0.2)[0]:  # it hears the first call
                node.good("invoke", "ending", "-d", "1")
            server.stop()
            _, said = follower.communicate(timeout=30)
            assert follower.returncode == 1
            assert "the node ended the connection" in said and "has written nothing" not in said


def test_who_follows_is_told_that_the_function_has_been_deleted(node):
    node.deploy("deleted", "def handler(event, context):\n    print('heard', event)\n")
    with subprocess.Popen([node.program, "logs", "deleted", "-f"], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, env=node.environment, cwd=node.folder,
                          text=True) as follower:
        while not select.select([follower.stdout], [], [], 0.2)[0]:  # it hears the first call
            node.good("invoke", "deleted", "-d", "1")
        node.good("rm", "deleted")
        _, said = follower.communicate(timeout=30)
        assert follower.returncode == 3
        assert "deleted has been deleted: no more of what it writes comes" in said
        assert "goes on" not in said


def test_foreign_text_cannot_drive_the_terminal(node):
    node.deploy("escape", "def handler(event, context):\n    print('\\x1b[2Jgone \\u009b2J')\n")
    node.good("invoke", "escape")
    await_output(node, "logs", "escape")
    _, seen = node.watch("logs", "escape")
    assert "\\x1b[2Jgone \\u009b2J" in seen


def create_user(node, email):
    node.good("user", "create", "--email", email, input=PASSWORD + "\n")


def test_an_account_is_made_logged_in_to_used_and_deleted(node):
    email = "ada@example.org"
    node.environment["MAGPIE_DATA_DIR"] = str(node.folder / "no-data")
    nobody = node.run("ls")
    assert nobody.returncode == 4 and "you are not logged in" in nobody.stderr
    assert "magpie login" in nobody.stderr and "magpie user create" in nobody.stderr

    create_user(node, email)
    taken = node.run("user", "create", "--email", email, input=PASSWORD + "\n")
    assert taken.returncode == 1 and "magpie login --email" in taken.stderr
    wrong = node.run("login", "--email", email, input="not the password\n")
    assert wrong.returncode == 4 and "password is wrong" in wrong.stderr
    assert "magpie user create" in wrong.stderr and "log in" not in wrong.stderr

    node.good("login", "--email", email, input=PASSWORD + "\n")
    kept = node.home / ".config/magpie/tokens.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    assert list(json.loads(kept.read_text())) == [node.server.url]
    assert node.good("user", "me").stdout == email + "\n"
    assert json.loads(node.good("user", "me", "-o", "json").stdout)["email"] == email
    node.deploy("mine")

    careful = node.run("user", "delete")
    assert careful.returncode == 1 and "--yes" in careful.stderr
    node.good("user", "delete", "--yes")
    assert json.loads(kept.read_text()) == {}
    assert node.run("ls").returncode == 4


def test_the_login_beats_the_administrators_token_and_the_environment_beats_both(node):
    email = "grace@example.org"
    administrator = node.good("user", "me").stdout
    create_user(node, email)
    node.good("login", node.server.url + "/", "--email", email, input=PASSWORD + "\n")
    assert node.good("user", "me").stdout == email + "\n"
    assert node.good("user", "me", MAGPIE_TOKEN=node.server.token).stdout == administrator
    node.good("user", "delete", "--yes")
    assert node.good("user", "me").stdout == administrator


def test_an_account_that_a_given_token_deletes_takes_no_kept_token_of_another_one_with_it(node):
    for email in ("kept@example.org", "given@example.org"):
        create_user(node, email)
    answer = node.server.request("POST", "/api/v1/users/login",
                                 {"email": "given@example.org", "password": PASSWORD})
    given = answer.json()["token"]
    useless = node.good("login", "--email", "kept@example.org", input=PASSWORD + "\n",
                        MAGPIE_TOKEN=given)
    assert "counts before" in useless.stderr and "unset MAGPIE_TOKEN" in useless.stderr
    assert "MAGPIE_TOKEN" not in node.good("login", "--email", "kept@example.org",
                                           input=PASSWORD + "\n").stderr
    node.good("user", "delete", "--yes", MAGPIE_TOKEN=given)
    assert node.good("user", "me").stdout == "kept@example.org\n"


def test_a_node_on_this_machine_is_administered_wherever_its_data_lies(node):
    del node.environment["MAGPIE_DATA_DIR"]
    assert node.good("user", "me").stdout == "admin@localhost\n"
    elsewhere = node.run("user", "me", MAGPIE_DATA_DIR=str(node.folder / "no-data"))
    assert elsewhere.returncode == 4


def test_a_token_that_is_not_good_is_said_with_where_it_comes_from(node):
    given = node.run("ls", MAGPIE_TOKEN="nonsense")
    assert given.returncode == 4 and "MAGPIE_TOKEN" in given.stderr
    tokens = {node.server.url: {"email": "old@example.org", "token": "nonsense"}}
    node.write("home/.config/magpie/tokens.json", json.dumps(tokens))
    kept = node.run("ls")
    assert kept.returncode == 4 and "magpie login" in kept.stderr
    assert "MAGPIE_TOKEN" not in kept.stderr and "user create" not in kept.stderr


def test_another_users_function_is_not_there(node):
    node.deploy("secret")
    create_user(node, "eve@example.org")
    node.good("login", "--email", "eve@example.org", input=PASSWORD + "\n")
    assert node.run("inspect", "secret").returncode == 3
    assert node.run("invoke", "secret").returncode == 3


def test_on_a_terminal_the_password_is_not_shown_and_asked_for_twice(node):
    ours, theirs = pty.openpty()
    with subprocess.Popen([node.program, "user", "create", "--email", "tty@example.org"],
                          stdin=theirs, stdout=theirs, stderr=theirs, cwd=node.folder,
                          env=node.environment, start_new_session=True) as process:
        os.close(theirs)
        seen = read_until(ours, b"password: ")
        os.write(ours, b"wrong\x15correct horsf\x7fe\r")
        seen += read_until(ours, b"and again: ")
        os.write(ours, PASSWORD.encode() + b"\r")
        seen += read_until(ours, b"has an account")
        assert process.wait(30) == 0
    os.close(ours)
    assert b"horse" not in seen and b"wrong" not in seen
    node.good("login", "--email", "tty@example.org", input=PASSWORD + "\n")


def read_until(descriptor, wanted):
    seen = b""
    while wanted not in seen:
        assert select.select([descriptor], [], [], 30)[0], seen
        seen += os.read(descriptor, 65536)
    return seen


def test_on_a_terminal_deploy_shows_what_it_is_doing_and_leaves_no_trace_of_it(node):
    node.write("lively/main.py", ECHO)
    ended, seen = node.watch("deploy", "lively")
    assert ended == 0
    assert "packing lively" in seen and "verifying lively" in seen
    for plain in ({"NO_COLOR": "1"}, {"TERM": "dumb"}, {"CI": "1"}):
        assert "verifying" not in node.watch("deploy", "lively", **plain)[1]
    piped = node.good("deploy", "lively").stderr
    assert "verifying" not in piped and "\r" not in piped
    last = seen.split("\033[K")[-1]
    assert "lively is deployed" in last and "verifying" not in last


def test_on_a_terminal_invoke_ends_the_line_and_says_how_it_went(node):
    node.deploy("line", "def handler(event, context):\n    return 'no newline'\n")
    ended, seen = node.watch("invoke", "line")
    assert ended == 0
    assert re.search(r"no newline\n.*(cold|warm|thawed|stolen) start, [0-9.]+ ms", seen), seen
