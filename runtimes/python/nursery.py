"""Where Python instances are born: an interpreter that has loaded everything which does not depend on a
function, and forks itself into sandboxes that the agent has prepared. A fork takes a tenth of the time
that an interpreter needs to start, and shares the memory of what was loaded.

It runs as root, and so it never meets a function's code, environment or bytes: it hears the agent on
descriptor 3 alone. What leaves it has given up everything before it waits for its function
(magpie_shim/parking.py), by the same steps as any other sandbox's first process (agent/child.c).

A request is eight bytes, the agent's number for it, with the descriptors that runtimes/snapshot/birth.h
names; that library does what a birth takes. The answer is the number, an errno (0: it waits for its
function now) and the name of the failed step.
"""

import ctypes
import gc
import os
import sys
from _struct import Struct

import _socket

CONTROL = 3

MS_NOSUID, MS_NODEV, MS_NOEXEC = 2, 4, 8
CAPABILITY_VERSION_3 = 0x20080522
# setgid, setuid, sys_chroot, sys_ptrace, sys_admin: entering namespaces takes these.
CAPABILITIES = 1 << 6 | 1 << 7 | 1 << 18 | 1 << 19 | 1 << 21
# Where the agent has it: what is written to a new process's oom_score_adj is the least that the function
# can write there, too.
SYS_RESOURCE = 1 << 24

_libc = ctypes.PyDLL(None, use_errno=True)
_answer = Struct("=QI")
_number = Struct("=Q")


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


def _spare_from_oom_kill():
    """The helpers have the nursery's memory and are in a sandbox's group: a kill of that group would be
    one of the nursery, too. Harmless where it fails: a new one is started then."""
    try:
        with open("/proc/self/oom_score_adj", "wb", buffering=0) as file:
            file.write(b"-1000")
    except OSError:
        pass


def _serve(library, control, filter_bytes):
    """Returns in a new process; the nursery itself ends with the agent."""
    own = os.pidfd_open(os.getpid())
    before, after_in_child, after_in_parent = (
        ctypes.pythonapi.PyOS_BeforeFork, ctypes.pythonapi.PyOS_AfterFork_Child,
        ctypes.pythonapi.PyOS_AfterFork_Parent)
    while True:
        message, extra, _, _ = control.recvmsg(64, 1024)
        if not message:
            os._exit(0)
        (number,) = _number.unpack(message)
        fds = [fd for _, _, data in extra for fd in memoryview(data).cast("i")]
        lent = (ctypes.c_int * len(fds))(*fds)
        before()
        r = library.birth_give(number, lent, len(fds), own, filter_bytes, len(filter_bytes))
        if r == 1:
            after_in_child()
            return
        after_in_parent()
        if r < 0:
            os.write(CONTROL, _answer.pack(number, -r) + b"cloning")
        for fd in fds:
            os.close(fd)


def main():
    here = __file__.rpartition("/")[0]
    sys.path.insert(0, here)
    from magpie_shim import parking, snapshot, worker

    sys.path.remove(here)
    _mount_proc()
    can_rank = _is_permitted(SYS_RESOURCE)
    _set_capabilities(CAPABILITIES | (SYS_RESOURCE if can_rank else 0))
    if can_rank:
        _spare_from_oom_kill()
    control = _socket.socket(fileno=CONTROL)
    filter_bytes = control.recv(4096)
    gc.collect()
    gc.freeze()  # nobody's collection shall write to pages that all share
    library, can_load = snapshot.begin()
    _serve(library, control, filter_bytes)
    control.detach()
    globals()["__file__"] = sys.argv[0] = f"{here}/shim.py"  # as in any other instance
    parking.wait(snapshot if can_load else None)
    worker.main()


if __name__ == "__main__":
    main()
