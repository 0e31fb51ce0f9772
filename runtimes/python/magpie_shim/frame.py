"""Frames of the worker protocol (docs/worker-protocol.md): one frame is one message on fd 3.

Everything that leaves the worker goes through here, because two facts belong together: which
invocation is running, and what was sent under its number. A thread of the user's may print at any
moment, and a LOG frame with the number of an invocation that has just ended would end the instance.
"""

from _struct import Struct
from _thread import RLock
from posix import read, write
from time import monotonic_ns

FD = 3
HEADER_SIZE = 16
FRAME_MAX = 65536
META_MAX = 40960
PAYLOAD_MAX = FRAME_MAX - HEADER_SIZE

INVOKE, DATA, READY, RESULT, ERROR, LOG, REFUSED, BOOT = range(1, 9)
FLAG_END = 1
FLAG_HTTP = 2

_header = Struct("<BBHIQ")  # type, flags, meta length, id, value
pack = _header.pack
unpack = _header.unpack_from

running = 0  # the invocation's number; 0 between invocations
started = 0  # when its handler was called, by monotonic_ns()
orphaned = False  # true in a child that user code forked: it must not answer for its parent

# Held while `running` and what is sent must agree. Reentrant: a signal handler may print meanwhile.
lock = RLock()


def receive():
    """The next frame, whole; b"" when the gateway has gone."""
    return read(FD, FRAME_MAX)


def send(kind, flags, number, value, meta, payload):
    write(FD, pack(kind, flags, len(meta), number, value) + meta + payload)


def log(stream, text):
    """Sends `text` (bytes) as LOG frames, cut at line ends where it is too long for one."""
    while text:
        cut = len(text)
        if cut > PAYLOAD_MAX:
            cut = text.rfind(b"\n", 0, PAYLOAD_MAX) + 1 or PAYLOAD_MAX
        if orphaned:
            write(stream, text[:cut])  # the sandbox's own pipe, which a child may use
        else:
            with lock:
                send(LOG, 0, running, stream, b"", text[:cut])
        text = text[cut:]


def finish(kind, flags, value, meta, payload):
    """Sends the last frame of the running invocation; from then on logs belong to no invocation."""
    global running
    with lock:
        number = running
        running = 0
        write(FD, pack(kind, flags, len(meta), number, value) + meta + payload)


def data(body):
    """A piece of a response that goes on."""
    for start in range(0, len(body), PAYLOAD_MAX):
        send(DATA, 0, running, 0, b"", body[start : start + PAYLOAD_MAX])


def begin_answer(status, meta, body):
    """A RESULT that DATA frames follow."""
    room = PAYLOAD_MAX - len(meta)
    send(RESULT, 0, running, status, meta, body[:room])
    data(memoryview(body)[room:])


def end_answer():
    finish(DATA, FLAG_END, 0, b"", b"")


def answer(status, meta, body):
    """The whole response."""
    if len(meta) + len(body) <= PAYLOAD_MAX:
        ran_us = min((monotonic_ns() - started) // 1000 + 1, 0xFFFFFFFF)
        finish(RESULT, FLAG_END, ran_us << 32 | status, meta, body)
    else:
        begin_answer(status, meta, body)
        end_answer()


def rest_of_body(number, payload):
    """Collects the DATA frames of a request body that did not fit into its INVOKE."""
    body = bytearray(payload)
    while True:
        message = receive()
        if not message:
            raise EOFError("the gateway left in the middle of a request body")
        kind, flags, meta_length, frame_number, _ = unpack(message)
        if kind != DATA or frame_number != number:
            raise ValueError(f"frame {kind} of {frame_number} within the body of {number}")
        body += memoryview(message)[HEADER_SIZE + meta_length :]
        if flags & FLAG_END:
            return bytes(body)


def orphan():
    """In a child after fork: descriptor 3 is the parent's, and the lock may be held by a thread
    that does not exist here."""
    global orphaned, lock
    orphaned = True
    lock = RLock()
