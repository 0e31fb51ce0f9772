"""hostile: slow, silent and restless clients in thousands, while a normal one's calls go on.

They and the normal one call functions of two users. For each kind of them: the p99 of a client that
calls 200 times a second (open loop) beside its quiet
value, what a hostile connection costs in the gateway's memory, and what is left when they have gone.
"""
import argparse
import contextlib
import json
import subprocess
import time

import common
from attacks import Attack, HalfOpen, half_open_count
from common import BODY, ROOT, Goals, Server, build_dir, scratch
from node_host import NodeHost, resident_bytes
from people import Person

CONNECTION_GOAL = 4096
MIB = 1 << 20
SETTLE_SECONDS = 60


class Node:
    def __init__(self, server, program):
        self.server = server
        self.path, self.normal_path = (
            "/f/" + server.deploy("worker", "native", {"main": program}, token=Person(server).token,
                                  public=True, memory="16MiB") for _ in range(2))
        self.gateway = NodeHost(server).gateway

    def state(self):
        """Connections (but for ours), descriptors (but for those of instances), memory."""
        metrics = self.server.metrics()
        instances = sum(value for name, value in metrics.items() if name.startswith("magpie_instances{"))
        return {"connections": metrics["magpie_connections"] - 1,
                "descriptors": metrics["process_open_fds"] - 3 * instances,
                "rss": resident_bytes(self.gateway)}

    def call(self, settings):
        output = subprocess.run(
            [build_dir() / "magpie", "bench", self.server.url + self.normal_path, "--rate", str(settings.rate),
             "-t", "1", "-c", "200", "-d", f"{settings.seconds}s", "--data", BODY, "-o", "json"],
            check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
        stage = json.loads(output)["stages"][0]
        return {"p50": stage["p50"], "p99": stage["p99"], "failed": sum(stage["errors"].values())}

    def settle(self, before):
        """Until as many connections and descriptors are there as before, and how long that takes."""
        began = time.monotonic()
        while time.monotonic() - began < SETTLE_SECONDS:
            now = self.state()
            if now["connections"] <= before["connections"] and now["descriptors"] <= before["descriptors"]:
                break
            time.sleep(0.05)
        return {**now, "seconds": time.monotonic() - began}


def attacks(node, settings, network):
    """name -> (connections that are held, what to enter)."""
    port, count = node.server.port, settings.clients

    def several(kind, each, processes, **options):
        stack = contextlib.ExitStack()
        for _ in range(processes):
            stack.enter_context(Attack(kind, port, each, **options))
        return stack

    return {
        "slow heads": (count, lambda: several("slow-head", count, 1)),
        "slow bodies": (count, lambda: several("slow-body", count, 1, path=node.path)),
        "slow readers": (count // 5, lambda: several("slow-reader", count // 5, 1, path=node.path,
                                                     body="download 50000000")),
        "idle": (settings.idle, lambda: several("idle", settings.idle // 10, 10)),
        "idle after a request": (settings.idle, lambda: several("resting", settings.idle // 10, 10)),
        "churn": (0, lambda: Attack("churn", port, 500, rate=settings.churn)),
        "half-open": (0, lambda: network.attack(port, 100000, settings.churn)),
    }


def suffer(node, begin, held, settings):
    before = node.state()
    quiet = node.call(settings)
    attack = begin()
    with attack:
        began = time.monotonic()
        deadline = began + SETTLE_SECONDS
        while node.state()["connections"] < before["connections"] + held and time.monotonic() < deadline:
            time.sleep(0.05)
        there = node.state()
        beside = node.call(settings)
        half_open = half_open_count(node.server.port)
    seconds = time.monotonic() - began
    after = node.settle(before)
    return {"quiet": quiet, "beside": beside, "held": there["connections"] - before["connections"],
            "memory": there["rss"] - before["rss"], "half_open": half_open, "before": before, "after": after,
            "new_rate": (attack.begun or 0) / seconds if isinstance(attack, Attack) else None}


def main():
    parser = argparse.ArgumentParser(prog="./dev bench hostile")
    parser.add_argument("--seconds", type=int, default=4, help="of calls beside each (4)")
    parser.add_argument("--rate", type=int, default=200, help="the normal client's calls a second (200)")
    parser.add_argument("--clients", type=int, default=1000, help="slow ones (1000)")
    parser.add_argument("--idle", type=int, default=10000, help="idle ones (10000)")
    parser.add_argument("--churn", type=int, default=5000, help="connections, and first packets, a second (5000)")
    parser.add_argument("--only", type=lambda text: text.split(","), help="'slow heads,idle,...'")
    settings = parser.parse_args()

    measured = {}
    with scratch() as folder, HalfOpen() as network:
        program = folder / "worker"
        subprocess.run(["cc", "-O2", "-static", "-pthread", f"-I{ROOT / 'runtimes/c'}", "-o", program,
                        ROOT / "tests/system/functions/worker.c"], check=True)
        # Slow ones stay as long as the defaults let them.
        with Server("--threads", "1", host="0.0.0.0") as server:
            node = Node(server, program.read_bytes())
            node.call(settings)
            for name, (held, begin) in attacks(node, settings, network).items():
                if not settings.only or name in settings.only:
                    common.progress(name)
                    measured[name] = suffer(node, begin, held, settings)
    common.progress("")
    common.table("A client that calls beside them", ["", "held", "new/s", "p99 quiet", "p99 beside", "failed",
                                                     "bytes each", "MiB left", "back after s"], [
        [name, f"{r['held']:,.0f}", "-" if r["new_rate"] is None else f"{r['new_rate']:,.0f}",
         f"{r['quiet']['p99']:.2f} ms", f"{r['beside']['p99']:.2f} ms", r["beside"]["failed"],
         f"{r['memory'] / r['held']:,.0f}" if r["held"] >= 1 else "-",
         f"{(r['after']['rss'] - r['before']['rss']) / MIB:.1f}", f"{r['after']['seconds']:.1f}"]
        for name, r in measured.items()])
    goals = Goals()
    for name, r in measured.items():
        goals.at_most(f"{name}: calls that failed", r["beside"]["failed"] + r["quiet"]["failed"], 0, "")
        if r["new_rate"] is not None:
            goals.at_least(f"{name}: new ones a second", r["new_rate"], 0.95 * settings.churn, "")
        if name.startswith("idle"):
            goals.at_most(f"{name}: user memory of a connection", r["memory"] / max(1, r["held"]),
                          CONNECTION_GOAL, "bytes")
        goals.at_most(f"{name}: descriptors left", r["after"]["descriptors"] - r["before"]["descriptors"], 0, "")
    goals.show()
    common.keep("hostile", {"settings": vars(settings), "goals": goals.as_list(), "attacks": measured})
    return 1 if goals.missed() else 0
