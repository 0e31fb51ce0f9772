"""What the benchmarks share: peers as child processes, wrk, alternation, medians, tables, goals.

Every figure that is compared is taken in one run with the sides alternated, so that a machine that
grows slower or faster meanwhile does so for all of them. The table shows medians; the JSON file in
BUILD/bench/ keeps every round.
"""
import contextlib
import json
import os
import pathlib
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "tests/support"))

from server import Server, build_dir, free_port  # noqa: E402  (after the path is set)

__all__ = ["HERE", "ROOT", "Server", "build_dir", "free_port"]

BODY = '{"name":"magpie"}'


@contextlib.contextmanager
def child(*command, **options):
    """A peer's process, from its start to its end."""
    process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, **options)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for_listener(process, address, seconds=20):
    """Until somebody accepts at `address`, a port or the path of a Unix socket."""
    deadline = time.monotonic() + seconds
    family = socket.AF_INET if isinstance(address, int) else socket.AF_UNIX
    target = ("127.0.0.1", address) if isinstance(address, int) else str(address)
    while True:
        with socket.socket(family) as probe:
            try:
                return probe.connect(target)
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{process.args[0]} does not listen at {address}") from None
        time.sleep(0.02)


@contextlib.contextmanager
def scratch():
    """A folder for sockets and configurations that other users may enter."""
    with tempfile.TemporaryDirectory(prefix="magpie-bench-") as folder:
        os.chmod(folder, 0o755)
        yield pathlib.Path(folder)


def wrk(url, connections, seconds, token=None):
    """One run of wrk: requests a second, latencies in microseconds, failures."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(HERE / "wrk.lua")]
    if token:
        command += ["-H", f"Authorization: Bearer {token}"]
    output = subprocess.run(command + [url], check=True, capture_output=True, text=True,
                            env={**os.environ, "BENCH_BODY": BODY}).stdout
    figures = json.loads(output.strip().splitlines()[-1])
    figures["rps"] = figures["requests"] * 1e6 / figures["us"]
    figures["failed"] = figures["bad_status"] + figures["broken"] + figures["timeouts"]
    return figures


def alternate(sides, rounds):
    """sides: name -> function without arguments. Every round runs each once, in turn; odd rounds in
    the opposite order. Returns name -> list of results."""
    results = {name: [] for name in sides}
    for number in range(rounds):
        names = list(sides) if number % 2 == 0 else list(reversed(sides))
        for name in names:
            progress(f"round {number + 1} of {rounds}: {name}")
            results[name].append(sides[name]())
    progress("")
    return results


def progress(text):
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()


def median(results, key):
    return statistics.median(result[key] for result in results)


def percentile(values, share):
    """The smallest value that at least `share` of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * share // 100) - 1)]


def table(title, head, rows):
    """First column to the left, figures to the right."""
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    print(f"\n{title}")
    for row in [head, *rows]:
        cells = [row[0].ljust(widths[0])] + [cell.rjust(width)
                                             for cell, width in zip(row[1:], widths[1:])]
        print("  " + "  ".join(cells).rstrip())


class Goals:
    """What was to be reached, and whether it was."""

    def __init__(self):
        self.rows = []

    def at_least(self, what, value, goal, unit="x"):
        self.rows.append((what, value, ">=", goal, unit, value >= goal))

    def at_most(self, what, value, goal, unit="x"):
        self.rows.append((what, value, "<=", goal, unit, value <= goal))

    def show(self):
        if self.rows:
            table("Goals", ["", "measured", "goal", ""],
                  [[what, f"{value:.2f} {unit}", f"{sign} {goal:g} {unit}",
                    "reached" if good else "NOT REACHED"]
                   for what, value, sign, goal, unit, good in self.rows])

    def as_list(self):
        return [{"what": what, "measured": value, "relation": sign, "goal": goal, "unit": unit,
                 "reached": good} for what, value, sign, goal, unit, good in self.rows]

    def missed(self):
        return [row[0] for row in self.rows if not row[5]]


def keep(name, data):
    """Writes BUILD/bench/NAME.json."""
    folder = build_dir() / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(data, indent=1) + "\n")
    print(f"\nEvery round is in {path}")


def own_processes(pid):
    """The node's own processes, by program: supervisor, gateway, agent; not what runs in sandboxes."""
    found, waiting = {}, [pid]
    while waiting:
        at = waiting.pop()
        try:
            program = os.readlink(f"/proc/{at}/exe").rsplit("/", 1)[-1]
            children = pathlib.Path(f"/proc/{at}/task/{at}/children").read_text().split()
        except OSError:
            continue
        if program in ("magpie", "magpie-agent"):
            found[at] = program
            waiting += map(int, children)
    return found


def pss_mib(pids):
    """Proportional set size: shared pages are counted once."""
    kib = 0
    for pid in pids:
        for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                kib += int(line.split()[1])
    return kib / 1024
