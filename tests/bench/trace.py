"""trace: cold starts and memory-seconds of `keepAlive: auto` and a fixed keep-alive, over traces.

Replays each trace on virtual time with the core's own pool and keep-alive (trace_replay.c): days take
seconds. Beside the two stand, to compare with, the hybrid histogram policy as published, and instances
that never end, which leave the cold starts that nothing avoids: first calls, and crowds larger than
ever before. PATH is a file or a folder with traces, and with distributions to draw one from; without
any, one is drawn from built-in ones.
"""
import argparse
import json
import pathlib
import subprocess
import sys

import common
import traces

TITLES = {"fixed": "fixed 10m", "auto": "auto", "hybrid": "(hybrid histogram)",
          "forever": "(never ended)"}
COUNTED = ("calls", "cold", "stolen", "ahead", "ahead_unused", "memory_mib_s", "wasted_mib_s")


def replay(trace, boot_ms):
    """What trace_replay.c tells of each policy."""
    program = common.build_dir() / "tests/bench/trace_replay"
    with subprocess.Popen([program, str(boot_ms)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as process:
        process.stdin.writelines(trace.lines())
        process.stdin.close()
        results = [json.loads(line) for line in process.stdout]
    if process.returncode != 0:
        sys.exit(f"trace_replay ended with {process.returncode}")
    return {result["policy"]: result for result in results}


def sum_of(results):
    return {policy: {key: sum(result[policy][key] for result in results) for key in COUNTED}
            for policy in TITLES}


def show(name, result):
    fixed = result["fixed"]
    common.table(
        name,
        ["", "invocations", "cold starts", "rate", "stolen", "booted ahead", "unused",
         "memory MiB s", "wasted MiB s", "cold", "memory"],
        [[TITLES[policy], f"{row['calls']:,}", f"{row['cold']:,}",
          f"{row['cold'] / max(1, row['calls']):.3%}", f"{row['stolen']:,}", f"{row['ahead']:,}",
          f"{row['ahead_unused']:,}", f"{row['memory_mib_s']:,.0f}", f"{row['wasted_mib_s']:,.0f}",
          f"{row['cold'] / max(1, fixed['cold']):.3f}x",
          f"{row['memory_mib_s'] / max(1, fixed['memory_mib_s']):.3f}x"]
         for policy, row in ((policy, result[policy]) for policy in TITLES)])


def judge(goals, name, result):
    """Fewer cold starts, where there is one to avoid, at no more memory-seconds."""
    fixed, auto, least = result["fixed"], result["auto"], result["forever"]["cold"]
    most = max(least, fixed["cold"] - 1)
    goals.at_most(f"{name}: cold starts", auto["cold"], most, "")
    goals.at_most(f"{name}: memory against fixed", auto["memory_mib_s"] / fixed["memory_mib_s"], 1)


def sources(settings):
    """The traces that were asked for, and whether they were given."""
    minutes, calls, distributions = traces.find(settings.paths)
    spread = traces.spread_evenly
    if settings.spread == "chance":
        spread = traces.spread_by_chance(settings.seed)
    for folder, files in minutes:
        yield traces.read_minutes(folder, files, spread), True
    for file in calls:
        yield traces.read_calls(file), True
    drawn_from = [(folder.name, traces.read_distributions(folder)) for folder in distributions]
    for name, points in drawn_from or [("built-in distributions", traces.BUILT_IN)]:
        yield traces.generate(points, f"drawn from {name}, seed {settings.seed}", settings.seed,
                              settings.functions, settings.days), False


def main():
    parser = argparse.ArgumentParser(prog="./dev bench trace")
    parser.add_argument("paths", nargs="*", type=pathlib.Path, metavar="PATH",
                        help="files or folders of traces and distributions")
    parser.add_argument("--seed", type=int, default=1, help="of the trace that is drawn (1)")
    parser.add_argument("--functions", type=int, default=600, help="in that trace (600)")
    parser.add_argument("--days", type=int, default=3, help="it lasts (3)")
    parser.add_argument("--spread", choices=("even", "chance"), default="even",
                        help="of calls in a minute, where a trace only counts them (even)")
    parser.add_argument("--boot-ms", type=int, default=20, help="a boot takes (20)")
    settings = parser.parse_args()
    for path in settings.paths:
        if not path.exists():
            parser.error(f"there is no {path}")

    goals, results, given = common.Goals(), {}, []
    for trace, is_given in sources(settings):
        common.progress(f"replaying {trace.name}")
        results[trace.name] = replay(trace, settings.boot_ms)
        common.progress("")
        show(f"{trace.name}: {len(trace.functions)} functions, {trace.seconds / 3600:.1f} hours",
             results[trace.name])
        judge(goals, trace.name, results[trace.name])
        if is_given:
            given.append(results[trace.name])
    if len(given) > 1:
        results["all given"] = sum_of(given)
        show("All traces given, together", results["all given"])
        judge(goals, "all given", results["all given"])
    goals.show()
    common.keep("trace", {"settings": {**vars(settings), "paths": [str(p) for p in settings.paths]},
                          "results": results, "goals": goals.as_list()})
    return 1 if goals.missed() else 0
