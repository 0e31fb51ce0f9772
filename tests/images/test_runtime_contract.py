"""Knative's runtime contract (specs/serving/runtime-contract.md of its specifications), requirement by
requirement: what a container of contract http finds, and how it is treated. What differs is said in
docs/functions.md, and is a row as well, which fails as soon as it is not true any more."""
import dataclasses
import itertools
import json
import pathlib
from typing import Callable

import pytest
from people import expect_problem
from raw_http import RawConnection, eventually

PROBE = (pathlib.Path(__file__).parent / "programs/probe.py").read_text()
NUMBERS = itertools.count(1)


class World:
    """Probes in images, and what one of them has found."""

    def __init__(self, person, registry, python_layer, image_of):
        self.person, self.registry = person, registry
        self.layer, self.image_of = python_layer, image_of
        self.function = self.deployed({
            "User": "1234:5678", "WorkingDir": "/work/here", "Env": ["FROM_IMAGE=1", "BOTH=image"],
            "Cmd": ["python3", "/probe.py", "a word"]},
            name="probe", env={"FROM_FUNCTION": "2", "BOTH": "function"}, memory="96MiB",
            concurrency=2)
        self.facts = self.get(self.function, "/facts").json()

    def deploy(self, config=None, **fields):
        """A probe with these settings; the answer to its deployment."""
        image = self.image_of(self.layer, {"probe.py": PROBE}, **{
            "Cmd": ["python3", "/probe.py"], "ExposedPorts": {"80/tcp": {}}, **(config or {})})
        reference = self.registry.push("knative/probe", image.digest[-12:], image)
        fields.setdefault("name", f"probe-{next(NUMBERS)}")
        return self.person.request("POST", "/api/v1/functions", {"image": reference, **fields})

    def deployed(self, config=None, **fields):
        answer = self.deploy(config, **fields)
        assert answer.status == 201, answer
        path = f"/api/v1/functions/{answer.json()['functionId']}"
        return self.person.request("GET", path).json()

    def get(self, function, path="/", headers=None):
        return self.person.request("GET", f"/f/{function['functionId']}{path}", headers=headers)

    def log(self, function):
        answer = self.person.request("GET", f"/api/v1/functions/{function['name']}/logs")
        return [json.loads(line) for line in answer.body.splitlines()]

    def seen(self, *lines):
        """The headers that a request with these lines arrives with, as a list of pairs."""
        with RawConnection(self.person.server.port) as client:
            head = [f"GET /f/{self.function['functionId']}/ HTTP/1.1",
                    f"Authorization: Bearer {self.person.token}", *lines, "", ""]
            answer = client.send("\r\n".join(head)).read_answer()
        assert answer.status == 200, answer
        return [tuple(pair) for pair in json.loads(answer.body)["headers"]]

    def values(self, name, *lines):
        return [value for key, value in self.seen(*lines) if key.lower() == name]


@pytest.fixture(scope="module")
def world(person, registry, python_layer, image_of):
    return World(person, registry, python_layer, image_of)


@dataclasses.dataclass
class Row:
    id: str
    level: str  # of the document
    requirement: str
    check: Callable
    differs: bool = False  # magpie does not do it, and `check` shows that


ROWS = []


def row(identity, level, requirement, differs=False):
    def add(check):
        ROWS.append(Row(identity, level, requirement, check, differs))
        return check
    return add


def fact(identity, level, requirement, check, differs=False):
    """One that is seen from inside, by facts alone."""
    ROWS.append(Row(identity, level, requirement, lambda world: _true(check(world.facts)), differs))


def _true(value):
    assert value


HOST = "Host: fn.example:8080"

# Runtime and lifecycle ------------------------------------------------------------------------------


@row("active", "MUST", "an instance is active while it handles a request, however long")
def check_active(world):
    function = world.deployed(keepAlive="50ms")
    assert world.get(function, "/work/0.7").status == 200  # it is neither ended nor frozen meanwhile


@row("sigterm", "MUST", "an instance that goes is sent SIGTERM, and may finish")
def check_sigterm(world):
    function = world.deployed(keepAlive="50ms")
    world.get(function)
    eventually(lambda: "asked by SIGTERM" in [line["text"] for line in world.log(function)],
               "it is asked")


@row("sigkill", "MUST", "one that has not ended after a grace period is killed")
def check_sigkill(world):
    function = world.deployed({"Env": ["PROBE=stubborn"]}, keepAlive="50ms", max=1)
    pid = world.get(function, "/facts").json()["pid"]
    assert pid > 0
    eventually(lambda: "asked by SIGTERM" in [line["text"] for line in world.log(function)],
               "it is asked")
    assert world.get(function).status == 200  # by another one: `max` is 1, and the first is gone


@row("failures-logged", "MUST", "a failure of the program is logged for its developer")
def check_failures(world):
    function = world.deployed()
    expect_problem(world.get(function, "/exit"), 502, "function.exited", "status 3")
    assert "about to exit" in [line["text"] for line in world.log(function)]


fact("failures-bounded", "SHOULD", "what failed containers leave is bounded: /tmp is, and goes with it",
     lambda facts: facts["tmp"]["bytes"] == 64 << 20)


@row("hooks", "SHOULD NOT", "developers cannot set hooks")
def check_hooks(world):
    answer = world.deploy(hooks={"prestart": []})
    expect_problem(answer, 400, "invalid", "hooks")


fact("stdin", "SHOULD", "reading stdin finds its end", lambda facts: facts["stdin"] == "")


@row("output", "SHOULD", "stdout and stderr are collected for the developer")
def check_output(world):
    function = world.deployed()
    world.get(function)
    texts = eventually(lambda: [line["text"] for line in world.log(function)], "it has printed")
    assert {"to stdout", "to stderr"} <= set(texts)


fact("dev-links", "as OCI", "/dev/fd, /dev/stdin, /dev/stdout, /dev/stderr are links to /proc/self/fd",
     lambda facts: facts["links"] == {
         "/dev/fd": "/proc/self/fd", "/dev/stdin": "/proc/self/fd/0",
         "/dev/stdout": "/proc/self/fd/1", "/dev/stderr": "/proc/self/fd/2"})

# Network ---------------------------------------------------------------------------------------------


@row("http11", "MUST", "requests come by HTTP/1.1")
def check_http11(world):
    assert world.get(world.function).json()["version"] == "HTTP/1.1"


@row("h2c", "SHOULD", "an upgrade to HTTP/2 without TLS is offered to the container", differs=True)
def check_h2c(world):
    names = [name.lower() for name, _ in world.seen(HOST)]
    assert "upgrade" not in names and "http2-settings" not in names


@row("upgrade", "as HTTP", "a client's own upgrade is not handed on; the request is answered plainly")
def check_upgrade(world):
    names = [name.lower() for name, _ in world.seen(
        HOST, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")]
    assert "upgrade" not in names and "http2-settings" not in names


@row("port-chosen", "MAY", "the developer names the port: by the image here, or by the function")
def check_port(world):
    assert world.function["port"] == 80


@row("port-default", "MUST", "there is a port where the developer names none")
def check_default_port(world):
    answer = world.deploy({"ExposedPorts": {}}, contract="http")
    # The probe listens on 80 alone, so this one is not found at the default, 8080.
    assert answer.status == 400, answer


@row("https", "SHOULD", "the platform terminates TLS", differs=True)
def check_https(world):
    assert world.values("x-forwarded-proto", HOST) == ["http"]
    assert world.values("x-forwarded-proto", HOST, "X-Forwarded-Proto: https") == ["https"]


@row("headers", "SHOULD", "headers arrive as they were sent, several of one name among them")
def check_headers(world):
    pairs = world.seen(HOST, "X-Odd: a=\"b\"; c", "X-Twice: 1", "X-Twice: 2", "X-Empty:",
                       "Accept: */*", "Cookie: a=b", "User-Agent: it/1", "X-Latin: \xe9")
    sent = [("x-odd", 'a="b"; c'), ("x-twice", "1"), ("x-twice", "2"), ("x-empty", ""),
            ("accept", "*/*"), ("cookie", "a=b"), ("user-agent", "it/1")]
    assert [pair for pair in pairs if pair in sent] == sent


@row("headers-stripped", "SHOULD", "which headers are stripped is documented: hop-by-hop, Expect, and "
     "what only the platform may say")
def check_stripped(world):
    names = {name.lower(): value for name, value in world.seen(
        HOST, "Connection: X-Hop", "X-Hop: 1", "Keep-Alive: 1", "Te: trailers", "Magpie-User: forged",
        "Magpie-Invocation-Id: forged", "Proxy-Connection: close")}
    for name in ("connection", "x-hop", "keep-alive", "te", "proxy-connection"):
        assert name not in names
    assert "forged" not in names.values()


@row("host", "MUST", "Host is what the client has asked for")
def check_host(world):
    assert world.values("host", HOST) == ["fn.example:8080"]


@row("forwarded", "MUST", "Forwarded is set, behind what proxies in front have said")
def check_forwarded(world):
    own = 'for="127.0.0.1";host="fn.example:8080";proto=http'
    assert world.values("forwarded", HOST) == [own]
    assert world.values("forwarded", HOST, "Forwarded: for=192.0.2.1") == ["for=192.0.2.1", own]


@row("x-forwarded", "SHOULD", "X-Forwarded-For and X-Forwarded-Proto are set")
def check_x_forwarded(world):
    assert world.values("x-forwarded-for", HOST, "X-Forwarded-For: 192.0.2.1") == [
        "192.0.2.1, 127.0.0.1"]
    assert world.values("x-forwarded-proto", HOST) == ["http"]


@row("trace", "SHOULD", "trace contexts are propagated")
def check_trace(world):
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    assert world.values("traceparent", HOST, f"Traceparent: {parent}") == [parent]
    assert world.values("tracestate", HOST, "Tracestate: a=b") == ["a=b"]


@row("ready", "SHOULD", "a container is ready when its port accepts, without any delay of ours")
def check_ready(world):
    function = world.deployed({"Env": ["PROBE=slow"]})
    assert world.get(function).status == 200


@row("probes", "MAY", "probes of the developer's own", differs=True)
def check_probes(world):
    expect_problem(world.deploy(readinessProbe={"httpGet": {}}), 400, "invalid", "readinessProbe")


@row("deployment-probe", "SHOULD", "a deployment starts an instance, and fails where that is not ready")
def check_deployment_probe(world):
    answer = world.deploy({"Env": ["PROBE=broken"]})
    expect_problem(answer, 400, "function.refused", "there is no backend")


fact("dns", "SHOULD", "/etc/resolv.conf names the platform's resolver",
     lambda facts: "nameserver 169.254.0.53" in facts["files"]["/etc/resolv.conf"])

# Configuration ---------------------------------------------------------------------------------------

fact("root", "MAY", "the root is read-only",
     lambda facts: facts["writing"]["/x"] == facts["writing"]["/etc/x"] == "Read-only file system")
fact("terminal", "SHOULD NOT", "there is a terminal", lambda facts: facts["terminals"] == [])
fact("env-port", "MUST", "PORT is set", lambda facts: facts["env"]["PORT"] == "80")
fact("env-service", "SHOULD", "K_SERVICE is set: the function's name",
     lambda facts: facts["env"]["K_SERVICE"] == "probe")
fact("env-configuration", "SHOULD", "K_CONFIGURATION is set: the same",
     lambda facts: facts["env"]["K_CONFIGURATION"] == "probe")
fact("env-revision", "SHOULD", "K_REVISION is set: the function's name and version",
     lambda facts: facts["env"]["K_REVISION"] == "probe-00001")
fact("env-image", "as OCI", "the image's environment is there, the function's over it",
     lambda facts: (facts["env"]["FROM_IMAGE"], facts["env"]["FROM_FUNCTION"],
                    facts["env"]["BOTH"]) == ("1", "2", "function"))
fact("words", "as OCI", "the command line is Entrypoint and Cmd, word by word",
     lambda facts: facts["words"] == ["a word"])
fact("folder", "as OCI", "the working folder is the image's",
     lambda facts: facts["cwd"] == "/work/here")
fact("user", "MUST", "the user that is named runs it",
     lambda facts: (facts["uid"], facts["gid"], facts["groups"]) == (1234, 5678, []))


@row("user-default", "SHALL", "without a user there is a default: 0, by name alone")
def check_default_user(world):
    facts = world.get(world.deployed(), "/facts").json()
    assert (facts["uid"], facts["gid"]) == (0, 0)
    assert facts["status"]["CapEff"] == "0" * 16 and facts["status"]["NoNewPrivs"] == "1"
    assert facts["writing"]["/tmp/x"] == "" and facts["writing"]["/x"] == "Read-only file system"


@row("user-refused", "MUST", "a user that is not allowed is an error")
def check_refused_user(world):
    expect_problem(world.deploy({"User": "65536"}), 400, "image.refused", "65536")


fact("tmp", "MUST", "/tmp can be written to", lambda facts: facts["writing"]["/tmp/x"] == "")
fact("tmp-memory", "SHOULD", "/tmp is a tmpfs", lambda facts: " - tmpfs " in facts["mounts"]["/tmp"])
fact("var-log", "MAY", "/var/log is a folder to write to", lambda facts: facts["kinds"]["/var/log"] is None,
     differs=True)
fact("hosts", "MAY", "/etc/hosts is the platform's",
     lambda facts: "127.0.0.1 localhost" in facts["files"]["/etc/hosts"])
fact("hostname", "MAY", "/etc/hostname is the same for all",
     lambda facts: facts["files"]["/etc/hostname"] == "function\n" and facts["hostname"] == "function")
fact("proc", "as OCI", "/proc is mounted", lambda facts: facts["kinds"]["/proc/self/status"] == "-")
fact("sys", "as OCI", "/sys is mounted", lambda facts: facts["kinds"]["/sys/fs"] is None, differs=True)
for device in ("null", "zero", "full", "random", "urandom"):
    fact(f"dev-{device}", "as OCI", f"/dev/{device} is a device",
         lambda facts, device=device: facts["kinds"][f"/dev/{device}"] == "c")
fact("dev-work", "as OCI", "and they are what they are called",
     lambda facts: (facts["writing"]["/dev/null"], facts["writing"]["/dev/full"], facts["zeros"],
                    facts["chance"] > 200) == ("", "No space left on device", "000000", True))
for device in ("tty", "console", "ptmx", "pts", "mqueue"):
    fact(f"dev-{device}", "as OCI", f"/dev/{device} is there",
         lambda facts, device=device: facts["kinds"][f"/dev/{device}"] is None, differs=True)
fact("dev-shm", "as OCI", "/dev/shm can be written to", lambda facts: facts["writing"]["/dev/shm/y"] == "")
fact("dev-log", "none", "there is no system log but stdout and stderr",
     lambda facts: facts["kinds"]["/dev/log"] is None)


@row("namespaces", "MUST", "namespaces are the platform's to choose")
def check_namespaces(world):
    expect_problem(world.deploy(namespaces=[]), 400, "invalid", "namespaces")
    assert world.facts["pid"] < 100  # one of its own


fact("cgroups", "MUST", "control groups are the platform's: the limit is told by the environment",
     lambda facts: facts["env"]["MAGPIE_MEMORY_BYTES"] == str(96 << 20))
fact("cgroup-mount", "SHOULD", "limits can be read in /sys/fs/cgroup",
     lambda facts: facts["kinds"]["/sys/fs/cgroup/memory.max"] is None, differs=True)
fact("sysctl", "SHOULD NOT", "kernel parameters can be changed",
     lambda facts: facts["kinds"]["/proc/sys"] is None)
fact("seccomp", "MAY", "system calls are filtered", lambda facts: facts["status"]["Seccomp"] == "2")
fact("propagation", "MUST NOT", "mounts propagate by the developer's choice",
     lambda facts: "shared:" not in facts["mounts"]["/"])
fact("masked", "MAY", "paths of the host's kernel are masked",
     lambda facts: facts["kinds"]["/proc/kcore"] is None)
fact("capabilities", "as OCI", "there are no capabilities",
     lambda facts: facts["status"]["CapEff"] == facts["status"]["CapPrm"] == "0" * 16)


@pytest.mark.parametrize("entry", ROWS, ids=[each.id for each in ROWS])
def test_the_runtime_contract(world, entry):
    entry.check(world)


def test_the_differences_are_those_that_the_documentation_lists():
    text = (pathlib.Path(__file__).parents[2] / "docs/functions.md").read_text()
    section = text.split("### Knative's runtime contract", 1)[1].split("\n## ", 1)[0]
    listed = {line.split("`")[1] for line in section.splitlines() if line.startswith("| `")}
    assert listed == {each.id for each in ROWS if each.differs}
