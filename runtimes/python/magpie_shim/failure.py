"""What an exception looks like: for the log, for the caller, for who registers a function.

Loaded at the first failure only. Frames of the shim and of asyncio's machinery above the user's own
are left out, and paths are told as the user knows them: relative to the bundle.
"""

import os
import sys
import traceback

from .worker import MarshalError, to_json as encode

_HERE = os.path.dirname(__file__)
_NOT_THE_USERS = (_HERE, os.path.dirname(_HERE), os.path.join(os.path.dirname(os.__file__), "asyncio"))
_MESSAGE_MAX = 8192
_TRACE_MAX = 32768


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
    return text.replace(f'File "{sys.path[0]}/', 'File "')


def traceback_text(error):
    """As Python prints it."""
    return _relative("".join(_captured(error).format()))


def log_text(error):
    if isinstance(error, MarshalError):
        return f"{error}\n"
    return traceback_text(error)


def compile_text(error, path):
    if isinstance(error, SyntaxError):
        return "".join(traceback.format_exception_only(error))
    return f'  File "{path}"\n{type(error).__name__}: {error}\n'


def to_json(error):
    """The payload of an ERROR frame, short enough for one."""
    captured = _captured(error)
    name = "Runtime.MarshalError" if isinstance(error, MarshalError) else type(error).__name__
    trace, size = [], 0
    if not isinstance(error, MarshalError):
        for line in captured.stack.format():
            line = _relative(line).rstrip("\n")
            size += len(line)
            if size > _TRACE_MAX:
                break
            trace.append(line)
    return encode(
        {"errorType": name, "errorMessage": str(captured)[:_MESSAGE_MAX], "stackTrace": trace}
    )[:60000]
