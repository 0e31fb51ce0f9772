"""What the host sees of a node: its processes, its sandboxes, and what it leaves behind."""
import contextlib
import os
import pathlib
import signal
import types

from raw_http import eventually
from sandbox_host import Watch, hierarchies, is_parked


def children(pid):
    try:
        return [int(word) for word in
                pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def program(pid):
    try:
        return os.path.basename(os.readlink(f"/proc/{pid}/exe")).split(" ")[0]
    except OSError:
        return None


def resident_bytes(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"process {pid} has no memory")


@contextlib.contextmanager
def stopped(pid):
    """SIGSTOP for as long as the block runs."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def is_stopped(pid):
    return (pathlib.Path("/proc") / str(pid) / "stat").read_text().rsplit(") ", 1)[1][0] == "T"


class NodeHost:
    """The processes of a running Server."""

    def __init__(self, server):
        self.server = server

    def _child(self, name):
        """None while there is none, as when it has just been killed."""
        for pid in children(self.server.process.pid):
            if program(pid) == name:
                return pid
        return None

    @property
    def gateway(self):
        return self._child("magpie")

    @property
    def agent(self):
        return self._child("magpie-agent")

    def instances(self):
        """Host pids of the first process of each sandbox that has a function."""
        agent = self.agent
        return [pid for pid in children(agent) if not is_parked(pid)] if agent else []

    def worker(self):
        """Host pid of the program of the only instance."""
        def program_of_one():
            found = [pid for first in self.instances() if program(first) == "init"
                     for pid in children(first) if program(pid) not in (None, "init")]
            return found[0] if len(found) == 1 else None
        return eventually(program_of_one, "there is one program")

    def watch(self):
        return Watch(types.SimpleNamespace(process=types.SimpleNamespace(pid=self.agent)))

    def parent_groups(self):
        """The names of its parent groups, to look for when it has ended."""
        return self.watch().parents


def leftover_groups(parents):
    return sorted(str(point / name) for point in hierarchies() for name in parents
                  if (point / name).exists())


def processes_of(uids):
    """Live processes of those host users: what a sandbox left."""
    found = []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            text = (folder / "status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        uid = int(text.split("\nUid:\t", 1)[1].split()[0])
        if uid in uids and "\nState:\tZ" not in text:
            found.append(int(folder.name))
    return found


def mounts_of(folder):
    """Mounts of or below a folder in the host's mount namespace."""
    return [line for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
            if str(folder) in line]
