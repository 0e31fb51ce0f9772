"""Servers that tests of the http contract ask, and how they ask."""

# An echo that is as plain as Python's own server makes it. What it is asked for is in the path.
ECHO = """
import http.server, json, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        if self.headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.answer(body)
    do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_HEAD = do_GET
    def answer(self, body):
        text = body if self.path == "/body" else json.dumps({
            "method": self.command, "path": self.path, "body": body.decode("latin-1"),
            "headers": [[k.lower(), v] for k, v in self.headers.items()],
            "peer": self.client_address[1]}).encode()
        self.send_response(200 if self.path != "/teapot" else 418)
        self.send_header("Content-Length", str(len(text)))
        self.send_header("X-Twice", "a")
        self.send_header("X-Twice", "b")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)
    def log_message(self, form, *values):
        print(form % values, flush=True)
http.server.ThreadingHTTPServer.request_queue_size = 1024
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""

# Says, byte for byte, what the request's path names; $PORT is where.
RAW = """
import os, socket, threading, time
gate = threading.Semaphore(0)  # a request to /go lets one that waits go on
listener = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
def head(connection):
    text = b""
    while b"\\r\\n\\r\\n" not in text:
        piece = connection.recv(65536)
        if not piece:
            return None
        text += piece
    return text
def serve(connection, number):
    while (text := head(connection)) is not None:
        path = text.split(b" ")[1].decode()
        if path == "/go":
            gate.release()
            connection.sendall(b"HTTP/1.1 204 No Content\\r\\n\\r\\n")
        elif handle(connection, path, number, text):
            break
    connection.close()
def loop():
    number = 0
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection, number)).start()
        number += 1
"""


def url(method="GET", path="/", query="", headers=()):
    return {"http": (method, path, query, list(headers))}
