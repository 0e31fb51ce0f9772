"""lab: `magpie bench` against wrk, h2load and hey: does it keep up, and do they say the same?

Two targets. nginx `return 200` on one processor, the generator on the other: how many answers each
gets, and what a request costs it (its own CPU time). And a server that takes its time for an answer
without work, any time within bounds, so that all must see the same rate and the same latencies. Were it the
same time for each, the clients would fall into step, and latencies tell what a tool takes for as many answers
as it has clients (`--delay 10`).
"""
import argparse
import contextlib
import json
import os
import re
import resource
import subprocess
import sys

import common
from common import ROOT, Goals, alternate, build_dir, child, free_port, median, scratch
from peers import nginx

SERVER = """
    server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ return 200 '{body}'; }} }}
"""
SECONDS = {"s": 1e3, "ms": 1.0, "us": 1e-3, "m": 6e4}


def pinned(processor, *command):
    return ["taskset", "-c", str(processor), *map(str, command)] if os.cpu_count() > 1 else [*map(str, command)]


def run(*command):
    """Output, and the CPU seconds that it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    output = subprocess.run(pinned(1, *command), check=True, capture_output=True, text=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return output, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def milliseconds(text):
    number, unit = re.match(r"([\d.]+)(\w+)", text).groups()
    return float(number) * SECONDS[unit]


def figures(requests, rps, mean_ms, p50_ms, p99_ms, failed, cpu_s):
    return {"requests": requests, "rps": rps, "mean_ms": mean_ms, "p50_ms": p50_ms, "p99_ms": p99_ms,
            "failed": failed, "cpu_us": cpu_s * 1e6 / max(requests, 1)}


def with_magpie(url, clients, seconds):
    output, cpu_s = run(build_dir() / "magpie", "bench", url, "-t", 1, "-c", clients, "-d", f"{seconds}s",
                        "-o", "json")
    stage = json.loads(output)["stages"][0]
    return figures(stage["requests"], stage["throughput"], stage["mean"], stage["p50"], stage["p99"],
                   sum(stage["errors"].values()), cpu_s)


def with_wrk(url, clients, seconds):
    output, cpu_s = run("wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--latency", url)
    requests = int(re.search(r"(\d+) requests in", output).group(1))
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", output)
    return figures(requests, float(re.search(r"Requests/sec:\s+([\d.]+)", output).group(1)),
                   milliseconds(re.search(r"Latency\s+(\S+)", output).group(1)),
                   milliseconds(re.search(r"^ +50%\s+(\S+)", output, re.MULTILINE).group(1)),
                   milliseconds(re.search(r"^ +99%\s+(\S+)", output, re.MULTILINE).group(1)),
                   sum(map(int, broken.groups())) if broken else 0, cpu_s)


def with_h2load(url, clients, seconds):
    output, cpu_s = run("h2load", "--h1", "-t1", f"-c{clients}", f"-D{seconds}", url)
    done = re.search(r"requests: .*? (\d+) done, (\d+) succeeded", output)
    mean = re.search(r"time for request:\s+\S+\s+\S+\s+(\S+)", output).group(1)
    return figures(int(done.group(1)), float(re.search(r"([\d.]+) req/s", output).group(1)),
                   milliseconds(mean), None, None,
                   int(done.group(1)) - int(done.group(2)), cpu_s)


def with_hey(url, clients, seconds):
    output, cpu_s = run("hey", "-cpus", 1, "-c", clients, "-z", f"{seconds}s", url)
    requests = int(re.search(r"\[200\]\s+(\d+) responses", output).group(1))
    others = re.findall(r"^  \[(?!200\])\d+\]\s+(\d+) responses", output, re.MULTILINE)
    broken = re.findall(r"^  \[(\d+)\]", output.partition("Error distribution:")[2], re.MULTILINE)
    return figures(requests, float(re.search(r"Requests/sec:\s+([\d.]+)", output).group(1)),
                   float(re.search(r"Average:\s+([\d.]+)", output).group(1)) * 1e3,
                   float(re.search(r"50% in ([\d.]+)", output).group(1)) * 1e3,
                   float(re.search(r"99% in ([\d.]+)", output).group(1)) * 1e3,
                   sum(map(int, others + broken)), cpu_s)


TOOLS = {"magpie bench": with_magpie, "wrk": with_wrk, "h2load --h1": with_h2load, "hey": with_hey}


@contextlib.contextmanager
def slow_server(delay):
    """tests/lab/target.py, on a processor of its own."""
    with child(*pinned(0, sys.executable, ROOT / "tests/lab/target.py"), stdout=subprocess.PIPE,
               text=True) as process:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}/delay/{delay}"


@contextlib.contextmanager
def fast_server(folder):
    port = free_port()
    with contextlib.ExitStack() as stack:
        nginx(stack, folder, "target", SERVER.format(port=port, body=common.BODY), port, 1)
        worker = subprocess.run(["pgrep", "-P", (folder / "target.pid").read_text().strip()],
                                check=True, capture_output=True, text=True).stdout.split()
        for pid in worker if os.cpu_count() > 1 else []:
            subprocess.run(["taskset", "-pc", "0", pid], check=True, stdout=subprocess.DEVNULL)
        yield f"http://127.0.0.1:{port}/"


def measure(url, clients, seconds, rounds):
    for with_tool in TOOLS.values():
        with_tool(url, clients, 1)  # warms up; not counted
    return alternate({name: lambda with_tool=with_tool: with_tool(url, clients, seconds)
                      for name, with_tool in TOOLS.items()}, rounds)


def latency(results, key):
    """h2load tells no percentiles."""
    return "-" if results[0][key] is None else f"{median(results, key):.3f}"


def show(title, measured):
    rows = []
    for name, results in measured.items():
        rows.append([name, f"{median(results, 'rps'):,.0f}",
                     f"{median(results, 'rps') / median(measured['wrk'], 'rps'):.2f}x",
                     *(latency(results, key) for key in ("mean_ms", "p50_ms", "p99_ms")),
                     f"{median(results, 'cpu_us'):.2f}",
                     sum(result["failed"] for result in results)])
    common.table(title, ["", "req/s", "of wrk's", "mean ms", "p50 ms", "p99 ms", "own CPU us/req",
                         "failed"], rows)


def judge(fast, slow):
    goals = Goals()

    def ratio(measured, key, other="wrk"):
        return median(measured["magpie bench"], key) / median(measured[other], key)

    for clients, measured in fast.items():
        goals.at_least(f"req/s against wrk's, nginx, {clients} clients", ratio(measured, "rps"), 1)
        goals.at_most(f"own CPU a request against wrk's, {clients} clients", ratio(measured, "cpu_us"), 1)
    for tool in [tool for tool in TOOLS if tool != "magpie bench"]:
        for key, what in (("rps", "req/s"), ("mean_ms", "mean"), ("p50_ms", "p50"), ("p99_ms", "p99")):
            if slow[tool][0][key] is not None:
                goals.at_least(f"{what} against {tool}'s, slow server", ratio(slow, key, tool), 0.95)
                goals.at_most(f"{what} against {tool}'s, slow server", ratio(slow, key, tool), 1.05)
    return goals


def main():
    parser = argparse.ArgumentParser(prog="./dev bench lab")
    parser.add_argument("--seconds", type=int, default=3, help="a point (3)")
    parser.add_argument("--delay", default="5-50", help="how many ms the slow server takes (5-50)")
    # The sixteen requests that connect shall not be a third of those beyond p99.
    parser.add_argument("--slow-seconds", type=int, default=10, help="a point of the slow server (10)")
    parser.add_argument("--rounds", type=int, default=5, help="a point (5)")
    parser.add_argument("--clients", type=lambda text: [int(n) for n in text.split(",")],
                        default=[64, 1000], help="of nginx: 64,1000")
    settings = parser.parse_args()

    fast = {}
    with scratch() as folder, fast_server(folder) as url:
        for clients in settings.clients:
            fast[clients] = measure(url, clients, settings.seconds, settings.rounds)
    with slow_server(settings.delay) as url:
        slow = measure(url, 16, settings.slow_seconds, settings.rounds)
    for clients, measured in fast.items():
        show(f"nginx `return 200`, {clients} clients (medians)", measured)
    show(f"a server that takes {settings.delay} ms for an answer, 16 clients (medians)", slow)
    goals = judge(fast, slow)
    goals.show()
    common.keep("lab", {"settings": vars(settings), "goals": goals.as_list(), "fast": fast, "slow": slow})
    return 1 if goals.missed() else 0
