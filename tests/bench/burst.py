"""burst: 500 requests at once to a function without instances, with and without stealing.

The function sleeps 20 ms. Every request that finds no instance asks for one; with stealing it takes
whatever comes free first, its own cold start or an instance that another request gives back.
"""
import argparse
from collections import Counter

import common
from client import many, post
from common import BODY, Server, median, percentile

FUNCTION = """
import time

def handle(event, context):
    time.sleep(0.02)
    return "done"
"""


def burst(server, name, clients):
    """A function that nobody has called, called by everybody at once, and deleted."""
    function = server.deploy(name, "python3", {"main.py": FUNCTION}, handler="main.handle",
                             public=True)
    answers, failures, seconds = many(server.port, post(f"/f/{function}", server.port, BODY),
                                      clients, 1)
    assert server.request("DELETE", f"/api/v1/functions/{function}").status == 200
    answers = [answer for answer in answers if answer["status"] == 200]  # the others are failures
    waits = [answer["wait_ms"] for answer in answers] or [0.0]
    totals = [answer["total_ms"] for answer in answers] or [0.0]
    starts = Counter(answer["start"] for answer in answers)
    return {"seconds": seconds, "failed": len(failures), "failures": failures[:5],
            "starts": dict(starts), "stolen_share": starts["stolen"] / max(1, len(answers)),
            "wait_p50": percentile(waits, 50), "wait_p95": percentile(waits, 95),
            "total_p50": percentile(totals, 50), "total_p95": percentile(totals, 95)}


def main():
    parser = argparse.ArgumentParser(prog="./dev bench burst")
    parser.add_argument("--clients", type=int, default=500, help="requests at once (500)")
    parser.add_argument("--rounds", type=int, default=5, help="(5)")
    settings = parser.parse_args()

    number = iter(range(1000000))
    with Server() as stealing, Server("--no-stealing") as waiting:
        results = common.alternate({
            "stealing": lambda: burst(stealing, f"burst-{next(number)}", settings.clients),
            "no stealing": lambda: burst(waiting, f"burst-{next(number)}", settings.clients),
        }, settings.rounds)
    common.table(
        f"{settings.clients} requests at once, 20 ms each, no instance (medians)",
        ["", "stolen", "cold", "warm", "wait p50 ms", "wait p95", "total p50", "total p95",
         "all done ms", "failed"],
        [[name, f"{median(rounds, 'stolen_share'):.0%}",
          sum(r["starts"].get("cold", 0) for r in rounds) // len(rounds),
          sum(r["starts"].get("warm", 0) for r in rounds) // len(rounds),
          *(f"{median(rounds, key):,.0f}" for key in ("wait_p50", "wait_p95", "total_p50",
                                                      "total_p95")),
          f"{median(rounds, 'seconds') * 1000:,.0f}", sum(r["failed"] for r in rounds)]
         for name, rounds in results.items()])
    failures = [text for rounds in results.values() for r in rounds for text in r["failures"]]
    for text in failures[:5]:
        print(f"failed: {text}")
    common.keep("burst", {"settings": vars(settings), "results": results})
    return 1 if failures else 0
