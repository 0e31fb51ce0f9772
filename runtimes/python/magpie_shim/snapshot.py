"""What the first instance of a function leaves to the others: itself, when it has imported the module
(runtimes/snapshot/snapshot.h). Used in forks of the nursery alone.

An instance that comes from a snapshot has what a fork would have: the same objects at the same places.
So it also goes through what a fork goes through, and what must never be the same twice is made anew.
"""

import ctypes
import os
import sys

from . import worker

PATH = "/magpie/python/magpie_python.so"
FD = 4
WORTH_NS = 5_000_000

_library = None
_can_save = False


def library():
    """The nursery's."""
    global _library
    library = ctypes.PyDLL(PATH)  # PyDLL: with the interpreter's lock, in both processes alike
    library.snapshot_wait.restype = ctypes.c_long
    library.snapshot_message.restype = ctypes.c_void_p
    library.snapshot_age_us.restype = ctypes.c_uint64
    library.snapshot_save.argtypes = [ctypes.c_uint64]
    _library = library
    return library


def begin():
    """In the nursery. False where its forks can have no snapshots."""
    return _library.snapshot_begin() == 0


def wait(socket):
    """The BOOT frame. With a snapshot beside it this does not return, but keep() does."""
    global _can_save
    has_fd = ctypes.c_int()
    length = _library.snapshot_wait(socket, ctypes.byref(has_fd))
    if length < 0:
        raise OSError(-length, os.strerror(-length))
    _can_save = bool(has_fd.value)
    return ctypes.string_at(_library.snapshot_message(), length)


def _shares_chance():
    """Has the module made a generator of random numbers? Then each instance needs one of its own, and
    nobody can tell whether it was made from a number that shall be the same everywhere."""
    random, numpy = sys.modules.get("random"), sys.modules.get("numpy.random")
    kinds, known = [], []
    if tempfile := sys.modules.get("tempfile"):
        tempfile._name_sequence = None  # has one; the next name makes another
    if random:
        kinds.append(random.Random)
        known.append(random._inst)
    if numpy:
        kinds += [numpy.Generator, numpy.RandomState, numpy.BitGenerator]
        known += [numpy.mtrand._rand, numpy.mtrand._rand._bit_generator]
    if not kinds:
        return False
    import gc

    kinds = tuple(kinds)
    system = random.SystemRandom if random else ()
    return any(
        isinstance(each, kinds) and not isinstance(each, system) and not any(each is one for one in known)
        for holder in gc.get_objects()
        for each in gc.get_referents(holder)
    )


def _can_be_kept():
    return os.getcwd() == "/code" and not os.listdir("/tmp") and not _shares_chance()


def _make_fresh():
    """What Python and its libraries would notice by the number of the process, which is the same."""
    os.chdir("/code")
    worker.being_born = True
    ctypes.pythonapi.PyOS_AfterFork_Child()
    worker.being_born = False
    if ssl := sys.modules.get("_ssl"):
        ssl.RAND_add(os.urandom(48), 48.0)
    if numpy := sys.modules.get("numpy.random"):
        numpy.seed()


def _give_up():
    global _can_save
    _can_save = False
    os.close(FD)


def examine(took_ns):
    """Before what was imported is put out of the garbage collector's sight. What is imported quickly is
    imported again more quickly than it is copied."""
    if _can_save and (took_ns < WORTH_NS or not _can_be_kept()):
        _library.snapshot_refuse()
        _give_up()


def keep(memory_bytes):
    """When the function has been imported. How many microseconds ago its BOOT came in an instance from
    a snapshot; None in every other."""
    if not _can_save:
        _library.snapshot_forget()
        return None
    ctypes.pythonapi.PyOS_BeforeFork()
    came_from_it = _library.snapshot_save(memory_bytes or 1 << 62) == 1
    if came_from_it:
        _make_fresh()
    else:
        ctypes.pythonapi.PyOS_AfterFork_Parent()
    _give_up()
    age_us = _library.snapshot_age_us() if came_from_it else None
    _library.snapshot_forget()
    return age_us
