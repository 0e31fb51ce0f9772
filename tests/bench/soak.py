"""soak: 2,000 clients for a minute, and 236,000 calls of 1,000 clients; not one may fail."""
import argparse

import common
from client import many, post
from common import BODY, HERE, Server, percentile, wrk


def main():
    parser = argparse.ArgumentParser(prog="./dev bench soak")
    parser.add_argument("--seconds", type=int, default=60, help="of 2,000 clients (60)")
    parser.add_argument("--calls", type=int, default=236000, help="of 1,000 clients (236,000)")
    settings = parser.parse_args()

    with Server() as server:
        function = server.deploy("soak", "python3", {
            "handler.py": (HERE / "functions/handler.py").read_bytes()},
            handler="handler.handle", public=True)
        held = wrk(f"{server.url}/f/{function}", 2000, settings.seconds)
        answers, failures, seconds = many(
            server.port, post(f"/f/{function}", server.port, BODY), 1000, settings.calls // 1000)
        memory_mib = common.pss_mib(common.own_processes(server.process.pid))
    totals = [answer["total_ms"] for answer in answers] or [0.0]
    common.table("Soak", ["", "calls", "failed", "req/s", "p50 ms", "p99 ms"], [
        [f"2,000 clients, {settings.seconds} s", f"{held['requests']:,}", held["failed"],
         f"{held['rps']:,.0f}", f"{held['p50_us'] / 1000:.1f}", f"{held['p99_us'] / 1000:.1f}"],
        ["1,000 clients, each its calls in turn", f"{len(answers):,}", len(failures),
         f"{len(answers) / seconds:,.0f}", f"{percentile(totals, 50):.1f}",
         f"{percentile(totals, 99):.1f}"]])
    print(f"\nmagpie's own processes afterwards: {memory_mib:.1f} MiB")
    for text in failures[:5]:
        print(f"failed: {text}")
    common.keep("soak", {"settings": vars(settings), "held": held, "calls": len(answers),
                         "failures": failures[:100], "seconds": seconds, "memory_mib": memory_mib})
    missing = settings.calls // 1000 * 1000 - len(answers)
    return 1 if held["failed"] or failures or missing else 0
