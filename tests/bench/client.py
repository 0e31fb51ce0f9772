"""A raw HTTP/1.1 client for measuring: one request's first byte, or hundreds of clients at once.

Only what the benchmarks need: keep-alive connections, answers with a Content-Length.
"""
import re
import selectors
import socket
import time

STATUS = re.compile(rb"HTTP/1\.1 (\d{3})")
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
START = re.compile(rb"\r\nmagpie-start: *(\w+)", re.IGNORECASE)
TIMING = re.compile(rb"(wait|init|run);dur=([0-9.]+)")


def post(path, port, body, token=None):
    """The bytes of one request."""
    body = body.encode()
    lines = [f"POST {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Content-Type: application/json",
             f"Content-Length: {len(body)}"]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Connection:
    """One keep-alive connection with at most one request under way."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = b""
        self.sent_ns = self.first_ns = self.done_ns = 0

    def send(self, request):
        self.received = b""
        self.first_ns = 0
        self.sent_ns = time.perf_counter_ns()
        self.socket.sendall(request)

    def receive(self):
        """One recv. True when the answer is complete."""
        part = self.socket.recv(65536)
        now_ns = time.perf_counter_ns()
        if not part:
            raise ConnectionError("the connection ended inside an answer")
        self.first_ns = self.first_ns or now_ns
        self.received += part
        self.done_ns = now_ns
        head, separator, body = self.received.partition(b"\r\n\r\n")
        return bool(separator) and len(body) >= int(LENGTH.search(head + b"\r\n").group(1))

    def answer(self):
        """Of a complete answer: status, how it started, milliseconds."""
        head = self.received.partition(b"\r\n\r\n")[0]
        start = START.search(head)
        result = {"status": int(STATUS.match(head).group(1)),
                  "start": start.group(1).decode() if start else "",
                  "first_ms": (self.first_ns - self.sent_ns) / 1e6,
                  "total_ms": (self.done_ns - self.sent_ns) / 1e6}
        for name, value in TIMING.findall(head):
            result[name.decode() + "_ms"] = float(value)
        return result

    def ask(self, request):
        self.send(request)
        while not self.receive():
            pass
        return self.answer()

    def close(self):
        self.socket.close()


def many(port, request, clients, each):
    """`clients` connections, opened beforehand; each sends `each` requests, one after another.
    Returns (answers, failures as sentences, seconds)."""
    answers, failures = [], []
    selector = selectors.DefaultSelector()
    left = {}
    for _ in range(clients):
        connection = Connection(port)
        selector.register(connection.socket, selectors.EVENT_READ, connection)
        left[connection] = each
    started = time.perf_counter()
    for connection in left:
        connection.send(request)
    while left:
        ready = selector.select(timeout=60)
        if not ready:
            failures += [f"no answer within 60 s: {count} requests" for count in left.values()]
            break
        for key, _ in ready:
            connection = key.data
            try:
                if not connection.receive():
                    continue
                answers.append(connection.answer())
                left[connection] -= 1
                if left[connection] > 0:
                    connection.send(request)
                    continue
            except OSError as error:
                failures.append(str(error))
            selector.unregister(connection.socket)
            connection.close()
            del left[connection]
    seconds = time.perf_counter() - started
    failures += [f"status {answer['status']}" for answer in answers
                 if not 200 <= answer["status"] < 300]
    for connection in left:
        connection.close()
    selector.close()
    return answers, failures, seconds
