"""The life of an instance: frozen, thawed, killed, ended by itself - told exactly, leaving nothing."""
import os
import signal

import pytest
from agent_client import (BY_CODE, BY_SIGNAL, EXEC, KILLED, MIB, NODE, OUT_OF_MEMORY, PYTHON3,
                          WORKER_REFUSED, Agent)
from conftest import start_agent
from sandbox_host import Watch, eventually, groups, hierarchies


@pytest.fixture(scope="module")
def native(agent, compile_probe):
    return agent.add_code({"main": (0o755, compile_probe("native", "-static"))})


@pytest.fixture
def instance(gateway, native):
    with gateway.spawn(native, "main") as made:
        made.wait_ready()
        yield made


def test_a_native_function_answers(instance):
    assert instance.invoke(b"hello") == b"hello"


def test_a_dynamic_native_function_answers(agent, gateway, compile_probe):
    code = agent.add_code({"bin/main": (0o755, compile_probe("native"))})
    with gateway.spawn(code, "bin/main") as made:
        made.wait_ready()
        assert made.invoke(b"hello") == b"hello"


def test_requests_pushed_ahead_can_be_taken_back(instance, freeze):
    freeze(instance)
    instance.begin(b"first")
    second = instance.begin(b"second")
    taken = instance.worker.recv(65536)
    assert taken.endswith(b"first")
    instance.set_frozen(False)
    assert instance.finish(second) == b"second"


def test_a_frozen_instance_answers_when_it_is_thawed(instance, freeze):
    freeze(instance)
    number = instance.begin(b"while frozen")
    with pytest.raises(TimeoutError):
        instance.receive(deadline_s=0.1)
    instance.set_frozen(False)
    assert instance.finish(number) == b"while frozen"


def test_an_instance_is_killed_on_request(instance):
    assert instance.kill().cause == KILLED


def test_a_frozen_instance_is_killed_as_well(instance, freeze):
    freeze(instance)
    assert instance.kill().cause == KILLED


def test_killing_what_is_gone_or_never_was_is_harmless(gateway, instance):
    instance.kill()
    gateway.kill(instance.id)
    gateway.kill(123456789)
    with gateway.spawn(instance_code(gateway), "main") as another:
        another.wait_ready()


def instance_code(gateway):
    """Any code this agent has."""
    return next(iter(sorted(path.name for path in (gateway.agent.data_dir / "code").iterdir()
                            if (path / "main").exists())))


@pytest.mark.parametrize("status", [0, 3, 137, 255])
def test_an_exit_status_is_told_exactly(instance, status):
    instance.begin(b"exit %d" % status)
    ended = instance.wait_exited()
    assert (ended.cause, ended.code) == (BY_CODE, status)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGABRT, signal.SIGHUP])
def test_a_signal_is_told_exactly(instance, number):
    instance.begin(b"signal %d" % number)
    ended = instance.wait_exited()
    assert (ended.cause, ended.code) == (BY_SIGNAL, number)


def test_a_crash_is_a_segmentation_fault(instance):
    instance.begin(b"crash")
    ended = instance.wait_exited()
    assert (ended.cause, ended.code) == (BY_SIGNAL, signal.SIGSEGV)


def test_a_function_that_exceeds_its_memory_is_told_by_the_kernels_counter(gateway, native):
    with gateway.spawn(native, "main", memory=32 * MIB) as made:
        made.wait_ready()
        made.begin(b"memory")
        ended = made.wait_exited()
        assert ended.cause == OUT_OF_MEMORY
        assert 24 * MIB < ended.memory_peak <= 32 * MIB


def test_a_child_that_exceeds_the_memory_ends_the_instance_too(gateway, native):
    with gateway.spawn(native, "main", memory=32 * MIB) as made:
        made.wait_ready()
        made.begin(b"memory of a child")
        assert made.wait_exited().cause == OUT_OF_MEMORY


def test_filling_tmp_beyond_the_memory_is_out_of_memory(gateway, agent):
    script = b"#!/bin/sh\nhead -c 100000000 /dev/zero >/tmp/x\n"
    code = agent.add_code({"main": (0o755, script)})
    with gateway.spawn(code, "main", runtime=EXEC, memory=16 * MIB, tmp=256 * MIB) as made:
        made.wait_ready()
        made.begin()
        assert made.wait_exited().cause == OUT_OF_MEMORY


def test_the_peak_of_memory_is_told(gateway, native):
    with gateway.spawn(native, "main", memory=64 * MIB) as made:
        made.wait_ready()
        peak = made.kill().memory_peak
        # Kernels before 5.19 do not tell it for v2.
        assert peak == 0 or 16384 <= peak < 16 * MIB


def test_descendants_that_detached_die_with_the_instance(instance, watch):
    assert instance.invoke(b"orphan") == b""
    assert len(watch.pids()) == 3
    instance.kill()
    assert watch.pids() == set() and watch.groups() == []


def test_orphans_are_reaped_while_the_function_lives(gateway, native, watch):
    with gateway.spawn(native, "main") as made:
        made.wait_ready()
        for _ in range(5):
            made.invoke(b"orphan")
        # Each leaves one process; the one in the middle must not stay a zombie.
        assert eventually(lambda: len(watch.pids()) == 2 + 5)


def test_the_end_of_a_gateways_connection_is_the_end_of_its_sandboxes(agent, native, watch):
    one, other = agent.connect(), agent.connect()
    mine = [one.spawn(native, "main") for _ in range(3)]
    for made in mine:
        made.wait_ready()
    mine[1].set_frozen(True)
    with other.spawn(native, "main") as theirs:
        theirs.wait_ready()
        one.close()
        assert eventually(lambda: len(watch.pids()) == 2)
        assert theirs.invoke(b"still here") == b"still here"
    for made in mine:
        made.close()


def test_numbers_of_two_gateways_do_not_meet(agent, native):
    one, other = agent.connect(), agent.connect()
    with one.spawn(native, "main") as mine, other.spawn(native, "main") as theirs:
        assert mine.id == theirs.id
        theirs.kill()
        mine.wait_ready()
        assert mine.invoke(b"here") == b"here"


def test_nothing_is_left_of_two_hundred_instances(agent, gateway, native, watch):
    with gateway.spawn(native, "main") as first:
        first.wait_ready()
    descriptors, mounts, kept = watch.descriptors(), watch.mounts(), watch.kept()
    for number in range(200):
        with gateway.spawn(native, "main") as made:
            made.wait_ready()
            if number % 3 == 0:
                made.begin(b"exit 0")
                made.wait_exited()
    assert watch.descriptors() == descriptors
    assert watch.mounts() == mounts
    assert watch.kept() == kept
    assert watch.groups() == [] and watch.children() == []


def test_failing_to_make_one_leaves_nothing_either(agent, gateway, watch):
    before = watch.descriptors()
    for _ in range(20):
        with pytest.raises(Exception, match="opening the code"):
            gateway.spawn("f" * 64, "main")
    assert watch.descriptors() == before and watch.groups() == []


def test_a_program_that_cannot_run_says_so(agent, gateway):
    code = agent.add_code({"main": (0o755, b"\x7fELF is not enough")})
    with gateway.spawn(code, "main") as made:
        frame = made.receive()
        assert frame.type == WORKER_REFUSED
        assert b"'/code/main' cannot be run: Exec format error" in frame.payload
        ended = made.wait_exited()
        assert (ended.cause, ended.code) == (BY_CODE, 127)


def start_three(agent, native_bytes):
    code = agent.add_code({"main": (0o755, native_bytes)})
    gateway = agent.connect()
    made = [gateway.spawn(code, "main") for _ in range(3)]
    for each in made:
        each.wait_ready()
    made[0].set_frozen(True)
    return made


def test_sandboxes_die_with_the_agent_even_when_it_is_killed(compile_probe):
    with start_agent() as agent:
        made = start_three(agent, compile_probe("native", "-static"))
        watch = Watch(agent)
        pids = watch.pids()
        assert len(pids) == 2 * len(made) and watch.groups()
        agent.kill()
        assert eventually(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids))
        # What is left are empty groups; the next life removes them.
        agent.restart()
        gateway = agent.connect()
        assert groups(watch.parents) == []
        gateway.close()


def test_an_orderly_end_leaves_no_group_and_no_process(compile_probe):
    with start_agent() as agent:
        made = start_three(agent, compile_probe("native", "-static"))
        watch = Watch(agent)
        pids = watch.pids()
        assert len(pids) == 2 * len(made)
        assert agent.end() == 0
        assert not any(os.path.exists(f"/proc/{pid}") for pid in pids)
        assert not any((point / name).exists() for point in hierarchies()
                       for name in watch.parents)
        agent.start()


def test_sigterm_is_an_orderly_end_too(compile_probe):
    with start_agent() as agent:
        made = start_three(agent, compile_probe("native", "-static"))
        pids = Watch(agent).pids()
        assert len(pids) == 2 * len(made)
        agent.process.terminate()
        assert agent.process.wait(10) == 0
        assert not any(os.path.exists(f"/proc/{pid}") for pid in pids)


def test_an_interrupt_from_the_terminal_is_not_for_the_agent_nor_the_functions(compile_probe):
    with start_agent() as agent:
        made = start_three(agent, compile_probe("native", "-static"))
        os.kill(agent.process.pid, signal.SIGINT)
        assert made[1].invoke(b"unmoved") == b"unmoved"


def test_the_sweep_also_ends_what_outlived_its_agent(compile_probe):
    """A process that somebody put into the group lives on; the next agent must not."""
    with start_agent() as agent:
        made = start_three(agent, compile_probe("native", "-static"))
        watch = Watch(agent)
        assert len(watch.pids()) == 2 * len(made)
        group = next(path for path in watch.groups()
                     if os.path.exists(os.path.join(path, "cgroup.kill")))
        stranger = os.fork()
        if stranger == 0:
            signal.pause()
        with open(os.path.join(group, "cgroup.procs"), "w", encoding="ascii") as file:
            file.write(str(stranger))
        agent.kill()
        agent.restart()
        agent.connect().close()
        assert os.waitpid(stranger, 0)[1] == signal.SIGKILL
        assert groups(watch.parents) == []


def test_two_agents_do_not_serve_one_data_directory(agent, capfd):
    second = Agent(agent.program, agent.data_dir)
    assert second.process.wait(10) == 1
    assert "another magpie-agent serves this data directory" in capfd.readouterr().err
    second.control.close()


def test_the_agent_works_inside_of_a_chroot(tmp_path, compile_probe):
    """There its root is not the root of its mount namespace, and a sandbox must not end up there."""
    inside = 'mount --rbind / "$0" && exec chroot "$0" "$@"'
    with start_agent(wrapper=["unshare", "--mount", "--propagation", "private", "sh", "-c", inside,
                              str(tmp_path)]) as agent:
        script = b"#!/bin/sh\nls /\n"
        code = agent.add_code({"main": (0o755, script)})
        with agent.connect().spawn(code, "main", runtime=EXEC) as made:
            made.wait_ready()
            top = made.invoke().decode().split()
            assert "code" in top and "root" not in top and "sys" not in top


@pytest.mark.parametrize("runtime, files, handler", [
    (PYTHON3, {"main.py": (0o644, b"def handle(event, context):\n    return event\n")},
     "main.handle"),
    (NODE, {"main.js": (0o644, b"exports.handle = async (event) => event\n")}, "main.handle"),
    (EXEC, {"main": (0o755, b"#!/bin/sh\ncat\n")}, "main"),
])
def test_every_runtime_survives_freezing(agent, gateway, freeze, runtime, files, handler):
    with gateway.spawn(agent.add_code(files), handler, runtime=runtime) as made:
        made.wait_ready()
        assert made.invoke(b'{"a":1}') == b'{"a":1}'
        freeze(made)
        number = made.begin(b'{"b":2}')
        made.set_frozen(False)
        assert made.finish(number) == b'{"b":2}'
