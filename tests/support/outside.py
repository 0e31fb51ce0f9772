"""A world around a node, made of network namespaces: a host with an address in its network, and
everything else, behind a router. Nothing here needs the Internet.

    with World() as world:
        agent = Agent(..., wrapper=world.on_host())
        world.forward(True)

The rest of the world is one namespace that has all addresses a test wants to exist, with real servers
on all of them: whoever connects to port ECHO is told under which address it was seen; names are
answered on port 53 of RESOLVER.
"""
import contextlib
import ctypes
import itertools
import json
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
HOST, ROUTER = "9.1.1.2", "9.1.1.1"
SERVER = "9.2.2.2"        # somewhere in the Internet
OFFICE, HOME = "10.1.2.3", "192.168.7.7"  # private, behind the host's router
METADATA = "169.254.169.254"
RESOLVER = "10.255.255.53"
ECHO, MAIL = 7007, 25
NAME = "server.example"
IP_PKTINFO = 8
CLONE_NEWNET = 0x40000000
_numbers = itertools.count()


def run(*words, **options):
    return subprocess.run(words, check=True, capture_output=True, text=True, **options).stdout


class World:
    def __init__(self, forwards=False, resolver=RESOLVER):
        tag = f"mt{os.getpid()}-{next(_numbers)}"
        self.host, self.rest = f"{tag}h", f"{tag}r"
        self.servers = []
        self.configuration = tempfile.NamedTemporaryFile("w", prefix="resolv-")
        os.fchmod(self.configuration.fileno(), 0o644)
        self.set_resolver(resolver)
        self.made = []
        try:
            self._make(forwards)
        except BaseException:
            self.close()
            raise

    def _make(self, forwards):
        for name in (self.host, self.rest):
            run("ip", "netns", "add", name)
            self.made.append(name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "-n", self.host, "link", "add", "lan0", "type", "veth", "peer", "name", "lan0",
            "netns", self.rest)
        for name, address in ((self.host, HOST), (self.rest, ROUTER)):
            run("ip", "-n", name, "address", "add", f"{address}/24", "dev", "lan0")
            # An address of its own making would come up some time later.
            run("ip", "-n", name, "link", "set", "lan0", "addrgenmode", "none", "up")
        run("ip", "-n", self.host, "route", "add", "default", "via", ROUTER)
        for address in (SERVER, OFFICE, HOME, METADATA, RESOLVER):
            run("ip", "-n", self.rest, "address", "add", f"{address}/32", "dev", "lo")
        self.forward(forwards)
        self.serve(self.rest, "echo", ECHO)
        self.serve(self.rest, "echo", MAIL)
        self.serve(self.host, "echo", ECHO)
        self.serve(self.rest, "names", RESOLVER)

    def inside(self, name):
        """The front part of a command line that is to run in that namespace."""
        return ["nsenter", f"--net=/run/netns/{name}"]

    def on_host(self):
        """The same for the host, with its own resolv.conf."""
        return [*self.inside(self.host), "unshare", "--mount", "--propagation=private", "sh", "-c",
                f"mount --bind {self.configuration.name} /etc/resolv.conf && exec \"$@\"", "sh"]

    def set_resolver(self, *addresses):
        self.configuration.seek(0)
        self.configuration.truncate()
        self.configuration.writelines(f"nameserver {address}\n" for address in addresses)
        self.configuration.flush()

    def add_lan(self, name="lan1", address="10.9.9"):
        """Another network of the host's: the namespace in it, whose address ends with 9."""
        there = f"{self.host}{name}"
        run("ip", "netns", "add", there)
        self.made.append(there)
        run("ip", "-n", self.host, "link", "add", name, "type", "veth", "peer", "name", "lan0",
            "netns", there)
        run("ip", "-n", there, "link", "set", "lo", "up")
        for namespace, device, number in ((self.host, name, 1), (there, "lan0", 9)):
            run("ip", "-n", namespace, "address", "add", f"{address}.{number}/24", "dev", device)
            run("ip", "-n", namespace, "link", "set", device, "up")
        run("ip", "-n", there, "route", "add", "default", "via", f"{address}.1")
        self.serve(there, "echo", ECHO)
        return there

    def forward(self, on):
        run(*self.inside(self.host), "sysctl", "-qw", f"net.ipv4.ip_forward={int(on)}")

    def serve(self, name, *what):
        """One of the servers below, ready."""
        server = subprocess.Popen([*self.inside(name), sys.executable, __file__,
                                   *map(str, what)], stdout=subprocess.PIPE, text=True)
        self.servers.append(server)
        assert server.stdout.readline() == "ready\n"
        return server

    def calls_from(self, *calls):
        """talk.py's answers to (namespace, word...) each, at the same time, where it is nobody's sandbox."""
        talking = [subprocess.Popen([*self.inside(name), sys.executable, HERE / "talk.py", *words],
                                    stdout=subprocess.PIPE, text=True) for name, *words in calls]
        return [json.loads(each.communicate()[0]) for each in talking]

    def call_from(self, name, *words):
        return self.calls_from((name, *words))[0]

    @contextlib.contextmanager
    def entered(self, path):
        """Sockets that are made meanwhile belong to the network namespace at this path."""
        libc = ctypes.CDLL(None, use_errno=True)
        with open("/proc/self/ns/net", "rb") as own, open(path, "rb") as other:
            assert libc.setns(other.fileno(), CLONE_NEWNET) == 0, ctypes.get_errno()
            try:
                yield
            finally:
                assert libc.setns(own.fileno(), CLONE_NEWNET) == 0, ctypes.get_errno()

    def state(self):
        """Everything that a node could leave behind on the host."""
        inside = self.inside(self.host)
        # An interface may go while this looks at it.
        forwarding = run(*inside, "sh", "-c",
                         "grep -s '' /proc/sys/net/ipv4/conf/*/forwarding || true")
        return {"interfaces": run(*inside, "ip", "-o", "link"),
                "addresses": run(*inside, "ip", "-o", "address"),
                "routes": run(*inside, "ip", "route", "show", "table", "all"),
                "neighbours": run(*inside, "ip", "neighbour", "show", "nud", "permanent"),
                "rules": run(*inside, "nft", "list", "ruleset"),
                "forwarding": forwarding}

    def connections(self, address_prefix):
        """What the host's connection tracking remembers of addresses that begin so."""
        table = run(*self.inside(self.host), "conntrack", "-L", "-f", "ipv4")
        return [line for line in table.splitlines() if f"src={address_prefix}" in line]

    def close(self):
        for server in self.servers:
            server.kill()
            server.wait()
            server.stdout.close()
        for name in self.made:
            with contextlib.suppress(subprocess.CalledProcessError):
                run("ip", "netns", "delete", name)
        self.configuration.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def serve_echo(port):
    """Tells whoever asks, by either protocol, under which address it was seen."""
    import selectors
    import socket
    streams = socket.create_server(("0.0.0.0", port), backlog=1024)
    streams.setblocking(False)
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind(("0.0.0.0", port))
    datagrams.setsockopt(socket.SOL_IP, IP_PKTINFO, 1)
    selector = selectors.DefaultSelector()
    selector.register(streams, selectors.EVENT_READ)
    selector.register(datagrams, selectors.EVENT_READ)
    print("ready", flush=True)
    while True:
        for key, _ in selector.select():
            if key.fileobj is streams:
                with contextlib.suppress(BlockingIOError):
                    connection, _ = streams.accept()
                    selector.register(connection, selectors.EVENT_READ)
            elif key.fileobj is datagrams:
                data, [(_, _, info)], _, peer = datagrams.recvmsg(65536, 64)
                to = bytes(4) + info[8:12] + bytes(4)  # answered from where it was sent to
                datagrams.sendmsg([f"{peer[0]} {peer[1]} {len(data)}".encode()],
                                  [(socket.SOL_IP, IP_PKTINFO, to)], 0, peer)
            else:
                connection = key.fileobj
                with contextlib.suppress(OSError):
                    data = connection.recv(65536)
                    peer = connection.getpeername()
                    if data:
                        connection.sendall(f"{peer[0]} {peer[1]} {len(data)}\n".encode())
                        continue
                selector.unregister(connection)
                connection.close()


def answer_of(query):
    """RFC 1035, as much as it takes: NAME has one address, long.NAME so many that a datagram does not
    hold them; nobody else exists. None for silent.NAME, of which nothing is ever said."""
    import socket
    end = query.index(b"\0", 12)
    labels, at = [], 12
    while at < end:
        labels.append(query[at + 1:at + 1 + query[at]].decode())
        at += 1 + query[at]
    name, kind = ".".join(labels).lower(), query[end + 1:end + 3]
    question = query[12:end + 5]
    count = {NAME: 1, f"long.{NAME}": 100}.get(name, 0) if kind == b"\0\1" else 0
    if name == f"silent.{NAME}":
        return None
    known = name.endswith(NAME)
    head = query[:2] + (b"\x81\x80" if known else b"\x81\x83") + b"\0\1" + count.to_bytes(2, "big")
    record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + socket.inet_aton(SERVER)
    return head + b"\0\0\0\0" + question + record * count


def serve_names(address):
    import socket
    import threading
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind((address, 53))
    streams = socket.create_server((address, 53), backlog=64)

    def stream(connection):
        with connection, contextlib.suppress(OSError):
            while size := connection.recv(2, socket.MSG_WAITALL):
                answer = answer_of(connection.recv(int.from_bytes(size, "big"),
                                                   socket.MSG_WAITALL))
                connection.sendall(len(answer).to_bytes(2, "big") + answer)

    def listen():
        while True:
            threading.Thread(target=stream, args=[streams.accept()[0]], daemon=True).start()
    threading.Thread(target=listen, daemon=True).start()
    print("ready", flush=True)
    while True:
        query, peer = datagrams.recvfrom(4096)
        answer = answer_of(query)
        if answer is None:
            continue
        if len(answer) > 512:  # "truncated": ask again over TCP
            answer = query[:2] + b"\x83\x80" + query[4:6] + b"\0" * 6 + query[12:]
        datagrams.sendto(answer, peer)


if __name__ == "__main__":
    if sys.argv[1] == "echo":
        serve_echo(int(sys.argv[2]))
    else:
        serve_names(sys.argv[2])
