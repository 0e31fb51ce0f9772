"""cold: request sent to first byte with no instance alive, for each runtime, and what peers take.

The functions keep no instance (keepAlive 0s), so every call starts one; the answer's Magpie-Start
must say so. Once back to back, once a call a second (rare: caches and the kernel's grace periods
are cold too). Peers run the same program: fork+exec without any sandbox, bwrap, crun, runc.
"""
import argparse
import os
import statistics
import subprocess
import time

import common
import sandboxes
from client import Connection, post
from common import BODY, HERE, ROOT, Goals, Server, percentile

RUNTIMES = ("native", "exec", "python", "python-imports", "node")
# p50 in ms: the first step, and where it shall be; peers' least ratio.
FIRST_STEP = {"native": 5, "python": 40, "node": 80}
FINAL = {"native": 0.8, "exec": 4, "python": 3, "node": 5}  # p50 in ms
IMPORTS_LEAST = 5  # times: the same imports in a fresh interpreter
PEERS = (("native", "bwrap", 3), ("native", "runc", 25), ("python", "fork+exec", 3),
         ("python-imports", "fork+exec", IMPORTS_LEAST), ("node", "fork+exec", 4))


def deploy_all(server):
    """runtime -> path of its function's URL."""
    subprocess.run([server.build / "magpie", "deploy", ROOT / "examples/native", "--name",
                    "cold-native", "--public", "--keep-alive", "0s", "--server", server.url, "-q"],
                   check=True, env={**os.environ, "MAGPIE_TOKEN": server.token},
                   stdout=subprocess.DEVNULL)
    ids = {"native": server.request("GET", "/api/v1/functions/cold-native").json()["functionId"]}
    for runtime, kind, file, handler in (
            ("exec", "exec", "echo.sh", "echo.sh"),
            ("python", "python3", "handler.py", "handler.handle"),
            ("python-imports", "python3", "imports.py", "imports.handle"),
            ("node", "node", "handler.js", "handler.handle")):
        ids[runtime] = server.deploy(f"cold-{runtime}", kind,
                                     {file: (HERE / "functions" / file).read_bytes()},
                                     handler=handler, public=True, keepAlive="0s")
    return {runtime: f"/f/{function}" for runtime, function in ids.items()}


def calls(server, path, count, pause=0.0):
    connection = Connection(server.port)
    request = post(path, server.port, BODY)
    answers = []
    for number in range(count):
        if pause and number:
            time.sleep(pause)  # the rate is what is measured
        answer = connection.ask(request)
        assert answer["status"] == 200 and answer["start"] == "cold", answer
        answers.append(answer)
        common.progress(f"{path}: {number + 1} of {count}")
    connection.close()
    common.progress("")
    return answers


def phases(before, after):
    """runtime -> phase -> mean milliseconds, from what /metrics counted between two readings."""
    found = {}
    for name, total in after.items():
        if not name.startswith("magpie_cold_start_seconds_sum{"):
            continue
        labels = dict(part.split("=") for part in name[name.index("{") + 1:-1].split(","))
        count_name = name.replace("_sum{", "_count{")
        count = after[count_name] - before.get(count_name, 0)
        if count:
            found.setdefault(labels["runtime"].strip('"'), {})[labels["phase"].strip('"')] = (
                (total - before.get(name, 0)) / count * 1000)
    return found


def measure_peers(folder, rounds):
    """runtime -> peer -> milliseconds."""
    commands = sandboxes.prepare_code(folder)
    usable = {name: make for name, make in sandboxes.ALL.items()
              if sandboxes.works_here(make, folder)}
    for name in sandboxes.ALL:
        if name not in usable:
            print(f"{name} does not run on this machine (its reason is above)")
    return {runtime: common.alternate(
        {name: lambda make=make: sandboxes.first_byte_ms(make(folder, command))
         for name, make in usable.items()}, rounds) for runtime, command in commands.items()}


def show(ours, rare, peers, phase_means):
    rows = []
    for runtime, answers in ours.items():
        values = [answer["first_ms"] for answer in answers]
        rows.append([f"magpie {runtime}", len(values), f"{percentile(values, 50):.2f}",
                     f"{percentile(values, 99):.2f}", f"{common.median(answers, 'init_ms'):.2f}", ""])
        if rare[runtime]:
            values = [answer["first_ms"] for answer in rare[runtime]]
            rows.append(["  one a second", len(values), f"{percentile(values, 50):.2f}",
                         f"{percentile(values, 99):.2f}",
                         f"{common.median(rare[runtime], 'init_ms'):.2f}", ""])
        base = percentile([answer["first_ms"] for answer in answers], 50)
        for name, values in peers.get(runtime, {}).items():
            rows.append([f"  {name}", len(values), f"{percentile(values, 50):.2f}",
                         f"{percentile(values, 99):.2f}", "",
                         f"{percentile(values, 50) / base:.1f}x"])
    common.table("Cold calls, to the first byte (ms)",
                 ["", "calls", "p50", "p99", "init p50", "against magpie"], rows)
    names = sorted({phase for means in phase_means.values() for phase in means})
    if names:
        common.table("Where the time goes (ms, means from /metrics)", ["", *names],
                     [[runtime, *(f"{means[name]:.3f}" if name in means else "" for name in names)]
                      for runtime, means in phase_means.items()])


def judge(ours, rare, peers):
    goals = Goals()
    for runtime, answers in ours.items():
        values = [answer["first_ms"] for answer in answers]
        p50 = percentile(values, 50)
        if runtime in FIRST_STEP:
            goals.at_most(f"{runtime}: p50, first step", p50, FIRST_STEP[runtime], "ms")
        if runtime in FINAL:
            goals.at_most(f"{runtime}: p50", p50, FINAL[runtime], "ms")
        goals.at_most(f"{runtime}: p99 against p50", percentile(values, 99) / p50, 5)
        if rare[runtime]:
            rare_p50 = statistics.median(answer["first_ms"] for answer in rare[runtime])
            goals.at_most(f"{runtime}: p50 when rare against back to back", rare_p50 / p50, 2)
    for runtime, peer, least in PEERS:
        if runtime in ours and peer in peers.get(runtime, {}):
            p50 = percentile([answer["first_ms"] for answer in ours[runtime]], 50)
            goals.at_least(f"{runtime}: {peer} is slower by",
                           statistics.median(peers[runtime][peer]) / p50, least)
    return goals


def main():
    parser = argparse.ArgumentParser(prog="./dev bench cold")
    parser.add_argument("--calls", type=int, default=100, help="back to back, a runtime (100)")
    parser.add_argument("--rare", type=int, default=15, help="one a second, a runtime (15)")
    parser.add_argument("--rounds", type=int, default=20, help="calls of each peer (20)")
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(RUNTIMES),
                        help=",".join(RUNTIMES))
    settings = parser.parse_args()

    with common.scratch() as folder, Server() as server:
        paths = {runtime: path for runtime, path in deploy_all(server).items()
                 if runtime in settings.only}
        before = server.metrics()
        ours = {runtime: calls(server, path, settings.calls) for runtime, path in paths.items()}
        phase_means = phases(before, server.metrics())
        rare = {runtime: calls(server, path, settings.rare, pause=1.0)
                for runtime, path in paths.items()}
        peers = measure_peers(folder, settings.rounds) if settings.rounds else {}
    show(ours, rare, peers, phase_means)
    goals = judge(ours, rare, peers)
    goals.show()
    common.keep("cold", {"settings": vars(settings), "ours": ours, "rare": rare, "peers": peers,
                         "phase_means_ms": phase_means, "goals": goals.as_list()})
    return 0
