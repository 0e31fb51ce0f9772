"""shim_rate: answers a second of each runtime's shim alone, with requests pushed ahead into it.

No gateway, no sandbox: what one worker process can do at most. The handlers give back the event (or
the body of a function-URL request). The other end is shim_client, so that the client is not what is
measured.
"""
import argparse
import functools
import json
import subprocess

from common import BODY, HERE, ROOT, alternate, build_dir, keep, median, scratch, table

SHIMS = {
    "python3": ["/usr/bin/python3", "-I", "-S", ROOT / "runtimes/python/shim.py"],
    "node": ["/usr/bin/node", ROOT / "runtimes/node/shim.js"],
}
EVENT_HANDLERS = {
    "echo.py": "def handle(event, context):\n    return event\n",
    "echo.js": "exports.handle = (event) => event;\n",
    "echo_async.js": "exports.handle = async (event) => event;\n",
}


def commands(folder):
    """name -> (kind of request, handler, command)"""
    program = folder / "echo"
    subprocess.run(["musl-gcc", "-O2", "-static", "-I", ROOT / "runtimes/c", "-o", program,
                    ROOT / "examples/native/echo.c"], check=True)
    for name, text in EVENT_HANDLERS.items():
        (folder / name).write_text(text)
    for name in ("handler.py", "handler.js"):
        (folder / name).write_text((HERE / "functions" / name).read_text())
    return {
        "native": ("event", "", [program]),
        "python3": ("event", "echo.handle", SHIMS["python3"]),
        "python3, function URL": ("http", "handler.handle", SHIMS["python3"]),
        "node": ("event", "echo.handle", SHIMS["node"]),
        "node, async": ("event", "echo_async.handle", SHIMS["node"]),
        "node, function URL": ("http", "handler.handle", SHIMS["node"]),
    }


def measure(folder, kind, handler, command, depth, count):
    environment = {"PATH": "/usr/bin:/bin", "MAGPIE_HANDLER": handler}
    line = subprocess.run(
        [build_dir() / "tests/bench/shim_client", kind, str(depth), str(count), *command],
        check=True, stdout=subprocess.PIPE, cwd=folder, env=environment).stdout
    return json.loads(line)


def main():
    parser = argparse.ArgumentParser(prog="./dev bench shim_rate", description=__doc__)
    parser.add_argument("--count", type=int, default=50_000, help="answers a run")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--depth", type=int, nargs="*", default=[8, 32], help="pushed ahead")
    parser.add_argument("--only", nargs="*", help="names that begin so")
    settings = parser.parse_args()

    with scratch() as folder:
        sides = {}
        for name, (kind, handler, command) in commands(folder).items():
            if settings.only and not name.startswith(tuple(settings.only)):
                continue
            for depth in settings.depth:
                sides[name, depth] = functools.partial(
                    measure, folder, kind, handler, command, depth, settings.count)
        measured = alternate(sides, settings.rounds)
    table(f"One worker, answering {BODY}", ["", "ahead", "answers/s", "worker CPU us"],
          [[name, depth, f"{median(results, 'rate'):.0f}", f"{median(results, 'cpu_us'):.2f}"]
           for (name, depth), results in measured.items()])
    keep("shim_rate", [{"shim": name, "ahead": depth, "rounds": results}
                   for (name, depth), results in measured.items()])


if __name__ == "__main__":
    main()
