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


def _serve():
    """Returns in copies of the process alone; what a snapshot needs, where they can have one."""
    from magpie_shim import parking, snapshot, worker

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
    library.python_serve(python.PyOS_BeforeFork, python.PyOS_AfterFork_Parent,
                         python.PyOS_AfterFork_Child)
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
