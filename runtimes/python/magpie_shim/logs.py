"""sys.stdout and sys.stderr as LOG frames: in order with the results, under the right invocation.

They are text streams as ever, over a buffer of ours: .buffer, .fileno() (the sandbox's own pipe,
for subprocesses), reconfigure() and writelines() work. A finished line has left the process before
print() returns, so a crash loses none; an unfinished one waits for its end or the invocation's.
"""

import sys
from io import BufferedIOBase, TextIOWrapper

from . import frame


class LogBuffer(BufferedIOBase):
    mode = "wb"

    def __init__(self, number, name):
        self.number = number
        self.name = name
        self.partial = b""

    def writable(self):
        return True

    def fileno(self):
        return self.number

    def write(self, data):
        text = bytes(data)
        with frame.lock:
            end = text.rfind(b"\n") + 1
            lines, rest = self.partial + text[:end], text[end:]
            if end == 0:
                rest, lines = lines + rest, b""
            if len(rest) > frame.PAYLOAD_MAX:  # no line of a log, but it must not grow for ever
                lines, rest = lines + rest, b""
            self.partial = rest
            frame.log(self.number, lines)
        return len(text)

    def flush(self):
        if self.partial:
            with frame.lock:
                text, self.partial = self.partial, b""
                frame.log(self.number, text)


_out = LogBuffer(1, "<stdout>")
_err = LogBuffer(2, "<stderr>")


def _text_stream(buffer):
    stream = TextIOWrapper(buffer, "utf-8", "backslashreplace", "\n", write_through=True)
    stream.mode = "w"
    return stream


def install():
    sys.stdout = sys.__stdout__ = _text_stream(_out)
    sys.stderr = sys.__stderr__ = _text_stream(_err)


def flush():
    """Sends unfinished lines."""
    if _out.partial or _err.partial:
        _out.flush()
        _err.flush()
