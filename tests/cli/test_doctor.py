"""`magpie doctor`: every check has a verdict, a meaning, and where it is needed a command."""
import json
import os
import pathlib

import pytest


def checks(cli, *arguments, **environment):
    ended = cli.run("doctor", "-o", "json", *arguments, **environment)
    found = {check["check"]: check for check in json.loads(ended.stdout)}
    return ended, found


def test_the_exit_code_is_that_of_the_worst_check(cli):
    ended, found = checks(cli)
    failed = [name for name, check in found.items() if check["verdict"] == "fail"]
    assert ended.returncode == (1 if failed else 0), failed


def test_each_check_says_what_it_means_and_what_is_wrong_has_a_command(cli):
    _, found = checks(cli)
    assert len(found) >= 25
    for check in found.values():
        assert check["verdict"] in ("ok", "warn", "fail")
        assert check["found"] and check["meaning"]
        assert (check["verdict"] == "ok") == ("mend" not in check), check


def test_it_finds_what_the_kernel_says(cli):
    _, found = checks(cli)
    assert found["kernel"]["found"] == f"Linux {os.uname().release}"
    for name in ("somaxconn", "tcp_max_syn_backlog"):
        path = next(pathlib.Path("/proc/sys/net").glob(f"*/{name}"))
        assert found[name]["found"] == path.read_text().strip()


def test_root_tries_out_control_groups_and_leaves_none_behind(cli):
    if os.geteuid() != 0:
        pytest.skip("needs root: it makes a control group")
    _, found = checks(cli)
    assert found["freeze and kill"]["verdict"] == "ok", found["freeze and kill"]
    assert not list(pathlib.Path("/sys/fs/cgroup").glob("**/magpie-doctor-*"))


def test_a_data_folder_that_the_node_could_not_reach_fails_with_the_command(cli):
    closed = cli.folder / "closed"
    (closed / "data").mkdir(parents=True)
    closed.chmod(0o700)
    ended, found = checks(cli, "--data-dir", closed / "data")
    assert ended.returncode == 1
    assert found["data folder"]["verdict"] == "fail"
    # The temporary folder above may be closed as well, whichever is nearest comes first.
    assert found["data folder"]["mend"] == f"chmod o+x {closed}"


def test_for_a_person_it_is_lines_and_a_sum(cli):
    shown = cli.run("doctor")
    assert "\nControl groups\n" in shown.stdout
    assert "  ok    kernel " in shown.stdout
    assert "this machine" in shown.stderr
