"""Copies of Node's nursery: everything works in them as in an interpreter that was started, and nothing of
theirs is another's."""
import contextlib
import ctypes
import errno
import itertools
import json
import os
import platform
import signal
import time

import pytest
from agent_client import BY_CODE, MIB, NODE, OUT_OF_MEMORY, STOCKED_INTERPRETER
from conftest import start_agent
from sandbox_host import Watch
from stocked import from_nursery, from_stock, is_copy, nursery_of, parked

KCMP = {"x86_64": 312, "aarch64": 272}
# Each with what Node does for it: threads of V8 and of libuv, the loop's epoll, its eventfd, its pipes.
WORKS = {
    "a timer": "new Promise((done) => setTimeout(done, 20, 'late'))",
    "an immediate": "new Promise((done) => setImmediate(done, 'at once'))",
    "libuv's threads": "require('fs').promises.readFile('/code/main.js', 'utf8').then((text) => text[0])",
    "compression in threads": """require('util').promisify(require('zlib').gzip)('x'.repeat(1e6))
        .then((bytes) => require('zlib').gunzipSync(bytes).length)""",
    "keys from threads": "require('util').promisify(require('crypto').scrypt)('a', 'b', 64).then((key) => key.length)",
    "a server and its client": """new Promise((done, fail) => {
        const server = require('http').createServer((request, response) => response.end('served'));
        server.listen(0, '127.0.0.1', () => {
          require('http').get({ port: server.address().port, host: '127.0.0.1', agent: false }, (answer) => {
            answer.on('data', (text) => server.close(() => done(String(text))));
          }).on('error', fail);
        });
      })""",
    "a child": """new Promise((done, fail) => require('child_process').exec('echo from a child',
        (error, text) => (error ? fail(error) : done(text))))""",
    "a worker": """new Promise((done, fail) => new (require('worker_threads').Worker)(
        "require('worker_threads').parentPort.postMessage(6 * 7)", { eval: true })
        .on('message', done).on('error', fail))""",
    "a signal": """new Promise((done) => {
        process.once('SIGUSR2', () => done('heard'));
        process.kill(process.pid, 'SIGUSR2');
        setTimeout(done, 5000, 'not heard');
      })""",
    "code that is compiled aside": """Promise.resolve().then(() => {
        let sum = 0;
        for (let i = 0; i < 2e7; i++) sum = (sum * 31 + i) | 0;
        return sum;
      })""",
    "garbage that is collected aside": """Promise.resolve().then(() => {
        let kept = [];
        for (let i = 0; i < 500000; i++) {
          kept.push({ i, text: 'x' + i });
          if (kept.length > 50000) kept = [];
        }
        return kept.length;
      })""",
    "WebAssembly": """WebAssembly.instantiate(Uint8Array.from([0, 97, 115, 109, 1, 0, 0, 0, 1, 7, 1, 96, 2,
        127, 127, 1, 127, 3, 2, 1, 0, 7, 7, 1, 3, 97, 100, 100, 0, 0, 10, 9, 1, 7, 0, 32, 0, 32, 1, 106, 11]))
        .then((module) => module.instance.exports.add(2, 3))""",
    "a module": "import('data:text/javascript,export default 7').then((module) => module.default)",
}
SCRIPT = "const works = {\n" + "".join(
    f"  {json.dumps(name)}: () => {code},\n" for name, code in WORKS.items()) + """};
exports.handle = async (name) => ({ value: await works[name]() });
"""


@pytest.fixture(scope="module")
def agent():
    with start_agent(stock=8) as running:
        yield running


@pytest.fixture(scope="module")
def code(agent):
    return agent.add_code({"main.js": (0o644, SCRIPT.encode())})


@pytest.fixture(scope="module")
def started(code):
    """An interpreter that was started for its function."""
    with start_agent() as plain:
        same = plain.add_code({"main.js": (0o644, SCRIPT.encode())})
        with plain.connect().spawn(same, "main.handle", runtime=NODE) as made:
            made.wait_ready()
            yield made


def call(made, value):
    return json.loads(made.invoke(json.dumps(value).encode()))["value"]


@pytest.mark.parametrize("work", WORKS)
def test_what_works_in_an_interpreter_works_in_a_copy(agent, gateway, code, started, work):
    expected = call(started, work)
    with from_nursery(agent, gateway, code, NODE) as made:
        for _ in range(2):
            assert call(made, work) == expected


def test_all_of_it_works_in_one_copy(agent, gateway, code):
    with from_nursery(agent, gateway, code, NODE) as made:
        for work in WORKS:
            call(made, work)


def test_a_copy_knows_its_number_and_counts_from_its_boot(agent, gateway):
    script = b"""const pid = require('fs').readlinkSync('/proc/self');
exports.handle = () => ({ value: [process.pid, Number(pid), process.uptime()] });
"""
    code = agent.add_code({"main.js": (0o644, script)})
    from_nursery(agent, gateway, code, NODE).__exit__()
    time.sleep(1)  # the age of those that wait, and the least of the nursery's
    asked = time.monotonic()
    with gateway.spawn(code, "main.handle", runtime=NODE) as made:
        made.wait_ready()
        assert any(is_copy(pid) for pid in Watch(agent).pids())
        pid, real_pid, uptime = call(made, None)
        assert pid == real_pid
        assert uptime <= time.monotonic() - asked


def is_same_file(one, fd, other, other_fd):
    """Are they one open file in the kernel?"""
    order = ctypes.CDLL(None, use_errno=True).syscall(KCMP[platform.machine()], one, other, 0, fd, other_fd)
    if order < 0 and ctypes.get_errno() == errno.EBADF:  # closed since it was listed
        assert not all(os.path.lexists(f"/proc/{path}") for path in (f"{one}/fd/{fd}", f"{other}/fd/{other_fd}"))
        return False
    assert order >= 0, os.strerror(ctypes.get_errno())
    return order == 0


def test_a_copy_has_no_open_file_in_common_with_its_nursery_or_another(agent, gateway, code):
    with from_nursery(agent, gateway, code, NODE), \
            from_stock(gateway, code, "main.handle", runtime=NODE):
        copies = [pid for pid in Watch(agent).pids() if is_copy(pid)]
        assert len(copies) == 2
        opened = [(pid, fd) for pid in [nursery_of(agent, NODE), *copies]
                  for fd in map(int, os.listdir(f"/proc/{pid}/fd"))]
        assert len(opened) > 3 * 12
        for one, other in itertools.combinations(opened, 2):
            if one[0] != other[0]:
                assert not is_same_file(*one, *other), (one, other)


def test_without_a_nursery_an_interpreter_is_started_with_its_options(agent, gateway):
    script = b"exports.handle = () => ({ value: require('v8').getHeapStatistics().heap_size_limit });"
    code = agent.add_code({"main.js": (0o644, script)})
    options = {"runtime": NODE, "env": ["NODE_OPTIONS=--max-old-space-size=64"]}
    with from_nursery(agent, gateway, code, **options) as made:
        assert 64 * MIB <= call(made, None) < 128 * MIB
    with start_agent(stock=8) as other:
        code = other.add_code({"main.js": (0o644, script)})
        gateway = other.connect()
        from_nursery(other, gateway, code, **options).__exit__()
        os.kill(nursery_of(other, NODE), signal.SIGKILL)
        for _ in range(6):  # some of them copies that waited
            with gateway.spawn(code, "main.handle", **options) as made:
                made.wait_ready()
                assert 64 * MIB <= call(made, None) < 128 * MIB
        assert not any(is_copy(pid) for pid in parked(other))


def test_one_that_is_killed_harms_no_sibling(agent, gateway, code):
    with from_nursery(agent, gateway, code, NODE) as made, \
            from_stock(gateway, code, "main.handle", runtime=NODE) as sibling:
        copies = [pid for pid in Watch(agent).pids() if is_copy(pid)]
        for pid in copies[:1]:
            os.kill(pid, signal.SIGKILL)
        survivors = 0
        for each in (made, sibling):
            with contextlib.suppress(EOFError):
                survivors += call(each, "libuv's threads") == "c"
        assert survivors == 1


def test_the_heap_is_as_large_as_the_function_may_have_it_and_so_is_its_workers(agent, gateway):
    script = b"""const { Worker } = require('worker_threads');
const limit = "require('v8').getHeapStatistics().heap_size_limit";
exports.handle = () => new Promise((done, fail) => new Worker(
  `require('worker_threads').parentPort.postMessage(${limit})`, { eval: true })
  .on('error', fail).on('message', (its) => done({ value: [eval(limit), its] })));
"""
    code = agent.add_code({"main.js": (0o644, script)})
    for heap in (64, 300, 2000):
        options = [f"NODE_OPTIONS=--max-old-space-size={heap}"]
        with from_nursery(agent, gateway, code, NODE, env=options) as made:
            for limit in call(made, None):
                assert heap * MIB <= limit < (heap + 64) * MIB


@pytest.mark.parametrize("option", ["--max-old-space-size=64 --no-warnings", "--stack-trace-limit=3"])
def test_other_options_are_there_from_the_start(agent, gateway, option):
    code = agent.add_code({"main.js": (0o644, b"exports.handle = () => ({ value: process.env.NODE_OPTIONS });")})
    with from_stock(gateway, code, "main.handle", runtime=NODE, env=[f"NODE_OPTIONS={option}"]) as made:
        assert call(made, None) == option
        assert not any(is_copy(pid) for pid in Watch(agent).pids())


def test_who_takes_too_much_memory_is_ended_for_that(agent, gateway):
    code = agent.add_code({"main.js": (0o644, b"""exports.handle = () => {
  const kept = [];
  for (;;) kept.push(Buffer.alloc(1 << 20, 1));
};
""")})
    with from_nursery(agent, gateway, code, NODE, memory=100 * MIB) as made:
        made.begin(b"1")
        assert made.wait_exited().cause == OUT_OF_MEMORY
    assert nursery_of(agent, NODE)


def test_who_reads_more_at_the_start_gets_an_interpreter_that_was_started_with_it(agent, gateway):
    script = b"""const { getHeapStatistics } = require('v8');
exports.handle = () => ({ value: [process.env.NODE_ENV, getHeapStatistics().heap_size_limit] });"""
    code = agent.add_code({"main.js": (0o644, script)})
    options = {"runtime": NODE, "env": ["NODE_OPTIONS=--max-old-space-size=80", "NODE_ENV=production"]}
    with from_stock(gateway, code, "main.handle", **options,
                    which=lambda made: made.origin == STOCKED_INTERPRETER) as made:
        assert not any(is_copy(pid) for pid in Watch(agent).pids())
        environment, limit = call(made, None)
        assert environment == "production" and 80 * MIB <= limit < 144 * MIB


def test_a_module_s_ticks_do_not_wait_for_its_promises(agent, gateway):
    script = b"""const order = [];
Promise.resolve().then(() => order.push('promise'));
process.nextTick(() => order.push('tick'));
exports.handle = () => ({ value: order });"""
    code = agent.add_code({"main.js": (0o644, script)})
    with from_nursery(agent, gateway, code, NODE) as made:
        assert call(made, None) == ["tick", "promise"]


@pytest.fixture(params=["copy", "started"])
def make(request, agent, gateway):
    """make(script) -> a copy, or an interpreter that was started for its function."""
    def make(script):
        files = {"main.js": (0o644, script.encode())}
        if request.param == "copy":
            return from_nursery(agent, gateway, agent.add_code(files), NODE)
        made = plain.connect().spawn(plain.add_code(files), "main.handle", runtime=NODE)
        made.wait_ready()
        return made
    with start_agent() if request.param == "started" else contextlib.nullcontext() as plain:
        yield make


@pytest.mark.parametrize("statement, code", [("throw new Error('late')", 1), ("process.exit(3)", 3),
                                             ("process.exitCode = 4; process.exit()", 4)])
def test_who_ends_between_requests_does_not_wait_for_one(make, statement, code):
    script = """process.on('exit', () => console.log('its last words'));
exports.handle = () => {
  process.stdout.write('unfinished');
  setTimeout(() => { %s; }, 20);
  return { value: 1 };
};
""" % statement
    with make(script) as made:
        assert call(made, None) == 1
        ended = made.wait_exited()
        assert (ended.cause, ended.code) == (BY_CODE, code)
        with contextlib.suppress(EOFError):
            while True:
                made.logs.append(made.receive().payload)
        logged = b"".join(made.logs)
        assert b"unfinished" in logged and b"its last words\n" in logged
        assert (b"Error: late" in logged) == ("late" in statement)
