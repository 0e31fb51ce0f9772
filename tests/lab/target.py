"""A server whose answers are known exactly: what it does is in the path. Prints its port, and tells
by /_counts what it has seen. `target.py [CERTIFICATE KEY]`: over TLS with these.

It speaks as much HTTP as a load generator must be able to bear, and where the path says so, less.
"""
import asyncio
import json
import random
import socket
import ssl
import struct
import sys
import time

PERIOD = 0.05  # seconds, of the peaks that are kept


class Counts:
    def __init__(self):
        self.clear()

    def clear(self):
        self.paths, self.methods, self.heads = {}, {}, []
        self.ports = []  # that connections came from, up to some
        self.connections = self.body_bytes = 0
        self.peaks = []  # the most requests under way at once, by periods
        self.times = []  # of requests, up to some
        self.began = time.monotonic()

    def begin(self, method, path, head, body, under_way):
        self.paths[path] = self.paths.get(path, 0) + 1
        self.methods[method] = self.methods.get(method, 0) + 1
        self.body_bytes += len(body)
        now = time.monotonic() - self.began
        if len(self.heads) < 5:
            self.heads.append(head.decode("latin-1"))
        if len(self.times) < 5000:
            self.times.append(now)
        self.peaks += [0] * (int(now / PERIOD) + 1 - len(self.peaks))
        self.peaks[-1] = max(self.peaks[-1], under_way)


counts = Counts()
open_count = under_way = turn = crowded_until = 0
one_at_a_time = asyncio.Lock()


def answer(status=200, body=b"ok", *headers):
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def read_request(reader):
    head = await reader.readuntil(b"\r\n\r\n")
    method, path, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
    length = 0
    for line in head.decode("latin-1").split("\r\n")[1:]:
        name, _, value = line.partition(":")
        if name.lower() == "content-length":
            length = int(value)
    return method, path, head, await reader.readexactly(length)


def abort(writer):
    """Ends the connection by RST."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                               struct.pack("ii", 1, 0))
    writer.transport.abort()


def is_crowded(limit):
    """Or was, a moment ago: who comes again after a time-out was not away."""
    global crowded_until
    if open_count > limit:
        crowded_until = time.monotonic() + 0.3
    return time.monotonic() < crowded_until


async def leave_waiting(reader, is_refused):
    while is_refused():
        if reader.at_eof():
            raise ConnectionError
        await asyncio.sleep(0.01)


async def respond(reader, writer, method, path, rank):
    """True: the connection goes on."""
    global turn
    what, _, rest = path.partition("?")[0].lstrip("/").partition("/")
    if what == "_counts":
        told = {name: value for name, value in vars(counts).items() if name != "began"}
        writer.write(answer(200, json.dumps(told).encode()))
    elif what == "_clear":
        counts.clear()
        writer.write(answer())
    elif what == "status":
        writer.write(answer(int(rest)))
    elif what == "chunked":
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        await writer.drain()
        writer.write(b"3\r\nyou\r\n0\r\n\r\n")
    elif what == "large":
        writer.write(answer(200, b"x" * int(rest)))
    elif what == "until-close":
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nall there is")
        return False
    elif what == "polite-close":
        writer.write(answer(200, b"ok", "Connection: close"))
        return False
    elif what == "short":
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")
        return False
    elif what == "empty":
        return False
    elif what == "reset":
        abort(writer)
        return False
    elif what == "garbage":
        writer.write(b"hello, who are you?\r\n\r\n")
        return False
    elif what == "extra":
        writer.write(answer() + b"and more")
    elif what == "silent":
        await asyncio.sleep(3600)
    elif what == "first":  # only so many connections get answers
        await leave_waiting(reader, lambda: rank > int(rest))
        writer.write(answer())
    elif what == "up-to":  # nobody gets an answer while there are more connections
        await leave_waiting(reader, lambda: is_crowded(int(rest)))
        await asyncio.sleep(0.05)  # beside which it does not count how quick the machine is
        writer.write(answer())
    elif what == "queue":  # one at a time, each so many milliseconds
        async with one_at_a_time:
            await asyncio.sleep(int(rest) / 1000)
        writer.write(answer())
    elif what == "delay":  # so many milliseconds, or any number from one to another
        least, _, most = rest.partition("-")
        await asyncio.sleep(random.uniform(int(least), int(most or least)) / 1000)
        writer.write(answer())
    elif what == "dribble":
        for byte in answer(200, b"ok", "X-Long: " + "y" * 50):
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)
    elif what == "continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n" + answer(201))
    elif what == "every":
        turn += 1
        writer.write(answer(503 if turn % int(rest) == 0 else 200))
    elif what == "limit":
        writer.write(answer(503 if open_count > int(rest) else 200))
    elif what == "ok":
        writer.write(answer(200, b"" if method == "HEAD" else b"ok"))
    else:
        writer.write(answer(404))
    return True


async def serve(reader, writer):
    global open_count, under_way
    open_count += 1
    rank = open_count
    counts.connections += 1
    if len(counts.ports) < 1000:
        counts.ports.append(writer.get_extra_info("peername")[1])
    try:
        goes_on = True
        while goes_on:
            method, path, head, body = await read_request(reader)
            under_way += 1
            try:
                if not path.startswith("/_"):
                    counts.begin(method, path, head, body, under_way)
                goes_on = await respond(reader, writer, method, path, rank)
                await writer.drain()
            finally:
                under_way -= 1
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        open_count -= 1
        writer.close()


async def main():
    tls = None
    if len(sys.argv) > 1:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(sys.argv[1], sys.argv[2])
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1024, ssl=tls)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
