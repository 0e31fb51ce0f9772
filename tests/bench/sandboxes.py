"""Other sandboxes around the same programs: bare fork+exec, bwrap, runc, crun.

Each gets the payload on stdin and is timed from before the spawn to the first byte on its stdout.
posix_spawn(3) shares the parent's memory until exec, so the size of this interpreter costs nothing.
"""
import json
import os
import pathlib
import shutil
import subprocess
import time

from common import BODY, HERE

ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/tmp"}  # as in our sandbox
NAMESPACES = ("pid", "mount", "ipc", "uts", "network")


def prepare_code(folder):
    """Programs and handlers in one folder; runtime -> command line inside it (as /code)."""
    code = folder / "code"
    code.mkdir(exist_ok=True)
    for name in ("peers/run_handler.py", "peers/run_handler.js", "functions/handler.py",
                 "functions/imports.py",
                 "functions/handler.js", "functions/echo.sh"):
        shutil.copy(HERE / name, code)
    subprocess.run(["musl-gcc", "-static", "-O2", "-o", code / "echo", HERE / "peers/echo.c"],
                   check=True)
    return {"native": ["/code/echo"], "exec": ["/code/echo.sh"],
            "python": ["/usr/bin/python3", "/code/run_handler.py", "handler"],
            "python-imports": ["/usr/bin/python3", "/code/run_handler.py", "imports"],
            "node": ["/usr/bin/node", "/code/run_handler.js"]}


def bare(folder, command):
    return [word.replace("/code/", f"{folder}/code/") for word in command]


def bwrap(folder, command):
    return ["/usr/bin/bwrap", "--unshare-all", "--die-with-parent", "--ro-bind", "/usr", "/usr",
            "--symlink", "usr/bin", "/bin", "--symlink", "usr/lib", "/lib",
            "--symlink", "usr/lib64", "/lib64", "--proc", "/proc", "--dev", "/dev",
            "--tmpfs", "/tmp", "--ro-bind", f"{folder}/code", "/code", *command]


def bind(source, target):
    return {"source": source, "destination": target, "type": "bind", "options": ["rbind", "ro"]}


def bundle(folder, command):
    """An OCI bundle whose root is the host's /usr and the code, read-only."""
    where = folder / ("bundle-" + pathlib.Path(command[-1]).name)
    if where.exists():
        return where
    root = where / "rootfs"
    for name in ("usr", "code", "proc", "dev", "tmp"):
        (root / name).mkdir(parents=True)
    for name in ("bin", "lib", "lib64"):
        (root / name).symlink_to(f"usr/{name}")
    (where / "config.json").write_text(json.dumps({
        "ociVersion": "1.0.2",
        "root": {"path": "rootfs", "readonly": True},
        "process": {"args": command, "cwd": "/code", "user": {"uid": 0, "gid": 0},
                    "env": ["PATH=/usr/bin"], "noNewPrivileges": True, "terminal": False},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
            {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"},
            bind("/usr", "/usr"), bind(f"{folder}/code", "/code")],
        "linux": {"namespaces": [{"type": name} for name in NAMESPACES]}}))
    return where


def runc(folder, command):
    return ["/usr/sbin/runc", "--root", f"{folder}/runc", "run",
            "--bundle", str(bundle(folder, command)), f"bench-{time.monotonic_ns()}"]


def crun(folder, command):
    # Without cgroups it does less than we do; where cgroup v1 is beside v2 it refuses to run.
    return ["/usr/bin/crun", "--root", f"{folder}/crun", "--cgroup-manager=disabled", "run",
            "--bundle", str(bundle(folder, command)), f"bench-{time.monotonic_ns()}"]


ALL = {"fork+exec": bare, "bwrap": bwrap, "crun": crun, "runc": runc}


def works_here(make, folder):
    """Some refuse some machines; the reason went to stderr."""
    try:
        first_byte_ms(make(folder, ["/code/echo"]))
        return True
    except AssertionError:
        return False


def first_byte_ms(command):
    """Runs it to its end; milliseconds to the first byte of a right answer."""
    to_read, to_write = os.pipe()
    out_read, out_write = os.pipe()
    try:
        os.write(to_write, BODY.encode())
        os.close(to_write)
        started_ns = time.perf_counter_ns()
        pid = os.posix_spawn(command[0], command, ENVIRONMENT, file_actions=[
            (os.POSIX_SPAWN_DUP2, to_read, 0), (os.POSIX_SPAWN_DUP2, out_write, 1)])
        os.close(out_write)
        out_write = -1
        answer = os.read(out_read, 65536)
        ended_ns = time.perf_counter_ns()
        _, status = os.waitpid(pid, 0)
    finally:
        for fd in (to_read, out_read, out_write):
            if fd >= 0:
                os.close(fd)
    assert answer.decode() == BODY and status == 0, (command, answer, status)
    return (ended_ns - started_ns) / 1e6
