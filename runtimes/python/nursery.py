"""Where Python instances are born: an interpreter that has loaded everything which does not depend on a
function, and forks itself into sandboxes that the agent has prepared. A fork takes a tenth of the time
that an interpreter needs to start, and shares the memory of what was loaded.

It runs as root, and so it never meets a function's code, environment or bytes: it hears the agent on
descriptor 3 alone. What leaves it has given up everything before it waits for its function
(magpie_shim/parking.py), by the same steps as any other sandbox's first process (agent/child.c).

A request is eight bytes, the agent's number for it, with descriptors: the pidfd of the sandbox's first
process, its v2 control group, the worker socket, the log pipe, and the `tasks` file of each v1 group.
The answer is the number, an errno (0: it waits for its function now) and the name of the failed step.

The new process must become a child of the sandbox's first process, to be reaped by it. Nobody can give
a child away; but an orphan goes to the first process of its namespace. So a helper is cloned into the
sandbox's process namespace and control group, forks, and ends.
"""

import ctypes
import gc
import os
import sys
from _struct import Struct

import _socket

CONTROL = 3
USER = 1000

CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS = 0x20000, 0x2000000, 0x4000000
CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x8000000, 0x10000000, 0x20000000, 0x40000000
CLONE_INTO_CGROUP = 0x200000000
MS_NOSUID, MS_NODEV, MS_NOEXEC = 2, 4, 8
SYS_CLONE3 = 435  # on every architecture
SIGCHLD = 17
RLIMIT_NOFILE = 7
PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 4, 22, 38
SECCOMP_MODE_FILTER = 2
CAPABILITY_VERSION_3 = 0x20080522
# setgid, setuid, sys_chroot, sys_ptrace, sys_admin: entering namespaces takes these.
CAPABILITIES = 1 << 6 | 1 << 7 | 1 << 18 | 1 << 19 | 1 << 21
# Where the agent has it: what is written to a new process's oom_score_adj is the least that the function
# can write there, too.
SYS_RESOURCE = 1 << 24

_libc = ctypes.PyDLL(None, use_errno=True)  # PyDLL: a clone must not happen without the interpreter's lock
_answer = Struct("=QI")
_number = Struct("=Q")


class _CloneArguments(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in (
        "flags", "pidfd", "child_tid", "parent_tid", "exit_signal", "stack", "stack_size", "tls",
        "set_tid", "set_tid_size", "cgroup")]


class _FilterProgram(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p)]


def _check(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "")
    return result


def _set_capabilities(mask):
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    data = (ctypes.c_uint32 * 6)(mask, mask, 0, 0, 0, 0)
    _check(_libc.capset(header, data))


def _is_permitted(mask):
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    data = (ctypes.c_uint32 * 6)()
    _check(_libc.capget(header, data))
    return data[1] & mask == mask


def _mount_proc():
    """In the nursery's own mount namespace, to see its own memory."""
    flags = MS_NOSUID | MS_NODEV | MS_NOEXEC
    _check(_libc.mount(b"proc", b"/proc", b"proc", ctypes.c_ulong(flags), b"subset=pid,hidepid=2"))


def _clone_into(group):
    """As fork(2), but -1 where it fails."""
    arguments = _CloneArguments(flags=CLONE_INTO_CGROUP, exit_signal=SIGCHLD, cgroup=group)
    return _libc.syscall(SYS_CLONE3, ctypes.byref(arguments), ctypes.sizeof(arguments))


# ---- the new process ----


class Newborn:
    """Its steps from a copy of the nursery to an ordinary process of the sandbox."""

    def __init__(self, filter_bytes, first, worker, log, tasks):
        self.filter_bytes = filter_bytes
        self.first, self.worker, self.log, self.tasks = first, worker, log, tasks

    def join_groups(self):
        for fd in self.tasks:
            os.write(fd, b"0")

    def enter_namespaces(self):
        _check(_libc.setns(self.first, CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET
                           | CLONE_NEWCGROUP))
        os.chdir("/")

    def set_limits(self):
        _check(_libc.setrlimit(RLIMIT_NOFILE, (ctypes.c_ulong * 2)(1024, 4096)))
        with open("/proc/self/oom_score_adj", "wb", buffering=0) as file:
            file.write(b"500")  # when the host is short of memory, functions go first
        os.setsid()
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))

    def become_function_user(self):
        _check(_libc.setns(self.first, CLONE_NEWUSER))
        os.setgroups([])
        os.setresgid(USER, USER, USER)
        os.setresuid(USER, USER, USER)
        _set_capabilities(0)
        _check(_libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        # The change of user has made /proc/self root's; for a program just started it is its own.
        _check(_libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0))

    def take_descriptors(self):
        """The control socket stays until the answer is sent."""
        os.dup2(self.log, 1, inheritable=True)
        os.dup2(self.log, 2, inheritable=True)

    def install_filter(self):
        instructions = ctypes.create_string_buffer(self.filter_bytes, len(self.filter_bytes))
        program = _FilterProgram(len(self.filter_bytes) // 8, ctypes.addressof(instructions))
        _check(_libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0))

    STEPS = (join_groups, enter_namespaces, set_limits, become_function_user, take_descriptors,
             install_filter)

    def be_born(self, number):
        """Returns as what a sandbox's interpreter is when it has just been started."""
        for step in self.STEPS:
            try:
                step(self)
            except OSError as error:
                os.write(CONTROL, _answer.pack(number, error.errno) + step.__name__.encode())
                os._exit(1)
        os.write(CONTROL, _answer.pack(number, 0))
        os.dup2(self.worker, CONTROL, inheritable=False)
        os.closerange(CONTROL + 1, 1024)


# ---- the nursery ----


def _help(newborn, number):
    """Returns in the new process alone: whatever happens, the helper must not go on as a nursery."""
    try:
        if os.fork() > 0:
            os._exit(0)
        newborn.be_born(number)
    except OSError as error:
        os.write(CONTROL, _answer.pack(number, error.errno) + b"forking")
        os._exit(1)
    except BaseException:
        os._exit(1)


def _deliver(filter_bytes, own, number, fds):
    """True in the new process."""
    first, group, worker, log, *tasks = fds
    newborn = Newborn(filter_bytes, first, worker, log, tasks)
    _check(_libc.setns(first, CLONE_NEWPID))
    helper = _clone_into(group)
    if helper == 0:
        _help(newborn, number)
        return True
    failure = ctypes.get_errno()
    _check(_libc.setns(own, CLONE_NEWPID))
    if helper < 0:
        raise OSError(failure, "")
    os.waitpid(helper, 0)
    return False


def _serve(control, filter_bytes):
    """Returns in a new process; the nursery itself ends with the agent."""
    own = os.pidfd_open(os.getpid())
    while True:
        message, extra, _, _ = control.recvmsg(64, 1024)
        if not message:
            os._exit(0)
        (number,) = _number.unpack(message)
        fds = [fd for _, _, data in extra for fd in memoryview(data).cast("i")]
        try:
            if _deliver(filter_bytes, own, number, fds):
                return
        except OSError as error:
            os.write(CONTROL, _answer.pack(number, error.errno) + b"cloning")
        for fd in fds:
            os.close(fd)


def main():
    here = __file__.rpartition("/")[0]
    sys.path.insert(0, here)
    from magpie_shim import parking, snapshot, worker

    sys.path.remove(here)
    _mount_proc()
    _set_capabilities(CAPABILITIES | (SYS_RESOURCE if _is_permitted(SYS_RESOURCE) else 0))
    control = _socket.socket(fileno=CONTROL)
    filter_bytes = control.recv(4096)
    gc.collect()
    gc.freeze()  # nobody's collection shall write to pages that all share
    can_load = snapshot.begin()
    _serve(control, filter_bytes)
    control.detach()
    globals()["__file__"] = sys.argv[0] = f"{here}/shim.py"  # as in any other instance
    parking.wait(snapshot if can_load else None)
    worker.main()


if __name__ == "__main__":
    main()
