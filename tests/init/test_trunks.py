"""Trunks of the http contract (docs/worker-protocol.md, "Trunks")."""
import os
import select
from types import SimpleNamespace

import pytest
from conftest import await_log, held
from http_servers import url
from worker_client import PATIENCE, pack

OK = """
connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")
"""
BY_SIZE = """
size = int(path[1:])
connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % size + b"x" * size)
"""


def test_whole_calls_by_a_trunk_are_answered_by_it(echo):
    trunk = echo.open_trunk()
    lanes = [echo.open_lane(trunk) for _ in range(100)]
    for turn in range(3):
        for number, lane in enumerate(lanes):
            trunk.send(lane, b"%d" % number)
        answers = [trunk.result(lane).json for lane in lanes]
        assert [answer["body"] for answer in answers] == [str(number) for number in range(100)]


def test_a_call_over_the_lane_itself_may_be_answered_by_its_trunk(echo):
    trunk = echo.open_trunk()
    lane = echo.open_lane(trunk)
    lane.send(b"y" * 200_000)
    assert len(lane.result().json["body"]) == 200_000
    lane.send(b"z")
    assert trunk.result(lane).json["body"] == "z"


def test_what_is_too_long_for_a_trunk_comes_over_the_lane(raw):
    worker = raw(BY_SIZE)
    trunk = worker.open_trunk()
    lane = worker.open_lane(trunk)
    for size in (1, 8000, 8300, 16_000, 20_000, 100_000, 1):
        trunk.send(lane, **url("GET", f"/{size}"))
        answer = trunk.result(lane) if size <= 8000 else lane.result()
        assert len(answer.body) == size


def test_an_event_stream_to_a_call_by_trunk_comes_over_the_lane(raw):
    worker = raw("""
connection.sendall(b"HTTP/1.1 200 OK\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n1\\r\\na\\r\\n")
gate.acquire()
connection.sendall(b"1\\r\\nb\\r\\n0\\r\\n\\r\\n")
""")
    trunk = worker.open_trunk()
    lane = worker.open_lane(trunk)
    trunk.send(lane, **url("GET", "/"))
    assert lane.receive().payload == b"a"
    worker.open_lane().invoke(**url("POST", "/go"))
    assert lane.receive().payload == b"b"


def test_what_a_trunk_has_no_room_for_comes_over_the_lanes(raw):
    worker = raw(BY_SIZE)
    trunk = worker.open_trunk()
    lanes = [worker.open_lane(trunk) for _ in range(200)]
    for lane in lanes:
        lane.send(**url("GET", "/7000"))
    # Nobody reads the trunk until one comes over its lane.
    assert select.select([lane.gateway for lane in lanes], [], [], PATIENCE)[0]
    answers = [trunk.result_of_either(lane) for lane in lanes]
    assert [len(answer.body) for answer, _ in answers] == [7000] * 200
    assert 0 < sum(by_trunk for _, by_trunk in answers) < 200


def test_the_lanes_go_on_without_their_trunk(raw):
    worker = raw(OK)
    trunk = worker.open_trunk()
    lanes = [worker.open_lane(trunk) for _ in range(3)]
    trunk.send(lanes[0])
    assert trunk.result(lanes[0]).body == b"ok"
    trunk.gateway.close()
    for lane in lanes:
        assert lane.invoke().body == b"ok"
    fresh = worker.open_trunk()
    lane = worker.open_lane(fresh)
    fresh.send(lane)
    assert fresh.result(lane).body == b"ok"


def test_a_call_by_trunk_for_a_lane_that_has_gone_is_nobodys(raw):
    worker = raw(OK)
    trunk = worker.open_trunk()
    gone, lane = worker.open_lane(trunk), worker.open_lane(trunk)
    gone.gateway.close()
    trunk.send(lane)
    assert trunk.result(lane).body == b"ok"  # so the end of the other was seen, too
    trunk.send(gone)
    trunk.send(lane)
    assert trunk.result(lane).body == b"ok" and gone not in trunk.answers


def test_an_answer_that_finds_its_place_given_away_is_not_the_next_lanes(raw, tmp_path):
    os.mkfifo(tmp_path / "door")
    worker = raw("""
size = 7000
if path == "/late":
    open("door").read()
connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % size + b"x" * size)
os.write(1, b"answered\\n" if path == "/late" else b"sent\\n")
""")
    trunk = worker.open_trunk()
    given_up = worker.open_lane(trunk)
    given_up.send(**url("GET", "/"))
    trunk.result(given_up)  # so the lane is known
    trunk.send(given_up, **url("GET", "/late"))
    lanes = [worker.open_lane(trunk) for _ in range(40)]
    for lane in lanes:
        lane.send(**url("GET", "/"))
    await_log(worker, "sent\n" * 41)
    assert len(worker.open_lane().invoke(**url("GET", "/")).body) == 7000  # so nothing else is under way
    assert select.select([lane.gateway for lane in lanes], [], [], PATIENCE)[0]  # and the trunk is full
    with held(worker):
        (tmp_path / "door").write_text("")
        await_log(worker, "answered")
        heir = worker.open_lane(SimpleNamespace(add=lambda _: trunk.number << 32))  # of place 0
        given_up.gateway.close()
    heir.last_number = given_up.last_number
    assert len(heir.invoke(**url("GET", "/")).body) == 7000  # its own, by the number


def test_an_answer_of_a_dying_server_arrives_by_trunk(raw):
    for _ in range(5):
        worker = raw("""
connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")
os._exit(3)
""")
        trunk = worker.open_trunk()
        lane = worker.open_lane(trunk)
        trunk.send(lane)
        assert trunk.result(lane).body == b"ok"
        assert worker.wait() == 3


@pytest.mark.parametrize("nonsense", [
    pack(2, 1, 1), pack(1, 0, 1, 0, b"1\n\n"), pack(1, 1, 0, 0, b"1\n\n"), b"abc", b"", pack(6, 0, 1),
    pack(1, 1, 1, 0, b"1\n\n", b"x" * 9000)])
def test_nonsense_on_a_trunk_ends_the_worker(raw, nonsense):
    worker = raw(OK)
    trunk = worker.open_trunk()
    worker.open_lane(trunk)
    trunk.gateway.send(b"\0\0\0\0" + nonsense)
    assert worker.wait() == 127


def test_two_calls_at_once_on_one_place_end_the_worker(raw):
    worker = raw("gate.acquire()")
    trunk = worker.open_trunk()
    lane = worker.open_lane(trunk)
    trunk.send(lane)
    trunk.send(lane)
    assert worker.wait() == 127


@pytest.mark.parametrize("frame", [pack(10, 0, 1), pack(10, 0, 0)])
def test_a_trunk_frame_without_a_descriptor_or_a_number_ends_the_worker(echo, frame):
    echo.gateway.send(frame)
    assert echo.wait() == 127
