"""The gateway's side of the worker protocol (docs/worker-protocol.md), for tests of the shims.

A Worker is a plain child process with one end of a SOCK_SEQPACKET pair on descriptor 3 and its
stdout and stderr on a pipe: what the sandbox gives it, without the sandbox.
"""

import json
import os
import select
import socket
import struct
import subprocess
import time
from dataclasses import dataclass, field
from types import SimpleNamespace

INVOKE, DATA, READY, RESULT, ERROR, LOG, REFUSED, BOOT, LANE, TRUNK, RING, BELL = range(1, 13)
END, HTTP, LANES, TRUNKS, RINGS = 1, 2, 4, 8, 16
FRAME_MAX = 65536
META_MAX = 40960
HEADER = struct.Struct("<BBHIQ")
PLACE = struct.Struct("<I")
PATIENCE = 20  # seconds until a silent worker fails a test; nothing ever waits that long on purpose


@dataclass
class Frame:
    kind: int
    flags: int
    number: int
    value: int
    meta: bytes
    payload: bytes

    @classmethod
    def parse(cls, message):
        assert HEADER.size <= len(message) <= FRAME_MAX, f"a message of {len(message)} bytes"
        kind, flags, meta_length, number, value = HEADER.unpack_from(message)
        assert HEADER.size + meta_length <= len(message) and meta_length <= META_MAX
        meta_end = HEADER.size + meta_length
        return cls(kind, flags, number, value, message[HEADER.size : meta_end], message[meta_end:])


def pack(kind, flags, number, value=0, meta=b"", payload=b""):
    return HEADER.pack(kind, flags, len(meta), number, value) + meta + payload


@dataclass
class Answer:
    """What became of one invocation."""

    status: int = None  # None: there was no RESULT
    ran_us: int = 0  # what the handler has run; 0: the worker does not say
    headers: list = field(default_factory=list)
    body: bytes = b""
    error: dict = None
    logs: list = field(default_factory=list)  # (stream, text) in order of arrival
    frames: int = 0  # RESULT and DATA frames

    @property
    def json(self):
        return json.loads(self.body)

    def header(self, name):
        return [value for key, value in self.headers if key.lower() == name]

    def log(self, stream=None):
        return "".join(text for number, text in self.logs if stream in (None, number))


class Worker:
    def __init__(self, command, cwd, env):
        self.gateway, worker_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.gateway.settimeout(PATIENCE)
        pipe, pipe_end = os.pipe()
        self.pipe = pipe
        self.process = subprocess.Popen(
            command,
            cwd=cwd,
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"} | env,
            stdin=subprocess.DEVNULL,
            stdout=pipe_end,
            stderr=pipe_end,
            pass_fds=[3],
            preexec_fn=lambda: os.dup2(worker_end.fileno(), 3),
        )
        worker_end.close()
        os.close(pipe_end)
        self.all_logs = []  # (stream, text), in order of arrival
        self.loose_logs = []  # those outside invocations
        self.last_number = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.gateway.close()
        self.process.kill()
        self.process.wait()
        os.close(self.pipe)

    def open_lane(self, trunk=None):
        """One more way to this worker, which takes invocations as the worker itself does."""
        return Lane(self, trunk)

    def open_trunk(self):
        return Trunk(self)

    def receive(self):
        """The next frame, None at the end."""
        try:
            message = self.gateway.recv(FRAME_MAX + 1)
        except ConnectionResetError:
            return None
        if not message:
            return None
        frame = Frame.parse(message)
        if frame.kind == LOG:
            assert frame.value in (1, 2) and frame.payload
            self.all_logs.append((frame.value, frame.payload.decode()))
            if frame.number == 0:
                self.loose_logs.append(self.all_logs[-1])
        return frame

    def until_ready(self):
        """READY's or REFUSED's frame."""
        while True:
            frame = self.receive()
            if frame is None:
                raise AssertionError(f"the worker ended before it was ready: {self.raw_log()}")
            if frame.kind != LOG:
                assert frame.kind in (READY, REFUSED) and frame.number == 0
                return frame
            assert frame.number == 0

    def send(self, payload=b"", http=None, user="", invocation="01HTESTINVOCATION000000000", timeout=30,
             host="fn.example.org"):
        """Pushes one request; returns its number. `http`: (method, path, query, headers)."""
        self.last_number += 1
        meta = f"{invocation}\n{user}\n"
        if http:
            method, path, query, headers = http
            meta += f"{method}\n{path}\n{query}\n192.0.2.7\n{host}\n"
            meta += "".join(f"{name}:{value}\n" for name, value in headers)
        meta = meta.encode()
        room = FRAME_MAX - HEADER.size - len(meta)
        whole = len(payload) <= room
        flags = (END if whole else 0) | (HTTP if http else 0)
        deadline = int((time.time() + timeout) * 1000)
        self.gateway.send(pack(INVOKE, flags, self.last_number, deadline, meta, payload[:room]))
        self._send_rest(payload[room:])
        return self.last_number

    def _send_rest(self, rest):
        while rest:
            piece, rest = rest[:60000], rest[60000:]
            self.gateway.send(pack(DATA, 0 if rest else END, self.last_number, 0, b"", piece))

    def result(self, number=None):
        """Reads to the end of an invocation and checks that every frame on the way is in order."""
        number = number or self.last_number
        answer = Answer()
        while True:
            frame = self.receive()
            if frame is None:
                return answer  # the worker died
            if frame.kind == LOG:
                assert frame.number in (0, number)
                if frame.number:
                    answer.logs.append(self.all_logs[-1])
                continue
            assert frame.number == number, frame
            if frame.kind == ERROR:
                answer.error = json.loads(frame.payload)
                assert set(answer.error) == {"errorType", "errorMessage", "stackTrace"}
                return answer
            self._take(frame, answer)
            if frame.flags & END:
                return answer

    @staticmethod
    def _take(frame, answer):
        assert frame.kind == (RESULT if answer.status is None else DATA), frame
        answer.frames += 1
        answer.body += frame.payload
        if frame.kind == RESULT:
            answer.status, answer.ran_us = frame.value & 0xFFFFFFFF, frame.value >> 32
            lines = frame.meta.decode().split("\n")
            assert lines.pop() == "", "a header without its line end"
            answer.headers = [tuple(line.split(":", 1)) for line in lines]

    def invoke(self, payload=b"", **options):
        self.send(payload, **options)
        return self.result()

    def raw_log(self):
        """What has been written on descriptors 1 and 2 so far."""
        text = b""
        while select.select([self.pipe], [], [], 0)[0]:
            piece = os.read(self.pipe, 65536)
            if not piece:
                break
            text += piece
        return text.decode()

    def wait(self):
        """The exit status of a worker that is ending."""
        return self.process.wait(PATIENCE)


class Lane(Worker):
    """A lane of a worker that has others (docs/worker-protocol.md, "Lanes"). With a trunk
    it has a place there."""

    def __init__(self, worker, trunk):
        worker.lane_count = number = getattr(worker, "lane_count", 0) + 1
        self.gateway, worker_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.gateway.settimeout(PATIENCE)
        self.process, self.pipe = worker.process, worker.pipe
        self.all_logs, self.loose_logs, self.last_number = [], [], 0
        value = trunk.add(self) if trunk else 0
        socket.send_fds(worker.gateway, [pack(LANE, 0, number, value)], [worker_end.fileno()])
        worker_end.close()

    def __exit__(self, *_):
        self.gateway.close()


class Trunk:
    """One socket for the whole calls and answers of several lanes (docs/worker-protocol.md, "Trunks")."""

    def __init__(self, worker):
        worker.trunk_count = self.number = getattr(worker, "trunk_count", 0) + 1
        self.gateway, worker_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.gateway.settimeout(PATIENCE)
        self.lanes, self.answers = [], {}
        socket.send_fds(worker.gateway, [pack(TRUNK, 0, self.number)], [worker_end.fileno()])
        worker_end.close()

    def add(self, lane):
        """LANE's value for it."""
        self.lanes.append(lane)
        return self.number << 32 | len(self.lanes) - 1

    def send(self, lane, payload=b"", **options):
        """What lane.send() would send, by the trunk."""
        straight, place = lane.gateway, PLACE.pack(self.lanes.index(lane))
        lane.gateway = SimpleNamespace(send=lambda frame: self.gateway.send(place + frame))
        lane.send(payload, **options)
        lane.gateway = straight

    def _receive(self):
        message = self.gateway.recv(PLACE.size + FRAME_MAX)
        frame = Frame.parse(message[PLACE.size:])
        lane = self.lanes[PLACE.unpack_from(message)[0]]
        assert lane not in self.answers and frame.number == lane.last_number
        assert frame.kind == RESULT and frame.flags == END
        self.answers[lane] = Answer()
        Worker._take(frame, self.answers[lane])

    def result(self, lane):
        """The answer that comes by the trunk, which has to be whole."""
        while lane not in self.answers:
            self._receive()
        return self.answers.pop(lane)

    def result_of_either(self, lane):
        """The answer, by the trunk or over the lane; and whether it came by the trunk."""
        while lane not in self.answers:
            ready = select.select([self.gateway, lane.gateway], [], [], PATIENCE)[0]
            assert ready, "no answer"
            if lane.gateway in ready:
                return lane.result(), False
            self._receive()
        return self.answers.pop(lane), True
