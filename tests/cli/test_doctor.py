"""`magpie doctor`: every check has a verdict, a meaning, and where it is needed a command."""
import json
import os
import pathlib
import pwd
import re
import subprocess

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


def checks_with_sysctl(cli, setting):
    """What it finds in a network namespace of its own, where that is set."""
    if os.geteuid() != 0:
        pytest.skip("needs root: it sets a sysctl")
    name, value = setting.split("=")
    script = "printf '%s' \"$2\" >\"/proc/sys/$1\"; \"$0\" doctor -o json || true"
    ended = subprocess.run(["unshare", "--net", "sh", "-ec", script, cli.program, name, value],
                           env=cli.environment, capture_output=True, text=True, timeout=60, check=True)
    return {check["check"]: check for check in json.loads(ended.stdout)}


@pytest.mark.parametrize("setting,verdict", [("2048", "warn"), ("4096", "ok")])
def test_as_many_may_be_halfway_through_connecting_as_the_node_asks_for(cli, setting, verdict):
    check = checks_with_sysctl(cli, f"net/ipv4/tcp_max_syn_backlog={setting}")["tcp_max_syn_backlog"]
    assert check["verdict"] == verdict and "the node asks for 4096" in check["meaning"]


def test_the_range_of_ports_is_told_in_new_connections_a_second(cli):
    check = checks_with_sysctl(cli, "net/ipv4/ip_local_port_range=20000 49999")["ip_local_port_range"]
    assert check["verdict"] == "ok" and "opens 500 new connections a second" in check["meaning"]
    few = checks_with_sysctl(cli, "net/ipv4/ip_local_port_range=40000 45999")["ip_local_port_range"]
    assert few["verdict"] == "warn" and "opens 100 new connections a second" in few["meaning"]
    assert "raise" not in few


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


def test_a_data_folder_that_is_not_there_is_not_ok(cli):
    for arguments, environment in (["--data-dir", "/nonexistent/data"], {}), \
                                  ([], {"MAGPIE_DATA_DIR": "/nonexistent/data"}):
        _, found = checks(cli, *arguments, **environment)
        for name in ("disk", "data folder"):
            assert found[name]["verdict"] == "warn", found[name]
            assert found[name]["found"] == "there is no /nonexistent/data"
    _, found = checks(cli, "--data-dir", "/")
    assert found["data folder"]["verdict"] == "ok"


def test_a_node_without_a_user_of_its_own_is_warned_of(cli):
    _, found = checks(cli)
    try:
        pwd.getpwnam("magpie")
    except KeyError:
        assert found["user"]["verdict"] == "warn" and "nobody" in found["user"]["meaning"]
        assert found["user"]["mend"].startswith("useradd --system")
    else:
        assert found["user"]["verdict"] == "ok"


def instances(check):
    """(how many, by what)"""
    number, bound = re.fullmatch(r"(\d+) at once, by (.*)", check["found"]).groups()
    return int(number), bound


def test_a_data_folder_that_is_a_file_is_no_folder(cli, tmp_path):
    (tmp_path / "file").write_text("x")
    ended, found = checks(cli, "--data-dir", tmp_path / "file")
    assert ended.returncode == 1 and found["data folder"]["verdict"] == "fail"
    assert found["data folder"]["found"] == f"{tmp_path / 'file'} is no folder"


def checks_with_files(cli, most):
    """What it finds where a process may open no more files than that."""
    command = ["prlimit", f"--nofile={most}:{most}", cli.program, "doctor", "-o", "json"]
    ended = subprocess.run(command, env=cli.environment, capture_output=True, text=True, timeout=60,
                           check=False)
    return {check["check"]: check for check in json.loads(ended.stdout)}


def test_it_says_how_many_instances_can_live_and_what_bounds_them_first(cli):
    _, found = checks(cli)
    for name in ("native", "python3", "node"):
        check = found[f"{name} instances"]
        number, _ = instances(check)
        later = [int(match) for match in re.findall(r"for (\d+)", check["meaning"])]
        assert check["verdict"] == "ok" and check["raise"]
        assert [number, *later] == sorted([number, *later]) and len(later) == 3
    assert instances(found["node instances"])[0] <= instances(found["native instances"])[0]


def mib_of_each():
    """By README.md: native, Python and Node, among as many as were tried."""
    text = (pathlib.Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
    native, python, node = re.search(r"at 0\.6 to ([\d.]+) MiB each, .* of Python at 2\.2 to ([\d.]+) MiB,"
                                     r" .* of Node at 2\.7 to ([\d.]+) MiB", text).groups()
    return {"native": float(native), "python3": float(python), "node": float(node)}


def test_the_memory_of_an_instance_is_what_was_measured(cli):
    each = mib_of_each()
    _, found = checks(cli)
    assert found["memory"]["meaning"] == (
        f"an instance takes 0.6 to {each['native']} MiB, of Python {each['python3']}, of Node {each['node']}")


def available_kib():
    return int(re.search(r"MemAvailable: *(\d+)", pathlib.Path("/proc/meminfo").read_text()).group(1))


@pytest.mark.parametrize("name", ["native", "python3", "node"])
def test_memory_is_divided_by_what_an_instance_takes(cli, name):
    before = available_kib()
    _, found = checks(cli)
    after = available_kib()
    check = found[f"{name} instances"]
    reckoned = re.search(r"(\d+) at once, by memory|memory for (\d+)", check["found"] + check["meaning"])
    if not reckoned:
        pytest.skip("too much memory to be one of the first four bounds")
    spare = 256 * 1024
    least, most = ((kib - spare) / 1024 / mib_of_each()[name] for kib in sorted((before, after)))
    assert 0.95 * least <= int(reckoned.group(1) or reckoned.group(2)) <= 1.05 * most


def test_open_files_bound_instances_by_three_each(cli):
    found = checks_with_files(cli, 4096)
    assert instances(found["native instances"]) == ((4096 - 1024) // 3, "open files")
    assert "nofile" in found["native instances"]["raise"]


def test_where_next_to_none_can_live_it_warns_with_the_command(cli):
    found = checks_with_files(cli, 1100)
    check = found["native instances"]
    assert instances(check) == (25, "open files") and check["verdict"] == "warn"
    assert "nofile" in check["mend"] and "raise" not in check


FIREWALL = """table ip filter {
  chain FORWARD { type filter hook forward priority filter; policy drop; }
}
"""


def test_a_firewall_that_would_drop_the_packets_of_functions_is_found_and_mended(cli):
    """In a network namespace of its own; its last step is the command that it gave."""
    if os.geteuid() != 0:
        pytest.skip("needs root: it makes rules")
    shell = "doctor() { \"$0\" doctor -o json > \"$1/$2\" || true; }\n" \
            "doctor \"$1\" before\nnft -f \"$1/firewall\" && doctor \"$1\" dropped\n" \
            "mend=$(/usr/bin/python3 -c 'import json, sys; print(next(check[\"mend\"] for check in " \
            "json.load(open(sys.argv[1])) if check[\"check\"] == \"other firewalls\"))' " \
            "\"$1/dropped\")\nsh -c \"$mend\" && doctor \"$1\" mended\n"
    (cli.folder / "firewall").write_text(FIREWALL)
    subprocess.run(["unshare", "--net", "sh", "-ec", shell, cli.program, cli.folder],
                   env=cli.environment, check=True, timeout=60)
    verdicts = []
    for name in ("before", "dropped", "mended"):
        found = json.loads((cli.folder / name).read_text())
        verdicts.append(next(check["verdict"] for check in found
                             if check["check"] == "other firewalls"))
    assert verdicts == ["ok", "warn", "ok"]


def test_without_nft_outbound_network_is_warned_of_and_nothing_else(cli):
    if os.geteuid() != 0:
        pytest.skip("needs root: it hides the program")
    hide = "mount --bind /dev/null \"$(readlink -f /usr/sbin/nft)\" && exec \"$0\" doctor -o json"
    ended = subprocess.run(["unshare", "--mount", "sh", "-c", hide, cli.program],
                           env=cli.environment, capture_output=True, text=True, timeout=60)
    found = {check["check"]: check for check in json.loads(ended.stdout)}
    assert found["nft"]["verdict"] == "warn" and "nftables" in found["nft"]["mend"]
    assert found["kernel's part"]["verdict"] == found["other firewalls"]["verdict"] == "warn"
    assert not [name for name in ("nft", "kernel's part", "forwarding", "other firewalls")
                if found[name]["verdict"] == "fail"]


def test_for_a_person_it_is_lines_and_a_sum(cli):
    shown = cli.run("doctor")
    assert "\nControl groups\n" in shown.stdout
    assert "  ok    kernel " in shown.stdout
    assert "\nLive instances\n" in shown.stdout and "        raise it: " in shown.stdout
    assert "/etc/sysctl.d/magpie.conf" in shown.stdout
    assert "this machine" in shown.stderr
