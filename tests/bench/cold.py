"""cold: request sent to first byte with no instance alive, for each runtime, and what peers take.

The functions keep no instance (keepAlive 0s), so every call starts one; the answer's Magpie-Start
must say so. Once back to back, once a call a second (rare: caches and the kernel's grace periods
are cold too), several at once, and beside thousands that are alive. Peers run the same program:
fork+exec without any sandbox, bwrap, crun, runc.
"""
import argparse
import os
import statistics
import subprocess
import threading
import time

import common
import pulled
import sandboxes
from client import Connection, post
from common import BODY, HERE, ROOT, Goals, percentile

RUNTIMES = ("native", "exec", "python", "python-imports", "node")
# p50 in ms: the first step, and where it shall be; peers' least ratio.
FIRST_STEP = {"native": 5, "python": 40, "node": 80}
FINAL = {"native": 0.8, "exec": 4, "python": 3, "node": 5}  # p50 in ms
IMAGES_MOST = 1.5  # times native's
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


def measure_images(server, registry, program, native, count):
    """side -> milliseconds to the first byte: a static server in a pulled image, and native functions."""
    paths = {"native": native} | {
        f"image, {contract}": pulled.deploy(server, registry, program, f"cold-image-{contract}", contract,
                                            keepAlive="0s")
        for contract in ("exec", "http")}
    connection = Connection(server.port)

    def call(path):
        answer = connection.ask(post(path, server.port, BODY))
        assert answer["status"] == 200 and answer["start"] == "cold", answer
        return answer["first_ms"]
    found = common.alternate({name: lambda path=path: call(path) for name, path in paths.items()},
                             count)
    connection.close()
    return found


def show_images(found, goals):
    base = percentile(found["native"], 50)
    common.table("Images, calls alternated (ms)", ["", "p50", "p90", "p99", "against native"],
                 [[name, *(f"{percentile(values, share):.2f}" for share in (50, 90, 99)),
                   f"{percentile(values, 50) / base:.2f}x"] for name, values in found.items()])
    for name, values in found.items():
        if name != "native":
            goals.at_most(f"{name}: p50 against native", percentile(values, 50) / base, IMAGES_MOST)


def at_once(count, each, step):
    """Milliseconds of every step, by so many threads that each take it so often."""
    found = []

    def take():
        for _ in range(each):
            found.append(step())
    threads = [threading.Thread(target=take) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == count * each, "a thread has failed"
    return found


def measure_at_once(server, paths, folder, settings):
    """runtime -> how many at once -> side -> milliseconds, the sides alternated."""
    commands = sandboxes.prepare_code(folder) if settings.rounds else {}
    peers = {name: make for name, make in sandboxes.ALL.items()
             if settings.rounds and sandboxes.works_here(make, folder)}
    found = {}
    for runtime, path in paths.items():
        request = post(path, server.port, BODY)
        local = threading.local()

        def ours():
            if not hasattr(local, "connection"):
                local.connection = Connection(server.port)
            answer = local.connection.ask(request)
            assert answer["status"] == 200 and answer["start"] == "cold", answer
            return answer["first_ms"]
        sides = {"magpie": ours}
        for name, make in peers.items():
            sides[name] = lambda make=make: sandboxes.first_byte_ms(make(folder, commands[runtime]))
        found[runtime] = {}
        for count in settings.at_once:
            rounds = common.alternate({name: lambda step=step: at_once(count, 3, step)
                                       for name, step in sides.items()}, settings.rounds or 5)
            found[runtime][count] = {name: [ms for taken in each for ms in taken]
                                     for name, each in rounds.items()}
    return found


def keep_alive(server, count):
    """So many instances of another function, alive and frozen."""
    subprocess.run([server.build / "magpie", "deploy", ROOT / "examples/native", "--name", "crowd",
                    "--public", "--memory", "16MiB", "--min", str(count), "--max", str(count),
                    "--server", server.url, "-q"],
                   check=True, env={**os.environ, "MAGPIE_TOKEN": server.token},
                   stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        there = server.request("GET", "/api/v1/functions/crowd").json()["instances"]
        common.progress(f"{there} of {count}")
        if there["frozen"] >= count:
            return common.progress("")
        time.sleep(0.2)
    raise RuntimeError(f"there are no {count} instances, but {there}")


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


def show_at_once(found):
    rows = []
    for runtime, counts in found.items():
        for count, sides in counts.items():
            base = percentile(sides["magpie"], 50)
            rows.append([f"{runtime}, {count} at once", f"{base:.2f}",
                         f"{percentile(sides['magpie'], 99):.2f}",
                         *(f"{percentile(values, 50):.1f} ({percentile(values, 50) / base:.1f}x)"
                           for name, values in sides.items() if name != "magpie")])
    names = [name for name in next(iter(next(iter(found.values())).values())) if name != "magpie"]
    common.table("Several at once, to the first byte (ms)",
                 ["", "magpie p50", "p99", *(f"{name} p50" for name in names)], rows)


def judge_at_once(goals, found):
    for runtime, peer, least in PEERS:
        for count, sides in found.get(runtime, {}).items():
            if peer in sides and count > 1:
                goals.at_least(f"{runtime}, {count} at once: {peer} is slower by",
                               percentile(sides[peer], 50) / percentile(sides["magpie"], 50), least)


def show_beside(count, ours, beside, goals):
    rows = []
    for runtime, answers in beside.items():
        without = percentile([answer["first_ms"] for answer in ours[runtime]], 50)
        values = [answer["first_ms"] for answer in answers]
        p50 = percentile(values, 50)
        rows.append([runtime, f"{without:.2f}", f"{p50:.2f}", f"{percentile(values, 99):.2f}",
                     f"{p50 / without:.2f}x"])
        goals.at_most(f"{runtime}: p50 beside {count:,} alive", p50 / without, 1.5)
    common.table(f"Beside {count:,} that are alive (ms)",
                 ["", "p50 without", "p50", "p99", "against without"], rows)


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
    parser.add_argument("--at-once", type=lambda text: [int(word) for word in text.split(",")],
                        default=[1, 2, 4, 8], help="1,2,4,8; 0: none")
    parser.add_argument("--alive", type=int, default=2000, help="beside so many instances (2000)")
    parser.add_argument("--images", type=int, default=200, help="calls of each contract (200)")
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(RUNTIMES),
                        help=",".join(RUNTIMES))
    settings = parser.parse_args()

    settings.at_once = [count for count in settings.at_once if count > 0]

    with common.scratch() as folder, \
            pulled.node("--memory", "10TiB") as (server, registry):
        every = deploy_all(server)
        images = measure_images(server, registry, pulled.build_server(folder), every["native"],
                                settings.images) if settings.images else {}
        paths = {runtime: path for runtime, path in every.items()
                 if runtime in settings.only}
        before = server.metrics()
        ours = {runtime: calls(server, path, settings.calls) for runtime, path in paths.items()}
        phase_means = phases(before, server.metrics())
        rare = {runtime: calls(server, path, settings.rare, pause=1.0)
                for runtime, path in paths.items()}
        peers = measure_peers(folder, settings.rounds) if settings.rounds else {}
        several = measure_at_once(server, paths, folder, settings) if settings.at_once else {}
        beside = {}
        if settings.alive:
            keep_alive(server, settings.alive)
            beside = {runtime: calls(server, path, settings.calls)
                      for runtime, path in paths.items()}
    show(ours, rare, peers, phase_means)
    goals = judge(ours, rare, peers)
    if images:
        show_images(images, goals)
    if several:
        show_at_once(several)
        judge_at_once(goals, several)
    if beside:
        show_beside(settings.alive, ours, beside, goals)
    goals.show()
    common.keep("cold", {"settings": vars(settings), "ours": ours, "rare": rare, "peers": peers,
                         "at_once": several, "beside": beside, "images": images, "phase_means_ms": phase_means,
                         "goals": goals.as_list()})
    return 0
