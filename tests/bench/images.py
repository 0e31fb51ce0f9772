"""images: what a root file system of its own costs a cold start.

The agent alone, without a gateway: from the request for a sandbox to the answer of the same static
program, run once by the exec contract, from a bundle of code and from an image. Sandboxes come from
stock, one after the other; then beside others that are alive, whose processes the kernel walks when a
root changes. The sides alternate.
"""
import argparse
import statistics
import subprocess
import sys
import time

import common
from common import HERE, ROOT, Goals, build_dir, percentile

sys.path.insert(0, str(ROOT / "tests/support"))

from agent_client import EXEC, MIB, STOCKED_SANDBOX, Agent  # noqa: E402  (after the path is set)

LIMIT = 1.5  # times a cold start from code
PAUSE_S = 0.01  # for the stock to fill; not measured


def build(folder):
    """The echo that peers run."""
    subprocess.run(["musl-gcc", "-static", "-O2", "-o", folder / "echo", HERE / "peers/echo.c"],
                   check=True)
    return (folder / "echo").read_bytes()


def first_answer(spawn):
    """Milliseconds to the first answer, and microseconds of the agent's assignment."""
    while True:
        time.sleep(PAUSE_S)
        started = time.perf_counter_ns()
        made = spawn()
        made.wait_ready()
        assert made.invoke(b"x") == b"x"
        took = (time.perf_counter_ns() - started) / 1e6
        assign, origin = made.phases["assign"], made.origin
        made.__exit__()
        if origin == STOCKED_SANDBOX:
            return {"ms": took, "assign_us": assign}


def measure(sides, rounds):
    found = common.alternate({name: lambda side=side: first_answer(side)
                              for name, side in sides.items()}, rounds)
    return {name: {key: [each[key] for each in values] for key in ("ms", "assign_us")}
            for name, values in found.items()}


def show(title, found):
    base = statistics.median(found["code"]["ms"])
    common.table(title, ["", "p50 ms", "p90 ms", "assigning, p50 us", "against code"],
                 [[name, f"{percentile(values['ms'], 50):.2f}", f"{percentile(values['ms'], 90):.2f}",
                   f"{percentile(values['assign_us'], 50)}",
                   f"{statistics.median(values['ms']) / base:.2f}x"]
                  for name, values in found.items()])
    return statistics.median(found["image"]["ms"]) / base


def main():
    parser = argparse.ArgumentParser(prog="./dev bench images")
    parser.add_argument("--rounds", type=int, default=200, help="cold starts of each side (200)")
    parser.add_argument("--alive", type=int, default=500, help="beside so many instances (500)")
    settings = parser.parse_args()

    goals, kept = Goals(), {}
    with common.scratch() as folder, Agent(build_dir() / "src/agent/magpie-agent", stock=24) as agent:
        echo, gateway = build(folder), agent.connect()
        code = agent.add_code({"main": (0o755, echo)})
        image = agent.add_image({"main": (0o755, echo), "etc/hosts": (0o644, b"")})
        sides = {"code": lambda: gateway.spawn(code, "main", runtime=EXEC),
                 "image": lambda: gateway.spawn_image(image, "/main", user=0)}
        measure(sides, 20)
        kept["alone"] = measure(sides, settings.rounds)
        goals.at_most("an image's cold start", show("One after the other", kept["alone"]), LIMIT)
        alive = []
        for number in range(settings.alive):
            common.progress(f"{number} of {settings.alive} alive")
            alive.append(gateway.spawn_image(image, "/main", memory=16 * MIB))
        if alive:
            kept["beside"] = measure(sides, settings.rounds)
            goals.at_most(f"an image's cold start beside {settings.alive}",
                          show(f"Beside {settings.alive} that are alive", kept["beside"]), LIMIT)
        for made in alive:
            made.close()
    goals.show()
    common.keep("images", {"settings": vars(settings), "found": kept, "goals": goals.as_list()})
    return 1 if goals.missed() else 0
