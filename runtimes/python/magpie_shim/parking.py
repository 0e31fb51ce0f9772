"""An interpreter that waits for its function: what does not depend on one is loaded before.

The agent's BOOT frame brings the environment. What the interpreter itself reads of it when it starts
(locale, time zone, the linker's variables) it has had from the beginning: the agent parks apart what
differs in that.
"""

import gc  # noqa: F401
import json  # noqa: F401  half of all functions import it, and it takes longer than the shim
import os
import sys

from . import frame, loader, logs, worker  # noqa: F401


def wait():
    message = frame.receive()
    if not message:
        worker._exit(0)  # never needed
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
