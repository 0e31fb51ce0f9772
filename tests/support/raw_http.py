"""HTTP/1.1 by hand, for tests of what a well-behaved client library would never send or show."""
import select
import socket
import time

PATIENCE = 20  # seconds until a silent server fails a test; nothing waits that long on purpose


class RawAnswer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers  # names in lower case; the last one counts
        self.body = body

    def __repr__(self):
        return f"<RawAnswer {self.status} {self.body[:200]!r}>"


class RawConnection:
    def __init__(self, port, receive_buffer=None, timeout=PATIENCE):
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        self.socket.connect(("127.0.0.1", port))
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data.encode() if isinstance(data, str) else data)
        return self

    def _fill(self):
        piece = self.socket.recv(65536)
        if not piece:
            raise EOFError(f"the server closed after {self.buffer[:500]!r}")
        self.buffer += piece

    def read_until(self, mark):
        while mark not in self.buffer:
            self._fill()
        found, self.buffer = self.buffer.split(mark, 1)
        return found

    def read_bytes(self, count):
        while len(self.buffer) < count:
            self._fill()
        found, self.buffer = self.buffer[:count], self.buffer[count:]
        return found

    def read_head(self):
        """Status and headers alone."""
        first, *lines = self.read_until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        version, status, _ = first.split(" ", 2)
        assert version == "HTTP/1.1", first
        return int(status), {name.lower(): value.strip() for name, _, value in
                             (line.partition(":") for line in lines)}

    def read_chunk(self):
        """One chunk of a chunked body; b"" is the last."""
        size = int(self.read_until(b"\r\n"), 16)
        data = self.read_bytes(size)
        assert self.read_bytes(2) == b"\r\n"
        return data

    def read_body(self, headers):
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while chunk := self.read_chunk():
                body += chunk
            return body
        if "content-length" in headers:
            return self.read_bytes(int(headers["content-length"]))
        return self.read_rest()

    def read_rest(self):
        try:
            while True:
                self._fill()
        except EOFError:
            found, self.buffer = self.buffer, b""
            return found

    def read_answer(self, head_only=False):
        status, headers = self.read_head()
        without = head_only or status in (204, 304) or status < 200
        return RawAnswer(status, headers, b"" if without else self.read_body(headers))

    def is_closed(self):
        """Awaits the server's end of the connection; what comes before it is an error."""
        try:
            return self.buffer == b"" and self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def is_silent(self, seconds):
        """True when nothing comes for that long: for what must not happen."""
        return not self.buffer and not select.select([self.socket], [], [], seconds)[0]


def request(method, path, body=b"", token=None, headers=()):
    """The bytes of a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *headers]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def eventually(condition, what, seconds=PATIENCE):
    """For what offers no event: asks again until it is true, and says what did not come true."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"not after {seconds} s: {what}"
        time.sleep(0.005)
