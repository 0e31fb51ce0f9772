"""Functions that mean harm, as anybody could deploy them over HTTP: contained, and nobody else
notices. What a sandbox refuses one by one is in tests/agent/."""
import base64
import concurrent.futures
import http.client
import io
import os
import pathlib
import socket
import stat
import subprocess
import tarfile
import threading
import time
import zipfile

import pytest
from node_host import resident_bytes
from raw_http import eventually
from server import ROOT, Server

SECRET = "a-secret-of-the-host"

PYTHON = '''
import ctypes, json, os, socket, sys, threading, time

libc = ctypes.CDLL(None, use_errno=True)


def bomb():
    while True:
        try:
            os.fork()
        except OSError:
            pass


def threads():
    while True:
        try:
            threading.Thread(target=time.sleep, args=(1000,)).start()
        except RuntimeError:
            pass


def fill():
    with open("/tmp/big", "wb", buffering=0) as file:
        while True:
            try:
                file.write(b"x" * 1048576)
            except OSError as error:
                return error.errno


def inodes():
    number = 0
    while True:
        try:
            open(f"/tmp/{number}", "w").close()
        except OSError as error:
            return error.errno
        number += 1


def descriptors():
    taken = []
    try:
        while True:
            taken.append(os.dup(0))
    except OSError as error:
        return error.errno
    finally:
        for fd in taken:
            os.close(fd)


def spin():
    for _ in range(8):
        if os.fork() == 0:
            while True:
                pass
    while True:
        pass


def orphans():
    """Children in sessions of their own, which outlive nobody."""
    for _ in range(5):
        if os.fork() == 0:
            os.setsid()
            time.sleep(1000)
            os._exit(0)
    return "left behind"


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read(1000000).decode("latin-1")
    except OSError:
        return ""


def everything():
    """Whatever a look at all processes and the environment shows."""
    text = json.dumps(dict(os.environ))
    for pid in os.listdir("/proc"):
        for name in ("environ", "cmdline", "maps", "cgroup", "mountinfo"):
            text += read(f"/proc/{pid}/{name}")
    return text


def connect(family, address):
    with socket.socket(family) as client:
        client.settimeout(2)
        return client.connect_ex(tuple(address) if isinstance(address, list) else address)


def raw_sockets():
    made = []
    for family, kind in ((socket.AF_INET, socket.SOCK_RAW), (socket.AF_PACKET, socket.SOCK_RAW),
                         (socket.AF_NETLINK, socket.SOCK_RAW), (40, socket.SOCK_STREAM),
                         (38, socket.SOCK_SEQPACKET)):
        try:
            socket.socket(family, kind).close()
            made.append(int(family))
        except OSError:
            pass
    return made


def syscall(*arguments):
    result = libc.syscall(*arguments)
    return "done" if result >= 0 else ctypes.get_errno()


def kill_everybody():
    try:
        os.kill(-1, 15)
    except OSError as error:
        return error.errno
    return "sent"


def descriptors_open():
    return {int(fd): os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")
            if os.path.lexists(f"/proc/self/fd/{fd}")}


def handler(event, context):
    if isinstance(event, dict):
        return globals()[event["do"]](*event.get("with", []))
    return event
'''
NODE = '''
const { execFileSync, spawn } = require('node:child_process');
const fs = require('node:fs');
exports.handler = async (event) => {
  if (event === 'bomb') for (;;) try { spawn('/bin/sh', ['-c', 'sleep 100']); } catch {}
  if (event === 'memory') { const hog = []; for (;;) hog.push(new Uint8Array(1 << 20).fill(1)); }
  if (event === 'shadow') try { return fs.readFileSync('/etc/shadow', 'utf8'); } catch (e) { return e.code; }
  if (event === 'processes') return execFileSync('/bin/ls', ['/proc'], { encoding: 'utf8' });
  return event;
};
'''
EXEC = '''#!/bin/bash
case $(cat) in
bomb) bomb() { bomb | bomb & }; bomb; wait ;;
tree) find / -xdev -type f -newer /code/main -size -1 2>/dev/null | head ;;
flood) while :; do printf "%s" xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done ;;
*) echo ok ;;
esac
'''


@pytest.fixture(scope="module")
def server():
    with Server("--response-max", "32MiB", environment={"HOST_SECRET": SECRET}) as node:
        yield node


@pytest.fixture(scope="module")
def bystander(server, compile_native):
    return server.deploy("bystander", "native", {"main": compile_native("worker")})


@pytest.fixture(scope="module")
def python(server):
    return server.deploy("hostile-python", "python3", {"main.py": PYTHON}, memory="64MiB",
                         timeout="2s")


@pytest.fixture(scope="module")
def node(server):
    return server.deploy("hostile-node", "node", {"main.js": NODE}, memory="96MiB", timeout="2s")


@pytest.fixture(scope="module")
def shell(server):
    return server.deploy("hostile-exec", "exec", {"main": EXEC}, memory="32MiB", timeout="2s")


@pytest.fixture(autouse=True)
def nobody_else_notices(server, bystander, python, node, shell):
    yield
    assert server.call(bystander, b"well?").body == b"well?"
    assert server.call(python, b"well?").body == b"well?"
    assert server.call(node, b"well?").body == b"well?"
    assert server.call(shell, b"well?").body == b"ok\n"


def do(server, function, what, *arguments):
    return server.call(function, {"do": what, "with": arguments})


def result(server, function, what, *arguments):
    answer = do(server, function, what, *arguments)
    assert answer.status == 201, answer
    return answer.json() if answer.headers["content-type"] == "application/json" \
        else answer.body.decode()


def attack(server, bystander, call):
    """Calls, and somebody else's function meanwhile: how long its slowest call took."""
    answers, slowest = [], 0
    thread = threading.Thread(target=lambda: answers.append(call()))
    thread.start()
    while thread.is_alive():
        began = time.monotonic()
        assert server.call(bystander, b"still here").body == b"still here"
        slowest = max(slowest, time.monotonic() - began)
    return answers[0], slowest


@pytest.mark.parametrize("what", ["bomb", "threads", "spin"])
def test_a_fork_bomb_hurts_itself_alone(server, host, python, bystander, what):
    answer, slowest = attack(server, bystander, lambda: do(server, python, what))
    assert answer.status in (502, 504), answer
    assert slowest < 5
    eventually(lambda: len(host.watch().pids()) <= 20, "the bomb's processes are gone")


def test_a_fork_bomb_of_a_shell(server, host, shell, bystander):
    answer, slowest = attack(server, bystander, lambda: server.call(shell, b"bomb"))
    assert answer.status in (201, 502, 504), answer
    assert slowest < 5
    eventually(lambda: len(host.watch().pids()) <= 20, "the bomb's processes are gone")


def test_a_bomb_of_child_processes_from_node(server, host, node, bystander):
    answer, _ = attack(server, bystander, lambda: server.call(node, b"bomb"))
    assert answer.status in (502, 504), answer
    eventually(lambda: len(host.watch().pids()) <= 20, "the bomb's processes are gone")


def test_children_that_were_left_behind_end_with_the_instance(server, host, bystander):
    function = server.deploy("orphans", "python3", {"main.py": PYTHON}, keepAlive="0s")
    server.call(bystander, b"x")
    before = len(host.watch().pids())
    assert do(server, function, "orphans").body == b"left behind"
    eventually(lambda: len(host.watch().pids()) <= before, "its children are gone")


@pytest.mark.parametrize("what", ["fill", "inodes"])
def test_tmp_is_filled_without_harm(server, python, what):
    free = os.statvfs("/tmp").f_bavail
    answer = do(server, python, what)
    # Full, or the memory that it is made of was: both end it there.
    assert answer.status == 201 and answer.json() == 28 or \
        answer.json()["reason"] in ("function.out_of_memory", "function.timeout"), answer
    assert free - os.statvfs("/tmp").f_bavail < (1 << 30) // 4096


def test_descriptors_end_at_the_limit(server, python):
    assert result(server, python, "descriptors") == 24  # EMFILE


def test_an_endless_answer_is_cut(server, host, shell, bystander):
    before = resident_bytes(host.gateway)
    answer, _ = attack(server, bystander, lambda: flood(server, shell))
    assert answer <= 33 << 20
    assert resident_bytes(host.gateway) - before < 32 << 20


def flood(server, function):
    """How many bytes came before the answer broke off."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("POST", f"/api/v1/functions/execute/{function}", b"flood",
                       {"Authorization": f"Bearer {server.token}"})
    try:
        return len(connection.getresponse().read())
    except http.client.IncompleteRead as error:
        return len(error.partial)
    finally:
        connection.close()


@pytest.mark.parametrize("path", [
    "/etc/shadow", "/proc/1/environ", "/proc/1/mem", "/proc/1/root/etc/shadow", "/proc/kcore",
    "/proc/kallsyms", "/proc/sysrq-trigger", "/dev/mem", "/dev/sda", "/dev/vda", "/sys/kernel",
    "/root/.bashrc", "/run/systemd", "/var/run/docker.sock"])
def test_files_of_the_host_are_not_there(server, python, path):
    assert result(server, python, "read", path) == ""


def test_the_data_folder_is_out_of_reach(server, python):
    for name in ("admin.token", "secret", "magpie.db", "log"):
        for folder in (server.data_dir, pathlib.Path("/proc/1/root" + str(server.data_dir)),
                       pathlib.Path("/code/../../.." + str(server.data_dir))):
            assert result(server, python, "read", str(folder / name)) == ""


def test_nothing_of_the_hosts_environment_or_processes_is_to_be_seen(server, python):
    seen = result(server, python, "everything")
    assert SECRET not in seen and "HOST_SECRET" not in seen
    assert "magpie-agent" not in seen
    assert server.token not in seen


def test_node_sees_no_more(server, node):
    assert server.call(node, b"shadow").body in (b"ENOENT", b"EACCES")
    entries = server.call(node, b"processes").body.split()
    assert len([entry for entry in entries if entry.isdigit()]) <= 4


def test_no_descriptor_of_the_platform_is_inside(server, python):
    kinds = {link.split(":")[0] for link in result(server, python, "descriptors_open").values()}
    assert kinds <= {"/dev/null", "pipe", "socket", "anon_inode", "/dev/urandom"} | {
        kind for kind in kinds if kind.startswith(("/proc/", "/code"))}, kinds


def test_one_function_does_not_see_anothers_files_and_processes(server, python):
    other = server.deploy("other", "exec", {"main": (
        "#!/bin/sh\nls -A /tmp; ls /proc | grep -c '^[0-9]'; cat /tmp/mark 2>&1; true\n")})
    mark = server.deploy("mark", "exec", {"main": "#!/bin/sh\necho mine >/tmp/mark; cat /tmp/mark\n"})
    assert server.call(mark).body == b"mine\n"
    seen = server.call(other).body.decode()
    assert "mine" not in seen and "No such file" in seen
    assert server.call(mark).body == b"mine\n"


def test_one_instance_does_not_see_anothers_tmp(server):
    function = server.deploy("twins", "python3", {
        "main.py": "import os, time\n\n\ndef handler(event, context):\n"
                   "    seen = os.listdir('/tmp')\n    open(f'/tmp/{event}', 'w').close()\n"
                   "    time.sleep(0.5)\n    return seen\n"})
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        seen = list(pool.map(lambda number: server.call(function, number).json(), (b"1", b"2")))
    assert seen == [[], []]


def test_the_gateways_port_and_the_hosts_sockets_are_out_of_reach(server, python):
    assert result(server, python, "connect", socket.AF_INET, ["127.0.0.1", server.port]) != 0
    address = subprocess.run(["hostname", "-I"], capture_output=True, text=True).stdout.split()
    for host_address in address[:2]:
        family = socket.AF_INET6 if ":" in host_address else socket.AF_INET
        assert result(server, python, "connect", family, [host_address, server.port]) != 0
    assert result(server, python, "connect", socket.AF_INET, ["192.0.2.1", 80]) == 101
    with socket.socket(socket.AF_UNIX) as abstract:
        name = f"\0magpie-test-{os.getpid()}"
        abstract.bind(name)
        abstract.listen()
        assert result(server, python, "connect", socket.AF_UNIX, name) != 0


def test_raw_sockets_cannot_be_made(server, python):
    # Netlink tells of the sandbox's own, empty, network.
    assert set(result(server, python, "raw_sockets")) <= {int(socket.AF_NETLINK)}


CALLS = {  # by name: number on x86-64, arguments
    "ptrace": (101, 0, 0, 0, 0), "mount": (165, 0, b"/tmp", b"tmpfs", 0, 0),
    "unshare": (272, 0x10000000), "keyctl": (250, 0, -3, 0), "add_key": (248, b"user", b"x", b"x", 1, -3),
    "bpf": (321, 0, 0, 0), "io_uring_setup": (425, 8, 0), "perf_event_open": (298, 0, 0, -1, -1, 0),
    "userfaultfd": (323, 0), "setns": (308, 0, 0), "pivot_root": (155, b"/", b"/"),
    "chroot": (161, b"/tmp"), "init_module": (175, 0, 0, b""), "kexec_load": (246, 0, 0, 0, 0),
    "reboot": (169, -18751827, 672274793, 0), "swapon": (167, b"/tmp/x", 0),
    "settimeofday": (164, 0, 0), "open_by_handle_at": (304, -100, 0, 0), "quotactl": (179, 0, 0, 0, 0),
    "process_vm_readv": (310, 1, 0, 0, 0, 0, 0), "pidfd_getfd": (438, 0, 0, 0),
    "personality": (135, 0x0400000), "clone3": (435, 0, 0), "syslog": (103, 3, 0, 0),
}


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers are x86-64's")
@pytest.mark.parametrize("name", CALLS)
def test_a_system_call_against_the_host_is_refused(server, python, name):
    # EPERM: forbidden. ENOSYS: as on an older kernel.
    number, *arguments = CALLS[name]
    arguments = [text.decode() if isinstance(text, bytes) else text for text in arguments]
    assert result(server, python, "syscall", number, *arguments) in (1, 38)


def test_every_attempt_that_the_sandbox_is_tested_with_fails_over_http_too(server, tmp_path):
    subprocess.run(["cc", "-Wall", "-Wextra", "-O1", "-pthread", "-static", "-o",
                    tmp_path / "probe", ROOT / "tests/agent/probes/probe.c"], check=True)
    function = server.deploy("probe", "exec", {"probe": (tmp_path / "probe").read_bytes()})
    attempts = server.call(function, b"all").body.decode().split()
    assert len(attempts) > 80
    done = [name for name in attempts if server.call(function, name.encode()).body == b"ok\n"]
    assert done == []


def test_a_signal_to_everybody_reaches_the_own_sandbox_alone(server, python, bystander):
    server.call(bystander, b"x")
    do(server, python, "kill_everybody")
    assert server.call(bystander, b"calls").status == 201


def zip_with(*entries):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content, mode in entries:
            info = zipfile.ZipInfo(name)
            info.create_system = 3
            info.external_attr = mode << 16
            archive.writestr(info, content)
    return packed.getvalue()


def tar_with(*entries):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, kind, target in entries:
            info = tarfile.TarInfo(name)
            info.type, info.mode = kind, 0o755
            if kind == tarfile.REGTYPE:
                info.size = len(target)
                archive.addfile(info, io.BytesIO(target))
            else:
                info.linkname = target
                archive.addfile(info)
    return packed.getvalue()


MAIN = ("main.py", b"def handler(event, context):\n    return open('/code/' + event).read()\n",
        stat.S_IFREG | 0o644)
LINK = stat.S_IFLNK | 0o777
TAR_MAIN = ("main.py", tarfile.REGTYPE, MAIN[1])
BUNDLES = {
    "a link out of the code": zip_with(MAIN, ("link", "/etc/shadow", LINK)),
    "a link that climbs": zip_with(MAIN, ("link", "../../../../etc/shadow", LINK)),
    "a path that climbs": zip_with(MAIN, ("../../../../tmp/magpie-climbed", b"x", stat.S_IFREG | 0o644)),
    "an absolute path": zip_with(MAIN, ("/tmp/magpie-climbed", b"x", stat.S_IFREG | 0o644)),
    "through a link": zip_with(MAIN, ("link", "/tmp", LINK),
                               ("link/magpie-climbed", b"x", stat.S_IFREG | 0o644)),
    "a hard link": tar_with(TAR_MAIN, ("link", tarfile.LNKTYPE, "/etc/shadow")),
    "a hard link that climbs": tar_with(TAR_MAIN, ("link", tarfile.LNKTYPE, "../../../etc/shadow")),
    "a device": tar_with(TAR_MAIN, ("link", tarfile.BLKTYPE, "")),
    "a fifo": tar_with(TAR_MAIN, ("link", tarfile.FIFOTYPE, "")),
}


@pytest.mark.parametrize("what", BUNDLES)
def test_a_bundle_reaches_nothing_outside_of_itself(server, what):
    name = "bundle-" + str(list(BUNDLES).index(what))
    answer = server.request("POST", "/api/v1/functions", {
        "name": name, "runtime": "python3", "code": base64.b64encode(BUNDLES[what]).decode()})
    assert answer.status in (201, 400), answer
    assert not os.path.lexists("/tmp/magpie-climbed")
    if answer.status == 201:
        shown = server.call(name, b"link")
        assert b"root:" not in shown.body and shown.status == 502


def test_a_bundle_that_unpacks_to_far_more_than_it_is_is_refused(server):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("zeros", "w", force_zip64=True) as file:
            for _ in range(64):
                file.write(bytes(1 << 20))
    before = os.statvfs(server.data_dir).f_bavail
    answer = server.request("POST", "/api/v1/functions", {
        "name": "zeros", "runtime": "exec", "code": base64.b64encode(packed.getvalue()).decode()})
    assert answer.status in (400, 413), answer
    assert (before - os.statvfs(server.data_dir).f_bavail) * 4096 < 100 << 20
