"""What the command line says to a node's errors: the node here says what the test wants."""
import http.server
import json
import threading

import pytest


class Node(http.server.BaseHTTPRequestHandler):
    status, body, headers_sent = 500, {}, {}

    def answer(self):
        length = int(self.headers.get("Content-Length", 0))
        self.rfile.read(length)
        body = json.dumps(self.body).encode()
        self.send_response(self.status)
        for name, value in {"Content-Type": "application/problem+json",
                            "Content-Length": str(len(body)), **self.headers_sent}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_DELETE = answer

    def log_message(self, *_):
        pass


@pytest.fixture
def told(cli):
    """Runs a command against a node that answers so."""
    class Answer(Node):
        pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        cli.environment["MAGPIE_URL"] = f"http://127.0.0.1:{server.server_port}"

        def run(*arguments, status, headers=None, **problem):
            Answer.status, Answer.headers_sent = status, headers or {}
            Answer.body = {"title": "No", "status": status, "detail": "It is so.", **problem}
            return cli.run(*arguments)
        yield run
        server.shutdown()


@pytest.mark.parametrize("status, reason, ended, hint", [
    (403, "not_permitted", 4, None), (403, "image.registry", 4, "serve --registries"),
    (409, "in_use", 1, None), (409, "conflict", 1, None),
    (413, "payload.too_large", 1, "send less"),
    (429, "throttled", 1, "too many calls"), (429, "image.pulls", 1, "your pulls"),
    (503, "overloaded", 1, "busy"), (503, "draining", 1, "stopping"),
    (503, "platform.error", 1, None), (503, "", 1, None),
])
def test_a_hint_fits_the_reason_or_there_is_none(told, status, reason, ended, hint):
    answered = told("layer", "rm", "tools:1", status=status, reason=reason)
    error, *hints = answered.stderr.splitlines()
    assert answered.returncode == ended and "It is so." in error
    assert len(hints) == (1 if hint else 0) and (not hint or hint in hints[0]), answered


OURS = {"Magpie-Start": "warm", "Magpie-Invocation-Id": "01M7Y2D5CEWDYRMNTDGGQPWYPC"}


@pytest.mark.parametrize("headers, problem, is_platforms", [
    ({}, {"reason": "overloaded"}, True),
    (OURS, {"reason": "function.exited", "invocationId": OURS["Magpie-Invocation-Id"]}, True),
    (OURS, {"reason": "function.exited", "invocationId": "01M7Y2D5CEWDYRMNTDGGQPWYPD"}, False),
    (OURS, {"reason": "function.exited"}, False),
    (OURS, {"invocationId": OURS["Magpie-Invocation-Id"]}, False),
])
def test_a_problem_is_the_nodes_where_it_names_this_very_call(told, headers, problem, is_platforms):
    answered = told("invoke", "f", status=502, headers=headers, **problem)
    assert ("It is so." in answered.stderr) == is_platforms
    assert ("the function answered with status 502" in answered.stderr) != is_platforms
    assert (answered.stdout == "") == is_platforms
