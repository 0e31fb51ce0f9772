"""One agent for a whole file of tests; programs compiled once for all of them."""
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import agent_client  # noqa: E402
import sandbox_host  # noqa: E402
from server import build_dir  # noqa: E402

HERE = pathlib.Path(__file__).parent


def pytest_configure():
    if not (build_dir() / "src/agent/magpie-agent").exists():
        pytest.exit("build magpie first: ./dev build")


def start_agent(data_dir=None, wrapper=(), stock=0, options=()):
    return agent_client.Agent(build_dir() / "src/agent/magpie-agent", data_dir, wrapper, stock,
                              options)


@pytest.fixture(scope="session")
def compile_probe(tmp_path_factory):
    """Compiles probes/NAME.c; returns the program's bytes."""
    folder = tmp_path_factory.mktemp("probes")

    def compile_probe(name, *flags):
        program = folder / f"{name}{'-'.join(flags)}"
        if not program.exists():
            subprocess.run(["cc", "-Wall", "-Wextra", "-Werror", "-O1", "-pthread", *flags,
                            f"-I{HERE.parents[1] / 'runtimes/c'}", "-o", program,
                            HERE / "probes" / f"{name}.c"], check=True)
        return program.read_bytes()
    return compile_probe


@pytest.fixture(scope="module")
def agent():
    with start_agent() as running:
        yield running


@pytest.fixture(scope="module", params=[0, 8], ids=["made on request", "from stock"])
def either_agent(request):
    """For what must hold however a sandbox comes about: a module names its `agent` so."""
    with start_agent(stock=request.param) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(agent):
    return agent.connect()


@pytest.fixture(scope="module")
def watch(agent, gateway):
    """With a gateway, because the agent has its groups when it has greeted one."""
    return sandbox_host.Watch(agent)


@pytest.fixture
def freeze(watch):
    """Freezes the only instance there is, and waits until it has come to a stop."""
    def freeze(instance):
        instance.set_frozen(True)
        assert sandbox_host.eventually(lambda: watch.frozen() == [True])
    return freeze


@pytest.fixture(scope="session")
def probe(compile_probe):
    """The static program of probes/probe.c: one command an invocation, by the exec contract."""
    return {"probe": (0o755, compile_probe("probe", "-static"))}


@pytest.fixture(scope="module")
def probe_code(agent, probe):
    return agent.add_code(probe)


@pytest.fixture
def sandbox(gateway, probe_code):
    """A ready sandbox that runs the probe."""
    with gateway.spawn(probe_code, "probe", runtime=agent_client.EXEC) as instance:
        instance.wait_ready()
        yield instance


# What scripts of tests call, and what of Python's library they cannot need.
PROGRAMS = ("sh cat chmod cp df env find grep head id ls mkdir python3 sed stat true uname "
            "wc").split()
UNNEEDED = shutil.ignore_patterns("*-packages", "__pycache__", "asyncio", "config-*", "distutils",
                                  "ensurepip", "idlelib", "lib2to3", "multiprocessing", "pydoc_data",
                                  "test", "tkinter", "turtledemo", "unittest", "xml")
USERS = b"root:x:0:0::/:/bin/sh\nfunction:x:1000:1000::/tmp:/bin/sh\n"


@pytest.fixture(scope="session")
def image_base(tmp_path_factory):
    """The files of an image with a shell and Python, taken from this machine."""
    base = tmp_path_factory.mktemp("image") / "base"
    for folder in ("bin", "lib", "lib64", "sbin"):
        (base / "usr" / folder).mkdir(parents=True)
        (base / folder).symlink_to(f"usr/{folder}")
    (base / "var/tmp").mkdir(parents=True)
    (base / "code").mkdir()
    libraries = set()
    for name in PROGRAMS:
        shutil.copy(shutil.which(name, path="/usr/bin:/bin"), base / "usr/bin" / name)
        needed = subprocess.run(["ldd", base / "usr/bin" / name], capture_output=True, text=True,
                                check=True)
        libraries |= set(re.findall(r"(/\S+) \(", needed.stdout))
    for library in libraries:
        (base / library[1:]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, base / library[1:])
    where = subprocess.run(["/usr/bin/python3", "-c", "import os; print(os.__file__)"],
                           capture_output=True, text=True, check=True)
    library = pathlib.Path(where.stdout.strip()).parent
    shutil.copytree(library, base / str(library)[1:], ignore=UNNEEDED, dirs_exist_ok=True)
    return base


class Place:
    """Where a test's function lives: in a bundle of code, or in an image that has the same files at
    /code and runs as `user`."""

    def __init__(self, agent, gateway, base=None, user=1000):
        self.agent, self.gateway, self.base, self.user = agent, gateway, base, user

    @property
    def is_image(self):
        return self.base is not None

    def spawn(self, files, program, **options):
        """A ready sandbox in which the program runs once an invocation."""
        if self.is_image:
            inside = {f"code/{name}": file for name, file in files.items()}
            image = self.agent.add_image({"etc/passwd": (0o644, USERS), **inside}, self.base)
            made = self.gateway.spawn_image(image, f"/code/{program}", user=self.user, folder="/code",
                                            **options)
        else:
            made = self.gateway.spawn(self.agent.add_code(files), program,
                                      runtime=agent_client.EXEC, **options)
        made.wait_ready()
        return made

    def run(self, script, payload=b"", **options):
        """A script's output."""
        with self.spawn({"main": (0o755, script.encode())}, "main", **options) as instance:
            return instance.invoke(payload).decode()


@pytest.fixture(params=["code", "image", "image of root"])
def place(request, agent, gateway, image_base):
    """For what must hold wherever a function comes from."""
    return {"code": Place(agent, gateway), "image": Place(agent, gateway, image_base),
            "image of root": Place(agent, gateway, image_base, user=0)}[request.param]


@pytest.fixture
def run_script(agent, gateway):
    """Runs a shell or Python script once under the exec contract; returns its output."""
    def run_script(script, payload=b"", **options):
        code = agent.add_code({"main": (0o755, script.encode())})
        with gateway.spawn(code, "main", runtime=agent_client.EXEC, **options) as instance:
            instance.wait_ready()
            return instance.invoke(payload).decode()
    return run_script
