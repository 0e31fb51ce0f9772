"""Results of the rarer kinds: coroutines, streams, and subclasses of the plain kinds."""

from . import frame, worker
from .worker import BYTES_META, TEXT_META, MarshalError

_NO_STREAMS = frozenset((str, bytes, dict, list, type(None)))
_loop = None


def event_loop():
    """The instance's one event loop. It lives on between invocations, so that clients and tasks
    which a function made in one of them still work in the next."""
    global _loop
    if _loop is None:
        import asyncio

        _loop = asyncio.new_event_loop()
        asyncio.set_event_loop(_loop)
    return _loop


async def _await(awaitable):
    return await awaitable


def chunks(result):
    """An iterator over the pieces of a streamed result; None where it is no stream."""
    if type(result) in _NO_STREAMS:  # two failed look-ups cost more than the rest of a small answer
        return None
    if hasattr(result, "__next__"):
        return result
    if hasattr(result, "__anext__"):
        return _async_chunks(result)
    return None


def _async_chunks(result):
    async def advance():
        return await result.__anext__()

    while True:
        try:
            yield event_loop().run_until_complete(advance())
        except StopAsyncIteration:
            return


def _piece(chunk):
    if isinstance(chunk, str):
        return worker.to_text(chunk)
    if isinstance(chunk, (bytes, bytearray, memoryview)):
        return bytes(chunk)
    raise MarshalError(f"a streamed result consists of str or bytes, not {type(chunk).__name__}")


def stream(status, meta, pieces):
    """RESULT goes out with the first piece, so that a failure before it is still a clean one. Each
    piece leaves at once, in a write that waits while the gateway has no room: the back-pressure."""
    first = next(pieces, b"")
    if meta is None:
        meta = TEXT_META if isinstance(first, str) else BYTES_META
    frame.begin_answer(status, meta, _piece(first))
    for chunk in pieces:
        frame.data(_piece(chunk))
    worker.logs.flush()
    frame.end_answer()


def answer(result):
    """What worker.answer() does not know at a glance."""
    if hasattr(result, "__await__"):
        result = event_loop().run_until_complete(_await(result))
        worker.logs.flush()
        worker.answer(result)
    elif isinstance(result, dict) and "statusCode" in result:
        from . import function_url

        function_url.answer(result)
    elif isinstance(result, str):
        frame.answer(0, TEXT_META, worker.to_text(result))
    elif isinstance(result, (bytes, bytearray, memoryview)):
        frame.answer(0, BYTES_META, bytes(result))
    elif (pieces := chunks(result)) is not None:
        stream(0, None, pieces)
    else:
        frame.answer(0, worker.JSON_META, worker.to_json(result))
