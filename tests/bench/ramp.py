"""ramp: 0 to 2,000 users, by `magpie bench` and by wrk: 2.36 million requests, and none may fail.

wrk knows no ramp: so there are twenty of it with a hundred connections each, and one more begins after
every twentieth of the time. Generators, node and function share the machine. What that machine can do at
all, two others show by the same `magpie bench`: nginx in front of nginx, and nginx that answers by itself.
"""
import argparse
import contextlib
import json
import os
import subprocess
import time

import common
import peers
from common import HERE, ROOT, Goals, Server

# Published for this scenario by another platform, on a larger machine; 169 requests failed there.
PUBLISHED = {"rps": 19000, "p95_ms": 31.16}
REQUESTS = 2_360_000
STEPS = 20


def by_magpie(url, settings):
    output = subprocess.run(
        [common.build_dir() / "magpie", "bench", url, "--data", common.BODY, "-H",
         "Content-Type: application/json", "--ramp", f"0:{settings.users}:{settings.seconds}s",
         "-d", "1s", "-o", "json"], check=True, stdout=subprocess.PIPE).stdout
    ramp, held = json.loads(output)["stages"]
    return {"requests": ramp["requests"] + held["requests"],
            "failed": sum(sum(stage["errors"].values()) for stage in (ramp, held)),
            "rps": ramp["throughput"], "p50_ms": ramp["p50"], "p95_ms": ramp["p95"],
            "p99_ms": ramp["p99"]}


def by_wrk(url, settings):
    pause = settings.seconds / STEPS
    running = []
    began = time.monotonic()
    for step in range(STEPS):
        time.sleep(max(0, began + step * pause - time.monotonic()))  # the ramp is what is measured
        running.append(subprocess.Popen(
            ["wrk", "-t1", f"-c{settings.users // STEPS}",
             f"-d{round(settings.seconds - step * pause)}s", "-s", HERE / "wrk.lua", url],
            stdout=subprocess.PIPE, text=True, env={**os.environ, "BENCH_BODY": common.BODY}))
    found = []
    for process in running:
        output = process.communicate()[0]
        if process.returncode != 0:
            raise RuntimeError(f"wrk has failed: {output}")
        found.append(json.loads(output.strip().splitlines()[-1]))
    requests = sum(run["requests"] for run in found)
    errors = {kind: sum(run[kind] for run in found) for kind in ("bad_status", "broken", "timeouts")}
    # Each hundredth of a wrk's requests took about so long.
    steps = sorted((step, run["requests"] / 100) for run in found for step in run["steps_us"])

    def percentile_ms(percent):
        seen = 0
        for step, count in steps:
            seen += count
            if seen >= requests * percent / 100:
                return step / 1000
        return steps[-1][0] / 1000
    return {"requests": requests,
            "failed": sum(errors.values()), "errors": errors,
            "rps": requests / settings.seconds, "p50_ms": percentile_ms(50),
            "p95_ms": percentile_ms(95), "p99_ms": percentile_ms(99)}


def main():
    parser = argparse.ArgumentParser(prog="./dev bench ramp")
    parser.add_argument("--users", type=int, default=2000)
    parser.add_argument("--seconds", type=int, default=60, help="from none to all of them (60)")
    settings = parser.parse_args()

    with Server() as server:
        subprocess.run([server.build / "magpie", "deploy", ROOT / "examples/native", "--name", "ramp",
                        "--public", "--server", server.url, "-q"], check=True,
                       env={**os.environ, "MAGPIE_TOKEN": server.token}, stdout=subprocess.DEVNULL)
        function = server.request("GET", "/api/v1/functions/ramp").json()["functionId"]
        url = f"{server.url}/f/{function}"
        runs = {"magpie bench": by_magpie(url, settings), "wrk": by_wrk(url, settings)}
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(common.scratch())
        others = {f"magpie bench, {name}": by_magpie(url, settings)
                  for name, url in peers.plain(stack, folder).items()}
    common.table(f"0 to {settings.users:,} users in {settings.seconds} s",
                 ["", "requests", "failed", "req/s", "p50 ms", "p95 ms", "p99 ms"],
                 [[name, f"{run['requests']:,}", run["failed"], f"{run['rps']:,.0f}",
                   *(f"{run[key]:.2f}" for key in ("p50_ms", "p95_ms", "p99_ms"))]
                  for name, run in (runs | others).items()])
    goals = Goals()
    for name, run in runs.items():
        goals.at_most(f"{name}: failed", run["failed"], 0, "")
        goals.at_least(f"{name}: of {REQUESTS:,} requests", run["requests"] / REQUESTS, 1)
        goals.at_least(f"{name}: throughput", run["rps"], 60000, "req/s")
        goals.at_least(f"{name}: against {PUBLISHED['rps']:,} req/s", run["rps"] / PUBLISHED["rps"], 1)
        goals.at_most(f"{name}: p95", run["p95_ms"], PUBLISHED["p95_ms"], "ms")
    goals.show()
    common.keep("ramp", {"settings": vars(settings), **runs, **others, "goals": goals.as_list()})
    return 1 if any(run["failed"] for run in runs.values()) else 0
