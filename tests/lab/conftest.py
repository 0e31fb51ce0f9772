"""A target whose answers are known, and the lab pointed at it."""
import contextlib
import http.client
import json
import os
import pathlib
import signal
import ssl
import subprocess
import sys

import pytest
from server import SANITIZER_REPORT, build_dir

TARGET = pathlib.Path(__file__).resolve().parent / "target.py"


class Target:
    def __init__(self, *tls, descriptors=None):
        self.is_tls = bool(tls)
        within = ["prlimit", f"--nofile={descriptors}"] if descriptors else []
        self.process = subprocess.Popen([*within, sys.executable, TARGET, *map(str, tls)], text=True,
                                        stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL if descriptors else None)
        self.port = int(self.process.stdout.readline())
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"

    def ask(self, path):
        if self.is_tls:
            connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=30,
                                                     context=ssl._create_unverified_context())
        else:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request("GET", path)
            return connection.getresponse().read()

    def counts(self):
        return json.loads(self.ask("/_counts"))

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Lab:
    """Runs `magpie bench`; what it prints is JSON."""

    def __init__(self, folder):
        self.folder = folder
        self.program = build_dir() / "magpie"

    def start(self, *arguments, **options):
        return subprocess.Popen([self.program, "bench", *map(str, arguments)], text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, cwd=self.folder, **options)

    def end(self, process):
        process.stdout_text, process.stderr_text = process.communicate(timeout=120)
        report = SANITIZER_REPORT.search(process.stderr_text)
        assert not report, process.stderr_text
        return process

    def raw(self, *arguments, **options):
        return self.end(self.start(*arguments, **options))

    def run(self, *arguments, **environment):
        """The report of a run that must go well."""
        ended = self.raw(*arguments, "-o", "json", env={**os.environ, **environment})
        assert ended.returncode == 0, ended.stderr_text
        return json.loads(ended.stdout_text)


@pytest.fixture
def target():
    made = Target()
    yield made
    made.stop()


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=target",
                    "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost",
                    "-keyout", folder / "key", "-out", folder / "certificate"],
                   check=True, capture_output=True)
    return folder / "certificate", folder / "key"


@pytest.fixture
def tls_target(certificate):
    made = Target(*certificate)
    yield made
    made.stop()


@contextlib.contextmanager
def stopped(process):
    """SIGSTOP for as long as the block runs."""
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)
