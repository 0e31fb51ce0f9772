"""The worker's loop: a request from descriptor 3, the handler's call, its answer back.

Warm invocations cost a read, a JSON scan, the call, a JSON encoding and a write; nothing here
allocates or looks up more than that needs, and the `json` package (whose decoder imports `re`,
eight milliseconds of start-up) is left alone in favour of the C accelerators that it is made of.
"""

import sys
import time
from _json import encode_basestring, encode_basestring_ascii, make_encoder, make_scanner
from posix import _exit, close, environ, getcwd, register_at_fork, set_inheritable, unsetenv
from posix import write as write_raw

from . import frame, logs

JSON_META = b"content-type:application/json\n"
TEXT_META = b"content-type:text/plain; charset=utf-8\n"
BYTES_META = b"content-type:application/octet-stream\n"


class MarshalError(Exception):
    """What the handler returned cannot be sent."""


class Context:
    """What a handler learns about the invocation it runs for (docs/functions.md)."""

    __slots__ = ("_meta", "deadline_ms")

    function_name = ""
    function_version = ""
    memory_limit_in_mb = 0

    def __init__(self, meta, deadline_ms):
        self._meta = meta
        self.deadline_ms = deadline_ms

    @property
    def invocation_id(self):
        return self._meta.split(b"\n", 1)[0].decode()

    @property
    def aws_request_id(self):
        return self.invocation_id

    @property
    def user_id(self):
        """Who called, verified by the platform; None for an anonymous caller."""
        return self._meta.split(b"\n", 2)[1].decode() or None

    def get_remaining_time_in_millis(self):
        return max(0, self.deadline_ms - time.time_ns() // 1_000_000)

    def __repr__(self):
        return f"<Context of {self.function_name}, invocation {self.invocation_id}>"


def variable(name):
    return environ.get(name, b"").decode("utf-8", "surrogateescape")


code_folder = variable(b"MAGPIE_CODE") or getcwd()
snapshot = None  # the module, in a fork of the nursery
being_born = False  # while the interpreter tidies up after a fork that user code has no part in
booted_ns = 0  # when BOOT came, by time.monotonic_ns(); 0: nobody has told


# ---- events ----


def _no_constant(name):
    raise ValueError(f"{name} is not JSON")


class _ScannerSettings:
    strict = True
    object_hook = object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = staticmethod(_no_constant)


_scan = make_scanner(_ScannerSettings)
# How it says no. SystemError: it has found bad JSON, but its JSONDecodeError is not imported.
_NOT_JSON = (StopIteration, ValueError, RecursionError, SystemError)


def parse_event(payload):
    """JSON where it is JSON, else the text, else the bytes."""
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        return payload
    try:
        event, end = _scan(text, 0)
        if end == len(text):
            return event
    except _NOT_JSON:
        pass
    return _parse_padded(text)


def _parse_padded(text):
    """The scanner knows no white space around the value."""
    stripped = text.strip(" \t\r\n")
    if len(stripped) != len(text):
        try:
            event, end = _scan(stripped, 0)
            if end == len(stripped):
                return event
        except _NOT_JSON:
            pass
    return text


# ---- results ----


def _unknown(value):
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


# No markers: a circular structure ends in a RecursionError instead. NaN is refused: it is not JSON.
_encode = make_encoder(None, _unknown, encode_basestring, None, ":", ",", False, False, False)
_encode_ascii = make_encoder(
    None, _unknown, encode_basestring_ascii, None, ":", ",", False, False, False
)


def to_json(value):
    try:
        try:
            return "".join(_encode(value, 0)).encode()
        except UnicodeEncodeError:  # half a surrogate pair, which only an escape can carry
            return "".join(_encode_ascii(value, 0)).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise MarshalError(f"the handler's result is not JSON: {error}") from None


def to_text(value):
    try:
        return value.encode()
    except UnicodeEncodeError as error:
        raise MarshalError(f"the handler's result is not text: {error}") from None


_function_url_module = None


def function_url_module():
    """Half of all functions never need it."""
    global _function_url_module
    if _function_url_module is None:
        from . import function_url

        _function_url_module = function_url
    return _function_url_module


_PLAIN = frozenset((type(None), list, int, float, bool, tuple))


def answer(result):
    """Sends what the handler returned, by its kind."""
    kind = type(result)
    if kind is dict and "statusCode" in result:
        function_url_module().answer(result)
    elif kind is dict or kind in _PLAIN:
        frame.answer(0, JSON_META, to_json(result))
    elif kind is str:
        frame.answer(0, TEXT_META, to_text(result))
    elif kind is bytes:
        frame.answer(0, BYTES_META, result)
    else:
        from . import results

        results.answer(result)


# ---- the loop ----


def _fail(error):
    """Tells the caller and the log about an exception of the handler."""
    from . import failure

    if frame.orphaned:
        sys.stderr.write(failure.log_text(error))
        _leave_child(1)
    logs.flush()  # what the handler printed comes before what became of it
    frame.log(2, failure.log_text(error).encode("utf-8", "backslashreplace"))
    frame.finish(frame.ERROR, 0, 0, b"", failure.to_json(error))


def _leave_child(status):
    """A child that user code forked has come back into the loop, which is its parent's."""
    logs.flush()
    _exit(status)


def _serve(handler):
    """Until the gateway closes its end."""
    receive, unpack, now = frame.receive, frame.unpack, frame.monotonic_ns
    header_size, invoke = frame.HEADER_SIZE, frame.INVOKE
    while message := receive():
        kind, flags, meta_length, number, deadline_ms = unpack(message)
        if kind != invoke:
            raise ValueError(f"frame {kind} between invocations")
        body = header_size + meta_length
        meta = message[header_size:body]
        payload = message[body:]
        if not flags & frame.FLAG_END:
            payload = frame.rest_of_body(number, payload)
        frame.running = number
        frame.started = now()
        try:
            context = Context(meta, deadline_ms)
            if flags & frame.FLAG_HTTP:
                event = function_url_module().event(meta, payload, context)
            else:
                event = parse_event(payload)
            result = handler(event, context)
            if frame.orphaned:
                _leave_child(0)
            logs.flush()
            answer(result)
        except SystemExit:
            raise  # sys.exit() ends the instance, as it would end a program
        except BaseException as error:
            _fail(error)
        event = context = result = None  # the user's objects must not live until the next call


def _after_fork_in_child():
    if being_born:
        return
    frame.orphan()
    try:
        close(frame.FD)
    except OSError:
        pass  # user code has closed it


def _load():
    """The handler, and READY's value: the microseconds from BOOT until here, and from here on."""
    started_ns = time.monotonic_ns()
    import gc

    from . import loader

    handler = loader.load(code_folder, variable(b"MAGPIE_HANDLER"))
    logs.flush()
    if snapshot:
        snapshot.examine(time.monotonic_ns() - started_ns)
    gc.freeze()  # what was loaded stays: no collection need look at it again
    took_us = None
    if snapshot:
        # Returns once more in every instance that begins with what is here now.
        took_us = snapshot.keep(int(variable(b"MAGPIE_MEMORY_BYTES") or 0))
    if loader.is_asynchronous(handler):
        from . import results

        results.event_loop()  # its descriptors are each instance's own
    if took_us is not None:
        return handler, min(took_us, 0xFFFFFFFF) << 32  # nothing had to be loaded
    start_us = -(-(started_ns - booted_ns) // 1000) if booted_ns else 0
    took_us = (time.monotonic_ns() - started_ns) // 1000
    return handler, min(start_us, 0xFFFFFFFF) << 32 | min(took_us, 0xFFFFFFFF)


def prepare():
    """What does not depend on the function."""
    global booted_ns
    noted = environ.pop(b"MAGPIE_BOOT_NS", None)  # by magpie-init, where it has started this process
    if noted:
        unsetenv(b"MAGPIE_BOOT_NS")
        booted_ns = int(noted)
    set_inheritable(frame.FD, False)
    register_at_fork(after_in_child=_after_fork_in_child)
    sys.dont_write_bytecode = True  # the bundle is read-only
    logs.install()


def main():
    Context.function_name = variable(b"MAGPIE_FUNCTION_NAME")
    Context.function_version = variable(b"MAGPIE_FUNCTION_VERSION")
    Context.memory_limit_in_mb = int(variable(b"MAGPIE_MEMORY_BYTES") or 0) >> 20

    handler, timing = _load()
    try:
        frame.send(frame.READY, 0, 0, timing, b"", b"")
        _serve(handler)
    except (OSError, EOFError, ValueError) as error:
        # Descriptor 3 itself: user code has closed or used it, or the gateway broke the protocol.
        write_raw(2, f"magpie: cannot go on: {error}\n".encode())
        _exit(1)
    logs.flush()
