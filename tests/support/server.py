"""A real node for tests and benchmarks: started, waited for, asked, stopped.

    with Server() as server:
        function = server.deploy("echo", "python3", {"main.py": b"..."}, handler="main.handle")
        answer = server.call(function, b"hello")

The programs come from the folder that MAGPIE_BUILD names (default: build). stop() ends the node the
way an operator does, by SIGTERM, and insists on what is promised for it: every request in flight
finished, exit status 0, and no sanitizer report in the log.
"""
import base64
import http.client
import io
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
SANITIZER_REPORT = re.compile(
    r"(ERROR: (Address|Leak)Sanitizer|WARNING: ThreadSanitizer|[^ ]+: runtime error: ).*")
START_SECONDS = 30
STOP_SECONDS = 60


def build_dir():
    return (ROOT / os.environ.get("MAGPIE_BUILD", "build")).resolve()


def free_port():
    """A port below the ephemeral range, so that no client's own socket can take it meanwhile."""
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def pack(files):
    """A zip of {"path": bytes or text}; an executable (ELF or #!) keeps its mode."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            content = content.encode() if isinstance(content, str) else content
            entry = zipfile.ZipInfo(name)
            entry.compress_type = zipfile.ZIP_DEFLATED
            executable = content.startswith((b"\x7fELF", b"#!"))
            entry.external_attr = (0o100755 if executable else 0o100644) << 16
            archive.writestr(entry, content)
    return packed.getvalue()


class Answer:
    """One HTTP answer: status, headers (case-insensitive), body."""

    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    def json(self):
        return json.loads(self.body)

    def timing(self):
        """Server-Timing as {"wait": ms, "init": ms, "run": ms}; of a cold start its phases, too."""
        parts = re.findall(r"(\w+);dur=([0-9.]+)", self.headers.get("Server-Timing", ""))
        return {name: float(value) for name, value in parts}

    def __repr__(self):
        return f"<Answer {self.status} {self.body[:200]!r}>"


class Server:
    """`wrapper`: the front part of the command line, for a program that executes the rest."""

    def __init__(self, *arguments, build=None, data_dir=None, environment=None, wrapper=(),
                 host="127.0.0.1"):
        self.build = pathlib.Path(build) if build else build_dir()
        self.arguments = list(arguments)
        self.wrapper = list(wrapper)
        self.environment = environment or {}
        self.host = host
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = None
        # The gateway drops its privileges: the folders above the data must let it pass.
        self.own_dir = pathlib.Path(tempfile.mkdtemp(prefix="magpie-test-"))
        self.own_dir.chmod(0o755)
        self.data_dir = pathlib.Path(data_dir) if data_dir else self.own_dir / "data"
        self.log_path = self.own_dir / "log"

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.kill()
            self.remove()
            raise

    def __exit__(self, kind, value, trace):
        try:
            if kind is None:
                self.stop()
            else:
                self.kill()
        finally:
            self.remove()

    def start(self):
        command = [*self.wrapper, self.build / "magpie", "serve", "--listen", f"{self.host}:{self.port}",
                   "--data-dir", self.data_dir, *self.arguments]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, **self.environment})
        self.wait_ready()
        return self

    def wait_ready(self, seconds=START_SECONDS):
        deadline = time.monotonic() + seconds
        while True:
            status = self.process.poll() if self.process else None
            if status is not None:
                raise AssertionError(f"the node ended with {status}:\n{self.log()}")
            try:
                if self.request("GET", "/readyz", token=None, timeout=2).status == 200:
                    return
            except (OSError, http.client.HTTPException):
                pass
            if time.monotonic() > deadline:
                raise AssertionError(f"the node is not ready after {seconds} s:\n{self.log()}")
            time.sleep(0.02)

    def stop(self):
        """SIGTERM drains; anything but a clean end is a failure."""
        if self.process is None:
            return
        process, self.process = self.process, None
        process.send_signal(signal.SIGTERM)
        try:
            status = process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"the node did not drain:\n{self.log()}") from None
        assert status == 0, f"the node ended with {status}:\n{self.log()}"
        report = SANITIZER_REPORT.search(self.log())
        assert report is None, f"{report.group(0)}\n{self.log()}"

    def kill(self):
        """kill -9 of the supervisor: what it leaves behind must end by itself."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def remove(self):
        shutil.rmtree(self.own_dir, ignore_errors=True)

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    @property
    def token(self):
        return (self.data_dir / "admin.token").read_text().strip()

    def request(self, method, path, body=None, headers=None, token="admin", timeout=60):
        """token: "admin" for the administrator's, None for nobody's, else a token."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        headers = dict(headers or {})
        if token is not None:
            headers["Authorization"] = "Bearer " + (self.token if token == "admin" else token)
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
            headers.setdefault("Content-Type", "application/json")
        try:
            connection.request(method, path, body, headers)
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def deploy(self, name, runtime, files, token="admin", **fields):
        """files: {"path": content}, or the bytes of one file or zip. Returns the function's id."""
        code = pack(files) if isinstance(files, dict) else files
        answer = self.request("POST", "/api/v1/functions", {
            "name": name, "runtime": runtime, "code": base64.b64encode(code).decode(), **fields}, token=token)
        assert answer.status == 201, answer
        return answer.json()["functionId"]

    def call(self, function, body=b"", **options):
        return self.request("POST", f"/api/v1/functions/execute/{function}", body, **options)

    def metrics(self):
        """{'name{label="value"}': number}"""
        lines = self.request("GET", "/metrics").body.decode().splitlines()
        samples = (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))
        return {name: float(value) for name, value in samples}
