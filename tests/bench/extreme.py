"""extreme: a node's three experiments in full: where does it break, how fast is it back, what runs out?

`magpie bench extreme` against the echo function (examples/native) by its function URL. The page is
BUILD/bench/extreme.html, the figures extreme.json beside it.
"""
import argparse
import json
import os
import subprocess

import common
from common import ROOT, Goals, Server

SAFE_CLIENTS = 10000  # up to which no request may fail
WORSE_THAN_LINEAR = ("super-linear", "exponential")


def judge(report, most):
    analysis, goals = report["analysis"], Goals()
    goals.at_least("sustained", analysis["sustained"], min(2000, most), "clients")
    failed = sum(sum(stage["errors"].values()) for stage in report["stages"]
                 if stage["clients"] <= SAFE_CLIENTS)
    goals.at_most(f"failed with up to {SAFE_CLIENTS:,} clients", failed, 0, "requests")
    shape = analysis["degradation"]["shape"]
    goals.at_most(f"p99 grows faster than the clients (it is {shape})", shape in WORSE_THAN_LINEAR, 0, "")
    after = analysis["blast"]["recovery"]["after"]
    goals.at_most("normal again after the blast", after if after is not None else float("inf"), 1, "s")
    return goals


def main():
    parser = argparse.ArgumentParser(prog="./dev bench extreme")
    parser.add_argument("--max-clients", default="10000", help="search to (10000)")
    parser.add_argument("--stage", default="10s", help="time of a stage; all others follow it (10s)")
    settings = parser.parse_args()

    folder = common.build_dir() / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    with Server() as server:
        subprocess.run([server.build / "magpie", "deploy", ROOT / "examples/native", "--name", "extreme",
                        "--public", "--server", server.url, "-q"], check=True,
                       env={**os.environ, "MAGPIE_TOKEN": server.token}, stdout=subprocess.DEVNULL)
        function = server.request("GET", "/api/v1/functions/extreme").json()["functionId"]
        output = subprocess.run(
            [server.build / "magpie", "bench", "extreme", f"{server.url}/f/{function}", "--data",
             common.BODY, "-H", "Content-Type: application/json", "--pid", str(server.process.pid),
             "--max-clients", settings.max_clients, "-d", settings.stage, "--html",
             folder / "extreme.html", "-o", "json"], check=True, stdout=subprocess.PIPE).stdout
    (folder / "extreme.json").write_bytes(output)
    report = json.loads(output)
    common.table("Stages", ["clients", "req/s", "failed", "p50 ms", "p99 ms", "max ms"], [
        [f"{stage['clients']:,}", f"{stage['throughput']:,.0f}", f"{stage['errorRate']:.2%}",
         stage["p50"], stage["p99"], stage["max"]] for stage in report["stages"]])
    goals = judge(report, int(settings.max_clients))
    goals.show()
    print(f"\nThe report is {folder / 'extreme.html'}")
    return 1 if goals.missed() else 0
