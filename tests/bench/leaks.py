"""leaks: 20,000 sandboxes come and go, and what the agent and the kernel hold before and after.

Each way of making one is tried with an agent of its own: native, from an image, and Python, made on
request and taken from stock. What is compared comes after a first part that fills pools and caches.
The kernel's memory is that of the whole machine, so it must be a quiet one; what it may grow by is
little against what a sandbox takes, and the number of control groups tells whether it is they.
"""
import argparse
import subprocess
import sys
import time

import common
from common import ROOT, Goals, build_dir

sys.path.insert(0, str(ROOT / "tests/support"))

from agent_client import Agent  # noqa: E402  (after the path is set)
from ledger import KERNEL, Ledger  # noqa: E402

WAYS = {f"{kind}, {how}": (kind, stock) for kind in ("native", "image", "python")
        for how, stock in (("on request", 0), ("from stock", 24))}
WARMING_SHARE = 10  # a tenth of the cycles
SETTLING_KIB = 6144  # noise of a quiet machine, and caches that go on filling
ROWS = ("descriptors", "slots", "mounts", "groups in use", "groups", "dying groups", "memory groups", "children",
        "processes of functions", "in stock", "net namespaces", "agent KiB", *KERNEL)


def run(kind, stock, cycles, native):
    with Agent(build_dir() / "src/agent/magpie-agent", stock=stock) as agent:
        ledger = Ledger(agent, native)
        ledger.run(kind, max(cycles // WARMING_SHARE, 50))
        before, started = ledger.take(), time.monotonic()
        ledger.run(kind, cycles)
        seconds = time.monotonic() - started
        after = ledger.take()
    return {"before": before, "after": after, "cycles": cycles, "seconds": seconds}


def judge(goals, way, result):
    grown = {name: result["after"][name] - result["before"][name] for name in ROWS}
    more = max(grown["in stock"], 0)
    slots = max(grown["slots"] - more, 0)  # kept, as many as there ever were sandboxes at once
    goals.at_most(f"{way}: descriptors", grown["descriptors"], 7 * more + 2 * slots, "more")
    goals.at_most(f"{way}: mounts", grown["mounts"], 0, "more")
    goals.at_most(f"{way}: groups", grown["groups"], 4 * more + 3 * slots, "more")
    goals.at_most(f"{way}: groups that cannot go", max(grown["dying groups"], grown["memory groups"]),
                  more + 32, "more")
    goals.at_most(f"{way}: left over", result["after"]["groups in use"] + result["after"]["children"],
                  0, "")
    goals.at_most(f"{way}: agent", grown["agent KiB"], 512, "KiB more")
    # One object of the kernel's smallest caches for each sandbox would be more than that.
    goals.at_most(f"{way}: SUnreclaim", grown["SUnreclaim"], SETTLING_KIB + 0.1 * result["cycles"], "KiB more")


def main():
    parser = argparse.ArgumentParser(prog="./dev bench leaks")
    parser.add_argument("--cycles", type=int, default=20000, help="of all ways together (20000)")
    parser.add_argument("--only", default="", help="ways whose names begin so: native, image, python")
    settings = parser.parse_args()

    goals, kept = Goals(), {}
    ways = {way: how for way, how in WAYS.items() if way.startswith(settings.only)}
    with common.scratch() as folder:
        subprocess.run(["cc", "-O2", "-static", "-pthread", "-o", folder / "echo",
                        ROOT / "tests/agent/probes/native.c"], check=True)
        native = (folder / "echo").read_bytes()
        for way, (kind, stock) in ways.items():
            common.progress(way)
            result = kept[way] = run(kind, stock, settings.cycles // len(ways), native)
            common.progress("")
            common.table(f"{way}: {result['cycles']:,} in {result['seconds']:.1f} s",
                         ["", "before", "after", "more"],
                         [[name, f"{result['before'][name]:,}", f"{result['after'][name]:,}",
                           f"{result['after'][name] - result['before'][name]:+,}"] for name in ROWS])
            judge(goals, way, result)
    goals.show()
    common.keep("leaks", {"settings": vars(settings), "ways": kept, "goals": goals.as_list()})
    return 1 if goals.missed() else 0
