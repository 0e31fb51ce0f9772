"""Instances whose sandbox, or whose interpreter, was there before they were asked for."""
import json
import os

from agent_client import NODE, PYTHON3
from sandbox_host import UID_FIRST, Watch, eventually, is_parked


def from_stock(gateway, *arguments, which=lambda made: made.phases["clone"] == 0, patience_s=30,
               **options):
    """Spawns until the sandbox is one that was made in advance; returns that one, ready."""
    found = []

    def one_is_from_stock():
        made = gateway.spawn(*arguments, **options)
        made.wait_ready()
        if which(made):
            found.append(made)
            return True
        made.__exit__()
        return False
    assert eventually(one_is_from_stock, patience_s)
    return found[0]


def from_nursery(agent, gateway, code, runtime=PYTHON3, **options):
    """The only instance there is, and born in its language's nursery."""
    return from_stock(gateway, code, "main.handle", runtime=runtime, which=lambda _: any(
        is_copy(pid) for pid in Watch(agent).pids()), **options)


def is_copy(pid):
    """Of a nursery; or that itself."""
    return "nursery" in command(pid)


def nursery_of(agent, runtime=PYTHON3):
    program = {PYTHON3: "python3", NODE: "node"}[runtime]
    (pid,) = [pid for pid in parked(agent)
              if is_copy(pid) and os.path.basename(command(pid).split("\0")[0]) == program]
    return pid


def parked(agent):
    """Host pids of first processes that wait for a function."""
    pid = agent.process.pid
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(child) for child in file.read().split() if is_parked(child)]


# Lines of /proc/PID/status that tell what a process is confined by.
CONFINING = ("Uid", "Gid", "Groups", "SigBlk", "SigIgn", "SigCgt", "CapInh", "CapPrm", "CapEff",
             "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Seccomp_filters")


def confinement(gateway, agent, code, runtime=PYTHON3):
    """What the host sees of the function's process and of the sandbox's first process."""
    with from_nursery(agent, gateway, code, runtime) if agent.stock else \
            gateway.spawn(code, "main.handle", runtime=runtime) as made:
        if not agent.stock:
            made.wait_ready()
        first, second = sorted(Watch(agent).pids(), key=lambda pid: "magpie-init" not in command(pid))
        status = dict(line.split(":\t", 1) for line in proc(second, "status").splitlines())
        for name in ("pid", "mnt", "ipc", "uts", "net", "user", "cgroup"):
            assert (os.readlink(f"/proc/{first}/ns/{name}")
                    == os.readlink(f"/proc/{second}/ns/{name}")), name
        assert proc(first, "cgroup") == proc(second, "cgroup")
        uid = status.pop("Uid").split()
        assert len(set(uid)) == 1 and int(uid[0]) >= UID_FIRST
        found = {name: status[name].split() for name in CONFINING if name not in ("Uid", "Gid")}
        for thread in os.listdir(f"/proc/{second}/task"):
            its = dict(line.split(":\t", 1) for line in
                       proc(second, f"task/{thread}/status").splitlines())
            assert its["Uid"].split() == uid
            assert all(its[name] == status[name] for name in CONFINING[1:] if name[:3] != "Sig")
        found["limits"] = proc(second, "limits")
        found["oom"] = proc(second, "oom_score_adj")
        found["policy"] = os.sched_getscheduler(second)
        found["parent"] = int(proc(second, "stat").rsplit(")", 1)[1].split()[1]) == first
        found["inside"] = json.loads(made.invoke(b"{}"))
        return found


def proc(pid, name):
    with open(f"/proc/{pid}/{name}", encoding="utf-8", errors="replace") as file:
        return file.read()


def command(pid):
    return proc(pid, "cmdline")
