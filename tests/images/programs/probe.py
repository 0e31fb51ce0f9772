"""A server that tells what it finds. It listens on port 80, whatever anybody says; the rest of its
behaviour is what PROBE in its environment says."""
import http.server
import json
import os
import signal
import socketserver
import sys
import time

STDIN = os.read(0, 1)


def text_of(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return None


def outcome(step):
    """What a step fails with, or ""."""
    try:
        step()
        return ""
    except OSError as error:
        return error.strerror


def kind_of(path):
    """How `ls -l` begins its line; None where there is nothing."""
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return None
    return {0o020000: "c", 0o120000: "l", 0o040000: "d", 0o100000: "-"}[mode & 0o170000]


def write_to(path):
    with open(path, "w", encoding="ascii") as file:
        file.write("x")


def facts():
    tmp = os.statvfs("/tmp")
    return {
        "env": dict(os.environ), "uid": os.getuid(), "gid": os.getgid(), "groups": os.getgroups(),
        "pid": os.getpid(), "cwd": os.getcwd(), "words": sys.argv[1:], "stdin": STDIN.decode(),
        "terminals": [fd for fd in (0, 1, 2) if os.isatty(fd)],
        "kinds": {path: kind_of(path) for path in (
            "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty",
            "/dev/console", "/dev/ptmx", "/dev/fd", "/dev/stdin", "/dev/stdout", "/dev/stderr",
            "/dev/shm", "/dev/pts", "/dev/mqueue", "/dev/log", "/proc/self/status", "/proc/sys",
            "/proc/kcore", "/sys/fs", "/sys/fs/cgroup/memory.max", "/var/log")},
        "links": {path: os.readlink(path) for path in (
            "/dev/fd", "/dev/stdin", "/dev/stdout", "/dev/stderr")},
        "writing": {path: outcome(lambda path=path: write_to(path)) for path in (
            "/dev/null", "/dev/full", "/tmp/x", "/dev/shm/y", "/x", "/etc/x")},
        "zeros": open("/dev/zero", "rb").read(3).hex(),
        "chance": len(set(open("/dev/urandom", "rb").read(4096))),
        "tmp": {"bytes": tmp.f_blocks * tmp.f_frsize},
        "mounts": {line.split()[4]: line for line in
                   text_of("/proc/self/mountinfo").splitlines()},
        "status": dict(line.split(":\t", 1) for line in
                       text_of("/proc/self/status").splitlines() if ":\t" in line),
        "files": {path: text_of(path) for path in (
            "/etc/hosts", "/etc/hostname", "/etc/resolv.conf")},
        "hostname": os.uname().nodename,
    }


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/exit":
            print("about to exit", flush=True)
            os._exit(3)
        if self.path.startswith("/work/"):
            time.sleep(float(self.path[6:]))
        answer = {"path": self.path, "version": self.request_version,
                  "headers": [[name, value] for name, value in self.headers.items()]}
        if self.path == "/facts":
            answer |= facts()
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        print("to stdout", flush=True)
        print("to stderr", file=sys.stderr, flush=True)


def stop(number, _):
    print("asked by", signal.Signals(number).name, flush=True)
    if os.environ.get("PROBE") != "stubborn":
        sys.exit(0)


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True


signal.signal(signal.SIGTERM, stop)
if os.environ.get("PROBE") == "slow":
    time.sleep(0.5)
if os.environ.get("PROBE") == "broken":
    sys.exit("there is no backend")
Server(("0.0.0.0", 80), Handler).serve_forever()
