"""Clients that wish a server ill, for tests and for `./dev bench hostile`: a program of its own, so that
their descriptors and their processor time are not the test's.

    with Attack("slow-head", server.port, 1000) as attack:
        ...                                   # all thousand are there and go on meanwhile
    attack.begun                              # how many requests or connections it has made

KIND:
    idle          connects and never says a word
    resting       makes one request on each connection and keeps it
    slow-head     sends a byte of a head a second
    slow-body     sends a byte of a body a second
    slow-reader   asks for PATH's answer with a small window and never reads it
    churn         a connection a request (GET PATH), RATE a second
    half-open     SYNs from addresses where nobody is; see HalfOpen below
"""
import collections
import os
import pathlib
import random
import resource
import select
import socket
import struct
import subprocess
import sys
import time

CONNECT_SECONDS = 60
HEAD = "Host: localhost\r\n"


class Attack:
    def __init__(self, kind, port, count, path="/healthz", body="", rate=0, host="127.0.0.1", within=()):
        self.command = [*within, sys.executable, __file__, kind, host, str(port), str(count), path, body,
                        str(rate)]
        self.begun = None

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)
        line = self.process.stdout.readline()
        if line != "ready\n":
            self.__exit__()
            raise AssertionError(f"the attack did not begin: {self.command}")
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        words = self.process.stdout.read().split()
        self.process.stdout.close()
        self.process.wait()
        self.begun = int(words[0]) if words else None


class Attacker:
    """What the program does; returns when nobody holds the other end of its stdin any more."""

    def __init__(self, host, port, count, path, body, rate):
        self.address, self.count, self.path, self.body, self.rate = (host, port), count, path, body, rate
        self.begun = 0
        self.sockets = []

    def connect(self, receive_buffer=0):
        client = socket.socket()
        client.settimeout(CONNECT_SECONDS)
        if receive_buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client.connect(self.address)
        self.sockets.append(client)
        self.begun += 1
        return client

    def is_over(self, seconds):
        return bool(select.select([sys.stdin], [], [], seconds)[0])

    def ready(self):
        print("ready", flush=True)

    def hold(self):
        self.ready()
        while not self.is_over(3600):
            pass

    def trickle(self, opening):
        """A byte a second on each; a connection that was ended is made anew."""
        for _ in range(self.count):
            self.connect().sendall(opening)
        self.ready()
        while not self.is_over(1):
            for number, client in enumerate(self.sockets):
                try:
                    client.setblocking(False)
                    client.send(b"x")
                    while client.recv(4096):
                        pass
                    raise ConnectionError
                except BlockingIOError:
                    pass
                except OSError:
                    client.close()
                    fresh = self.connect()
                    self.sockets.pop()
                    self.sockets[number] = fresh
                    fresh.sendall(opening)

    def idle(self):
        for _ in range(self.count):
            self.connect()
        self.hold()

    def resting(self):
        for _ in range(self.count):
            client = self.connect()
            client.sendall(f"GET {self.path} HTTP/1.1\r\n{HEAD}\r\n".encode())
            if not client.recv(65536).startswith(b"HTTP/1.1 200"):
                raise SystemExit("no answer")
        self.hold()

    def slow_head(self):
        self.trickle(f"GET {self.path} HTTP/1.1\r\n{HEAD}X: ".encode())

    def slow_body(self):
        self.trickle(f"POST {self.path} HTTP/1.1\r\n{HEAD}Content-Length: 100000\r\n\r\n".encode())

    def slow_reader(self):
        body = self.body.encode()
        for _ in range(self.count):
            self.connect(receive_buffer=4096).sendall(
                f"POST {self.path} HTTP/1.1\r\n{HEAD}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        self.hold()

    def churn(self):
        """Not more than `count` at once."""
        request = f"GET {self.path} HTTP/1.1\r\n{HEAD}Connection: close\r\n\r\n".encode()
        open_ones = collections.deque()
        self.ready()
        started = time.monotonic()
        while not self.is_over(0):
            due = (time.monotonic() - started) * self.rate
            while self.begun < due and len(open_ones) < self.count:
                client = self.connect()
                self.sockets.pop()
                client.sendall(request)
                open_ones.append(client)
            while open_ones and (len(open_ones) == self.count or
                                 select.select([open_ones[0]], [], [], 0)[0]):
                client = open_ones.popleft()
                while client.recv(65536):
                    pass
                client.close()
            time.sleep(0.001)

    def half_open(self):
        """`count` SYNs, `rate` a second, each from another address of `body` (the first three bytes)."""
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        self.ready()
        started = time.monotonic()
        while not self.is_over(0.01):
            due = min(self.count, (time.monotonic() - started) * self.rate)
            while self.begun < due:
                raw.sendto(syn(f"{self.body}.{100 + self.begun % 100}", self.address), self.address)
                self.begun += 1


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xffff) + (total >> 16)
    return ~(total + (total >> 16)) & 0xffff


def syn(source, target):
    """The bytes of a first packet, its IP header included."""
    ours, theirs = socket.inet_aton(source), socket.inet_aton(target[0])
    port = random.randrange(1024, 65536)

    def tcp(check):
        return struct.pack("!HHIIBBHHH", port, target[1], 1, 0, 5 << 4, 2, 64240, check, 0)
    check = checksum(ours + theirs + struct.pack("!BBH", 0, socket.IPPROTO_TCP, 20) + tcp(0))
    return (struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, 0, 0, 64, socket.IPPROTO_TCP, 0, ours, theirs) +
            tcp(check))


class HalfOpen:
    """A network namespace beside the host's, from which SYNs can come whose sender is not there:

        with HalfOpen() as network:
            Server("--listen", f"{network.host}:{port}")
            network.attack(port, count, rate)     # an Attack
    """
    NAME, OUTSIDE, INSIDE = "magpie-syn", "magpie-syn0", "magpie-syn1"
    NET = "203.0.113"  # nobody has it: RFC 5737
    host = f"{NET}.1"

    def run(self, *command, check=True):
        subprocess.run(["ip", *command], check=check, stderr=None if check else subprocess.DEVNULL)

    def __enter__(self):
        self.__exit__()
        self.run("netns", "add", self.NAME)
        try:
            self.run("link", "add", self.OUTSIDE, "type", "veth", "peer", "name", self.INSIDE, "netns",
                     self.NAME)
            self.run("addr", "add", f"{self.host}/24", "dev", self.OUTSIDE)
            self.run("link", "set", self.OUTSIDE, "up")
            self.run("-n", self.NAME, "addr", "add", f"{self.NET}.2/24", "dev", self.INSIDE)
            self.run("-n", self.NAME, "link", "set", self.INSIDE, "up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.run("link", "del", self.OUTSIDE, check=False)
        self.run("netns", "del", self.NAME, check=False)

    def attack(self, port, count, rate):
        return Attack("half-open", port, count, body=self.NET, rate=rate, host=self.host,
                      within=["ip", "netns", "exec", self.NAME])


def half_open_count(port):
    """Connections to that port of which the kernel has seen the first packet alone."""
    lines = pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]
    return sum(line.split()[3] == "03" and line.split()[1].endswith(f":{port:04X}") for line in lines)


def main():
    kind, host, port, count, path, body, rate = sys.argv[1:]
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    attacker = Attacker(host, int(port), int(count), path, body, float(rate))
    getattr(attacker, kind.replace("-", "_"))()
    print(attacker.begun, flush=True)
    os._exit(0)  # the kernel closes them, and at once


if __name__ == "__main__":
    main()
