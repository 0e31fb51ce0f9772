"""Python functions whose later instances begin where the first one was when it had imported the module."""
import json
import os
import signal

import pytest
from agent_client import MIB, OUT_OF_MEMORY, PYTHON3
from conftest import start_agent
from sandbox_host import Watch, eventually
from stocked import command, confinement, from_nursery, parked

ROUNDS = 5
ANOTHER = "01HF7YAT00YYYYYYYYYYYYYYYY"  # function

# What takes long to import, and keeps much of what an import can change.
HEAVY = b"""import decimal, email.message, html.parser, http.client, json, os, random, ssl, signal, sqlite3
import sys, tempfile, threading, time, uuid
LOADED = os.urandom(8).hex()
TABLE = {number: str(number) for number in range(50000)}
CHANCE_AT_IMPORT = (random.random(), ssl.RAND_bytes(8).hex(), str(uuid.uuid4()), tempfile.mktemp())
noted = calls = 0

def note(number, _):
    global noted
    noted = number
signal.signal(signal.SIGUSR1, note)

def in_a_thread():
    found = []
    thread = threading.Thread(target=lambda: found.append(sum(range(1000))))
    thread.start()
    thread.join()
    return found

def in_a_child():
    child = os.fork()
    if child == 0:
        os._exit(int(random.random() < 2) + 6)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

def handle(event, context):
    global calls
    calls += 1
    os.kill(os.getpid(), signal.SIGUSR1)
    database = sqlite3.connect(":memory:")
    chance = {"random": random.random(), "tls": ssl.RAND_bytes(16).hex(), "uuid": str(uuid.uuid4()),
              "uuid1": str(uuid.uuid1()), "temporary": tempfile.mktemp(), "system": os.urandom(8).hex()}
    works = {"entries": sum(len(text) for text in TABLE.values()), "calls": calls, "noted": noted,
             "rows": database.execute("select 1 + 1").fetchone()[0], "event": event,
             "folder": os.getcwd(), "arguments": sys.argv[1:], "thread": in_a_thread(),
             "child": in_a_child(), "decimal": str(decimal.Decimal(1) / 3)[:5],
             "variables": sorted(os.environ), "functions": len(os.listdir("/code")),
             "descriptors": sorted(os.listdir("/proc/self/fd"))[:4]}
    return {"loaded": LOADED, "chance": chance, "works": works}
"""


@pytest.fixture(scope="module")
def agent():
    with start_agent(stock=8) as running:
        yield running


def call(made, event=None):
    return json.loads(made.invoke(json.dumps(event).encode()))


def answers_of(agent, gateway, code, count=ROUNDS, **options):
    found = []
    for _ in range(count):
        with from_nursery(agent, gateway, code, **options) as made:
            found.append(call(made, {"a": 1}))
    return found


def test_later_instances_have_what_the_first_one_imported_and_nothing_of_its_chance(agent, gateway):
    code = agent.add_code({"main.py": (0o644, HEAVY)})
    found = answers_of(agent, gateway, code, 8)
    assert len({answer["loaded"] for answer in found}) == 1
    for answer in found[1:]:
        assert answer["works"] == found[0]["works"]
    assert found[0]["works"]["calls"] == 1 and found[0]["works"]["noted"] == signal.SIGUSR1
    for name in found[0]["chance"]:
        assert len({answer["chance"][name] for answer in found}) == len(found), name


def test_an_instance_from_a_snapshot_serves_many_calls(agent, gateway):
    code = agent.add_code({"main.py": (0o644, HEAVY)})
    answers_of(agent, gateway, code, 2)
    with from_nursery(agent, gateway, code) as made:
        chances = [call(made, {"n": number})["chance"] for number in range(200)]
    assert len({chance["random"] for chance in chances}) == len(chances)


def test_another_environment_is_another_snapshot(agent, gateway):
    code = agent.add_code({"main.py": (0o644, b"""import os, time
time.sleep(0.02)
COLOUR, LOADED = os.environ["COLOUR"], os.urandom(8).hex()
def handle(event, context):
    return [COLOUR, os.environ["COLOUR"], LOADED]
""")})
    for _ in range(2):
        blue = answers_of(agent, gateway, code, env=["COLOUR=blue"])
        red = answers_of(agent, gateway, code, env=["COLOUR=red"])
        assert {tuple(answer[:2]) for answer in blue} == {("blue", "blue")}
        assert {tuple(answer[:2]) for answer in red} == {("red", "red")}
        assert len({answer[2] for answer in blue + red}) == 2


def test_another_function_of_the_same_code_has_a_snapshot_of_its_own(agent, gateway):
    """Another tenant's, say: what was drawn at random when it was imported is the first one's secret."""
    code = agent.add_code({"main.py": (0o644, b"""import os, time
time.sleep(0.02)
SECRET = os.urandom(8).hex()
def handle(event, context):
    return [SECRET]
""")})
    for _ in range(2):
        mine = {secret for [secret] in answers_of(agent, gateway, code, 3)}
        other = {secret for [secret] in answers_of(agent, gateway, code, 3, function=ANOTHER)}
        assert len(mine) == len(other) == 1 and not mine & other


def test_who_has_no_id_yet_is_left_nothing(agent, gateway):
    code = agent.add_code({"main.py": (0o644, HEAVY)})
    found = answers_of(agent, gateway, code, 3, function="")
    assert len({answer["loaded"] for answer in found}) == len(found)


def test_a_function_with_an_event_loop_has_one_of_its_own(agent, gateway):
    code = agent.add_code({"main.py": (0o644, b"""import asyncio, os, time
time.sleep(0.02)
LOADED = os.urandom(8).hex()
async def handle(event, context):
    await asyncio.sleep(0.001)
    reader = await asyncio.create_subprocess_exec("/bin/echo", "hi", stdout=-1)
    return [LOADED, (await reader.communicate())[0].decode()]
""")})
    found = answers_of(agent, gateway, code)
    assert {answer[1] for answer in found} == {"hi\n"}
    assert len({answer[0] for answer in found}) == 1


# What an import may leave behind that no copy of memory can hold, or that each must have for itself.
UNFIT = {
    "a thread": "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()",
    "a socket": "import socket; SOCKET = socket.socket(socket.AF_UNIX)",
    "an open file": "FILE = open('/code/main.py')",
    "a child": "import subprocess; CHILD = subprocess.Popen(['/bin/sleep', '1000'])",
    "a child that has ended": "if os.fork() == 0: os._exit(0)",
    "a file in /tmp": "open('/tmp/state', 'w').close()",
    "a timer": "import signal; signal.setitimer(signal.ITIMER_REAL, 1000)",
    "shared memory": "import mmap; SHARED = mmap.mmap(-1, 4096)",
    "another folder": "os.chdir('/tmp')",
    "another mask": "os.umask(0o77)",
    "another limit": "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))",
    "a generator of random numbers": "import random; CHANCE = [random.Random()]",
    "the snapshot's descriptor": "COPY = os.dup(4) if os.path.exists('/proc/self/fd/4') else None",
}


@pytest.mark.parametrize("line", UNFIT.values(), ids=UNFIT.keys())
def test_who_cannot_be_copied_starts_the_plain_way(agent, gateway, line):
    code = agent.add_code({"main.py": (0o644, b"""import os, time
time.sleep(0.02)
LOADED = os.urandom(8).hex()
%s
def handle(event, context):
    return [LOADED]
""" % line.encode())})
    found = answers_of(agent, gateway, code, 3)
    assert len({loaded for [loaded] in found}) == len(found)


def test_saving_takes_no_memory_that_the_function_would_need(agent, gateway):
    code = agent.add_code({"main.py": (0o644, b"""import os, time
time.sleep(0.02)
LOADED, TABLE = os.urandom(8).hex(), os.urandom(36 << 20)
def handle(event, context):
    return [LOADED, len(TABLE)]
""")})
    options = {"memory": 64 * MIB, "env": [f"MAGPIE_MEMORY_BYTES={64 * MIB}"]}
    assert len({answer[0] for answer in answers_of(agent, gateway, code, 3, **options)}) == 3
    options = {"memory": 256 * MIB, "env": [f"MAGPIE_MEMORY_BYTES={256 * MIB}"]}
    assert len({answer[0] for answer in answers_of(agent, gateway, code, 3, **options)}) == 1


def test_the_limit_of_memory_holds_in_an_instance_from_a_snapshot(agent, gateway):
    code = agent.add_code({"main.py": (0o644, b"""import time
time.sleep(0.02)
TABLE = bytearray(20 << 20)
def handle(event, context):
    hog = []
    while True:
        hog.append(bytearray(1 << 20))
""")})
    for _ in range(3):
        with from_nursery(agent, gateway, code, memory=64 * MIB) as made:
            made.begin(b"{}")
            assert made.wait_exited().cause == OUT_OF_MEMORY


CONFINED = b"""import os, resource, time
time.sleep(0.02)
LOADED = os.urandom(8).hex()
def handle(event, context):
    return {"fds": sorted(os.readlink(f"/proc/self/fd/{fd}").split(":")[0]
                          for fd in os.listdir("/proc/self/fd") if int(fd) < 4),
            "count": len(os.listdir("/proc/self/fd")), "cwd": os.getcwd(), "ids": os.getresuid(),
            "groups": os.getgroups(), "parent": os.getppid(), "umask": os.umask(0o22),
            "files": resource.getrlimit(resource.RLIMIT_NOFILE)}
"""


def test_an_instance_from_a_snapshot_is_confined_like_any_other(agent, gateway):
    files = {"main.py": (0o644, CONFINED)}
    with start_agent() as plain:
        expected = confinement(plain.connect(), plain, plain.add_code(files))
    code = agent.add_code(files)
    for _ in range(3):
        assert confinement(gateway, agent, code) == expected


FORGED = b"""import fcntl, os, struct, time
time.sleep(0.02)
def forge():
    os.pwrite(4, b"x" * 100000, 8)
    %s
    os.pwrite(4, struct.pack("=Q", 0x31746f687370616d), 0)
    fcntl.fcntl(4, fcntl.F_ADD_SEALS, 0xf)
try:
    forge()
    os.kill(os.getpid(), 9)
except OSError:
    pass
def handle(event, context):
    return ["well"]
"""


@pytest.mark.parametrize("forgery", ["pass", "os.ftruncate(4, 1 << 40)", "os.ftruncate(4, 20)",
                                     "os.pwrite(4, bytes(50000), 8)"])
def test_who_forges_a_snapshot_harms_nobody_but_itself(agent, gateway, forgery):
    code = agent.add_code({"main.py": (0o644, FORGED % forgery.encode())})
    other = agent.add_code({"main.py": (0o644, HEAVY)})

    def serves():
        try:
            with from_nursery(agent, gateway, code) as made:
                return call(made) == ["well"]
        except EOFError:
            return False
    assert eventually(serves, 60)
    assert len({answer["loaded"] for answer in answers_of(agent, gateway, other, 3)}) == 1


@pytest.mark.parametrize("end", ["os._exit(1)", "os.kill(os.getpid(), 9)"])
def test_what_an_instance_has_not_finished_ends_with_it(agent, gateway, end):
    code = agent.add_code({"main.py": (0o644, b"""import os, time
time.sleep(0.02)
os.pwrite(4, b"x" * (20 << 20), 8)
%s
""" % end.encode())})
    watch = Watch(agent)

    def kept():
        return sum("magpie-snapshot" in name for name in watch.descriptors())
    before = kept()
    made = gateway.spawn(code, "main.handle", runtime=PYTHON3)
    made.wait_exited()
    made.__exit__()
    assert kept() == before


def test_a_snapshot_whose_instances_crash_is_used_no_more(agent, gateway):
    code = agent.add_code({"main.py": (0o644, b"""import os, signal, time
time.sleep(0.02)
LOADED = os.urandom(8).hex()
def handle(event, context):
    if event == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    return [LOADED]
""")})
    before = {loaded for [loaded] in answers_of(agent, gateway, code, 3)}
    assert len(before) == 1
    with from_nursery(agent, gateway, code) as made:
        made.begin(b'"crash"')
        made.wait_exited()
    after = {loaded for [loaded] in answers_of(agent, gateway, code, 3)}
    assert len(after) == 3 and not before & after


def test_snapshots_end_with_their_nursery(agent, gateway):
    code = agent.add_code({"main.py": (0o644, HEAVY)})
    before = {answer["loaded"] for answer in answers_of(agent, gateway, code, 3)}
    for pid in parked(agent):
        if "nursery.py" in command(pid):
            os.kill(pid, signal.SIGKILL)
    with start_agent(stock=8) as another:
        code = another.add_code({"main.py": (0o644, HEAVY)})
        found = {answer["loaded"] for answer in answers_of(another, another.connect(), code, 3)}
        assert len(found) == 1 and found != before
