"""Starting a node: where its settings come from, what it makes, what it says when it cannot."""
import base64
import os
import pathlib
import pwd
import re
import stat
import subprocess
import time

import pytest
from node_host import NodeHost
from people import expect_problem
from server import ROOT, Server, build_dir, free_port


def serve(*arguments, **options):
    """A node that is expected to end by itself."""
    return subprocess.run([build_dir() / "magpie", "serve", "--listen", f"127.0.0.1:{free_port()}",
                           *arguments], capture_output=True, text=True, timeout=60, **options)


def test_a_data_folder_behind_a_closed_one_is_said_with_what_mends_it(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    for folder in (closed, *closed.parents):
        if folder.stat().st_mode & 0o001 == 0:
            outermost = folder
    ended = serve("--data-dir", closed / "data")
    assert ended.returncode == 1
    assert f"chmod o+x {outermost}" in ended.stderr and "--data-dir" in ended.stderr
    assert "finishing the requests" not in ended.stderr


def threads_of(node):
    return sum(name.startswith("magpie_loop_lag_seconds{") for name in node.metrics())


def test_a_flag_counts_before_the_environment_and_that_before_the_file(tmp_path):
    """Three settings, of which the file says all, the environment two, a flag one."""
    settings = tmp_path / "node.conf"
    settings.write_text("# of a node\nthreads: 1\npayload-max: 1KiB\ncode-max: 2KiB\n")
    with Server("--config", settings, "--threads", "3",
                environment={"MAGPIE_THREADS": "2", "MAGPIE_PAYLOAD_MAX": "4KiB"}) as node:
        function = node.deploy("echo", "exec", {"main": "#!/bin/sh\ncat\n"})
        assert threads_of(node) == 3
        assert node.call(function, b"x" * 4096).status == 201
        expect_problem(node.call(function, b"x" * 4097), 413, "payload.too_large", "4KiB")
        code = f"/api/v1/functions/{function}/code"
        expect_problem(node.request("PUT", code, b"x" * 2049), 413, "payload.too_large", "2KiB")


def test_what_is_too_large_is_refused_with_the_limit_and_its_unit():
    with Server("--code-max", "1KiB", "--payload-max", "4097") as node:
        function = node.deploy("echo", "exec", {"main": "#!/bin/sh\ncat\n"})
        expect_problem(node.call(function, b"x" * 4098), 413, "payload.too_large",
                       "The body is larger than the 4097 bytes that this server allows.")
        chunked = node.request("POST", f"/api/v1/functions/execute/{function}", iter([b"x" * 4098]))
        expect_problem(chunked, 413, "payload.too_large",
                       "The body is larger than the 4097 bytes that this server allows.")
        path, raw = f"/api/v1/functions/{function}", b"#!/bin/sh\n".ljust(1025)
        code = {"code": base64.b64encode(raw).decode()}
        padded = {"name": "other", "runtime": "exec", "handler": "x" * (1 << 20)}
        for method, where, body in (
                ("POST", "/api/v1/functions", code | {"name": "other", "runtime": "exec"}),
                ("POST", "/api/v1/functions", code | padded),
                ("POST", path + "/versions", code), ("PUT", path + "/code", raw),
                ("POST", "/api/v1/layers", code | {"name": "tools"}),
                ("PUT", "/api/v1/layers/tools", raw)):
            expect_problem(node.request(method, where, body), 413, "payload.too_large",
                           "This is more than the 1KiB of code that this server allows.")
        settings = {"env": {"A": "x" * (1 << 20)}}
        expect_problem(node.request("PATCH", path, settings), 413, "payload.too_large",
                       "The body is larger than the 256KiB that this server allows.")


def test_the_file_may_be_named_by_the_environment_too(tmp_path):
    settings = tmp_path / "node.conf"
    settings.write_text("threads: 3\n")
    with Server(environment={"MAGPIE_CONFIG": str(settings)}) as node:
        assert threads_of(node) == 3


@pytest.mark.parametrize("line, value", [
    ("threads: two # of four\n", "two"), ("threads:two\t#\r\n", "two"),
    ('threads: "two # of four"\n', "two # of four"), ("threads: ' two'  # x\r\n", " two"),
    ("threads: 'two\"'", 'two"'), ("threads: two#4 'x' \n", "two#4 'x'"),
    ("threads: ''\n", ""), ("threads: # none\n", ""),
])
def test_comments_and_quotes_in_the_file_are_no_part_of_a_value(tmp_path, line, value):
    settings = tmp_path / "node.conf"
    settings.write_text(line)
    ended = serve("--data-dir", tmp_path / "data", "--config", settings)
    assert ended.returncode == 2
    assert f"threads: '{value}' is not a number from 1 on" in ended.stderr


def test_a_node_starts_with_what_the_file_says_in_quotes(tmp_path):
    settings = tmp_path / "node.conf"
    settings.write_text('user: "games" # and nobody else\n')
    with Server("--config", settings) as node:
        assert os.stat(f"/proc/{NodeHost(node).gateway}").st_uid == pwd.getpwnam("games").pw_uid


@pytest.mark.parametrize("line, sentence", [
    ('data-dir: "/tmp/x\n', "the quote at \"/tmp/x does not end"),
    ("data-dir: '/tmp/x\"\n", "the quote at '/tmp/x\" does not end"),
    ('data-dir: "/tmp/x" y # z\n', "after the quote there is more: y"),
    ("config: x\n", "'config' cannot be said in a file"),
    ("confg: x\n", "there is no 'confg'"),
    ("thread: 3\n", "there is no 'thread'; did you mean threads?"),
])
def test_a_line_that_is_wrong_is_refused_with_where_it_is(tmp_path, line, sentence):
    settings = tmp_path / "node.conf"
    settings.write_text("# of a node\n" + line)
    ended = serve("--data-dir", tmp_path / "data", "--config", settings)
    assert ended.returncode == 2
    assert f"{settings}, line 2: {sentence}" in ended.stderr
    assert "mean config?" not in ended.stderr


def makes_sandboxes_ahead(node):
    words = pathlib.Path(f"/proc/{NodeHost(node).agent}/cmdline").read_bytes().split(b"\0")
    return b"--stock" not in words


@pytest.mark.parametrize("word, is_yes", [
    ("0", False), ("no", False), ("Off", False), ("false", False), ("", False),
    ("1", True), ("yes", True), ("on", True), ("TRUE", True)])
def test_yes_and_no_are_said_in_the_usual_words(word, is_yes):
    with Server(environment={"MAGPIE_NO_STOCK": word}) as node:
        assert makes_sandboxes_ahead(node) != is_yes


def test_a_flag_takes_back_what_the_file_says(tmp_path):
    settings = tmp_path / "node.conf"
    settings.write_text("no-stock: yes\nno-fairness:\n")
    with Server("--config", settings, "--no-stock=no") as node:
        assert makes_sandboxes_ahead(node)


def test_a_word_that_is_neither_yes_nor_no_is_refused(tmp_path):
    settings = tmp_path / "node.conf"
    settings.write_text("no-fairness: never\n")
    environment = {**os.environ, "MAGPIE_NO_STOCK": "nope"}
    for ended, option in (
            (serve("--data-dir", tmp_path, "--no-stealing=2"), "--no-stealing: '2'"),
            (serve("--data-dir", tmp_path, "--config", settings), "line 1: no-fairness: 'never'"),
            (serve("--data-dir", tmp_path, env=environment),
             "the environment's MAGPIE_NO_STOCK: 'nope'")):
        assert ended.returncode == 2
        assert f"{option} is neither yes nor no" in ended.stderr


def test_the_first_start_writes_the_administrators_token_and_later_ones_keep_it():
    with Server() as node:
        path = node.data_dir / "admin.token"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        token = node.token
        node.stop()
        node.start()
        assert node.token == token
        assert node.request("GET", "/api/v1/users/me", token=token).status == 200


def test_the_gateway_alone_is_the_user_that_is_named():
    with Server("--user", "games") as node:
        host = NodeHost(node)
        owner = pwd.getpwnam("games").pw_uid
        assert os.stat(f"/proc/{host.gateway}").st_uid == owner
        assert os.stat(f"/proc/{host.agent}").st_uid == 0
        assert node.data_dir.stat().st_uid == owner


def test_a_node_shows_its_data_folder_to_the_machine_while_it_runs():
    with Server() as node:
        shown = pathlib.Path("/run/magpie", str(node.port))
        assert shown.readlink() == node.data_dir
        node.stop()
        assert not shown.is_symlink()
        node.start()
        node.kill()  # what it leaves behind leads nowhere else when the next takes its place
        node.data_dir = node.own_dir / "other"
        node.start()
        assert shown.readlink() == node.data_dir


class AnyPort(Server):
    """A node that is to find a port itself, and says which."""

    def __init__(self, *arguments, listen):
        super().__init__("--listen", listen, *arguments)

    def wait_ready(self, seconds=30):
        deadline = time.monotonic() + seconds
        while not (said := re.search(r"serving http://\S*:(\d+),", self.log())):
            assert self.process.poll() is None and time.monotonic() < deadline, self.log()
            time.sleep(0.02)
        self.port = int(said[1])
        super().wait_ready(seconds)


@pytest.mark.parametrize("listen", ["127.0.0.1:0", ":00"])
def test_port_0_is_a_free_one_that_is_said_and_shown(listen):
    with AnyPort("--threads", "3", listen=listen) as node:
        assert node.port != 0
        sockets = [line.split() for table in ("tcp", "tcp6")
                   for line in pathlib.Path("/proc/net", table).read_text().splitlines()[1:]]
        listening = [entry for entry in sockets
                     if entry[3] == "0A" and int(entry[1].rpartition(":")[2], 16) == node.port]
        assert len(listening) == 3
        shown = pathlib.Path("/run/magpie", str(node.port))
        assert shown.readlink() == node.data_dir
        node.stop()
        assert not shown.is_symlink()


DEFAULTS = """
set -eu
ip link set lo up
mount -t tmpfs tmpfs /var/lib
"$MAGPIE" serve &
node=$!
trap 'kill -9 $node 2>/dev/null' EXIT
until "$MAGPIE" ls >/dev/null 2>&1; do kill -0 $node; done
"$MAGPIE" user me
ls /var/lib/magpie
"$MAGPIE" deploy examples/exec -q
"$MAGPIE" invoke exec -d you
trap - EXIT
kill -TERM $node
wait $node
"""


def test_without_options_a_node_and_the_command_line_find_each_other(tmp_path):
    """In a network and a mount namespace of its own, where 127.0.0.1:8080 and /var/lib are free.
    Its control groups are called after /var/lib/magpie all the same: one at a time."""
    if os.path.exists("/var/lib/magpie/lock"):
        pytest.skip("this machine has a node of its own")
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path),
                   "MAGPIE": str(build_dir() / "magpie"),
                   **{name: value for name, value in os.environ.items()
                      if name.endswith("SAN_OPTIONS")}}
    apart = ["flock", "/run/lock/magpie-tests",
             "unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc"]
    ended = subprocess.run([*apart, "bash", "-c", DEFAULTS], cwd=ROOT, env=environment, timeout=120,
                           capture_output=True, text=True)
    assert ended.returncode == 0, ended
    lines = ended.stdout.splitlines()
    assert lines[0] == "admin@localhost" and "admin.token" in lines
    assert lines[-2:] == ["exec", "Hello, you!"]
