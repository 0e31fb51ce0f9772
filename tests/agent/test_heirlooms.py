"""Functions that leave to their later instances what no shim has written: it harms nobody else."""
import json

import pytest
from agent_client import MIB, NODE
from conftest import start_agent
from sandbox_host import Watch
from stocked import from_nursery

# The shim leaves nothing where somebody else has the descriptor; then the function writes to it.
SCRIPT = b"""import ctypes, os, time
time.sleep(0.02)
kept = os.dup(4) if os.path.exists("/proc/self/fd/4") else None
LIBRARY, KEEP_SIZE = ctypes.CDLL(None), 1
LIBRARY.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long]
def handle(event, context):
    if kept:
        %s
        os.pwrite(kept, b"mapshot1", 0)
    return kept is not None
"""
ALL_OF_THE_PLACE = b"os.posix_fallocate(kept, 0, 512 << 20)"
# What it compiles is kept.
SLOW_NODE = b"for (const end = Date.now() + 15; Date.now() < end;); exports.handle = () => ['well'];"


@pytest.fixture(scope="module")
def agent():
    with start_agent(stock=8) as running:
        yield running


def call(made):
    return json.loads(made.invoke(b"{}"))


def leave(agent, gateway, line):
    """A function's first instance has executed that line, and ended."""
    code = agent.add_code({"main.py": (0o644, SCRIPT % line)})
    with from_nursery(agent, gateway, code, memory=640 * MIB) as made:
        assert call(made)


def count_kept(agent):
    return sum("magpie-snapshot" in name for name in Watch(agent).descriptors())


@pytest.mark.parametrize("line", [b"os.ftruncate(kept, 512 << 20)",
                                  b"LIBRARY.fallocate(kept, KEEP_SIZE, 0, 513 << 20)"],
                         ids=["holes", "pages behind its end"])
def test_a_file_that_could_take_more_than_it_says_is_not_kept(agent, gateway, line):
    before = count_kept(agent)
    leave(agent, gateway, line)
    assert count_kept(agent) == before


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
