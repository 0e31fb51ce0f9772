"""The gateway's end of a ring (src/wire/worker_ring.h), for tests of the shims.

Its stores are plain ones, which on x86 are seen in their order. There is no compare-and-exchange: a call
may be taken back only from a worker that cannot begin it meanwhile.
"""
import fcntl
import mmap
import os
import socket
import threading
from types import SimpleNamespace

from worker_client import BELL, END, RESULT, RING, Answer, Frame, Worker, pack

PLACES, PLACE_SIZE, FRAME_SIZE = 66, 1664, 1600
HEAD_SIZE = 64
FREE, SENT, BEGUN, ANSWERED = range(4)
AWAKE, TOLD = range(2)  # the words at its head
SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


class Ring:
    """Gives a ring to a worker that has none."""

    def __init__(self, worker, places=PLACES, place_size=PLACE_SIZE):
        self.worker, self.places, self.place_size = worker, places, place_size
        self.first, self.calls = 0, []  # the oldest call's place; the numbers of the calls from there on
        self.bells_sent = self.bells_heard = 0
        size = HEAD_SIZE + places * place_size
        fd = os.memfd_create("ring", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(fd, size)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, SEALS)
        self.memory = mmap.mmap(fd, size)
        self.words = memoryview(self.memory).cast("I")  # stored whole
        self.fence = threading.Lock()
        socket.send_fds(worker.gateway, [pack(RING, 0, 0, place_size << 32 | places)], [fd])
        os.close(fd)

    def _at(self, index):
        return HEAD_SIZE + (self.first + index) % self.places * self.place_size

    def _set(self, word, value):
        """A store that comes before every load behind it."""
        self.words[word] = value
        with self.fence:
            pass

    def state(self, index=0):
        """Of the place of a call: the oldest has index 0. That behind the newest is the next to be used."""
        return self.words[self._at(index) // 4]

    def frame(self, index=0):
        at = self._at(index)
        return self.memory[at + 8 : at + 8 + self.words[at // 4 + 1]]

    def is_awake(self):
        return self.words[AWAKE] == 1

    def put(self, payload=b"", **options):
        """What worker.send() would send, into the next place."""
        frames, straight = [], self.worker.gateway
        self.worker.gateway = SimpleNamespace(send=frames.append)
        number = self.worker.send(payload, **options)
        self.worker.gateway = straight
        [frame] = frames
        at = self._at(len(self.calls))
        assert len(self.calls) < self.places and self.state(len(self.calls)) == FREE
        assert len(frame) <= FRAME_SIZE
        self.memory[at + 8 : at + 8 + len(frame)] = frame
        self.words[at // 4 + 1] = len(frame)
        self._set(at // 4, SENT)
        self.calls.append(number)
        if not self.is_awake():
            self._set(AWAKE, 1)
            self.send_bell()
        return number

    def send_bell(self):
        self.worker.gateway.send(pack(BELL, 0, 0))
        self.bells_sent += 1

    def take_back(self):
        """The newest call. False: the worker has begun it."""
        newest = len(self.calls) - 1
        if self.state(newest) != SENT:
            return False
        self._set(self._at(newest) // 4, FREE)
        self.calls.pop()
        return True

    def hear(self):
        """Receives the next frame if it is a BELL. False where it is another, or the worker has ended."""
        try:
            if self.worker.gateway.recv(1, socket.MSG_PEEK) != bytes([BELL]):
                return False
        except ConnectionResetError:
            return False
        bell = self.worker.receive()
        assert (bell.number, bell.flags, bell.value, bell.meta, bell.payload) == (0, 0, 0, b"", b"")
        self._set(TOLD, 0)
        self.bells_heard += 1
        return True

    def socket_result(self, number):
        """The answer, over the socket, to a call that went there."""
        while self.hear():
            pass
        return self.worker.result(number)

    def settle(self):
        """Hears every BELL that is on its way: those before the answer to a call over the socket. No call is
        in the ring that is not answered."""
        self.socket_result(self.worker.send())

    def _free_first(self):
        self._set(self._at(0) // 4, FREE)
        self.first = (self.first + 1) % self.places
        return self.calls.pop(0)

    def result(self):
        """The oldest call's answer, which has to lie in its place."""
        while self.state() != ANSWERED and self.hear():
            pass
        assert self.state() == ANSWERED
        frame = Frame.parse(self.frame())
        assert (frame.kind, frame.flags, frame.number) == (RESULT, END, self._free_first())
        answer = Answer()
        Worker._take(frame, answer)
        return answer

    def result_by_socket(self):
        """The oldest call's answer, which has to come over the socket."""
        answer = self.socket_result(self.calls[0])
        assert self.state() == BEGUN
        self._free_first()
        return answer
