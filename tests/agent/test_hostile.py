"""Functions that mean harm: the instance ends or is held within its limits, the agent and other
instances do not notice, and nothing is left."""
import os
import signal
import socket
import subprocess

import pytest
from agent_client import (BY_CODE, EXEC, FRAME, INVOKE, KILLED, MIB, OUT_OF_MEMORY, PYTHON3, READY,
                          wait_readable)
from sandbox_host import eventually


@pytest.fixture(scope="module")
def agent(either_agent):
    return either_agent



@pytest.fixture(scope="module")
def native(agent, compile_probe):
    return agent.add_code({"main": (0o755, compile_probe("native", "-static"))})


@pytest.fixture(scope="module")
def bystander(gateway, native):
    """Somebody else's instance, alive through all of this."""
    with gateway.spawn(native, "main") as instance:
        instance.wait_ready()
        yield instance


@pytest.fixture(autouse=True)
def nobody_else_notices(bystander, watch):
    yield
    assert bystander.invoke(b"well?") == b"well?"
    # A sandbox that is ended in stock takes a moment, too.
    assert eventually(lambda: len(watch.pids()) == 2 and len(watch.children()) == 1)


LIMITS = {"processes": 16, "memory": 32 * MIB}
# What is dead is charged until the kernel gets round to freeing it: a busy one is late.
BOMBS_LIMITS = {"processes": 16, "memory": 128 * MIB}


@pytest.fixture
def villain(gateway, native):
    with gateway.spawn(native, "main", **LIMITS) as instance:
        instance.wait_ready()
        yield instance


@pytest.fixture(params=["code", "image of root"])
def either_villain(request, agent, gateway, native, compile_probe):
    """The same program in an image is a process an invocation."""
    if request.param == "code":
        made = gateway.spawn(native, "main", **BOMBS_LIMITS)
    else:
        image = agent.add_image({"main": (0o755, compile_probe("native", "-static"))})
        made = gateway.spawn_image(image, "/main", **BOMBS_LIMITS)
    with made as instance:
        instance.wait_ready()
        yield instance


def test_a_fork_bomb_stays_within_its_process_limit_and_is_killed_whole(either_villain, bystander, watch):
    either_villain.begin(b"bomb")
    assert eventually(lambda: len(watch.pids()) >= 16)
    assert bystander.invoke(b"still answering") == b"still answering"
    # A list that is read while one ends and the next begins may have both.
    assert eventually(lambda: len(watch.pids()) <= 16 + 2)
    assert either_villain.kill().cause == KILLED


def test_a_frozen_fork_bomb_is_killed_whole(either_villain):
    either_villain.begin(b"bomb")
    either_villain.set_frozen(True)
    assert either_villain.kill().cause == KILLED


def test_children_are_counted(either_villain):
    # magpie-init and the function itself are among the 16.
    assert either_villain.invoke(b"children") == b"14"


def test_threads_are_counted_like_processes(either_villain):
    assert either_villain.invoke(b"threads") == b"14"


def test_descriptors_end_at_the_limit(villain):
    assert villain.invoke(b"open") == b"%d" % (1024 - 4)


def test_a_memory_hog_is_ended(either_villain):
    either_villain.begin(b"memory")
    assert either_villain.wait_exited().cause == OUT_OF_MEMORY


def test_a_flood_of_output_blocks_the_function_not_the_agent(villain, bystander):
    villain.begin(b"flood")
    wait_readable(villain.log_fd)
    assert bystander.invoke(b"still answering") == b"still answering"
    assert len(os.read(villain.log_fd, 65536)) >= 4096
    assert villain.kill().cause == KILLED


def test_nonsense_on_the_socket_reaches_the_gateway_alone(villain):
    villain.begin(b"nonsense")
    kinds = set()
    for _ in range(101):
        wait_readable(villain.socket)
        kinds.add(len(villain.socket.recv(65536)))
    assert 17 in kinds
    assert villain.kill().cause == KILLED


def test_a_function_that_closes_its_socket_can_still_be_killed(villain):
    villain.begin(b"hang up")
    assert villain.kill().cause == KILLED


def test_leaving_in_the_middle_is_told(villain):
    villain.begin(b"exit 7")
    ended = villain.wait_exited()
    assert (ended.cause, ended.code) == (BY_CODE, 7)


def test_a_function_that_never_reads_fills_its_own_socket_only(gateway, agent, bystander):
    code = agent.add_code({"main.py": (0o644, b"import time\ntime.sleep(1000)\n")})
    with gateway.spawn(code, "main.handle", runtime=PYTHON3) as instance:
        with pytest.raises(BlockingIOError):
            while True:
                instance.socket.send(FRAME.pack(INVOKE, 1, 0, 1, 0) + bytes(60000))
        assert bystander.invoke(b"still answering") == b"still answering"


def test_descriptors_sent_out_of_a_sandbox_go_nowhere(gateway, agent, bystander):
    """A function may pass descriptors with its frames: recv(2) without room for them drops them."""
    script = (b"import socket, array\n"
              b"s = socket.socket(fileno=3)\n"
              b"fds = array.array('i', [1] * 100)\n"
              b"s.sendmsg([bytes([3]) + bytes(15)], [(1, 1, fds)])\n"
              b"import time; time.sleep(1000)\n")
    code = agent.add_code({"main.py": (0o644, script)})
    with gateway.spawn(code, "main.handle", runtime=PYTHON3) as instance:
        before = len(os.listdir("/proc/self/fd"))
        assert instance.receive().type == READY
        assert len(os.listdir("/proc/self/fd")) <= before


def test_a_function_cannot_reach_magpie_init(place):
    """It is undumpable: no trace, no memory, no descriptors; and process 1 of a pid namespace takes
    no signal that it has not asked for."""
    text = place.run("#!/usr/bin/python3 -ISB\nimport os, signal\n"
                      "for path in ('mem', 'fd', 'maps', 'environ', 'root', 'cwd', 'fd/3'):\n"
                      "    try:\n"
                      "        os.stat(f'/proc/1/{path}')\n"
                      "        os.listdir(f'/proc/1/{path}') if path == 'fd' else "
                      "open(f'/proc/1/{path}').read()\n"
                      "        print('reached', path)\n"
                      "    except OSError as error:\n"
                      "        pass\n"
                      "for number in range(1, 65):\n"
                      "    try:\n"
                      "        os.kill(1, number)\n"
                      "    except OSError:\n"
                      "        pass\n"
                      "print('done')\n")
    assert text == "done\n"


def test_a_signal_to_everybody_reaches_the_own_sandbox_only(gateway, native, place):
    with gateway.spawn(native, "main") as other:
        other.wait_ready()
        script = "#!/bin/sh\ntrap '' TERM\nkill -TERM -1; kill -TERM 0; echo survived\n"
        assert place.run(script) == "survived\n"
        assert other.invoke(b"unharmed") == b"unharmed"


def test_a_huge_environment_and_file_tree_do_not_outlive_the_instance(agent, place, watch):
    place.run("#!/bin/sh\n")  # so that its slot has been made
    mounts, descriptors = watch.mounts(), watch.descriptors()
    assert place.run("#!/bin/sh\nmkdir -p /tmp/a/b/c; i=0\n"
                      "while [ $i -lt 500 ]; do echo $i >/tmp/a/b/c/$i; i=$((i+1)); done\n"
                      "ls /tmp/a/b/c | wc -l\n") == "500\n"
    assert watch.mounts() == mounts
    assert agent.stock > 0 or watch.descriptors() == descriptors  # a stock changes meanwhile


def test_a_set_user_id_program_in_the_code_gains_nothing(place):
    script = b"#!/bin/sh\ncp /usr/bin/id /tmp/id; chmod 6755 /tmp/id; /tmp/id -u; /code/id -u\n"
    with open("/usr/bin/id", "rb") as file:
        files = {"main": (0o755, script), "id": (0o6755, file.read())}
    with place.spawn(files, "main") as instance:
        assert instance.invoke() == b"%d\n%d\n" % (place.user, place.user)


def test_thirty_two_bit_calls_are_death(agent, gateway, compile_probe, tmp_path):
    """int 0x80 would pass by a filter that knows x86-64 numbers alone."""
    if os.uname().machine != "x86_64":
        pytest.skip("there is no such call on this machine")
    program = compile_probe("compat", "-static")
    free = tmp_path / "free"
    free.write_bytes(program)
    free.chmod(0o755)
    # Some virtual machines have no such call, whoever makes it.
    has_call = subprocess.run([free, "int80"], check=False).returncode != -signal.SIGSEGV
    code = agent.add_code({"main": (0o755, program)})
    with gateway.spawn(code, "main", runtime=EXEC) as instance:
        instance.wait_ready()
        death = signal.SIGSYS if has_call else signal.SIGSEGV
        with pytest.raises(Exception, match=f"killed by signal {death.value}"):
            instance.invoke(b"int80")
        with pytest.raises(Exception, match="killed by signal 31"):
            instance.invoke(b"x32")


def test_cpu_time_is_limited(gateway, agent):
    """A quarter of a core: 100 ms of work take about 400 ms."""
    script = (b"#!/usr/bin/python3 -ISB\nimport time\nwall = time.monotonic()\n"
              b"while time.process_time() < 0.2: pass\nprint(time.monotonic() - wall)\n")
    code = agent.add_code({"main": (0o755, script)})
    with gateway.spawn(code, "main", runtime=EXEC, cpu=250) as instance:
        instance.wait_ready()
        assert float(instance.invoke()) > 0.4


def test_the_agents_ends_of_a_sandbox_are_not_kept(agent, gateway, native):
    """When the gateway lets go and the function is gone, the socket is gone: no third holder."""
    with gateway.spawn(native, "main") as instance:
        instance.wait_ready()
        instance.worker.close()
        instance.begin(b"exit 0")
        instance.wait_exited()
        instance.socket.setblocking(True)
        instance.socket.settimeout(10)
        try:
            assert instance.socket.recv(1) == b""
        except ConnectionResetError:
            pass
        instance.socket = socket.socket()
        assert os.read(instance.log_fd, 1) == b""
