"""Real programs run well under the filter and in the masked file system."""
import json
import time

import pytest
from agent_client import EXEC, MIB, NATIVE, NODE, PYTHON3


@pytest.fixture(scope="module")
def agent(either_agent):
    return either_agent


PYTHON = {
    "threads": "import threading\nt=[threading.Thread(target=print) for _ in range(9)]\n"
               "[x.start() for x in t]; [x.join() for x in t]\n",
    "multiprocessing": "import multiprocessing as m\n"
                       "with m.get_context('fork').Pool(3) as p: assert p.map(abs, [-1, -2]) == [1, 2]\n"
                       "q = m.Queue(); q.put(1); assert q.get() == 1\n",
    "shared memory": "from multiprocessing import shared_memory as s\n"
                     "a = s.SharedMemory(create=True, size=4096); a.buf[0] = 7\n"
                     "b = s.SharedMemory(a.name); assert b.buf[0] == 7\n"
                     "b.close(); a.close(); a.unlink()\n",
    "subprocess": "import subprocess as s\n"
                  "assert s.run(['sh', '-c', 'echo $0 | tr a b', 'a'], capture_output=True, "
                  "check=True).stdout == b'b\\n'\n",
    "files": "import tempfile, os, shutil, mmap, fcntl\n"
             "with tempfile.TemporaryFile() as f:\n"
             "    f.write(b'x' * 10000); f.flush(); fcntl.flock(f, fcntl.LOCK_EX)\n"
             "    m = mmap.mmap(f.fileno(), 0); assert m[9] == 120; m.close()\n"
             "d = tempfile.mkdtemp(); os.symlink('a', d + '/b'); os.mkfifo(d + '/c')\n"
             "os.link(d + '/c', d + '/d'); os.utime(d); shutil.rmtree(d)\n",
    "sqlite": "import sqlite3\nc = sqlite3.connect('/tmp/x.db'); c.execute('pragma journal_mode=wal')\n"
              "c.execute('create table t(a)'); c.execute('insert into t values (1)'); c.commit()\n",
    "asyncio": "import asyncio\nasync def f():\n"
               "    p = await asyncio.create_subprocess_exec('true'); assert await p.wait() == 0\n"
               "    await asyncio.sleep(0.001); await asyncio.to_thread(abs, 1)\n"
               "asyncio.run(f())\n",
    "sockets": "import socket\nsocket.getaddrinfo('localhost', 80)\n"
               "a, b = socket.socketpair(); a.send(b'x'); assert b.recv(1) == b'x'\n"
               "s = socket.create_server(('::1', 0), family=socket.AF_INET6)\n",
    "waiting": "import select, os, signal, time\ne = select.epoll(); r, w = os.pipe(); "
               "e.register(r, 1); os.write(w, b'x'); assert e.poll(1)\n"
               "f = os.eventfd(1); assert os.eventfd_read(f) == 1\n"
               "p = os.pidfd_open(os.getpid())\n"
               "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})\n"
               "signal.setitimer(signal.ITIMER_REAL, 0.001); signal.sigwait({signal.SIGALRM})\n",
    "entropy and clocks": "import os, secrets, time, uuid, resource, ctypes\nsecrets.token_bytes(9); "
                          "uuid.uuid4(); time.tzset(); resource.getrusage(0); os.getloadavg\n"
                          "m = os.memfd_create('x'); os.ftruncate(m, 4096)\n"
                          "ctypes.CFUNCTYPE(ctypes.c_int)(lambda: 1)()\n",
}

NODE_SCRIPTS = {
    "jit": "let s = 0; for (let i = 0; i < 3e7; i++) s = (s * 31 + i) | 0; return s",
    "threads of the pool": "await Promise.all([...Array(8)].map((_, i) => "
                           "require('util').promisify(require('crypto').pbkdf2)"
                           "('a', 'b', 1000, 32, 'sha256')))",
    "workers": "const { Worker } = require('worker_threads');"
               "await new Promise((done, fail) => new Worker('process.exit(0)', { eval: true })"
               ".on('exit', done).on('error', fail))",
    "child processes": "const o = require('child_process').execFileSync('echo', ['x']);"
                       "require('assert').equal(String(o), 'x\\n')",
    "files and watching": "const fs = require('fs'); fs.writeFileSync('/tmp/a', 'x');"
                          "const w = fs.watch('/tmp'); w.close();"
                          "await fs.promises.cp('/tmp/a', '/tmp/b')",
    "sockets": "const net = require('net'); const s = net.createServer(c => c.end('x'));"
               "await new Promise(r => s.listen(0, '127.0.0.1', r));"
               "const c = net.connect(s.address().port, '127.0.0.1');"
               "await new Promise(r => c.on('data', r)); s.close()",
    "names of interfaces": "require('assert').ok(require('os').networkInterfaces().lo)",
    "fetch": "const http = require('http'); const s = http.createServer((q, r) => r.end('x'));"
             "await new Promise(r => s.listen(0, '127.0.0.1', r));"
             "await (await fetch(`http://127.0.0.1:${s.address().port}/`)).text(); "
             "s.closeAllConnections(); s.close()",
    "compression": "const z = require('zlib'); z.gunzipSync(z.gzipSync('x'.repeat(1e6)))",
    "webassembly": "await WebAssembly.instantiate(Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0))",
}

SHELLS = {
    "pipes and job control": "#!/bin/bash\nset -euo pipefail\nseq 100 | sort -rn | head -1 || true\n"
                             "sleep 0 & wait $!\n",
    "awk and sed": "#!/bin/sh\nset -e\necho 1 2 | awk '{print $2}' | sed s/2/two/ | grep -q two\n",
    "archives": "#!/bin/sh\nset -e\ncd /tmp; mkdir a; echo x >a/b; tar czf c.tgz a; rm -r a; "
                "tar xzf c.tgz; test -f a/b\n",
    "perl": "#!/usr/bin/perl\nuse IO::Socket; use Time::HiRes; fork() // die; wait; print 1;\n",
    "here documents": "#!/bin/bash\ncat <<<x; diff <(echo 1) <(echo 1)\n",
    "the database of users": "#!/bin/sh\ngetent passwd function && test -w /tmp && test ! -w /code\n",
}


RUN_PYTHON = b"""
def run(event, context):
    exec(event, {"__name__": "function"})
    return "fine"
"""
RUN_NODE = b"""
const AsyncFunction = (async () => {}).constructor
exports.run = async (event) => {
  await new AsyncFunction('require', event)(require)
  return 'fine'
}
"""


def run_as_function(agent, gateway, runtime, file, program, script):
    code = agent.add_code({file: (0o644, program)})
    with gateway.spawn(code, "main.run", runtime=runtime, memory=512 * MIB) as instance:
        instance.wait_ready()
        return instance.invoke(json.dumps(script).encode())


@pytest.mark.parametrize("what", PYTHON)
def test_python_can_use(agent, gateway, what):
    assert run_as_function(agent, gateway, PYTHON3, "main.py", RUN_PYTHON, PYTHON[what]) == b"fine"


@pytest.mark.parametrize("what", NODE_SCRIPTS)
def test_node_can_use(agent, gateway, what):
    script = NODE_SCRIPTS[what]
    assert run_as_function(agent, gateway, NODE, "main.js", RUN_NODE, script) == b"fine"


@pytest.mark.parametrize("what", SHELLS)
def test_scripts_can_use(run_script, what):
    run_script(SHELLS[what])


@pytest.mark.parametrize("runtime, handler", [
    (PYTHON3, "slow.handler"), (NODE, "slow.handler"), (NATIVE, "native"), (EXEC, "script")],
    ids=["python3", "node", "native", "exec"])
def test_readiness_tells_how_long_the_start_took(agent, gateway, compile_probe, runtime, handler):
    code = agent.add_code({
        "slow.py": (0o644, b"import time\ntime.sleep(0.02)\ndef handler(event, context): pass\n"),
        "slow.js": (0o644, b"for (const end = Date.now() + 21; Date.now() < end;);\n"
                           b"exports.handler = () => 0;\n"),
        "script": (0o755, b"#!/bin/sh\nexit 0\n"),
        "native": (0o755, compile_probe("ready", "-static"))})
    for number in range(3):
        begun = time.monotonic()
        with gateway.spawn(code, handler, runtime=runtime) as instance:
            timing = instance.wait_ready().value
            passed_us = (time.monotonic() - begun) * 1e6
            assert runtime != NATIVE or instance.invoke() == b"fine"
        interpreter_us, import_us = timing >> 32, timing & 0xFFFFFFFF
        assert 0 < interpreter_us and interpreter_us + import_us <= passed_us + 2
        from_snapshot = runtime == PYTHON3 and number > 0 and import_us == 0
        assert import_us >= 20_000 or runtime in (NATIVE, EXEC) or from_snapshot
