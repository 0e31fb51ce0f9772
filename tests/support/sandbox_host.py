"""What the host sees of an agent's sandboxes: control groups, processes, descriptors, mounts."""
import contextlib
import os
import pathlib
import re
import time

UID_FIRST = 2_000_000_000


def hierarchies():
    """Mount points of every control group hierarchy, and whether it is v2."""
    found = {}
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        before, after = line.split(" - ")
        kind = after.split()[0]
        point = pathlib.Path(before.split()[4])
        if kind in ("cgroup", "cgroup2") and (point / "cgroup.procs").exists():
            found[point] = kind == "cgroup2"
    return found


def groups(parent_names):
    """Every sandbox's group below those parents, in every hierarchy."""
    return sorted(str(group) for point in hierarchies() for name in parent_names
                  for group in (point / name).glob("*/"))


def is_unified(group):
    return os.path.exists(f"{group}/cgroup.kill")


def pids_of(group):
    """Host pids in a group; none once it is gone."""
    # ENOENT where there is none, ENODEV where it goes while it is read.
    with contextlib.suppress(OSError):
        return list(map(int, pathlib.Path(group, "cgroup.procs").read_text().split()))
    return []


def is_parked(pid):
    """Does this process of a sandbox still wait for a function? Then there is nothing at /code, and its
    root is no image's."""
    try:
        mounts = pathlib.Path(f"/proc/{pid}/mountinfo").read_text()
    except (FileNotFoundError, ProcessLookupError, OSError):
        return False
    return mounts != "" and " /code " not in mounts and "/images/" not in mounts


def host_uid(pid):
    """An undumpable process's folder belongs to root, so its status has to tell. None where it has
    just ended: ESRCH while it is read, ENOENT before."""
    try:
        status = pathlib.Path(f"/proc/{pid}/status").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    for line in status.splitlines():
        if line.startswith("Uid:"):
            return int(line.split()[1])
    return None


class Watch:
    """One agent, and what belongs to it. Sandboxes in stock do not count."""

    def __init__(self, agent):
        self.agent = agent
        assert eventually(self._find_parents), "the agent has no groups"  # it may have begun just now
        self.parents = self._find_parents()

    def _find_parents(self):
        """The agent holds its parent groups open, so its descriptors tell their name."""
        return {match[0] for match in
                (re.search(r"magpie-[0-9a-f]{16}$", link) for link in self.descriptors()) if match}

    def _is_stock(self, pid):
        """A sandbox that waits for a function; or one in the making, which is still where its agent
        is."""
        def mounts(process):
            try:
                return os.readlink(f"/proc/{process}/ns/mnt")
            except OSError:
                return None
        return is_parked(pid) or mounts(pid) == mounts(self.agent.process.pid)

    def groups(self):
        """Those of its sandboxes. In the v2 hierarchy one ends with its sandbox; in v1 they stay with the
        slot, and count while somebody is in them."""
        return [group for group in groups(self.parents)
                if (is_unified(group) or pids_of(group))
                and not any(map(self._is_stock, pids_of(group)))]

    def kept(self):
        """Groups in v1 hierarchies, in use or waiting for their slot's next sandbox."""
        return [group for group in groups(self.parents) if not is_unified(group)]

    def frozen(self):
        """Whether each of its sandboxes is frozen through and through."""
        states = []
        for group in self.groups():
            with contextlib.suppress(OSError):  # it has gone meanwhile
                states.append("frozen 1" in pathlib.Path(group, "cgroup.events").read_text())
        return states

    def descriptors(self):
        """What the agent's descriptors refer to."""
        folder = f"/proc/{self.agent.process.pid}/fd"
        while True:
            # One that is closed meanwhile makes a second look necessary.
            with contextlib.suppress(FileNotFoundError):
                return sorted(os.readlink(f"{folder}/{fd}") for fd in os.listdir(folder))

    def mounts(self):
        path = pathlib.Path(f"/proc/{self.agent.process.pid}/mountinfo")
        return len(path.read_text().splitlines())

    def children(self):
        """Host pids of its child processes, dead ones that are not reaped too: each sandbox's
        first process. Nothing else of a sandbox can outlive that."""
        pid = self.agent.process.pid
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [child for child in children if not self._is_stock(child)]

    def pids(self):
        """Host pids in all its groups."""
        return {pid for group in self.groups() if is_unified(group) for pid in pids_of(group)}


def eventually(condition, deadline_s=10):
    """For what the host offers no event for. False when it has not come true in time."""
    deadline = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.002)  # who looks without a pause holds up what it looks for
    return True
