"""warm: answers a second against nginx in front of nginx, Node, uWSGI and an image's server, the same work.

magpie's side is a function URL through the whole platform: routing, identity, admission, metrics,
limits, log. An image's server (contract http, `concurrency` 64) is the same program that nginx proxies to;
a lambda one has it ask Lambda's Runtime API, by eight connections at once. The native function is examples/native (an echo); nginx's counterpart answers a
constant of the same size. Node and Python run functions/handler.* on both sides.
"""
import argparse
import os
import subprocess

import common
import pulled
from common import BODY, HERE, Goals, alternate, median, wrk
from peers import all_peers

NGINX = "nginx -> unix -> nginx"
SIDES = {  # group: our sides (with a token?), and the peer's name in the table and in peers.py
    "native": ({"magpie native": False, "magpie native, token": True}, NGINX, "plain"),
    "node": ({"magpie node": False}, "nginx -> node http", "node"),
    "python": ({"magpie python": False}, "nginx -> uwsgi", "python"),
    "http": ({"magpie http": False}, "nginx -> the same server", "http"),
    "lambda": ({"magpie lambda": False}, "nginx -> the same server", "http"),
}


def deploy_all(server, registry, program):
    """group -> path of the function's URL."""
    subprocess.run([server.build / "magpie", "deploy", common.ROOT / "examples/native",
                    "--name", "bench-native", "--public", "--server", server.url, "-q"], check=True,
                   env={**os.environ, "MAGPIE_TOKEN": server.token}, stdout=subprocess.DEVNULL)
    native = server.request("GET", "/api/v1/functions/bench-native").json()["functionId"]
    node = server.deploy("bench-node", "node", {
        "handler.js": (HERE / "functions/handler.js").read_bytes()},
        handler="handler.handle", public=True)
    python = server.deploy("bench-python", "python3", {
        "handler.py": (HERE / "functions/handler.py").read_bytes()},
        handler="handler.handle", public=True)
    http = pulled.deploy(server, registry, program, "bench-http", "http", concurrency=64)
    by_lambda = pulled.deploy(server, registry, program, "bench-lambda", "lambda", concurrency=8,
                              env={"WORKERS": "8"})
    return {"native": f"/f/{native}", "node": f"/f/{node}", "python": f"/f/{python}", "http": http,
            "lambda": by_lambda}


def check_same_work(server, path):
    answer = server.request("POST", path, BODY, {"Content-Type": "application/json"}, token=None)
    assert (answer.status, answer.body.decode()) == (200, BODY), answer


def measure(server, paths, urls, settings):
    """(group, connections) -> side -> results."""
    measured = {}
    token = server.token
    for group in settings.only:
        ours, peer, peer_key = SIDES[group]
        for connections in settings.connections:
            sides = {}
            for name, with_token in ours.items():
                sides[name] = lambda with_token=with_token: wrk(
                    server.url + paths[group], connections, settings.seconds,
                    token if with_token else None)
            sides[peer] = lambda: wrk(urls[peer_key], connections, settings.seconds)
            for side in sides.values():
                side()  # warms up caches, instances and connections; not counted
            measured[group, connections] = alternate(sides, settings.rounds)
    return measured


def show(measured):
    rows = []
    for (group, connections), sides in measured.items():
        peer = SIDES[group][1]
        for name, results in sides.items():
            rate = median(results, "rps")
            ratio = "" if name == peer else f"{rate / median(sides[peer], 'rps'):.2f}x"
            rows.append([name, connections, f"{rate:,.0f}", f"{median(results, 'p50_us'):,.0f}",
                         f"{median(results, 'p99_us'):,.0f}",
                         sum(result["failed"] for result in results), ratio])
    common.table("Warm calls (medians)", ["", "clients", "req/s", "p50 us", "p99 us", "failed",
                                          "req/s against peer"], rows)


def judge(measured, memory_mib):
    goals = Goals()

    def ratio(group, connections, key, side, other):
        sides = measured.get((group, connections))
        return median(sides[side], key) / median(sides[other], key) if sides else None

    for what, value, goal, better in (
            ("native, 64 clients: req/s against nginx",
             ratio("native", 64, "rps", "magpie native", NGINX), 1.2, "more"),
            ("native, 1,000 clients: req/s against nginx",
             ratio("native", 1000, "rps", "magpie native", NGINX), 1.5, "more"),
            ("native, 1 client: p50 against nginx",
             ratio("native", 1, "p50_us", "magpie native", NGINX), 0.95, "less"),
            ("native, 64 clients: with a token against without",
             ratio("native", 64, "rps", "magpie native, token", "magpie native"), 0.95, "more"),
            ("Node, 64 clients: req/s against nginx -> node",
             ratio("node", 64, "rps", "magpie node", "nginx -> node http"), 1.2, "more"),
            ("Python, 64 clients: req/s against nginx -> uwsgi",
             ratio("python", 64, "rps", "magpie python", "nginx -> uwsgi"), 1.3, "more"),
            ("http, 64 clients: req/s against nginx -> the same server",
             ratio("http", 64, "rps", "magpie http", "nginx -> the same server"), 1 / 1.3, "more")):
        if value is not None and better == "more":
            goals.at_least(what, value, goal)
        elif value is not None:
            goals.at_most(what, value, goal)
    goals.at_most("memory of magpie's own processes afterwards", memory_mib, 40, "MiB")
    return goals


def main():
    parser = argparse.ArgumentParser(prog="./dev bench warm")
    parser.add_argument("--seconds", type=int, default=3, help="a point (3)")
    parser.add_argument("--rounds", type=int, default=5, help="a point (5)")
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(SIDES),
                        help=",".join(SIDES))
    parser.add_argument("--connections", type=lambda text: [int(n) for n in text.split(",")],
                        default=[1, 64, 1000], help="1,64,1000")
    settings = parser.parse_args()

    with common.scratch() as folder, all_peers(folder, os.cpu_count()) as urls, \
            pulled.node() as (server, registry):
        paths = deploy_all(server, registry, pulled.build_server(folder))
        for group in settings.only:
            if group != "lambda":  # it echoes the event, in which the body is
                check_same_work(server, paths[group])
        measured = measure(server, paths, urls, settings)
        own = common.own_processes(server.process.pid)
        memory_mib = common.pss_mib(own)
    show(measured)
    goals = judge(measured, memory_mib)
    goals.show()
    common.keep("warm", {
        "settings": vars(settings), "memory_mib": memory_mib, "goals": goals.as_list(),
        "points": [{"group": group, "clients": connections, "sides": sides}
                   for (group, connections), sides in measured.items()]})
    failed = sum(result["failed"] for sides in measured.values() for name, results in sides.items()
                 if name.startswith("magpie") for result in results)
    if failed:
        print(f"{failed} calls to magpie failed")
    return 1 if failed else 0
