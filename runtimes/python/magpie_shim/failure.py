"""What an exception looks like: for the log, for the caller, for who registers a function.

Loaded at the first failure only. Frames of the shim and of asyncio's machinery above the user's own
are left out, and paths are told as the user knows them: relative to the bundle.
"""

import os
import traceback

from .worker import MarshalError, code_folder
from .worker import to_json as encode

_HERE = os.path.dirname(__file__)
_ASYNCIO = os.path.join(os.path.dirname(os.__file__), "asyncio")
_NOT_THE_USERS = (_HERE, os.path.dirname(_HERE), _ASYNCIO)
_MESSAGE_MAX = 4096  # characters: at most six bytes each in JSON
_TRACE_BYTES_MAX = 32768


def _users_part(trace):
    """The traceback from the first frame that is the user's; None where there is none."""
    while trace is not None:
        if os.path.dirname(trace.tb_frame.f_code.co_filename) not in _NOT_THE_USERS:
            return trace
        trace = trace.tb_next
    return None


def _captured(error):
    return traceback.TracebackException(
        type(error), error, _users_part(error.__traceback__), compact=True, limit=-100
    )


def _relative(text):
    return text.replace(f'File "{code_folder}/', 'File "')


def traceback_text(error):
    """As Python prints it."""
    return _relative("".join(_captured(error).format()))


def log_text(error):
    if isinstance(error, MarshalError):
        return f"Runtime.MarshalError: {error}\n"
    return traceback_text(error)


def compile_text(error, path):
    if isinstance(error, SyntaxError):
        return "".join(traceback.format_exception_only(error))
    return f'  File "{path}"\n{type(error).__name__}: {error}\n'


def _trace(captured):
    """As many of the innermost frames as an ERROR frame has room for."""
    lines, size = [], 0
    for line in reversed([_relative(line).rstrip("\n") for line in captured.stack.format()]):
        size += len(encode(line))
        if size > _TRACE_BYTES_MAX:
            break
        lines.append(line)
    return lines[::-1]


def to_json(error):
    """The payload of an ERROR frame, short enough for one."""
    captured = _captured(error)
    ours = isinstance(error, MarshalError)
    name = "Runtime.MarshalError" if ours else type(error).__name__
    return encode(
        {
            "errorType": name[:256],
            "errorMessage": str(captured)[:_MESSAGE_MAX],
            "stackTrace": [] if ours else _trace(captured),
        }
    )
