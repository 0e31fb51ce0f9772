"""The end of an image's instance: its program is asked first, by the signal that the image names, and
has a while to finish."""
import json
import pathlib
import re

import pytest
from image_registry import ImageServer
from people import Person
from raw_http import eventually

SERVER = """
import http.server, os, signal, sys
signals = [getattr(signal, name) for name in os.environ['SIGNALS'].split()]

def stop(number, frame):
    print('asked by', signal.Signals(number).name, flush=True)
    if os.environ.get('STUBBORN'):
        return
    sys.stdout.write('flushed at the end')
    sys.exit(0)

for number in signals:
    signal.signal(number, stop)
names = [key for key in os.environ if 'SIGNAL' in key]

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def do_GET(self):
        body = ' '.join(names).encode()
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

http.server.HTTPServer(('127.0.0.1', int(os.environ['PORT'])), Handler).serve_forever()
"""


@pytest.fixture(scope="module")
def server():
    """A machine that is busy with other things keeps nobody from finishing."""
    with ImageServer("--stop-grace", "1m") as node:
        yield node


@pytest.fixture
def stopping(registry, python_layer, image_of, deployed, person, request):
    """A function of an image with these settings; its instances end when they are idle."""
    def stopping(config=None, fields=None, person=person):
        image = image_of(python_layer, {"server.py": SERVER}, **{
            "Cmd": ["python3", "/server.py"], "ExposedPorts": {"8080/tcp": {}}, **(config or {})})
        name = re.sub("[^a-z0-9]+", "-", request.node.name.lower())[-40:].strip("-")
        reference = registry.push("stop/server", image.digest[-12:], image)
        return deployed(person, reference, **{"name": name, "keepAlive": "50ms", "max": 1,
                                            **(fields or {})})
    return stopping


def log_of(person, function):
    lines = person.request("GET", f"/api/v1/functions/{function['name']}/logs").body.splitlines()
    return [json.loads(line)["text"] for line in lines]


def processes(word):
    """Whose command line has this word."""
    return [path for path in pathlib.Path("/proc").glob("[0-9]*/cmdline")
            if word in read(path).split("\0")]


def read(path):
    try:
        return path.read_text()
    except OSError:  # it has just ended
        return ""


def call_and_wait(person, function, last="flushed at the end", times=1):
    """The log, when the instance that answers has said so."""
    answer = person.request("GET", f"/f/{function['functionId']}/")
    assert answer.status == 200, answer
    eventually(lambda: log_of(person, function).count(last) >= times, f"it says '{last}'")
    return log_of(person, function)


@pytest.mark.parametrize("config, name", [
    ({}, "SIGTERM"), ({"StopSignal": "SIGINT"}, "SIGINT"), ({"StopSignal": "QUIT"}, "SIGQUIT"),
    ({"StopSignal": "10"}, "SIGUSR1"), ({"StopSignal": "SIGRTMIN"}, "SIGRTMIN")])
def test_the_program_is_asked_by_the_images_signal_and_may_finish(stopping, person, config, name):
    env = ["SIGNALS=SIGTERM SIGINT SIGQUIT SIGUSR1 SIGRTMIN"]
    lines = call_and_wait(person, stopping({"Env": env, **config}))
    assert f"asked by {name}" in lines
    assert len([line for line in lines if line.startswith("asked")]) == 1


def test_an_instance_that_is_frozen_hears_it_too(stopping, person):
    call_and_wait(person, stopping({"Env": ["SIGNALS=SIGTERM"]}, {"keepAlive": "400ms"}))


def test_an_instance_of_one_call_and_one_of_several_at_once_are_asked(stopping, person):
    function = stopping({"Env": ["SIGNALS=SIGTERM"]}, {"keepAlive": "0s"})
    call_and_wait(person, function)
    path = f"/api/v1/functions/{function['name']}"
    answer = person.request("PATCH", path, {"concurrency": 3, "keepAlive": "50ms"})
    assert answer.status == 200, answer
    call_and_wait(person, function, times=2)


def test_the_program_does_not_see_how_it_is_asked(stopping, person, ask):
    function = stopping({"Env": ["SIGNALS=SIGUSR1"], "StopSignal": "SIGUSR1"})
    assert ask(function).body == b"SIGNALS"


def test_who_does_not_end_is_ended(stopping):
    with ImageServer("--stop-grace", "300ms") as node:
        person = Person(node)
        function = stopping({"Env": ["SIGNALS=SIGTERM", "STUBBORN=1"],
                             "Cmd": ["python3", "/server.py", "who-does-not-end"]}, person=person)
        lines = call_and_wait(person, function, last="asked by SIGTERM")
        eventually(lambda: processes("who-does-not-end") == [], "it has ended")
        assert lines.count("asked by SIGTERM") == 1
        assert "flushed at the end" not in log_of(person, function)


def test_an_old_version_and_a_server_that_ends_ask_too(stopping, registry):
    with ImageServer() as node:
        person = Person(node)
        function = stopping({"Env": ["SIGNALS=SIGTERM"]}, {"keepAlive": "1h"}, person)
        assert person.request("GET", f"/f/{function['functionId']}/").status == 200
        answer = person.request("PATCH", f"/api/v1/functions/{function['name']}",
                                {"timeout": "20s"})
        assert answer.status == 200, answer
        eventually(lambda: "flushed at the end" in log_of(person, function), "the old one was asked")
        assert person.request("GET", f"/f/{function['functionId']}/").status == 200
        node.stop()
        node.start()
        assert log_of(person, function).count("asked by SIGTERM") == 2


@pytest.mark.parametrize("signal", ["SIGNONE", "0", "99", "TERM ", "SIGSIGTERM", "RTMIN+64"])
def test_what_is_no_signal_is_refused(registry, hello, person, signal):
    reference = registry.push("stop/none", "t", hello(config={
        "Entrypoint": ["/hello"], "StopSignal": signal}))
    answer = person.request("POST", "/api/v1/functions", {"image": reference})
    assert answer.status == 400 and "StopSignal" in answer.json()["detail"], answer
