"""What a slot keeps from one sandbox to the next, and that the next notices nothing of the one before."""
import contextlib
import errno
import os
import resource
import time

import pytest
from agent_client import BY_CODE, EXEC, KILLED, MIB, OUT_OF_MEMORY, Refused
from conftest import start_agent
from sandbox_host import Watch, eventually, groups


@pytest.fixture(scope="module")
def native(agent, compile_probe):
    return agent.add_code({"main": (0o755, compile_probe("native", "-static"))})


def run(agent, gateway, script, **options):
    """One invocation of a script in a sandbox of its own; its output and its end."""
    return run_code(gateway, agent.add_code({"main": (0o755, b"#!/bin/sh\n" + script)}), **options)


def run_code(gateway, code, **options):
    with gateway.spawn(code, "main", runtime=EXEC, **options) as made:
        made.wait_ready()
        return made.invoke().decode(), made.kill()


def left_charged(group):
    with open(f"{group}/memory.usage_in_bytes", encoding="ascii") as file:
        return int(file.read())


def fill(mebibytes):
    """A script whose sandbox takes so much memory; in /tmp, so that it is there at once."""
    return b"head -c %d /dev/zero >/tmp/filling && echo filled\n" % (mebibytes * MIB)


def test_the_groups_in_v1_hierarchies_serve_the_slots_next_sandbox(agent, gateway, native, watch):
    def made_at():
        with gateway.spawn(native, "main") as made:
            made.wait_ready()
        return [os.stat(group).st_ino for group in watch.kept()]
    assert made_at() == made_at() == made_at()


def test_the_peak_of_memory_is_not_that_of_the_sandbox_before(agent, gateway):
    _, large = run(agent, gateway, fill(40), tmp=64 * MIB)
    _, small = run(agent, gateway, b"true\n")
    assert large.memory_peak == 0 or large.memory_peak > 40 * MIB
    assert small.memory_peak < 8 * MIB


def test_an_end_for_want_of_memory_is_not_told_of_the_next_one_too(gateway, native):
    for _ in range(3):
        with gateway.spawn(native, "main", memory=32 * MIB) as made:
            made.wait_ready()
            made.begin(b"memory of a child")
            assert made.wait_exited().cause == OUT_OF_MEMORY
        with gateway.spawn(native, "main", memory=32 * MIB) as made:
            made.wait_ready()
            made.begin(b"exit 3")
            ended = made.wait_exited()
            assert (ended.cause, ended.code) == (BY_CODE, 3)


def test_one_that_runs_out_of_memory_takes_no_neighbour_with_it(gateway, native):
    """Neighbours share the descriptor on which the kernel tells."""
    with gateway.spawn(native, "main") as before, \
            gateway.spawn(native, "main", memory=32 * MIB) as hungry, \
            gateway.spawn(native, "main") as behind:
        for made in (before, hungry, behind):
            made.wait_ready()
        hungry.begin(b"memory of a child")
        assert hungry.wait_exited().cause == OUT_OF_MEMORY
        assert before.invoke(b"still here") == behind.invoke(b"still here") == b"still here"
        assert before.kill().cause == behind.kill().cause == KILLED


@pytest.mark.parametrize("before, now", [(32, 96), (96, 32)])
def test_the_limit_of_memory_is_its_own(agent, gateway, native, before, now):
    run(agent, gateway, b"true\n", memory=before * MIB)
    output, _ = run(agent, gateway, fill(now * 3 // 4), memory=now * MIB, tmp=128 * MIB)
    assert output == "filled\n"
    with gateway.spawn(native, "main", memory=now * MIB) as made:
        made.wait_ready()
        made.begin(b"memory")
        ended = made.wait_exited()
        assert ended.cause == OUT_OF_MEMORY
        assert ended.memory_peak == 0 or now * 3 // 4 * MIB < ended.memory_peak <= now * MIB


def test_the_limit_of_processes_is_its_own(gateway, native):
    for processes in (16, 40, 8):
        with gateway.spawn(native, "main", processes=processes) as made:
            made.wait_ready()
            assert made.invoke(b"children") == b"%d" % (processes - 2)


def test_the_limit_of_cpu_time_is_its_own(agent, gateway):
    work = b"#!/usr/bin/env -S /usr/bin/python3 -ISB\nimport time\n" \
           b"begun, cpu = time.monotonic(), time.process_time()\n" \
           b"while time.process_time() - cpu < 0.2:\n    pass\nprint(time.monotonic() - begun)\n"
    code = agent.add_code({"main": (0o755, work)})
    took = []
    for cpu in (100, 0):
        with gateway.spawn(code, "main", runtime=EXEC, cpu=cpu) as made:
            made.wait_ready()
            took.append(float(made.invoke()))
    assert took[0] > 1.5 and took[1] < took[0] / 2


def test_the_next_sandbox_is_not_frozen_where_this_one_was(gateway, native, freeze):
    for _ in range(3):
        with gateway.spawn(native, "main") as made:
            made.wait_ready()
            freeze(made)
            assert made.kill().cause == KILLED


def test_what_can_freeze_a_sandbox_ends_with_it(gateway, native):
    with gateway.spawn(native, "main") as made:
        made.wait_ready()
        kept = os.open(f"{made.group}/cgroup.freeze", os.O_WRONLY, dir_fd=gateway.groups_fd)
        made.kill()
    with gateway.spawn(native, "main") as heir:
        heir.wait_ready()
        with pytest.raises(OSError, match="No such device"):
            os.write(kept, b"1")
        with pytest.raises(FileNotFoundError):
            made.set_frozen(True)
        assert heir.invoke(b"not frozen") == b"not frozen"
    os.close(kept)


def test_another_life_of_the_agent_uses_none_of_the_numbers_again(compile_probe):
    with start_agent() as agent:
        code = agent.add_code({"main": (0o755, compile_probe("native", "-static"))})
        numbers = []
        for _ in range(2):
            with agent.connect().spawn(code, "main") as made:
                numbers.append(made.group)
            agent.restart()
        assert numbers[0] < numbers[1]


def test_nothing_outlives_an_agent_that_is_killed_while_it_makes_sandboxes(compile_probe):
    """What it clones has its descriptors, the lock on its data directory among them."""
    with start_agent() as agent:
        code = agent.add_code({"main": (0o755, compile_probe("native", "-static"))})
        for number in range(80):
            gateway = agent.connect()
            for _ in range(16):
                gateway.ask_spawn(code, "main")
            time.sleep(number % 20 / 1000)  # whatever it is doing then
            agent.process.kill()
            agent.process.wait()
            assert eventually(lambda: processes_with(str(agent.data_dir)) == [])
            agent.restart()


def processes_with(word):
    """Those that have it in their command line, zombies excepted."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
            if word.encode() in file.read().split(b"\0"):
                found.append(int(pid))
    return found


def test_a_gateway_may_freeze_its_own_sandboxes_and_nothing_else(compile_probe):
    """It runs as another user; the files are that user's from the moment a sandbox is its own."""
    with start_agent(stock=2) as agent:
        code = agent.add_code({"main": (0o755, compile_probe("native", "-static"))})
        watch = Watch(agent)
        with as_user(65534):
            gateway = agent.connect()
        with gateway.spawn(code, "main") as made:
            made.wait_ready()
            assert eventually(lambda: len(owners(watch)) >= 2)
            folder = next(path for path in owners(watch) if path.endswith(f"/{made.group}"))
            assert owners(watch)[folder] == 65534
            assert {owner for path, owner in owners(watch).items() if path != folder} == {0}
            assert {os.stat(f"{folder}/{name}").st_uid
                    for name in os.listdir(folder) if name != "cgroup.freeze"} == {0}
            with as_user(65534):
                made.set_frozen(True)
            assert eventually(lambda: watch.frozen() == [True])


@contextlib.contextmanager
def as_user(uid):
    os.setresuid(uid, uid, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


def owners(watch):
    """Whose the files are that freeze sandboxes, those in stock too: {folder: user}."""
    found = {}
    for group in groups(watch.parents):
        with contextlib.suppress(FileNotFoundError):
            found[group.rstrip("/")] = os.stat(f"{group}/cgroup.freeze").st_uid
    return found


def test_groups_with_memory_that_stays_charged_are_made_anew():
    """Pages of a file are charged to whoever reads it first, and stay."""
    with start_agent() as agent:
        gateway = agent.connect()
        code = agent.add_code({"main": (0o755, b"#!/bin/sh\ncat /code/large >/dev/null; echo read\n"),
                               "large": (0o644, b"\xa5" * (24 * MIB))})
        with open(agent.data_dir / "code" / code / "large", "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        assert run_code(gateway, code)[0] == "read\n"
        group = next((path for path in Watch(agent).kept()
                      if os.path.exists(f"{path}/memory.usage_in_bytes")), None)
        if not group or left_charged(group) < 16 * MIB:
            pytest.skip("groups are always made anew here, or this file system's pages do not stay")
        before = os.stat(group).st_ino
        _, ended = run(agent, gateway, b"true\n")
        assert os.stat(group).st_ino != before
        assert ended.memory_peak < 8 * MIB


def test_there_are_no_more_groups_than_sandboxes_lived_at_once(compile_probe):
    with start_agent() as agent:
        code = agent.add_code({"main": (0o755, compile_probe("native", "-static"))})
        gateway = agent.connect()
        watch = Watch(agent)
        for _ in range(5):
            made = [gateway.spawn(code, "main") for _ in range(4)]
            for each in made:
                each.wait_ready()
            for each in made:
                each.__exit__()
        assert len({os.path.basename(group.rstrip("/")) for group in watch.kept()}) in (0, 4)
        assert watch.groups() == []


KEPT_MAX = 256


def test_what_a_crowd_leaves_behind_is_given_up(compile_probe):
    """Each namespace and group costs the kernel memory for as long as it is kept."""
    with start_agent() as agent:
        code = agent.add_code({"main": (0o755, compile_probe("native", "-static"))})
        gateway = agent.connect()
        watch = Watch(agent)

        def crowd():
            asked = [gateway.ask_spawn(code, "main") for _ in range(KEPT_MAX + 20)]
            for made in [gateway.await_spawned(number) for number in asked]:
                made.wait_ready()
                made.__exit__()
            return {os.path.basename(group.rstrip("/")) for group in watch.kept()}
        first = crowd()
        assert len(first) in (0, KEPT_MAX)
        assert namespaces(watch) == 2 * KEPT_MAX and watch.groups() == []
        assert len(crowd()) == len(first) and namespaces(watch) == 2 * KEPT_MAX


def namespaces(watch):
    """How many user and network namespaces the agent holds, its own left out."""
    return sum(name.startswith(("user:", "net:")) for name in watch.descriptors()) - 1


def test_an_agent_without_descriptors_left_refuses_and_goes_on(compile_probe):
    most, left = 4096, 90  # a sandbox's own limit of files is not to be above the agent's
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2 * most:
        pytest.skip("needs as many descriptors itself")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2 * most), hard))
    with start_agent(wrapper=["prlimit", f"--nofile={most}:{most}"]) as agent:
        code = agent.add_code({"main": (0o755, compile_probe("native", "-static"))})
        gateway = agent.connect()
        watch = Watch(agent)
        idle = [agent.connect(greet=False) for _ in range(most - left - len(watch.descriptors()))]

        def beset():  # what it held for a moment only, another connection makes up for
            missing = most - left - len(watch.descriptors())
            idle.extend(agent.connect(greet=False) for _ in range(missing > 0))
            return missing <= 0
        assert eventually(beset)
        rounds = []
        for _ in range(3):
            made = []
            with pytest.raises(Refused) as refused:
                while len(made) < left:
                    made.append(gateway.spawn(code, "main"))
            assert refused.value.code == errno.EMFILE
            for each in made:
                each.wait_ready()
                assert each.invoke(b"well?") == b"well?"
            rounds.append(len(made))
            for each in made:
                each.__exit__()
            assert watch.groups() == [] and watch.children() == []
        assert len(idle) > 3000 and rounds[0] >= left // 3 - 5 and rounds[1] == rounds[2]


def test_a_life_after_a_kill_finds_what_was_kept_and_removes_it(compile_probe):
    with start_agent() as agent:
        code = agent.add_code({"main": (0o755, compile_probe("native", "-static"))})
        gateway = agent.connect()
        watch = Watch(agent)
        with gateway.spawn(code, "main") as made:
            made.wait_ready()
        kept = watch.kept()
        agent.kill()
        assert groups(watch.parents) == kept
        agent.restart()
        agent.connect()
        assert eventually(lambda: groups(watch.parents) == [])
