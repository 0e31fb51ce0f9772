"""overload: twice of what can be answered for 30 s: what is still answered, how refusals come, and after?

A function of 20 ms with `max: 20` answers a thousand calls a second, whatever the machine (who is refused
gets 429); one without a maximum does on a node that has memory for 20 (503); and the echo function as many
as the machine can. Each is asked in a closed loop for its peak; then in an open
loop at half of that, at twice of that, and at half again. `--queue-delay 0` is the same node that
refuses none early. Latencies count from when a request was due. What the lab could not send, because all
its connections were waiting, goes with the blast of the echo function: no server has seen it.
"""
import argparse
import json
import os
import signal
import subprocess
import tempfile
import time

import common
from common import BODY, ROOT, Goals, Server, alternate, build_dir, median

PLACES = 20
SIDES = {"shedding": (), "--queue-delay 0": ("--queue-delay", "0")}
WORKER = ROOT / "tests/system/functions/worker.c"


def compile_worker(folder):
    program = f"{folder}/worker"
    subprocess.run(["cc", "-O2", "-pthread", "-static", f"-I{ROOT / 'runtimes/c'}", "-o", program, WORKER],
                   check=True)
    with open(program, "rb") as file:
        return file.read()


def bench(url, body, *options, end_after_s=None):
    command = [build_dir() / "magpie", "bench", url, "--data", body, "-o", "json", *map(str, options)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        if end_after_s:
            time.sleep(end_after_s)
            process.send_signal(signal.SIGINT)
        output = process.communicate()[0]
    return json.loads(output)["stages"]


def measure(url, body, clients, blast_s, in_one):
    peak = bench(url, body, "-c", clients, "-d", "4s")[0]["goodput"]
    half, twice = round(peak / 2), round(peak * 2)
    if in_one:
        before, blast, settling, after = bench(
            url, body, "--rate-stages", f"{half}:4s,{twice}:{blast_s}s,{half}:1s,{half}:5s")
    else:
        before = bench(url, body, "--rate", half, "-d", "4s")[0]
        blast = bench(url, body, "--rate", twice, "-d", f"{blast_s + 60}s", end_after_s=blast_s)[0]
        settling, after = bench(url, body, "--rate-stages", f"{half}:1s,{half}:5s")
    stages = (before, blast, settling, after)
    refused = sum(stage["statuses"].get(status, 0) for stage in stages for status in ("429", "503"))
    lost = sum(sum(stage["errors"].values()) for stage in stages) - refused
    rejections = blast["rejections"]
    return {"peak": peak, "goodput": blast["goodput"], "share": blast["goodput"] / peak,
            "refused": refused / blast["requests"], "lost": lost,
            "refusal_p99": rejections["p99"] or 0, "refusal_max": rejections["max"] or 0,
            "wait_p50": blast["p50"], "wait_p99": blast["p99"],
            "before_p99": before["p99"], "after_p99": after["p99"] or float("inf"),
            "recovery": (after["p99"] or float("inf")) / before["p99"]}


def show(title, measured):
    keys = (("peak", "{:,.0f}"), ("goodput", "{:,.0f}"), ("share", "{:.2f}"), ("refused", "{:.0%}"),
            ("lost", "{:,.0f}"), ("refusal_p99", "{:.1f}"), ("refusal_max", "{:.1f}"),
            ("wait_p50", "{:,.0f}"), ("wait_p99", "{:,.0f}"), ("before_p99", "{:,.1f}"),
            ("after_p99", "{:,.1f}"))
    common.table(f"{title} (medians)",
                 ["", "peak/s", "goodput/s", "of peak", "refused", "lost", "refusal p99 ms", "max",
                  "answer p50 ms", "p99", "p99 before", "a second after"],
                 [[side, *(form.format(median(results, key)) for key, form in keys)]
                  for side, results in measured.items()])


def judge(goals, case, results):
    goals.at_least(case + "goodput under twice the load, of the peak", median(results, "share"), 0.9)
    goals.at_most(case + "the slowest refusal", median(results, "refusal_max"), 50, "ms")
    goals.at_most(case + "p99 a second after the blast, of the p99 before",
                  median(results, "recovery"), 1.5)
    goals.at_most(case + "neither answered nor refused", sum(result["lost"] for result in results), 0,
                  "requests")


def main():
    parser = argparse.ArgumentParser(prog="./dev bench overload")
    parser.add_argument("--rounds", type=int, default=3, help="(3)")
    parser.add_argument("--blast", type=int, default=30, help="seconds of twice the peak (30)")
    parser.add_argument("--echo-blast", type=int, default=10, help="the same for the echo function (10)")
    parser.add_argument("--only", choices=("limited", "full", "echo"), help="one function")
    settings = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        worker = compile_worker(folder)

    def limited(arguments):
        with Server(*arguments) as server:
            function = server.deploy("limited", "native", {"main": worker}, max=PLACES, public=True)
            return measure(f"{server.url}/f/{function}", "sleep 20", 2 * PLACES, settings.blast, True)

    def full(arguments):
        with Server("--memory", f"{PLACES * 64}MiB", *arguments) as server:
            function = server.deploy("full", "native", {"main": worker}, memory="64MiB", public=True)
            return measure(f"{server.url}/f/{function}", "sleep 20", 2 * PLACES, settings.blast, True)

    def echo(arguments):
        with Server(*arguments) as server:
            subprocess.run([server.build / "magpie", "deploy", ROOT / "examples/native", "--name", "echo",
                            "--public", "--server", server.url, "-q"], check=True,
                           env={**os.environ, "MAGPIE_TOKEN": server.token}, stdout=subprocess.DEVNULL)
            function = server.request("GET", "/api/v1/functions/echo").json()["functionId"]
            return measure(f"{server.url}/f/{function}", BODY, 64, settings.echo_blast, False)

    cases, goals = {}, Goals()
    for name, run in (("limited", limited), ("full", full), ("echo", echo)):
        if settings.only in (None, name):
            cases[name] = alternate({side: lambda run=run, arguments=arguments: run(arguments)
                                     for side, arguments in SIDES.items()}, settings.rounds)
    if "limited" in cases:
        show(f"20 ms, at most {PLACES} at once", cases["limited"])
        judge(goals, "", cases["limited"]["shedding"])
    if "full" in cases:
        show(f"20 ms, memory for {PLACES}", cases["full"])
        judge(goals, "full node: ", cases["full"]["shedding"])
    if "echo" in cases:
        show("Echo: the lab wants the processors, too", cases["echo"])
    goals.show()
    common.keep("overload", {"settings": vars(settings), "goals": goals.as_list(), "cases": cases})
    return 1 if goals.missed() else 0
