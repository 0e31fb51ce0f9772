"""fair: one tenant calls 200 times a second while another floods the node from 1,000 connections; or while
another function of his own is flooded.

The quiet tenant's client is an open loop (`magpie bench --rate`), so a call that has to wait is not
left out. It stands for one on another machine, so it has a processor whenever it wants one (it runs first
in, first out, where that is permitted). The flood's generator, gateway and functions share the processors,
and what the operating system does to the quiet tenant's function is not the gateway's doing: the same flood
against another server, nginx in front of nginx, while the tenant calls an idle node, shows how much that is.
"""
import argparse
import contextlib
import json
import subprocess
import time

import common
from common import BODY, HERE, ROOT, Goals, Server, alternate, build_dir, free_port, median, scratch
from peers import nginx

ALONE, FAIR, OWN = "alone", "flood", "flood of his other function"
UNFAIR, ELSEWHERE = "flood, --no-fairness", "flood of another server"
PASSWORD = "correct horse"
WARM_UP_SECONDS = 1
FIRST = ["chrt", "--fifo", "1"]
BEHIND = "server {{ listen unix:{folder}/behind.sock backlog=4096; location / {{ return 200 '{body}'; }} }}"
FRONT = """
    upstream behind {{ server unix:{folder}/behind.sock; keepalive 1024; keepalive_requests 100000000; }}
    server {{ listen 127.0.0.1:{port} backlog=4096; proxy_http_version 1.1;
              proxy_set_header Connection ""; location / {{ proxy_pass http://behind; }} }}
"""


def programs(folder):
    """What both tenants deploy: the echo of examples/native, and one that sleeps for 5 ms."""
    built = {}
    for name, source in (("echo", ROOT / "examples/native/echo.c"), ("5 ms", HERE / "functions/pause.c")):
        path = folder / name.replace(" ", "-")
        subprocess.run(["cc", "-O2", "-static", "-pthread", "-DPAUSE_MS=5", f"-I{ROOT / 'runtimes/c'}",
                        "-o", path, source], check=True)
        built[name] = path.read_bytes()
    return built


class Tenants:
    """Two users of a node, each with both functions; the quiet one has both twice."""

    def __init__(self, server, built):
        self.urls = {}
        for tenant in ("quiet", "loud"):
            user = {"email": f"{tenant}@example.org", "password": PASSWORD}
            assert server.request("POST", "/api/v1/users", user, token=None).status == 201
            token = server.request("POST", "/api/v1/users/login", user, token=None).json()["token"]
            for name, program in built.items():
                self.urls[tenant, name] = self.deploy(server, token, name, program)
                if tenant == "quiet":
                    self.urls["own", name] = self.deploy(server, token, f"other {name}", program)

    @staticmethod
    def deploy(server, token, name, program):
        function = server.deploy(name.replace(" ", "-"), "native", {"main": program}, token=token, public=True)
        return f"{server.url}/f/{function}"


@contextlib.contextmanager
def flood(url, settings):
    """Yields when it has begun; what became of it is in the list that it yields, afterwards."""
    figures = []
    if not url:
        yield figures
        return
    process = subprocess.Popen(
        ["wrk", "-t1", f"-c{settings.clients}", f"-d{settings.seconds + WARM_UP_SECONDS + 1}s",
         "-s", HERE / "wrk.lua", url], stdout=subprocess.PIPE, text=True,
        env={"BENCH_BODY": BODY, "PATH": "/usr/bin"})
    time.sleep(WARM_UP_SECONDS)
    yield figures
    output = process.communicate()[0]
    result = json.loads(output.strip().splitlines()[-1])
    result["rps"] = result["requests"] * 1e6 / result["us"]
    figures.append(result)


def may_come_first():
    return subprocess.run([*FIRST, "true"], stderr=subprocess.DEVNULL).returncode == 0


def measure(url, loud, settings):
    """The quiet tenant's calls, while `loud` (None: nobody) is flooded."""
    with flood(loud, settings) as flooded:
        output = subprocess.run(
            [*settings.first, build_dir() / "magpie", "bench", url, "--rate", str(settings.rate), "-t", "1",
             "-c", "200", "-d", f"{settings.seconds}s", "--data", BODY, "-o", "json"],
            check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    stage = json.loads(output)["stages"][0]
    return {"p50": stage["p50"], "p99": stage["p99"], "max": stage["max"], "failed": sum(stage["errors"].values()),
            "loud_rps": flooded[0]["rps"] if flooded else 0.0,
            "loud_failed": flooded[0]["bad_status"] + flooded[0]["broken"] if flooded else 0}


def sides(fair, own, unfair, elsewhere, name, settings):
    quiet, loud = fair.urls["quiet", name], fair.urls["loud", name]
    found = {ALONE: (quiet, None), FAIR: (quiet, loud),
             OWN: (own.urls["quiet", name], own.urls["own", name]),
             UNFAIR: (unfair.urls["quiet", name], unfair.urls["loud", name]),
             ELSEWHERE: (quiet, elsewhere)}
    return {side: lambda pair=pair: measure(*pair, settings) for side, pair in found.items()
            if side in settings.sides}


def show(name, results):
    rows = [[side, f"{median(rounds, 'p50'):.2f}", f"{median(rounds, 'p99'):.2f}",
             f"{median(rounds, 'p99') / median(results[ALONE], 'p99'):.1f}x",
             f"{median(rounds, 'max'):.1f}", sum(r["failed"] for r in rounds),
             f"{median(rounds, 'loud_rps'):,.0f}", sum(r["loud_failed"] for r in rounds)]
            for side, rounds in results.items()]
    common.table(f"The quiet tenant, function: {name} (medians)",
                 ["", "p50 ms", "p99 ms", "", "max ms", "failed", "flood req/s", "failed"], rows)


def main():
    parser = argparse.ArgumentParser(prog="./dev bench fair")
    parser.add_argument("--seconds", type=int, default=10, help="a point (10)")
    parser.add_argument("--rounds", type=int, default=5, help="a point (5)")
    parser.add_argument("--rate", type=int, default=200, help="the quiet tenant's calls a second (200)")
    parser.add_argument("--clients", type=int, default=1000, help="the other's connections (1000)")
    parser.add_argument("--functions", type=lambda text: text.split(","), default=["echo", "5 ms"],
                        help="'echo,5 ms'")
    parser.add_argument("--sides", type=lambda text: text.split(";"),
                        default=[ALONE, FAIR, OWN, UNFAIR, ELSEWHERE], help="some of them, with ';' between")
    settings = parser.parse_args()
    settings.first = FIRST if may_come_first() else []
    if not settings.first:
        print("the quiet tenant's client may not run before others: its waits for a processor count, too")

    measured = {}
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(scratch())
        port = free_port()
        nginx(stack, folder, "behind", BEHIND.format(folder=folder, body=BODY), folder / "behind.sock", 1)
        nginx(stack, folder, "front", FRONT.format(folder=folder, port=port), port, 1)
        built = programs(folder)
        fair = Tenants(stack.enter_context(Server()), built)
        own = Tenants(stack.enter_context(Server()), built)
        unfair = Tenants(stack.enter_context(Server("--no-fairness")), built)
        for name in settings.functions:
            measured[name] = alternate(
                sides(fair, own, unfair, f"http://127.0.0.1:{port}/", name, settings), settings.rounds)
    goals = Goals()
    for name, results in measured.items():
        show(name, results)
        for side in [side for side in (FAIR, OWN) if side in results]:
            goals.at_most(f"{name}: p99 beside a {side} against alone",
                          median(results[side], "p99") / median(results[ALONE], "p99"), 3)
    goals.show()
    common.keep("fair", {"settings": vars(settings), "goals": goals.as_list(), "functions": measured})
    failed = any(r["failed"] for results in measured.values() for rounds in results.values() for r in rounds)
    return 1 if failed or goals.missed() else 0
