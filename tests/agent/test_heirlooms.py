"""Functions that leave to their later instances what no shim has written: it harms nobody else."""
import contextlib
import fcntl
import json
import os
import signal
import time

import pytest
from agent_client import MIB, NODE, PYTHON3, STOCKED_INTERPRETER
from conftest import start_agent
from sandbox_host import Watch, eventually
from stocked import from_nursery, nursery_of

# The shim leaves nothing where somebody else has the descriptor; then the function writes to it.
SCRIPT = b"""import ctypes, fcntl, os, time
time.sleep(0.02)
kept = os.dup(4) if os.path.exists("/proc/self/fd/4") else None
LIBRARY, KEEP_SIZE = ctypes.CDLL(None), 1
LIBRARY.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long]
def handle(event, context):
    if kept:
        %s
    return kept is not None
"""
COMPLETE = b"os.pwrite(kept, b'mapshot1', 0)"
SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
SEAL = b"fcntl.fcntl(kept, fcntl.F_ADD_SEALS, %d)" % SEALS
ALL_OF_THE_PLACE = b"os.posix_fallocate(kept, 0, 512 << 20)"
PIN = b"os.splice(kept, os.pipe()[1], 4096, offset_src=0)"
# What it compiles is kept.
SLOW_NODE = b"for (const end = Date.now() + 15; Date.now() < end;); exports.handle = () => ['well'];"


@pytest.fixture(scope="module")
def agent():
    with start_agent(stock=8) as running:
        yield running


def call(made):
    return json.loads(made.invoke(b"{}"))


@contextlib.contextmanager
def first_instance(agent, gateway, *lines):
    """Of a function whose code is yielded; it has executed those lines, and lives until the end."""
    code = agent.add_code({"main.py": (0o644, SCRIPT % b"; ".join(lines))})
    with from_nursery(agent, gateway, code, memory=640 * MIB) as made:
        assert call(made)
        yield code


def leave(agent, gateway, *lines):
    with first_instance(agent, gateway, *lines, COMPLETE, SEAL):
        pass


def count_kept(agent):
    return sum("magpie-snapshot" in name for name in Watch(agent).descriptors())


@pytest.mark.parametrize("line", [b"os.ftruncate(kept, 512 << 20)",
                                  b"LIBRARY.fallocate(kept, KEEP_SIZE, 0, 513 << 20)"],
                         ids=["holes", "pages behind its end"])
def test_a_file_that_could_take_more_than_it_says_is_not_kept(agent, gateway, line):
    before = count_kept(agent)
    leave(agent, gateway, line)
    assert count_kept(agent) == before


def test_a_file_that_its_function_can_still_change_is_not_kept(agent, gateway):
    before = count_kept(agent)
    with first_instance(agent, gateway, COMPLETE):
        pass
    assert count_kept(agent) == before


def sealing_seconds():
    """How long the kernel waits for whoever has a page of what is to be sealed."""
    fd, pipe = os.memfd_create("pinned", os.MFD_ALLOW_SEALING), os.pipe()
    os.write(fd, bytes(4096))
    os.splice(fd, pipe[1], 4096, offset_src=0)
    began = time.monotonic()
    with pytest.raises(OSError, match="busy"):
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, SEALS)
    took = time.monotonic() - began
    for each in (fd, *pipe):
        os.close(each)
    return took


def test_nobody_waits_for_who_uses_a_page_of_what_he_leaves(agent, gateway):
    took = []
    for number in range(3):
        lines = (b"os.ftruncate(kept, 4096)", COMPLETE, PIN, b"%d" % number)
        with first_instance(agent, gateway, *lines) as code:
            with gateway.spawn(code, "main.handle", runtime=PYTHON3, memory=640 * MIB) as second:
                took.append(second.phases["total"] / 1e6)
    assert min(took) < sealing_seconds() / 2


def test_the_last_used_goes_first_where_all_take_too_much(agent, gateway):
    before = count_kept(agent)
    leave(agent, gateway, ALL_OF_THE_PLACE)
    assert count_kept(agent) == before + 1
    node = agent.add_code({"main.js": (0o644, SLOW_NODE)})
    for _ in range(3):
        with gateway.spawn(node, "main.handle", runtime=NODE) as made:
            made.wait_ready()
            assert call(made) == ["well"]
    assert count_kept(agent) == before


def is_one_parked(gateway):
    with contextlib.suppress(TimeoutError):
        while True:
            gateway.take(0)
    return gateway.parked["python3"] > 0


def test_who_was_born_in_a_nursery_that_has_died_leaves_nothing():
    """Nobody who is born in the next one could take it."""
    with start_agent(stock=8) as agent:
        gateway = agent.connect()
        code = agent.add_code({"main.py": (0o644, SCRIPT % b"pass")})
        from_nursery(agent, gateway, code, function="").__exit__()
        assert eventually(lambda: is_one_parked(gateway), 30)
        nursery = nursery_of(agent)
        os.kill(nursery, signal.SIGKILL)
        assert eventually(lambda: not os.path.exists(f"/proc/{nursery}"))
        with gateway.spawn(code, "main.handle", runtime=PYTHON3) as made:
            made.wait_ready()
            assert made.origin == STOCKED_INTERPRETER
            assert not call(made) and count_kept(agent) == 0
