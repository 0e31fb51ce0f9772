"""Control groups wherever they are: the agent finds the hierarchies itself, and limits hold."""
import os
import pathlib

import pytest
from agent_client import MIB, OUT_OF_MEMORY
from conftest import start_agent
from sandbox_host import Watch, hierarchies

# Hides the host's mounts from what it executes.
WITHOUT_MOUNTS = ["unshare", "--mount", "--propagation", "private", "sh", "-c",
                  'umount -R /sys/fs/cgroup && exec "$0" "$@"']

BOX = "magpie-test-box"

# Becomes the only process of a v2 group, and then sees that group as the root of the hierarchy, the
# way a container does.
IN_A_CONTAINER = [
    "sh", "-c",
    'echo $$ >"$0/cgroup.procs" && exec unshare --cgroup --mount --propagation private '
    'sh -c \'umount -R /sys/fs/cgroup && mount -t tmpfs x /sys/fs/cgroup && '
    'mkdir /sys/fs/cgroup/v2 && mount -t cgroup2 x /sys/fs/cgroup/v2 && exec "$0" "$@"\' "$@"']


def assert_limits_hold(agent, native):
    code = agent.add_code({"main": (0o755, native)})
    gateway = agent.connect()
    with gateway.spawn(code, "main", memory=32 * MIB, processes=16, cpu=500) as instance:
        instance.wait_ready()
        assert instance.invoke(b"children") == b"14"
        instance.begin(b"memory")
        ended = instance.wait_exited()
        assert ended.cause == OUT_OF_MEMORY and ended.memory_peak <= 32 * MIB
    with gateway.spawn(code, "main") as instance:
        instance.wait_ready()
        instance.set_frozen(True)
        instance.kill()


@pytest.fixture
def native(compile_probe):
    return compile_probe("native", "-static")


def test_the_hierarchies_of_the_host_are_used_where_they_are(native):
    with start_agent() as agent:
        agent.connect()
        parents = Watch(agent).parents
        assert len(parents) == 1
        assert_limits_hold(agent, native)
        assert any((point / name).exists() for point in hierarchies() for name in parents)


def test_all_sandboxes_together_weigh_as_much_as_a_process_on_each_processor():
    with start_agent() as agent:
        agent.connect()
        (parent,) = Watch(agent).parents
        weights = [int(file.read_text()) for point in hierarchies()
                   for file in (point / parent / "cpu.shares", point / parent / "cpu.weight")
                   if file.exists()]
        cpus = len(os.sched_getaffinity(0))
        assert weights in ([1024 * cpus], [min(100 * cpus, 10000)])


def test_hierarchies_that_are_not_mounted_are_mounted_privately(native):
    with start_agent(wrapper=WITHOUT_MOUNTS) as agent:
        before = pathlib.Path("/proc/self/mountinfo").read_text()
        assert_limits_hold(agent, native)
        assert pathlib.Path("/proc/self/mountinfo").read_text() == before


@pytest.fixture
def box():
    """A v2 group with every controller that v2 has here."""
    root = next(point for point, is_v2 in hierarchies().items() if is_v2)
    for controller in (root / "cgroup.controllers").read_text().split():
        if controller in ("memory", "pids", "cpu"):
            (root / "cgroup.subtree_control").write_text(f"+{controller}")
    group = root / BOX
    group.mkdir()
    yield group
    for left in sorted(group.rglob("*/"), reverse=True):
        left.rmdir()
    group.rmdir()


def test_in_a_container_those_who_are_in_the_way_are_moved_aside(box, native):
    """The kernel lets no group but the real root both hold processes and pass controllers down."""
    with start_agent(wrapper=[*IN_A_CONTAINER[:3], str(box)]) as agent:
        assert_limits_hold(agent, native)
        needed = (box / "cgroup.controllers").read_text().split()
        moved = (box / "magpie-host" / "cgroup.procs")
        assert moved.exists() == bool(set(needed) & {"memory", "pids", "cpu"})
