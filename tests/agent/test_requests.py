"""What may be asked of the only root process, and what ends the connection instead."""
import socket
import subprocess

import pytest
from agent_client import (BY_EXEC, BY_HTTP, BY_LAMBDA, COURTESY, EXEC, EXITED, FUNCTION, HELLO, IMAGE, KILL,
                          MESSAGE, MIB, PROVIDED, REFUSED, SPAWN, SPAWNED, VERSION, Refused)
from conftest import start_agent
from server import build_dir


@pytest.fixture
def connection(agent):
    gateway = agent.connect()
    yield gateway
    gateway.close()


def assert_ended(gateway):
    # A request that was still unread makes it a reset.
    with pytest.raises((EOFError, ConnectionResetError)):
        gateway.receive()


def spawn_extra(digest, handler="probe", *env, layers="", function=FUNCTION):
    return b"".join(text.encode() + b"\0" for text in (digest, handler, layers, function, *env))


def test_greeting_with_another_version_ends_the_connection(agent):
    gateway = agent.connect(greet=False)
    gateway.send(HELLO, code=VERSION + 1)
    assert_ended(gateway)


def test_greeting_unknown_ends_the_connection(agent):
    gateway = agent.connect(greet=False, tells_user=False)
    gateway.send(HELLO, code=VERSION)
    assert_ended(gateway)


def test_nothing_is_permitted_before_the_greeting(agent, probe_code):
    for kind in (SPAWN, KILL, COURTESY):
        gateway = agent.connect(greet=False)
        gateway.send(kind, extra=spawn_extra(probe_code) if kind == SPAWN else b"")
        assert_ended(gateway)


def test_greeting_twice_ends_the_connection(connection):
    connection.send(HELLO, code=VERSION)
    assert_ended(connection)


@pytest.mark.parametrize("kind", [0, SPAWNED, REFUSED, EXITED, 7, 9, 2**32 - 1])
def test_what_is_no_request_ends_the_connection(connection, kind):
    connection.send(kind)
    assert_ended(connection)


@pytest.mark.parametrize("message", [b"x", bytes(MESSAGE.size - 1), bytes(60000)])
def test_what_is_no_message_ends_the_connection(connection, message):
    connection.socket.send(message)
    assert_ended(connection)


GOOD = {"runtime": EXEC, "memory": 64 * MIB, "tmp": MIB, "processes": 16}


@pytest.mark.parametrize("change", [
    {"runtime": 0}, {"runtime": 7}, {"network": 2}, {"memory": 0}, {"memory": 1}, {"memory": 2**63},
    {"tmp": 0}, {"tmp": 2**60}, {"processes": 0}, {"processes": 1}, {"processes": 100000},
    {"cpu": 1}, {"cpu": 2**32 - 1}, {"flags": 4}, {"extra_length": 3},
])
def test_a_limit_out_of_range_ends_the_connection(connection, probe_code, change):
    connection.send(SPAWN, instance_id=1, **{**GOOD, "extra": spawn_extra(probe_code), **change})
    assert_ended(connection)


@pytest.mark.parametrize("extra", [
    b"", b"\0", b"no-digest\0probe\0", spawn_extra("g" * 64), spawn_extra("A" * 64),
    spawn_extra("0" * 64)[:-1], b"0" * 64 + b"\0", spawn_extra("0" * 63), spawn_extra("0" * 65),
    spawn_extra("0" * 64, "/bin/sh"), spawn_extra("0" * 64, "../../bin/sh"),
    spawn_extra("0" * 64, "a" * 256), spawn_extra("../" + "0" * 61),
    spawn_extra("0" * 64, "probe", "NOVALUE"), spawn_extra("0" * 64, "probe", "=x"),
    spawn_extra("0" * 64, "probe", *["A=1"] * 200), b"0" * 64 + b"\0probe\0",
    spawn_extra("0" * 64, layers="0" * 63), spawn_extra("0" * 64, layers="../" + "0" * 61),
    spawn_extra("0" * 64, layers="/opt"), spawn_extra("0" * 64, layers="A" * 64),
    b"0" * 64 + b"\0probe\0\0", spawn_extra("0" * 64, function=FUNCTION[1:]),
    spawn_extra("0" * 64, function=FUNCTION + "0"), spawn_extra("0" * 64, function=FUNCTION.lower()),
    spawn_extra("0" * 64, function="../" + FUNCTION[3:]),
])
def test_strings_that_are_not_a_spawns_end_the_connection(connection, extra):
    connection.send(SPAWN, instance_id=1, **GOOD, extra=extra)
    assert_ended(connection)


IMAGE_GOOD = {**GOOD, "runtime": IMAGE, "contract": BY_EXEC, "words": 1}
IMAGE_EXTRA = spawn_extra("0" * 64, "", "/", "/main")


@pytest.mark.parametrize("change", [
    {"contract": 0}, {"contract": 4}, {"port": 80}, {"contract": BY_HTTP},
    {"contract": BY_HTTP, "port": 65536}, {"user": 65536}, {"user_group": 2**32 - 1}, {"words": 0},
    {"words": 2}, {"words": 65}, {"words": 2**32 - 1},
    {"extra": spawn_extra("0" * 64, "", "relative", "/main")},
    {"extra": spawn_extra("0" * 64, "", "", "/main")}, {"extra": spawn_extra("0" * 64, "", "/", "")},
    {"extra": spawn_extra("0" * 64, "", "/")},
    {"extra": spawn_extra("0" * 64, "", "/", "/main", layers="0" * 64)},
    {"extra": spawn_extra("0" * 64, "", "/", "a" * 16384)},
    {"runtime": EXEC}, {"runtime": PROVIDED},
])
def test_what_no_image_can_say_ends_the_connection(connection, change):
    connection.send(SPAWN, instance_id=1, **{**IMAGE_GOOD, "extra": IMAGE_EXTRA, **change})
    assert_ended(connection)


@pytest.mark.parametrize("change", [
    {}, {"contract": BY_LAMBDA}, {"contract": BY_HTTP, "port": 65535}, {"user": 65535},
    {"words": 64, "extra": spawn_extra("0" * 64, "", "/", *["w"] * 64)},
])
def test_a_request_for_an_image_that_is_not_there_is_refused_alone(connection, change):
    connection.send(SPAWN, instance_id=1, **{**IMAGE_GOOD, "extra": IMAGE_EXTRA, **change})
    assert connection.receive()["type"] == REFUSED


def test_a_good_request_is_the_measure_of_these_tests(connection, probe_code):
    connection.send(SPAWN, instance_id=1, **GOOD, extra=spawn_extra(probe_code))
    answer = connection.receive()
    assert answer["type"] == SPAWNED and len(answer["fds"]) == 3
    for fd in answer["fds"]:
        socket.close(fd)


def test_a_number_in_use_is_not_given_twice(connection, probe_code):
    with connection.spawn(probe_code, "probe", runtime=EXEC) as instance:
        instance.wait_ready()
        connection.next_id = instance.id
        with pytest.raises((EOFError, ConnectionResetError)):
            connection.spawn(probe_code, "probe", runtime=EXEC)
        connection.exited[instance.id] = None  # its end is not announced to nobody


def test_killing_takes_no_argument(connection):
    connection.send(KILL, instance_id=1, extra=b"x\0")
    assert_ended(connection)


def test_one_gateways_misbehaviour_is_not_anothers(agent, probe_code):
    good, bad = agent.connect(), agent.connect()
    with good.spawn(probe_code, "probe", runtime=EXEC) as instance:
        instance.wait_ready()
        bad.socket.send(b"nonsense")
        assert_ended(bad)
        assert instance.invoke(b"become_root") == b"EPERM\n"


def test_a_gateway_that_never_reads_is_ended_and_the_agent_goes_on(agent, probe_code, watch):
    deaf, good = agent.connect(), agent.connect()
    deaf.socket.setblocking(True)
    deaf.socket.settimeout(30)
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        # Each is answered by a refusal, which nobody takes.
        for number in range(1, 1_000_000):
            deaf.send(SPAWN, instance_id=number, **GOOD, extra=spawn_extra("e" * 64))
    with good.spawn(probe_code, "probe", runtime=EXEC) as instance:
        instance.wait_ready()
    assert watch.groups() == []


def test_descriptors_that_a_gateway_sends_are_not_kept(agent, connection, probe_code, watch):
    with connection.spawn(probe_code, "probe", runtime=EXEC) as instance:
        instance.wait_ready()
        before = len(watch.descriptors())
        fields = len(MESSAGE.unpack(bytes(MESSAGE.size)))
        for _ in range(20):
            request = MESSAGE.pack(KILL, 0, 123456, *([0] * (fields - 3)))
            socket.send_fds(connection.socket, [request], [0, 1, 2])
        assert instance.invoke(b"become_root") == b"EPERM\n"
        connection.send(KILL, instance_id=123456)
        with pytest.raises(Refused):  # answered when all the others have been
            connection.spawn("f" * 64, "probe", runtime=EXEC)
        assert len(watch.descriptors()) == before


def test_messages_on_the_control_socket_without_a_descriptor_are_ignored(agent, probe_code):
    agent.control.send(b"nothing")
    with agent.connect().spawn(probe_code, "probe", runtime=EXEC) as instance:
        instance.wait_ready()


def run_agent(*arguments):
    return subprocess.run([build_dir() / "src/agent/magpie-agent", *arguments], timeout=30,
                          capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)


def test_started_by_hand_it_says_who_starts_it():
    answer = run_agent("--data-dir", "/tmp")
    assert answer.returncode == 2
    assert "`magpie serve` starts the agent" in answer.stderr


@pytest.mark.parametrize("arguments", [[], ["--nonsense"], ["--data-dir", "/tmp", "more"]])
def test_wrong_arguments_are_a_usage_error(arguments):
    answer = run_agent(*arguments)
    assert answer.returncode == 2 and "usage: magpie-agent --data-dir DIR" in answer.stderr


def test_a_data_directory_without_a_code_store_is_named(tmp_path, capfd):
    with start_agent(tmp_path) as agent:
        agent.end()
        (tmp_path / "code").rmdir()
        agent.start()
        assert agent.process.wait(30) == 1
        assert "opening 'code': No such file or directory" in capfd.readouterr().err
        (tmp_path / "code").mkdir()
        agent.start()


@pytest.mark.parametrize("store", ["code", "staging", "images"])
def test_a_link_in_place_of_a_store_is_not_followed(tmp_path, capfd, store):
    """The data directory is the gateway's; the agent would show what it leads to as root."""
    with start_agent(tmp_path) as agent:
        agent.end()
        (tmp_path / store).rmdir()
        (tmp_path / store).symlink_to("/etc")
        agent.start()
        assert agent.process.wait(30) == 1
        assert f"opening '{store}': Too many levels of symbolic links" in capfd.readouterr().err
        (tmp_path / store).unlink()
        (tmp_path / store).mkdir()
        agent.start()
