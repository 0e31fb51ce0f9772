"""sys.stdout and sys.stderr as LOG frames: in order with the results, under the right invocation.

They are the usual text streams over a raw file of ours, so that everything a program does with them
works: .buffer, .fileno() (the sandbox's raw pipe, for subprocesses), reconfigure(), writelines().
Line-buffered: a finished line has left the process before print() returns, so a crash loses none.
"""

import sys
from io import BufferedWriter, RawIOBase, TextIOWrapper

from . import frame

_streams = []


class _LogFile(RawIOBase):
    mode = "wb"

    def __init__(self, number, name):
        self._number = number
        self.name = name

    def writable(self):
        return True

    def fileno(self):
        return self._number

    def write(self, text):
        text = bytes(text)
        frame.log(self._number, text)
        return len(text)


def _text_stream(number, name):
    # The buffer is as large as a frame, so that one long line stays one LOG frame.
    buffer = BufferedWriter(_LogFile(number, name), frame.PAYLOAD_MAX)
    stream = TextIOWrapper(buffer, "utf-8", "backslashreplace", "\n", True)
    stream.mode = "w"
    _streams.append(stream)
    return stream


def install():
    sys.stdout = sys.__stdout__ = _text_stream(1, "<stdout>")
    sys.stderr = sys.__stderr__ = _text_stream(2, "<stderr>")


def flush():
    """Sends unfinished lines. Streams that the user closed or detached have none."""
    for stream in _streams:
        try:
            stream.flush()
        except ValueError:
            pass
