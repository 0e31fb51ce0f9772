"""An interpreter that waits for its function: what does not depend on one is loaded before.

The agent's BOOT frame brings the environment. What the interpreter itself reads of it when it starts
(locale, time zone, the linker's variables) it has had from the beginning: the agent parks apart what
differs in that.
"""

import gc
import json
import os
import select
import sys
import time

from . import frame, loader, logs, worker

# What every start needs; what half of all functions need, and takes longer than the rest of the start:
# `json`, and the events of function URLs.
LOADED = (gc, json, loader, logs, worker.function_url_module())

QUIET_MS = 200  # longer than a parked interpreter stands where functions start one after the other

EVENT = b"id\nuser\nPOST\n/a\nb=c\n192.0.2.7\nexample.org\nhost:example.org\ncookie:a=b\n"


STAND_IN = f"{os.path.dirname(__file__)}/rehearsal"  # the folder of a function's code


def rehearse():
    """Goes once through what loading and calling a function takes, so that the interpreter has done what
    it does once in its life."""
    sys.path.insert(0, STAND_IN)
    module = __import__("stand_in")
    del sys.modules["stand_in"], sys.path_importer_cache[STAND_IN]
    sys.path.remove(STAND_IN)
    scope = {}
    exec(compile("def handle(event, context):\n    return event\n", "stand_in.py", "exec"), scope)
    for handle in (module.handle, scope["handle"]):
        context = worker.Context(EVENT, 0)
        worker.to_json(handle(worker.parse_event(b'{"a": [1, "b", null]}'), context))
        worker.to_json(handle(worker.function_url_module().event(EVENT, b"{}", context), context))
    logs.flush()


def _is_wanted():
    poller = select.poll()
    poller.register(frame.FD, select.POLLIN)
    return bool(poller.poll(QUIET_MS))


def wait(snapshot=None):
    """Returns when there is a function to load. With the module `snapshot` in forks of the nursery."""
    worker.snapshot = snapshot
    if not snapshot and not _is_wanted():
        rehearse()  # the nursery has done it for its forks
    message = snapshot.wait(frame.FD) if snapshot else frame.receive()
    if not message:
        worker._exit(0)  # never needed
    worker.booted_ns = time.monotonic_ns()
    kind, _, meta_length, _, _ = frame.unpack(message)
    if kind != frame.BOOT:
        raise ValueError(f"frame {kind} before BOOT")
    for assignment in message[frame.HEADER_SIZE + meta_length :].split(b"\0")[:-1]:
        name, _, value = assignment.partition(b"=")
        os.environb[name] = value
        worker.environ[name] = value
    del sys.argv[1:]
    os.chdir("/code")
    worker.code_folder = worker.variable(b"MAGPIE_CODE") or "/code"
