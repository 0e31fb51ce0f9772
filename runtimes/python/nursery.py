"""Where Python instances are born: an interpreter that has loaded everything which does not depend on a
function, and forks itself into sandboxes that the agent has prepared. A fork takes a tenth of the time
that an interpreter needs to start, and shares the memory of what was loaded.

It runs as root, and so it never meets a function's code, environment or bytes: it hears the agent on
descriptor 3 alone (runtimes/birth/nursery.h). What leaves it has given up everything before it waits for
its function (magpie_shim/parking.py), by the same steps as any other sandbox's first process
(agent/child.c).
"""

import ctypes
import gc
import os
import sys

REHEARSALS = 10  # until the interpreter has nothing more to learn of its own code


def _begin(library):
    step = ctypes.c_char_p()
    result = library.python_begin(ctypes.byref(step))
    if result < 0:
        raise OSError(-result, f"{step.value.decode()}: {os.strerror(-result)}")


class _Hooks(ctypes.Structure):
    """`struct nursery_hooks` of runtimes/birth/nursery.h."""

    _fields_ = [("before", ctypes.c_void_p), ("in_parent", ctypes.c_void_p), ("in_child", ctypes.c_void_p)]


class _Errand(ctypes.Structure):
    """`struct scout_errand` of runtimes/birth/scout.h."""

    _fields_ = [("boot", ctypes.c_char_p), ("call", ctypes.c_char_p),
                ("boot_size", ctypes.c_size_t), ("call_size", ctypes.c_size_t)]


def _errand(frame, parking):
    variables = b"".join(b"%s\0" % assignment for assignment in (
        b"MAGPIE_CODE=" + parking.STAND_IN.encode(), b"MAGPIE_HANDLER=stand_in.handle",
        b"MAGPIE_FUNCTION_NAME=stand-in", b"MAGPIE_FUNCTION_VERSION=1", b"MAGPIE_MEMORY_BYTES=134217728"))
    boot = frame.pack(frame.BOOT, 0, 0, 0, 0) + variables
    call = frame.pack(frame.INVOKE, frame.FLAG_END | frame.FLAG_HTTP, len(parking.EVENT), 1, 0) \
        + parking.EVENT + b'{"a": [1, "b", null]}'
    return _Errand(boot, call, len(boot), len(call))


def _serve():
    """Returns in copies of the process alone; what a snapshot needs, where they can have one."""
    from magpie_shim import frame, parking, snapshot, worker

    library = snapshot.library()
    _begin(library)
    errors = sys.stderr
    worker.prepare()
    # What a function prints goes to descriptor 3, where the agent hears the nursery.
    functions, sys.stderr = sys.stderr, errors
    for _ in range(REHEARSALS):
        parking.rehearse()
    gc.collect()
    gc.freeze()  # nobody's collection shall write to pages that all share
    can_load = snapshot.begin()
    python = ctypes.pythonapi
    worker.being_born = True
    hooks = _Hooks(*(ctypes.cast(hook, ctypes.c_void_p) for hook in (
        python.PyOS_BeforeFork, python.PyOS_AfterFork_Parent, python.PyOS_AfterFork_Child)))
    errand = _errand(frame, parking)
    library.python_serve(ctypes.byref(hooks), ctypes.byref(errand))
    worker.being_born = False
    sys.stderr = functions
    return snapshot if can_load else None


def main():
    here = __file__.rpartition("/")[0]
    sys.path.insert(0, here)
    from magpie_shim import parking, worker

    sys.path.remove(here)
    snapshot = _serve()
    globals()["__file__"] = sys.argv[0] = f"{here}/shim.py"  # as in any other instance
    parking.wait(snapshot)
    worker.main()


if __name__ == "__main__":
    main()
