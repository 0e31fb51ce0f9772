"""Servers that know nothing of magpie, in images as they are: Google's functions-framework for Node,
a plain server of Node's, and Python's own."""
import http.client
import json

import pytest
from conftest import ROOT
from image_layers import add_folder
from image_registry import ImageServer
from oci import Image, Layer
from people import Person

FRAMEWORK = ROOT / "build/functions-framework/node_modules"

FUNCTIONS = """
const { EventEmitter, once } = require('events');
const functions = require('@google-cloud/functions-framework');
const signals = new EventEmitter();
const routes = {
  '/json': (request, response) => response.json({
    method: request.method, query: request.query, body: request.body, raw: String(request.rawBody),
    path: request.path }),
  '/headers': (request, response) => response.set('x-seen', request.get('x-mine'))
    .append('set-cookie', 'a=1').append('set-cookie', 'b=2').status(202).json(request.headers),
  '/stream': async (request, response) => {
    response.type('text/plain').write('first\\n');
    await once(signals, 'go');
    response.end('last\\n');
  },
  '/go': (request, response) => response.send(String(signals.emit('go'))),
  '/missing': (request, response) => response.status(404).send('not here'),
  '/throw': () => { throw new RangeError('thrown'); },
  '/log': (request, response) => { console.log('a line of output'); response.end(); },
};
functions.http('answer', (request, response) => routes[request.path](request, response));
functions.cloudEvent('event', (event) => console.log('event', event.type, JSON.stringify(event.data)));
"""

NODE_SERVER = """
const http = require('http');
http.createServer((request, response) => {
  if (request.url === '/echo') { response.writeHead(200, request.headers); return request.pipe(response); }
  if (request.url === '/destroy') return response.destroy();
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify({ method: request.method, url: request.url, pid: process.pid }));
}).listen(process.env.PORT);
"""


@pytest.fixture(scope="module")
def framework(registry, node_layer):
    """An image of functions that the framework serves, as its documentation has it."""
    if not FRAMEWORK.exists():
        pytest.skip("functions-framework could not be fetched: tools/functions_framework")
    modules = add_folder(Layer(""), FRAMEWORK, "app/node_modules")
    code = Layer().file("app/index.js", FUNCTIONS)
    main = "node_modules/@google-cloud/functions-framework/build/src/main.js"

    def framework(name, *words):
        image = Image([node_layer, modules, code], {
            "Entrypoint": ["node", main], "Cmd": list(words), "WorkingDir": "/app",
            "ExposedPorts": {"8080/tcp": {}}})
        return registry.push("servers/framework", name, image)
    return framework


@pytest.fixture(scope="module")
def answer(framework, person, deployed):
    return deployed(person, framework("answer", "--target=answer"), name="answer", concurrency=4)


def test_the_framework_is_known_for_a_server(answer):
    assert (answer["contract"], answer["port"]) == ("http", 8080)


def test_a_function_of_the_framework_answers_json(answer, ask):
    seen = ask(answer, "/json?a=1&a=2", json.dumps({"n": [1, "ü"]}), "POST",
               {"Content-Type": "application/json"})
    assert seen.status == 200 and seen.headers["Content-Type"].startswith("application/json")
    assert seen.json() == {"method": "POST", "query": {"a": ["1", "2"]}, "body": {"n": [1, "ü"]},
                           "raw": json.dumps({"n": [1, "ü"]}), "path": "/json"}


def test_headers_pass_both_ways(answer, ask, person):
    seen = ask(answer, "/headers", headers={"X-Mine": "yes", "Traceparent": "00-1-2-01"})
    assert seen.status == 202 and seen.headers["X-Seen"] == "yes"
    assert seen.headers.get_all("Set-Cookie") == ["a=1", "b=2"]
    assert seen.json()["traceparent"] == "00-1-2-01"
    assert seen.json()["host"] == f"127.0.0.1:{person.server.port}"


def test_a_body_is_streamed_while_the_function_still_runs(answer, ask, person):
    connection = http.client.HTTPConnection("127.0.0.1", person.server.port, timeout=30)
    connection.request("GET", f"/f/{answer['functionId']}/stream",
                       headers={"Authorization": "Bearer " + person.token})
    response = connection.getresponse()
    assert response.status == 200 and response.readline() == b"first\n"
    assert ask(answer, "/go").body == b"true"  # the same instance, and the function waits for it
    assert response.read() == b"last\n"
    connection.close()


def test_errors_are_the_frameworks_own(answer, ask):
    seen = ask(answer, "/missing")
    assert (seen.status, seen.body) == (404, b"not here")
    seen = ask(answer, "/throw")
    assert seen.status == 500 and seen.headers["Magpie-Start"] != "cold", seen
    assert ask(answer, "/json").status == 200  # it goes on


def test_what_the_function_prints_is_its_log(answer, ask, person):
    assert ask(answer, "/log").status == 200
    lines = person.request("GET", "/api/v1/functions/answer/logs").body.decode()
    assert "a line of output" in lines and "RangeError: thrown" in lines


def test_an_event_is_delivered_by_its_headers(framework, person, deployed, ask):
    function = deployed(person, framework("event", "--target=event",
                                          "--signature-type=cloudevent"), name="event")
    seen = ask(function, "/", json.dumps({"a": 1}), "POST", {
        "Content-Type": "application/json", "Ce-Id": "1", "Ce-Source": "tests", "Ce-Type": "t.made",
        "Ce-Specversion": "1.0"})
    assert seen.status == 204, seen
    assert 'event t.made {\\"a\\":1}' in person.request(
        "GET", "/api/v1/functions/event/logs").body.decode()


def test_a_target_that_is_not_there_is_refused_with_the_frameworks_words(framework, person):
    reference = framework("absent", "--target=absent")
    seen = person.request("POST", "/api/v1/functions", {"image": reference, "name": "absent"})
    assert seen.status == 400 and seen.json()["reason"] == "function.refused", seen
    assert "absent" in seen.json()["detail"]


@pytest.fixture(scope="module")
def plain_node(registry, node_layer, image_of, person, deployed):
    image = image_of(node_layer, {"srv/server.js": NODE_SERVER}, Cmd=["node", "server.js"],
                     WorkingDir="/srv", Env=["PORT=3000"])
    return deployed(person, registry.push("servers/node", "1", image), name="plain-node")


def test_a_plain_node_server_answers_in_one_process(plain_node, ask):
    first, second = ask(plain_node, "/a?b"), ask(plain_node, "/c", method="DELETE")
    assert (first.json()["method"], first.json()["url"]) == ("GET", "/a?b")
    assert (second.json()["method"], second.json()["url"]) == ("DELETE", "/c")
    assert first.json()["pid"] == second.json()["pid"] and plain_node["port"] == 3000


@pytest.mark.parametrize("size", [0, 1, 100_000, 5_000_000])
def test_a_plain_node_server_streams_bodies_of_any_size(plain_node, ask, size):
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    seen = ask(plain_node, "/echo", body, "POST", {"Content-Type": "image/png"})
    assert seen.status == 200 and seen.body == body
    assert seen.headers["Content-Type"] == "image/png"


def test_a_connection_that_the_server_drops_is_a_clean_error(plain_node, ask):
    seen = ask(plain_node, "/destroy")
    assert seen.status == 502 and seen.json()["reason"] == "function.error", seen
    assert ask(plain_node, "/").status == 200


@pytest.fixture(scope="module")
def plain_python(registry, python_layer, image_of, person, deployed):
    image = image_of(python_layer, {"www/index.html": "<p>hello</p>", "www/a/b.txt": "b" * 70_000},
                     Cmd=["python3", "-u", "-m", "http.server", "8000"], WorkingDir="/www",
                     ExposedPorts={"8000/tcp": {}})
    return deployed(person, registry.push("servers/python", "1", image), name="plain-python")


def test_python_serves_a_folder(plain_python, ask, person):
    seen = ask(plain_python, "/")
    assert (seen.status, seen.body) == (200, b"<p>hello</p>")
    assert seen.headers["Content-Type"] == "text/html" and "Last-Modified" in seen.headers
    assert ask(plain_python, "/a/b.txt").body == b"b" * 70_000
    assert b'<a href="b.txt">' in ask(plain_python, "/a/").body
    assert ask(plain_python, "/a").headers["Location"] == "/a/"
    assert ask(plain_python, "/none").status == 404
    head = ask(plain_python, "/a/b.txt", method="HEAD")
    assert head.headers["Content-Length"] == "70000" and head.body == b""
    assert ask(plain_python, "/", b"x", "POST").status == 501
    assert '\\"GET /a/b.txt HTTP/1.1\\" 200' in person.request(
        "GET", "/api/v1/functions/plain-python/logs").body.decode()


def test_python_serves_only_what_has_changed(plain_python, ask):
    changed = ask(plain_python, "/").headers["Last-Modified"]
    assert ask(plain_python, "/", headers={"If-Modified-Since": changed}).status == 304


@pytest.mark.parametrize("contract, awaited", [
    ("http", "nothing listens on the port that the variable PORT names"),
    ("lambda", "its program has not asked for an invocation")])
def test_what_a_server_that_is_not_loaded_was_waited_for_is_said(python_layer, image_of, registry,
                                                                 contract, awaited):
    image = image_of(python_layer, {"sleep.py": "import time\n\ntime.sleep(60)\n"},
                     Cmd=["python3", "/sleep.py"], ExposedPorts={"80/tcp": {}})
    with ImageServer("--boot-timeout", "1s") as node:
        answer = Person(node).request("POST", "/api/v1/functions", {
            "image": registry.push("silent", contract, image), "contract": contract})
        assert answer.status == 400 and awaited in answer.json()["detail"], answer
