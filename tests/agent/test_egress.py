"""A way out for those who ask for it, and for nothing else: real servers in network namespaces around a
host that is one, too (support/outside.py)."""
import contextlib
import errno
import json
import os
import pathlib
import re
import signal
import socket
import struct
import subprocess
import time

import pytest
from agent_client import EXEC, Refused
from conftest import start_agent
from outside import (ECHO, HERE, HOME, HOST, MAIL, METADATA, NAME, OFFICE, RESOLVER, ROUTER, SERVER,
                     World, run)
from sandbox_host import Watch, eventually

TALK = (HERE / "talk.py").read_bytes()
REFUSED = ("ECONNREFUSED", "EHOSTUNREACH", "ENETUNREACH", "EACCES")
INSIDE_RESOLVER = "169.254.0.53"
OFFICE_BIT, HOME_BIT, UNKNOWN_BIT = 1, 2, 1 << 16
RANGES = ("--egress-range", "office=10.1.0.0/16", "--egress-range", "home=192.168.0.0/16")


class Node:
    """An agent on the host of a world, and a function that talks."""

    def __init__(self, world, stock=0, options=RANGES, wrapper=()):
        self.world, self.keeper = world, None
        self.agent = start_agent(wrapper=[*world.on_host(), *wrapper], stock=stock,
                                 options=options)
        self.connect()

    def connect(self):
        self.gateway = self.agent.connect()
        self.code = self.agent.add_code({"main": (0o755, TALK)})

    def spawn(self, egress=True, **options):
        made = self.gateway.spawn(self.code, "main", runtime=EXEC, egress=egress, **options)
        made.wait_ready()
        return made

    def talk(self, *words, **options):
        """What one sandbox says; with one word, that answer alone."""
        with self.spawn(**options) as made:
            return say(made, *words)

    def links(self):
        """The names of sandboxes' links at the router."""
        folder = f"/proc/{self.agent.process.pid}/fd"
        own = os.readlink(f"/proc/{self.agent.process.pid}/ns/net")
        found = set()
        for fd in os.listdir(folder):
            with contextlib.suppress(OSError, subprocess.CalledProcessError):  # it closes some
                target = os.readlink(f"{folder}/{fd}")
                if target.startswith("net:") and target != own:
                    listing = run("nsenter", f"--net={folder}/{fd}", "ip", "-o", "link")
                    if ": up@" in listing:
                        found |= set(re.findall(r"\b(s\d+)@", listing))
        return found

    def helpers(self):
        """The keeper, which is nobody's child but has the data directory open, and its own child, which
        passes names on: {name: pid}."""
        found, parents = {}, {}
        for path in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                name = (path / "comm").read_text().strip()
                if name == "magpie-names":
                    parents[int(path.name)] = int((path / "stat").read_text().split()[3])
                elif name == "magpie-egress" and str(self.agent.data_dir) in (
                        os.readlink(fd) for fd in (path / "fd").iterdir()):
                    found[name] = int(path.name)
        found.update({"magpie-names": pid for pid, parent in parents.items()
                      if parent == found.get("magpie-egress", self.keeper)})
        self.keeper = found.get("magpie-egress", self.keeper)
        return found

    def named_helpers(self):
        """Both, once they bear their names: until then the child looks like the keeper."""
        assert eventually(lambda: set(self.helpers()) == {"magpie-egress", "magpie-names"})
        return self.helpers()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.agent.__exit__()


def say(made, *words):
    answers = json.loads(made.invoke(" ".join(words).encode()))
    return answers[0] if len(words) == 1 else answers


@pytest.fixture(scope="module")
def world():
    with World() as made:
        yield made


@pytest.fixture(scope="module")
def node(world):
    with Node(world, stock=4) as made:
        yield made


def test_a_server_outside_is_reached_from_behind_the_hosts_address(node):
    assert node.talk(f"tcp:{SERVER}:{ECHO}", f"udp:{SERVER}:{ECHO}") == [HOST, HOST]


def test_whoever_does_not_ask_has_a_loopback_and_nothing_else(node):
    assert node.talk("interfaces", "address", f"tcp:{SERVER}:{ECHO}", f"name:{NAME}",
                     egress=False) == [["lo"], "ENETUNREACH", "ENETUNREACH", "EAI_AGAIN"]


def test_names_are_answered_by_the_hosts_resolver(node):
    assert node.talk(f"name:{NAME}", "name:nobody.nowhere") == [[SERVER], "EAI_NONAME"]


def test_an_answer_that_no_datagram_holds_comes_by_tcp(node):
    assert node.talk(f"name:long.{NAME}") == [SERVER]


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("where, port", [
    pytest.param(HOST, ECHO, id="the host's address"),
    pytest.param("169.254.0.1", ECHO, id="the router's"),
    pytest.param("169.254.0.53", ECHO, id="another port of the resolver's"),
    pytest.param(METADATA, ECHO, id="metadata"),
    pytest.param(OFFICE, ECHO, id="a private range"),
    pytest.param(HOME, ECHO, id="another one"),
    pytest.param(RESOLVER, ECHO, id="the host's resolver, another port"),
    pytest.param("127.0.0.1", ECHO, id="loopback"),
    pytest.param("127.0.0.53", 53, id="the host's own resolver"),
    pytest.param("0.0.0.0", ECHO, id="nowhere"),
    pytest.param("224.0.0.251", 5353, id="multicast"),
    pytest.param("240.1.1.1", ECHO, id="reserved"),
    pytest.param("255.255.255.255", ECHO, id="broadcast"),
    pytest.param("100.100.100.200", ECHO, id="a carrier's range"),
])
def test_what_is_not_the_internet_is_refused_at_once(node, where, port, protocol):
    assert node.talk(f"{protocol}:{where}:{port}") in (
        REFUSED if where != "224.0.0.251" or protocol == "tcp" else (*REFUSED, "silence"))


def test_whoever_is_refused_often_hears_of_it_each_time(node):
    """The kernel tells one address of six by itself, and of one a second then."""
    assert set(node.talk(*[f"udp:{OFFICE}:{ECHO}"] * 20)) <= set(REFUSED)


def test_the_hosts_resolver_is_not_reached_by_its_own_address(node):
    assert node.talk(f"tcp:{RESOLVER}:53") in REFUSED


def test_mail_is_not_sent(node):
    assert node.talk(f"tcp:{SERVER}:{MAIL}") in REFUSED


def test_a_server_that_listens_on_every_address_of_the_host_is_not_reached(node, world):
    """Not by the host's end of the line either, whose address a function can work out."""
    node.talk("interfaces")
    ours = re.findall(r"magpie-\w+ +inet ([0-9.]+)/32", world.state()["addresses"])
    host = struct.unpack(">I", socket.inet_aton(ours[0]))[0]
    for address in (host, host + 1):
        text = socket.inet_ntoa(struct.pack(">I", address))
        assert node.talk(f"tcp:{text}:{ECHO}") in REFUSED
    assert world.call_from(world.rest, f"tcp:{HOST}:{ECHO}") == [ROUTER]  # it does listen


def test_a_private_range_is_reached_by_those_alone_who_name_it(node):
    words = [f"tcp:{OFFICE}:{ECHO}", f"udp:{OFFICE}:{ECHO}", f"tcp:{HOME}:{ECHO}"]
    assert node.talk(*words, reach=OFFICE_BIT)[:2] == [HOST, HOST]
    assert node.talk(*words, reach=OFFICE_BIT)[2] in REFUSED
    assert node.talk(*words, reach=HOME_BIT)[2] == HOST
    assert node.talk(*words, reach=OFFICE_BIT | HOME_BIT)[::2] == [HOST, HOST]
    assert node.talk(*words)[0] in REFUSED


def test_mail_may_be_sent_to_where_one_may_go_by_name(node):
    assert node.talk(f"tcp:{OFFICE}:{MAIL}", reach=OFFICE_BIT) == HOST


def test_a_range_that_the_node_does_not_know_is_refused(node):
    with pytest.raises(Refused, match="by a name that this node does not know"):
        node.spawn(reach=UNKNOWN_BIT | OFFICE_BIT)
    with pytest.raises(Refused, match="by a name that this node does not know"):
        node.spawn(reach=1 << 5)


def test_sandboxes_do_not_reach_each_other(node):
    with node.spawn() as one, node.spawn() as other:
        address = say(one, "address")
        assert say(other, "address") != address
        waiting = one.begin(b"listen:7100")
        assert eventually(lambda: connects_from_inside(one, 7100))
        one.finish(waiting)
        waiting = one.begin(b"listen:7100")
        assert say(other, f"tcp:{address}:7100") in REFUSED
        assert json.loads(one.finish(waiting)) == ["silence"]


def connects_from_inside(made, port):
    """The one sandbox's own listener, so that its silence later says something."""
    return say_beside(made, f"tcp:127.0.0.1:{port}") not in REFUSED


def say_beside(made, word):
    """From the same namespace, by somebody who does not wait for the function."""
    pid = first_process(made)
    text = run("nsenter", f"--net=/proc/{pid}/ns/net", "/usr/bin/python3", HERE / "talk.py", word)
    return json.loads(text)[0]


def first_process(made):
    """The host's pid of the sandbox's first process."""
    for path in pathlib.Path("/proc").glob("[0-9]*/cgroup"):
        try:
            if re.search(rf"/{made.group}$", path.read_text(), re.M):
                return int(path.parent.name)
        except OSError:
            continue
    raise AssertionError("the sandbox has no process")


def test_nobody_outside_reaches_a_sandbox(node, world):
    with node.spawn() as made:
        address = say(made, "address")
        run("ip", "-n", world.rest, "route", "add", f"{address}/32", "via", HOST)
        waiting = made.begin(b"listen:7100")
        there = f"tcp:{address}:7100"
        from_outside, from_host = world.calls_from((world.rest, there), (world.host, there))
        assert from_outside != [ROUTER] and from_host[0] in (*REFUSED, "silence", "EPERM")
        assert json.loads(made.finish(waiting)) == ["silence"]
        run("ip", "-n", world.rest, "route", "delete", f"{address}/32")


def udp_packet(source, target, port):
    payload = b"spoofed"
    udp = struct.pack(">HHHH", 4000, port, 8 + len(payload), 0) + payload
    return struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 7, 0, 64, socket.IPPROTO_UDP, 0,
                       socket.inet_aton(source), socket.inet_aton(target)) + udp


def test_packets_under_somebody_elses_address_are_dropped(node, world):
    """A function cannot even make them: here root does, in its namespace."""
    with world.entered(f"/run/netns/{world.rest}"):
        receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with receiver, node.spawn() as made, node.spawn() as other:
        receiver.bind((SERVER, 9999))
        receiver.settimeout(10)
        address, others = say(made, "address"), say(other, "address")
        with world.entered(f"/proc/{first_process(made)}/ns/net"):
            raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        with raw:
            for source in (others, "8.8.8.8", HOST, "10.1.1.1", address):
                raw.sendto(udp_packet(source, SERVER, 9999), (SERVER, 0))
        # The last one, and it alone: packets on one way do not overtake each other.
        assert receiver.recvfrom(100)[0] == b"spoofed"
        receiver.setblocking(False)
        with pytest.raises(BlockingIOError):
            receiver.recvfrom(100)


def test_the_next_sandbox_in_a_slot_has_nothing_of_the_one_before(world):
    with Node(world) as node:
        before = node.talk("interfaces", "address")
        assert before[0] == ["lo", "eth0"]
        assert node.talk("interfaces", "address", egress=False) == [["lo"], "ENETUNREACH"]
        after = node.talk("interfaces", "address")
        assert after[0] == ["lo", "eth0"] and after[1] != before[1]


@pytest.mark.parametrize("user", [0, 33])
def test_an_image_has_the_same_way_out(node, image_base, user):
    """Whoever its user is: root in name has no more to say there."""
    image = node.agent.add_image({
        "main": (0o755, TALK), "etc/resolv.conf": (0o644, b"nameserver 169.254.0.53\n")}, image_base)
    words = " ".join((f"tcp:{SERVER}:{ECHO}", f"name:{NAME}", f"tcp:{OFFICE}:{ECHO}", "raw"))
    with node.gateway.spawn_image(image, "/main", user=user, egress=True) as made:
        made.wait_ready()
        assert json.loads(made.invoke(words.encode())) == [HOST, [SERVER], "ECONNREFUSED", "EPERM"]
    with node.gateway.spawn_image(image, "/main", user=user) as made:
        made.wait_ready()
        assert json.loads(made.invoke(b"interfaces")) == [["lo"]]


def test_there_is_no_ipv6_but_on_the_loopback(node):
    with node.spawn() as made:
        pid = first_process(made)
        listing = run("nsenter", f"--net=/proc/{pid}/ns/net", "ip", "-6", "-o", "address")
        assert [line.split()[1] for line in listing.splitlines()] == ["lo"]


# Bounds ------------------------------------------------------------------------------------------


def test_so_many_connections_at_once_and_no_more(node):
    with node.spawn() as made:
        holding = made.begin(f"hold:{SERVER}:{ECHO}:700".encode())
        assert node.talk(f"tcp:{SERVER}:{ECHO}") == HOST  # others have their own
        held = json.loads(made.finish(holding))[0]
        assert 380 <= held <= 512


def test_so_many_new_connections_a_second_and_no_more(node):
    begun = time.monotonic()
    made = node.talk(f"flood:{SERVER}:{ECHO}:1500")
    took = time.monotonic() - begun
    assert 400 <= made <= 400 + 100 * (took + 1) or made == 1500 and took > 10


def test_addresses_come_round_again_and_their_connections_are_forgotten(world):
    with Node(world, options=("--egress-addresses", "198.18.7.0/28")) as node:
        seen = [node.talk("address", f"udp:{SERVER}:{ECHO}")[0] for _ in range(30)]
        assert len(set(seen)) == 12 and set(seen[:12]) == set(seen[12:24])
        assert 0 < len(world.connections("198.18.7.")) <= 12
    assert world.connections("198.18.7.") == []


def test_an_address_in_use_is_not_given_to_another(world):
    with Node(world, options=("--egress-addresses", "198.18.7.0/28")) as node:
        with node.spawn() as kept:
            address = say(kept, "address")
            seen = [node.talk("address") for _ in range(24)]
            assert address not in seen
            assert say(kept, "address", f"tcp:{SERVER}:{ECHO}") == [address, HOST]


def test_when_all_addresses_are_in_use_the_next_is_refused_and_nobody_suffers(world):
    with Node(world, options=("--egress-addresses", "198.18.7.0/28")) as node:
        made = [node.spawn() for _ in range(12)]
        with pytest.raises(Refused, match="all 12 addresses for outbound network are in use"):
            node.spawn()
        assert node.talk("interfaces", egress=False) == ["lo"]
        made.pop().__exit__()
        assert node.talk(f"tcp:{SERVER}:{ECHO}") == HOST
        for each in made:
            each.__exit__()


# Names -------------------------------------------------------------------------------------------


@pytest.fixture
def resolver(world):
    """Changes the host's resolv.conf for one test."""
    yield world.set_resolver
    world.set_resolver(RESOLVER)


def test_a_resolver_on_the_hosts_loopback_answers(node, world, resolver):
    server = world.serve(world.host, "names", "127.0.0.53")
    resolver("127.0.0.53")
    assert eventually(lambda: node.talk(f"name:{NAME}") == [SERVER])
    assert node.talk(f"name:long.{NAME}", "tcp:127.0.0.53:53")[0] == [SERVER]
    resolver(RESOLVER)
    assert eventually(lambda: node.talk(f"name:{NAME}") == [SERVER])
    server.kill()


@pytest.mark.parametrize("first", ["10.255.255.99", ROUTER], ids=["silent", "not there"])
def test_where_a_resolver_does_not_answer_the_next_one_is_asked(node, world, resolver, first):
    if first != ROUTER:  # nobody, and no router that would say so
        run("ip", "-n", world.rest, "route", "add", "blackhole", f"{first}/32")
    resolver(first, RESOLVER)
    try:
        assert eventually(lambda: node.talk(f"name:{NAME}") == [SERVER])
    finally:
        if first != ROUTER:
            run("ip", "-n", world.rest, "route", "delete", "blackhole", f"{first}/32")


def test_names_are_answered_again_after_what_passes_them_on_was_killed(node):
    assert node.talk(f"name:{NAME}") == [SERVER]
    killed = node.named_helpers()["magpie-names"]
    os.kill(killed, signal.SIGKILL)
    assert eventually(lambda: node.helpers().get("magpie-names", killed) != killed)
    assert eventually(lambda: node.talk(f"name:{NAME}") == [SERVER])


@pytest.mark.parametrize("word, sockets, asked", [
    (f"pester:{INSIDE_RESOLVER}:silent.{NAME}", 1024, NAME),
    (f"cling:{INSIDE_RESOLVER}:53:8", 2 * 128, f"long.{NAME}")], ids=["datagrams", "streams"])
def test_who_asks_for_little_is_answered_beside_those_who_take_all_there_is(node, word, sockets, asked):
    node.talk("interfaces")
    passing_on = node.named_helpers()["magpie-names"]
    with contextlib.ExitStack() as stack:
        quiet = stack.enter_context(node.spawn())
        for _ in range(20):
            stack.enter_context(node.spawn()).begin(word.encode())
        assert eventually(lambda: len(os.listdir(f"/proc/{passing_on}/fd")) > sockets, 30)
        assert say(quiet, f"name:{asked}") == [SERVER]


def test_what_passes_names_on_is_nobody_behind_the_filter(node):
    node.talk("interfaces")
    status = pathlib.Path(f"/proc/{node.named_helpers()['magpie-names']}/status").read_text()
    assert re.search(r"^Uid:\t65534\t65534\t65534\t65534$", status, re.M)
    assert re.search(r"^CapEff:\t0+$", status, re.M)
    assert re.search(r"^NoNewPrivs:\t1$", status, re.M)
    assert re.search(r"^Seccomp:\t2$", status, re.M)
    kinds = {os.readlink(fd).split(":")[0]
             for fd in pathlib.Path(f"/proc/{node.named_helpers()['magpie-names']}/fd").iterdir()
             if int(fd.name) > 2}
    assert kinds == {"socket", "anon_inode"}  # nothing of its parent's but two sockets


# The host ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("forwards", [False, True], ids=["forwards nothing", "is a router"])
def test_the_host_is_afterwards_as_it_was(forwards):
    with World(forwards=forwards) as world:
        before = world.state()
        with Node(world) as node:
            assert world.state() == before  # nobody has asked yet
            assert node.talk(f"tcp:{SERVER}:{ECHO}") == HOST
            assert world.state() != before
        assert world.state() == before
        assert world.connections("198.18.") + world.connections("100.") == []


def test_after_a_violent_death_the_host_is_as_it_was(world):
    with World() as fresh:
        before = fresh.state()
        with Node(fresh) as node:
            assert node.talk(f"tcp:{SERVER}:{ECHO}") == HOST
            node.spawn()
            node.agent.kill()
            assert eventually(lambda: fresh.state() == before)
            assert fresh.connections("198.18.") + fresh.connections("100.") == []
            node.agent.restart()
            node.connect()
            assert node.talk(f"tcp:{SERVER}:{ECHO}") == HOST


def test_what_a_killed_keeper_has_left_is_undone_by_the_next_one():
    with World() as world:
        before = world.state()
        with Node(world) as node:
            assert node.talk(f"tcp:{SERVER}:{ECHO}") == HOST
            helpers = node.named_helpers()
            node.agent.process.send_signal(signal.SIGSTOP)  # else it would start none again
            for pid in (*helpers.values(), node.agent.process.pid):
                os.kill(pid, signal.SIGKILL)
            node.agent.process.wait(10)
            assert eventually(lambda: "magpie-" not in world.state()["interfaces"])
            assert world.state()["rules"] != before["rules"]
            node.agent.restart()
            node.connect()
            assert eventually(lambda: world.state() == before)
            assert node.talk(f"tcp:{SERVER}:{ECHO}") == HOST
        assert world.state() == before


def test_without_its_keeper_an_agent_refuses_egress_and_goes_on(world):
    with Node(world) as node:
        with node.spawn() as made:
            os.kill(node.named_helpers()["magpie-egress"], signal.SIGKILL)
            assert eventually(lambda: not node.helpers())
            assert say(made, f"tcp:{SERVER}:{ECHO}") == HOST
            with pytest.raises(Refused, match="it comes back when the node is started again"):
                node.spawn()
            assert node.talk("interfaces", egress=False) == ["lo"]


QUICK_TALK = f"""#!/bin/bash
exec 3<>/dev/tcp/{SERVER}/{ECHO} && echo hello >&3 && read -r seen _ <&3
echo "$seen"
"""


def test_hundreds_come_and_go_and_leave_nothing(world):
    with Node(world, stock=8) as node:
        node.talk("interfaces")
        code = node.agent.add_code({"main": (0o755, QUICK_TALK.encode())})
        watch = Watch(node.agent)
        before = len(watch.descriptors())
        for _ in range(25):
            asked = [node.gateway.ask_spawn(code, "main", runtime=EXEC, egress=True)
                     for _ in range(8)]
            made = [node.gateway.await_spawned(number) for number in asked]
            for number, each in enumerate(made):
                each.wait_ready()
                assert each.invoke().split() == [HOST.encode()]
                if number % 2:
                    each.kill()
                each.__exit__()
        assert eventually(lambda: node.links() == set())
        assert len(watch.descriptors()) <= before + 7 * 8


def test_a_host_that_forwards_nothing_does_so_for_sandboxes_alone():
    with World() as world:
        lan = world.add_lan()
        there, here = f"tcp:10.9.9.9:{ECHO}", [ROUTER]
        run("ip", "-n", world.rest, "route", "add", "10.9.9.0/24", "via", HOST)
        with Node(world) as node:
            assert node.talk(f"tcp:{SERVER}:{ECHO}") == HOST
            inward, outward = world.calls_from((world.rest, there), (lan, f"tcp:{SERVER}:{ECHO}"))
            assert inward != here and outward == ["silence"]
            # Somebody else makes the host a router: what we guarded is theirs now.
            world.forward(True)
            assert eventually(lambda: world.call_from(world.rest, there) == here, 30)
            assert node.talk(f"tcp:{SERVER}:{ECHO}") == HOST


def test_addresses_that_the_host_has_a_route_to_are_not_taken():
    with World() as world:
        run("ip", "-n", world.host, "route", "add", "198.18.0.0/15", "dev", "lan0")
        with Node(world) as node:
            assert re.match(r"100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.", node.talk("address"))
        run("ip", "-n", world.host, "route", "add", "100.64.0.0/10", "dev", "lan0")
        with Node(world) as node:
            with pytest.raises(Refused, match="name other addresses with --egress-addresses"):
                node.spawn()
        with Node(world, options=("--egress-addresses", "198.18.0.0/24")) as node:
            with pytest.raises(Refused, match="has a route to 198.18.0.0/24 already"):
                node.spawn()
        with Node(world, options=("--egress-addresses", "240.7.0.0/24")) as node:
            assert node.talk("address", f"tcp:{SERVER}:{ECHO}") == ["240.7.0.4", HOST]


def test_two_nodes_on_one_host_do_not_meet(world):
    with Node(world) as one, Node(world) as other:
        assert one.talk(f"tcp:{SERVER}:{ECHO}") == other.talk(f"tcp:{SERVER}:{ECHO}") == HOST
        with one.spawn() as first, other.spawn() as second:
            address = say(first, "address")
            assert say(second, f"tcp:{address}:7100") in REFUSED


def test_without_nft_egress_is_refused_in_a_sentence_and_everything_else_works(world):
    hide = ("sh", "-c", 'mount --bind /dev/null "$(readlink -f /usr/sbin/nft)" && exec "$@"', "sh")
    with Node(world, wrapper=hide) as node:
        with pytest.raises(Refused, match="apt-get install -y nftables") as refused:
            node.spawn()
        assert refused.value.code == errno.ENOENT
        assert node.talk("interfaces", egress=False) == ["lo"]


def test_a_usage_error_is_told(world):
    for wrong in (("--egress-range", "x"), ("--egress-addresses", "10.0.0.1/8")):
        with pytest.raises((EOFError, ConnectionError)):
            with Node(world, options=wrong):
                pass
