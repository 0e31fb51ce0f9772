"""What a function finds around itself: exactly what the contract for sandboxes promises."""
import errno
import json
import os
import pathlib

import pytest
from agent_client import EXEC, MIB, Refused
from conftest import start_agent
from sandbox_host import UID_FIRST, Watch, host_uid


@pytest.fixture(scope="module")
def agent(either_agent):
    return either_agent


DIGEST_OF_NOTHING = "0" * 64
NAMESPACES = ("user", "pid", "mnt", "ipc", "uts", "net", "cgroup")


def test_every_namespace_is_the_sandboxes_own(place, probe, watch):
    """Seen from the host: neither the agent nor another sandbox shares one."""
    with place.spawn(probe, "probe"), place.spawn(probe, "probe"):
        pids = [watch.agent.process.pid, *sorted(watch.pids())]
        assert len(pids) == 3
        for name in NAMESPACES:
            assert len({os.readlink(f"/proc/{pid}/ns/{name}") for pid in pids}) == 3, name


def test_each_instance_has_a_host_user_of_its_own(place, probe, watch):
    with place.spawn(probe, "probe"), place.spawn(probe, "probe"):
        uids = {host_uid(pid) for pid in watch.pids()}
        assert len(uids) == 2 and min(uids) >= UID_FIRST


def test_two_agents_use_different_host_users(gateway, probe, probe_code, watch):
    """Their slots have the same numbers; their users must not."""
    with start_agent() as second:
        code = second.add_code(probe)
        with gateway.spawn(probe_code, "probe", runtime=EXEC) as one, \
                second.connect().spawn(code, "probe", runtime=EXEC) as other:
            one.wait_ready()
            other.wait_ready()
            pids = watch.pids() | Watch(second).pids()
            assert len({host_uid(pid) for pid in pids}) == len(pids) == 2


def test_the_function_is_user_1000_with_no_other_group(run_script):
    assert run_script("#!/bin/sh\nid -u; id -g; id -G; whoami\n").split() == [
        "1000", "1000", "1000", "function"]


def test_it_has_no_capability_no_new_privileges_and_a_filter(place):
    status = dict(line.split(":\t", 1) for line in
                  place.run("#!/bin/sh\ncat /proc/self/status\n").splitlines())
    for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(status[kind], 16) == 0, kind
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    assert status["Groups"].strip() == ""


def test_no_signal_is_ignored_or_blocked_whatever_the_agent_inherited():
    """Started under nohup(1), say."""
    with start_agent(wrapper=["sh", "-c", "trap '' HUP USR1; exec \"$0\" \"$@\""]) as agent:
        code = agent.add_code({"main": (0o755, b"#!/bin/sh\ngrep ^Sig[BI] /proc/self/status\n")})
        with agent.connect().spawn(code, "main", runtime=EXEC) as instance:
            instance.wait_ready()
            assert [line.split()[1] for line in instance.invoke().decode().splitlines()] == [
                "0" * 16, "0" * 16]


def test_the_environment_is_the_requests_and_nothing_of_the_hosts(run_script):
    text = run_script("#!/usr/bin/env -S /usr/bin/python3 -ISB\nimport os, json\n"
                      "print(json.dumps(dict(os.environ)))\n",
                      env=["MAGPIE_FUNCTION_NAME=f", "COLOUR=blue"])
    environment = json.loads(text)
    for name in ("MAGPIE_INVOCATION_ID", "MAGPIE_USER", "MAGPIE_DEADLINE_MS"):
        environment.pop(name)
    environment.pop("LC_CTYPE", None)  # Python's own
    assert environment == {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/tmp",
                           "LANG": "C.UTF-8", "MAGPIE_HANDLER": "main",
                           "MAGPIE_FUNCTION_NAME": "f", "COLOUR": "blue"}


def test_the_functions_own_variables_beat_the_agents_but_for_the_handler(run_script):
    text = run_script('#!/bin/sh\necho "$HOME $LANG $MAGPIE_HANDLER $X"\n',
                      env=["HOME=/code", "LANG=de", "MAGPIE_HANDLER=forged", "X=1", "X=2"])
    assert text == "/code de main 2\n"


def test_no_descriptor_of_the_host_is_inside(place):
    links = place.run("#!/bin/sh\nls -l /proc/self/fd | sed -n 's/.* -> //p'\n").split()
    # The three streams, and the folder that ls itself reads.
    assert sorted(link.split(":")[0] for link in links) == [
        *[link for link in links if link.startswith("/proc/")], "pipe", "pipe", "pipe"]
    assert len(links) == 4


def test_a_native_function_starts_with_four_descriptors(agent, gateway, compile_probe):
    code = agent.add_code({"main": (0o755, compile_probe("native", "-static"))})
    with gateway.spawn(code, "main") as instance:
        instance.wait_ready()
        listing = instance.invoke(b"descriptors").decode().splitlines()
    assert [line.split(":")[0] for line in listing] == [
        "0 /dev/null", "1 pipe", "2 pipe", "3 socket"]


def test_the_working_folder_is_the_code(place):
    assert place.run("#!/bin/sh\npwd; ls\n") == "/code\nmain\n"


def test_the_root_shows_nothing_but_what_belongs_there(run_script):
    top = run_script("#!/bin/sh\nls /\n").split()
    merged = {"bin", "sbin", "lib", "lib32", "lib64", "libx32"}
    assert set(top) - merged == {"code", "dev", "etc", "magpie", "node_modules", "opt", "proc",
                                 "run", "tmp", "usr", "var"}


def test_the_devices_are_harmless_ones(place):
    assert place.run("#!/bin/sh\nls /dev\n").split() == [
        "fd", "full", "null", "random", "shm", "stderr", "stdin", "stdout", "urandom", "zero"]


def test_every_mount_is_as_narrow_as_it_can_be(place):
    mounts = {}
    for line in place.run("#!/bin/sh\ncat /proc/self/mountinfo\n").splitlines():
        fields = line.split()
        mounts[fields[4]] = set(fields[5].split(",")), line
    own = {"/dev", "/var/tmp"} if place.is_image else {"/usr", "/code"}
    assert set(mounts) == {"/", "/proc", "/tmp", *own}
    for point, (options, line) in mounts.items():
        assert "nosuid" in options, line
        assert point in ("/proc", "/tmp", "/var/tmp") or "ro" in options, line
        assert point == ("/dev" if place.is_image else "/") or "nodev" in options, line
        assert "shared:" not in line and "master:" not in line, line


def test_other_code_is_not_to_be_found(place, probe_code):
    listing = place.run("#!/bin/sh\nfind / -xdev -name '*" + probe_code[:16] + "*' 2>/dev/null\n"
                         "grep -c " + probe_code + " /proc/self/mountinfo\ntrue\n")
    assert listing == "0\n"


def test_tmp_is_private_writable_and_bounded(place):
    script = ("#!/bin/sh\ncase $1 in\n"
              "write) echo secret >/tmp/x; cat /tmp/x;;\n"
              "look) ls -A /tmp | wc -l;;\n"
              "fill) head -c 20000000 /dev/zero >/tmp/big 2>/dev/null; stat -c %s /tmp/big;;\n"
              "files) i=0; while true >/tmp/f$i; do i=$((i+1)); done 2>/dev/null; echo $i;;\n"
              "esac\n")
    options = {"tmp": 8 * MIB, "memory": 256 * MIB}
    files = {"main": (0o755, script.encode())}
    with place.spawn(files, "main", **options) as one, \
            place.spawn(files, "main", **options) as other:
        assert one.invoke(b"write") == b"secret\n"
        assert one.invoke(b"look") == b"1\n", "it lasts as long as the instance"
        assert other.invoke(b"look") == b"0\n", "nobody else sees it"
        assert other.invoke(b"fill") == b"%d\n" % (8 * MIB)
        assert int(one.invoke(b"files")) < 8 * MIB // 4096


def test_shared_memory_and_semaphores_live_in_tmp(place):
    assert place.run("#!/bin/sh\necho x >/dev/shm/y && ls /tmp\n") == "y\n"


def test_the_other_folder_for_temporary_files_is_tmp_too(place):
    assert place.run("#!/bin/sh\necho x >/var/tmp/y && ls /tmp\n") == "y\n"


def test_proc_shows_only_the_sandboxes_own_processes(place):
    """Process 1 is magpie-init, undumpable and therefore hidden."""
    entries = place.run("#!/bin/sh\nls /proc\n").split()
    assert all(entry.isdigit() or entry in ("self", "thread-self", "mounts", "net")
               for entry in entries), entries
    assert "1" not in entries
    # The shell and ls; pids are the sandbox's.
    assert len([entry for entry in entries if entry.isdigit()]) == 2
    assert all(int(entry) < 20 for entry in entries if entry.isdigit())


def test_the_only_interface_is_a_loopback_that_works(place):
    assert place.run("#!/usr/bin/python3 -ISB\n"
                      "import socket\n"
                      "print([name for _, name in socket.if_nameindex()])\n"
                      "server = socket.create_server(('127.0.0.1', 0))\n"
                      "client = socket.create_connection(server.getsockname())\n"
                      "server.accept()[0].sendall(b'through')\n"
                      "print(client.recv(9).decode())\n") == "['lo']\nthrough\n"


def test_the_host_name_is_not_the_hosts(place):
    assert place.run("#!/bin/sh\nuname -n\n") == "function\n"


def test_limits_are_set(place):
    assert place.run("#!/bin/sh\nulimit -c; ulimit -n; ulimit -Hn; ulimit -l; umask\n") == (
        "0\n1024\n4096\n64\n0022\n")


def test_control_groups_show_no_path_of_the_host(place):
    for line in place.run("#!/bin/sh\ncat /proc/self/cgroup\n").splitlines():
        if any(word in line.split(":")[1].split(",") for word in ("memory", "pids", "cpu", "")):
            assert line.endswith(":/"), line


def test_the_users_database_names_the_functions_user(run_script):
    assert run_script("#!/bin/sh\ngetent passwd 1000; getent hosts localhost | wc -l\n") == (
        "function:x:1000:1000::/tmp:/bin/sh\n1\n")


def test_set_user_id_programs_run_without_their_powers(run_script):
    programs = [pathlib.Path("/usr/bin") / name for name in ("su", "mount", "passwd", "newgrp")]
    suid = [path for path in programs if path.exists() and path.stat().st_mode & 0o4000]
    assert suid, "this host has no such program to try"
    # A process that has ended tells who it was until it is reaped.
    text = run_script("#!/usr/bin/python3 -ISB\nimport os\n"
                      "pid = os.fork()\n"
                      "if pid == 0:\n"
                      "    os.dup2(os.open('/dev/null', os.O_RDWR), 1)\n"
                      f"    os.execv({str(suid[0])!r}, ['x', '--version'])\n"
                      "os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)\n"
                      "seen = open(f'/proc/{pid}/status').read()\n"
                      "print(next(line for line in seen.splitlines() if line.startswith('Uid')))\n")
    assert text.split() == ["Uid:", "1000", "1000", "1000", "1000"]


def test_code_that_is_not_there_is_refused_in_words(gateway):
    with pytest.raises(Refused, match="opening the code 0000") as refused:
        gateway.spawn(DIGEST_OF_NOTHING, "main")
    assert refused.value.code == errno.ENOENT


def test_a_code_folder_that_is_a_link_elsewhere_is_refused(agent, gateway):
    (agent.data_dir / "code" / ("1" * 64)).symlink_to("/etc")
    (agent.data_dir / "code" / ("2" * 64)).symlink_to("../staging")
    for digest in ("1" * 64, "2" * 64):
        with pytest.raises(Refused) as refused:
            gateway.spawn(digest, "main")
        assert refused.value.code == errno.ELOOP


def test_links_inside_of_the_code_lead_nowhere_on_the_host(agent, gateway):
    code = agent.add_code({"main": (0o755, b"#!/bin/sh\nfor l in a b c; do cat $l; done 2>&1; true\n"),
                           "a": (None, "/etc/shadow"), "b": (None, "../../../../etc/shadow"),
                           "c": (None, str(agent.data_dir / "code"))})
    with gateway.spawn(code, "main", runtime=EXEC) as instance:
        instance.wait_ready()
        assert instance.invoke().count(b"No such file or directory") == 3


def test_a_registration_check_sees_the_staged_code_and_is_told_so(agent, gateway):
    script = b'#!/bin/sh\necho "staged $MAGPIE_VERIFY"\n'
    code = agent.add_code({"main": (0o755, script)}, staging=True)
    with pytest.raises(Refused):
        gateway.spawn(code, "main", runtime=EXEC)
    with gateway.spawn(code, "main", runtime=EXEC, verify=True) as instance:
        instance.wait_ready()
        assert instance.invoke() == b"staged 1\n"


def test_two_sandboxes_share_no_abstract_socket(place):
    script = ("#!/usr/bin/python3 -ISB\nimport socket, sys\n"
              "s = socket.socket(socket.AF_UNIX)\n"
              "if sys.argv[1] == 'listen':\n"
              "    s.bind('\\0meeting'); s.listen(); print('listening', file=sys.stderr, flush=True)\n"
              "    s.accept()\n"
              "else:\n"
              "    print(s.connect_ex('\\0meeting'))\n")
    files = {"main": (0o755, script.encode())}
    with place.spawn(files, "main") as one, place.spawn(files, "main") as other:
        one.begin(b"listen")
        while b"listening" not in b"".join(one.logs):
            one.logs.append(one.receive().payload)
        assert other.invoke(b"connect") == b"%d\n" % errno.ECONNREFUSED
