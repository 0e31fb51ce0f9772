"""density: what a sleeping instance takes of the machine, and how fast they come, live and go.

Instances are kept by `min`. What they take is the growth of what the kernel says is in use for
processes: anonymous memory, shared memory, page tables, kernel stacks, slabs, per-CPU memory; so
nothing is left out, and what the platform itself needs for them is counted as well.
"""
import argparse
import subprocess
import threading
import time

import common
from client import Connection, post
from common import BODY, HERE, ROOT, Goals, Server, percentile

FIELDS = ("AnonPages", "Shmem", "PageTables", "SecPageTables", "KernelStack", "Slab", "Percpu")
# name: runtime, code, handler, how many, KiB of a frozen one, created a second
KINDS = {
    "native": ("native", None, "echo", 5000, 200, 3000),
    "python": ("python3", "handler.py", "handler.handle", 2000, 2253, 500),
    "node": ("node", "handler.js", "handler.handle", 1000, 6144, 80),
}
STEPS = 4
MEMORY = "16MiB"
NODE_MEMORY = "64MiB"


def in_use_kib():
    found = {}
    with open("/proc/meminfo", encoding="ascii") as file:
        for line in file:
            name, rest = line.split(":")
            found[name] = int(rest.split()[0])
    return {name: found.get(name, 0) for name in FIELDS}


def build_echo(folder):
    """examples/native as a static program: what it takes is then its own."""
    program = folder / "echo"
    subprocess.run(["cc", "-O2", "-static", f"-I{ROOT / 'runtimes/c'}", "-o", program,
                           ROOT / "examples/native/echo.c"], check=True)
    return program.read_bytes()


def deploy(server, name, kind, echo, **settings):
    runtime, file, handler, *_ = KINDS[kind]
    code = {file: (HERE / "functions" / file).read_bytes()} if file else {handler: echo}
    return server.deploy(name, runtime, code, handler=handler, public=True,
                         memory=NODE_MEMORY if kind == "node" else MEMORY, **settings)


def frozen(server, function):
    """How many of its instances are live, and how many of those are frozen."""
    found = server.request("GET", f"/api/v1/functions/{function}").json()["instances"]
    return found["idle"] + found["frozen"] + found["busy"], found["frozen"]


def wait_for(server, function, count, seconds=600):
    deadline = time.monotonic() + seconds
    while True:
        live, asleep = frozen(server, function)
        common.progress(f"{live} of {count} live, {asleep} frozen")
        if asleep >= count:
            return common.progress("")
        if time.monotonic() > deadline:
            raise RuntimeError(f"only {live} of {count} live, {asleep} frozen")
        time.sleep(0.05)


def cold_p50(server, path, calls):
    connection = Connection(server.port)
    request = post(path, server.port, BODY)
    answers = [connection.ask(request) for _ in range(calls)]
    assert all(answer["status"] == 200 and answer["start"] == "cold" for answer in answers)
    connection.close()
    return percentile([answer["first_ms"] for answer in answers], 50)


def grow(server, kind, echo, count, probe):
    """Rows: how many live, seconds since the row before, KiB an instance, a cold start beside them.
    Each step is a function more, because another `min` would replace what is there."""
    before, rows = in_use_kib(), [(0, 0.0, 0.0, cold_p50(server, probe, 30))]
    share = count // STEPS
    for step in range(1, STEPS + 1):
        started = time.monotonic()
        function = deploy(server, f"density-{step}", kind, echo, min=share, max=share)
        wait_for(server, function, share)
        seconds = time.monotonic() - started
        now = in_use_kib()
        grown = {name: (now[name] - before[name]) / (share * step) for name in FIELDS}
        rows.append((share * step, seconds, sum(grown.values()), cold_p50(server, probe, 30)))
    return rows, grown


def churn(server, path, seconds, creators=4):
    """Created, answered and destroyed a second: each call of such a function is one of each."""
    counts = [0] * creators
    deadline = time.monotonic() + seconds

    def create(number):
        connection = Connection(server.port)
        request = post(path, server.port, BODY)
        while time.monotonic() < deadline:
            answer = connection.ask(request)
            assert answer["status"] == 200 and answer["start"] == "cold", answer
            counts[number] += 1
        connection.close()
    threads = [threading.Thread(target=create, args=(number,)) for number in range(creators)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / seconds


def main():
    parser = argparse.ArgumentParser(prog="./dev bench density")
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(KINDS),
                        help=",".join(KINDS))
    parser.add_argument("--share", type=float, default=1.0, help="of the numbers to be reached (1)")
    parser.add_argument("--seconds", type=float, default=4, help="of creating and destroying (4)")
    settings = parser.parse_args()

    goals, kept = Goals(), {}
    with common.scratch() as folder:
        echo = build_echo(folder)
        for kind in settings.only:
            *_, most, kib_goal, rate_goal = KINDS[kind]
            count = int(most * settings.share)
            with Server("--memory", "10TiB", "--boots-max", "5") as server:  # 4 for one owner
                probe = deploy(server, "probe", "native", echo, keepAlive="0s")
                single = deploy(server, "single", kind, echo, keepAlive="0s")
                rate = churn(server, f"/f/{single}", settings.seconds)
                rows, grown = grow(server, kind, echo, count, f"/f/{probe}")
            common.table(f"{kind}: instances kept", ["", "seconds", "a second", "KiB each",
                                                     "cold native p50 ms"],
                         [[f"{live:,}", f"{seconds:.1f}",
                           f"{(live - rows[i - 1][0]) / seconds:,.0f}" if i else "",
                           f"{kib:,.0f}" if i else "", f"{cold:.2f}"]
                          for i, (live, seconds, kib, cold) in enumerate(rows)])
            print("  KiB each, by kind: " + ", ".join(f"{name} {value:,.1f}"
                                                      for name, value in grown.items()))
            print(f"  created, answered, destroyed: {rate:,.0f} a second, 4 at once")
            goals.at_least(f"{kind}: live at once", rows[-1][0], most, "")
            goals.at_most(f"{kind}: a frozen one", rows[-1][2], kib_goal, "KiB")
            goals.at_least(f"{kind}: created, answered, destroyed", rate, rate_goal, "/s")
            goals.at_most(f"{kind}: cold p50 beside {rows[-1][0]:,}", rows[-1][3] / rows[0][3], 1.5)
            kept[kind] = {"rows": rows, "kib_each": grown, "churn": rate}
    goals.show()
    common.keep("density", {"settings": vars(settings), "kinds": kept, "goals": goals.as_list()})
    return 0
