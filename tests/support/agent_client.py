"""Speaks both protocols of the sandbox side for tests: as the supervisor and the gateway do to the
agent (src/wire/agent_protocol.h), and as the gateway does to an instance (worker_protocol.h).

    with Agent(path_of_magpie_agent) as agent:
        digest = agent.add_code({"main": (0o755, program_bytes)})
        gateway = agent.connect()
        with gateway.spawn(digest, "main", runtime=NATIVE) as instance:
            assert instance.wait_ready()
            result = instance.invoke(b"hello")

Nothing here waits without a deadline.
"""
import contextlib
import hashlib
import os
import pathlib
import select
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time

VERSION = 5
HELLO, SPAWN, KILL, SPAWNED, REFUSED, EXITED, STOCK, COURTESY = range(1, 9)
PYTHON3, NODE, NATIVE, EXEC, PROVIDED, IMAGE = range(1, 7)
BY_EXEC, BY_HTTP, BY_LAMBDA = range(1, 4)  # contracts of an image
VERIFY, PLAIN = 1, 2  # flags of SPAWN
ON_REQUEST, STOCKED_SANDBOX, STOCKED_INTERPRETER = range(1, 4)  # SPAWNED's code
BY_CODE, BY_SIGNAL, OUT_OF_MEMORY, KILLED = range(1, 5)
PHASES = ("cgroup", "clone", "total", "mount", "confine", "exec", "assign")
MIB = 1 << 20
FUNCTION = "01HF7YAT00ZZZZZZZZZZZZZZZZ"  # the id of whoever does not say another

MESSAGE = struct.Struct("=IIQIIQQIIII8IQ8I")
FRAME = struct.Struct("<BBHIQ")
INVOKE, DATA, READY, RESULT, ERROR, LOG, WORKER_REFUSED = range(1, 8)
END, HTTP = 1, 2
FRAME_MAX = 65536

DEADLINE_S = float(os.environ.get("MAGPIE_TEST_DEADLINE", "30"))


class Refused(Exception):
    """The agent's REFUSED: .code is the errno, the text its sentence."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code = code


class Exited:
    def __init__(self, cause, code, memory_peak):
        self.cause, self.code, self.memory_peak = cause, code, memory_peak

    def __repr__(self):
        return f"Exited(cause={self.cause}, code={self.code}, peak={self.memory_peak})"


class Frame:
    def __init__(self, message):
        self.type, self.flags, meta, self.id, self.value = FRAME.unpack_from(message)
        self.meta = message[FRAME.size : FRAME.size + meta]
        self.payload = message[FRAME.size + meta :]

    def __repr__(self):
        return f"Frame({self.type}, {self.flags}, {self.id}, {self.value}, {self.payload[:200]!r})"


class FunctionFailed(Exception):
    """The worker's ERROR frame; the text is its JSON."""


def wait_readable(descriptor, deadline_s=None):
    deadline_s = DEADLINE_S if deadline_s is None else deadline_s
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    if not poller.poll(deadline_s * 1000):
        raise TimeoutError(f"nothing came within {deadline_s} s")


def write_files(root, files):
    """{path: (mode, bytes)}, or {path: (None, target)} for a symbolic link."""
    root.chmod(0o755)
    for name, (mode, data) in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if mode is None:
            path.symlink_to(data)
        else:
            path.unlink(missing_ok=True)  # it may be a link to somebody else's
            path.write_bytes(data)
            path.chmod(mode)


class Agent:
    """A magpie-agent of its own with a data directory of its own. A wrapper is the front part of the
    command line, for a program that executes the rest; `stock`, how many sandboxes it may make in
    advance; `options`, the end of the command line."""

    def __init__(self, program, data_dir=None, wrapper=(), stock=0, options=()):
        self.program = str(program)
        self.wrapper = list(wrapper)
        self.stock = stock
        self.options = list(options)
        self.owns_data_dir = data_dir is None
        self.data_dir = pathlib.Path(data_dir or tempfile.mkdtemp(prefix="magpie-agent-"))
        self.data_dir.chmod(0o755)
        for folder in ("code", "staging", "images"):
            (self.data_dir / folder).mkdir(exist_ok=True)
        self.gateways = []
        self.process = self.control = None
        self.start()

    def start(self):
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            # Python's own descriptors are close-on-exec; the copy on 3 is not.
            self.process = subprocess.Popen(
                [*self.wrapper, self.program, "--data-dir", str(self.data_dir),
                 "--stock", str(self.stock), *self.options],
                stdin=subprocess.DEVNULL, close_fds=False,
                preexec_fn=lambda: os.dup2(theirs.fileno(), 3))
        return self

    def restart(self):
        """Another life of the agent over the same data directory."""
        self.end()
        self.start()

    def add_code(self, files, staging=False):
        """Files as write_files() has them."""
        digest = hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()
        root = self.data_dir / ("staging" if staging else "code") / digest
        if not root.exists():
            root.mkdir()
            write_files(root, files)
        return digest

    def add_image(self, files, base=None, without=()):
        """The root of an image as the gateway leaves it, with these files over those of the folder `base`,
        but for what is named in `without`."""
        digest = hashlib.sha256(repr((sorted(files.items()), str(base), without)).encode()).hexdigest()
        root = self.data_dir / "images" / digest / "root"
        if root.exists():
            return digest
        root.parent.mkdir()
        if base:
            subprocess.run(["cp", "-al", base, root], check=True)
        for folder in ("proc", "sys", "dev", "tmp", "etc"):
            if folder not in without:
                (root / folder).mkdir(parents=True, exist_ok=True)
        write_files(root, files)
        return digest

    def connect(self, greet=True, **options):
        gateway = Gateway(self, **options)
        if greet:
            gateway.greet()
        self.gateways.append(gateway)
        return gateway

    def end(self):
        """The orderly end: the control socket closes. Returns the exit status."""
        for gateway in self.gateways:
            gateway.close()
        self.gateways = []
        self.control.close()
        try:
            return self.process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def kill(self):
        """The violent end."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(DEADLINE_S)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()
        if self.owns_data_dir:
            shutil.rmtree(self.data_dir)


class Gateway:
    """One gateway's connection to the agent. Unless the kernel `tells_user`, nobody knows whose it is."""

    def __init__(self, agent, tells_user=True):
        self.agent = agent
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, tells_user)
        with theirs:
            socket.send_fds(agent.control, [b"g"], [theirs.fileno()])
        self.groups_fd = -1
        self.next_id = 1
        self.exited = {}
        self.answers = {}
        self.parked = {"bare": 0, "python3": 0, "node": 0}  # what the agent has told last

    def greet(self):
        self.send(HELLO, code=VERSION)
        answer = self.receive()
        assert answer["type"] == HELLO and answer["code"] == VERSION, answer
        (self.groups_fd,) = answer["fds"]

    def send(self, kind, *, code=0, instance_id=0, runtime=0, memory=0, tmp=0, cpu=0, processes=0,
             flags=0, network=0, contract=0, port=0, user=0, user_group=0, words=0,
             reach=0, extra=b"",
             extra_length=None):
        length = len(extra) if extra_length is None else extra_length
        head = MESSAGE.pack(kind, code, instance_id, runtime, 0, memory, tmp, cpu, processes,
                            flags, length, *([0] * 8), 0, network, contract, port, user, user_group,
                            words, reach, 0)
        self.socket.send(head + extra)

    def receive(self, deadline_s=None):
        """The next message that is not about the stock."""
        while (message := self._receive(deadline_s))["type"] == STOCK:
            pass
        return message

    def _receive(self, deadline_s=None):
        wait_readable(self.socket, deadline_s)
        message, fds, _, _ = socket.recv_fds(self.socket, 65536, 4)
        for fd in fds:
            os.set_inheritable(fd, False)  # an agent that is started later must not have them
        if not message:
            raise EOFError("the agent has ended the connection")
        fields = MESSAGE.unpack_from(message)
        if fields[0] == STOCK:
            self.parked = dict(zip(self.parked, fields[11:19]))
        return {"type": fields[0], "code": fields[1], "instance_id": fields[2],
                "cause": fields[4], "memory": fields[5], "phases": dict(zip(PHASES, fields[11:19])),
                "group": fields[19],
                "extra": message[MESSAGE.size:], "fds": fds}

    def take(self, deadline_s=None):
        """Sorts one message in."""
        message = self._receive(deadline_s)
        if message["type"] == STOCK:
            return
        if message["type"] == EXITED:
            assert message["instance_id"] not in self.exited, "EXITED came twice"
            self.exited[message["instance_id"]] = Exited(message["cause"], message["code"],
                                                         message["memory"])
        else:
            self.answers[message["instance_id"]] = message

    def ask_spawn(self, digest, handler, *, runtime=NATIVE, env=(), memory=128 * MIB,
                  tmp=16 * MIB, cpu=0, processes=64, verify=False, plain=False, egress=False,
                  layers="", function=FUNCTION, command=(), **image):
        instance_id = self.next_id
        self.next_id += 1
        strings = [digest, handler, layers, function, *command, *env]
        extra = b"".join(text.encode() + b"\0" for text in strings)
        self.send(SPAWN, instance_id=instance_id, runtime=runtime, memory=memory, tmp=tmp, cpu=cpu,
                  processes=processes, flags=VERIFY * verify | PLAIN * plain, network=int(egress),
                  extra=extra, **image)
        return instance_id

    def ask_spawn_image(self, digest, *words, folder="/", user=0, group=None, contract=BY_EXEC,
                        **options):
        return self.ask_spawn(digest, "", runtime=IMAGE, contract=contract, user=user,
                              user_group=user if group is None else group, words=len(words),
                              command=(folder, *words), **options)

    def await_spawned(self, instance_id):
        while instance_id not in self.answers:
            self.take()
        answer = self.answers.pop(instance_id)
        if answer["type"] == REFUSED:
            raise Refused(answer["code"], answer["extra"].rstrip(b"\0").decode())
        return Instance(self, instance_id, answer)

    def spawn(self, digest, handler, **options):
        return self.await_spawned(self.ask_spawn(digest, handler, **options))

    def spawn_image(self, digest, *words, **options):
        return self.await_spawned(self.ask_spawn_image(digest, *words, **options))

    def kill(self, instance_id):
        self.send(KILL, instance_id=instance_id)

    def wait_exited(self, instance_id):
        while instance_id not in self.exited:
            self.take()
        return self.exited[instance_id]

    def close(self):
        self.socket.close()
        if self.groups_fd >= 0:
            os.close(self.groups_fd)
            self.groups_fd = -1


class Instance:
    def __init__(self, gateway, instance_id, answer):
        fds = answer["fds"]
        self.gateway, self.id = gateway, instance_id
        self.phases, self.origin = answer["phases"], answer["code"]
        self.group = answer["group"]
        self.socket = socket.socket(fileno=fds[0])
        self.worker = socket.socket(fileno=fds[1])
        self.log_fd = fds[2]
        self.next_invocation = 1
        self.logs = []

    def set_frozen(self, frozen):
        """Asks for it; the processes stop a moment later (sandbox_host.Watch.frozen)."""
        file = os.open(f"{self.group}/cgroup.freeze", os.O_WRONLY, dir_fd=self.gateway.groups_fd)
        try:
            os.write(file, b"1" if frozen else b"0")
        finally:
            os.close(file)

    def receive(self, deadline_s=None):
        """The next frame. The agent's EXITED in the middle of it is an EOFError."""
        deadline = time.monotonic() + (DEADLINE_S if deadline_s is None else deadline_s)
        poller = select.poll()
        poller.register(self.socket, select.POLLIN)
        if self.id not in self.gateway.exited:
            poller.register(self.gateway.socket, select.POLLIN)
        while True:
            with contextlib.suppress(BlockingIOError):
                message = self.socket.recv(FRAME_MAX)
                if not message:
                    raise EOFError("the worker's socket has ended")
                return Frame(message)
            if self.id in self.gateway.exited:
                raise EOFError(f"the instance has ended: {self.gateway.exited[self.id]}")
            if not poller.poll(max(0, deadline - time.monotonic()) * 1000):
                raise TimeoutError("no frame came")
            with contextlib.suppress(TimeoutError):
                wait_readable(self.gateway.socket, 0)
                self.gateway.take()

    def send(self, kind, *, flags=0, invocation=0, value=0, meta=b"", payload=b""):
        frame = FRAME.pack(kind, flags, len(meta), invocation, value) + meta + payload
        poller = select.poll()
        poller.register(self.socket, select.POLLOUT)
        while True:
            with contextlib.suppress(BlockingIOError):
                self.socket.send(frame)
                return
            if not poller.poll(DEADLINE_S * 1000):
                raise TimeoutError("no room for a frame")

    def wait_ready(self):
        frame = self.receive()
        while frame.type == LOG:
            self.logs.append(frame.payload)
            frame = self.receive()
        assert frame.type == READY, frame
        return frame

    def begin(self, payload=b"", *, user="", http=None, end=True):
        """Sends INVOKE; returns its number."""
        number = self.next_invocation
        self.next_invocation += 1
        meta = f"01INVOCATION{number:014}\n{user}\n".encode()
        flags = END if end else 0
        if http is not None:
            meta += http
            flags |= HTTP
        self.send(INVOKE, flags=flags, invocation=number, meta=meta, payload=payload,
                  value=int(time.time() * 1000) + 30000)
        return number

    def finish(self, number):
        """Collects the answer: the body, or FunctionFailed."""
        body = b""
        while True:
            frame = self.receive()
            if frame.type == LOG:
                self.logs.append(frame.payload)
                continue
            assert frame.id == number, frame
            if frame.type == ERROR:
                raise FunctionFailed(frame.payload.decode())
            assert frame.type in (RESULT, DATA), frame
            body += frame.payload
            if frame.flags & END:
                return body

    def invoke(self, payload=b"", **options):
        return self.finish(self.begin(payload, **options))

    def wait_exited(self):
        return self.gateway.wait_exited(self.id)

    def kill(self):
        self.gateway.kill(self.id)
        return self.wait_exited()

    def read_log(self):
        """Everything a sandbox that writes no more has written to stdout and stderr."""
        data = b""
        while True:
            try:
                part = os.read(self.log_fd, 65536)
            except BlockingIOError:
                return data
            if not part:
                return data
            data += part

    def close(self):
        self.socket.close()
        self.worker.close()
        if self.log_fd >= 0:
            os.close(self.log_fd)
            self.log_fd = -1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError, EOFError):
            if self.id not in self.gateway.exited:
                self.kill()
        self.close()
