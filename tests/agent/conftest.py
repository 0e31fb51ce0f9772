"""One agent for a whole file of tests; programs compiled once for all of them."""
import pathlib
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


def start_agent(data_dir=None, wrapper=(), stock=0):
    return agent_client.Agent(build_dir() / "src/agent/magpie-agent", data_dir, wrapper, stock)


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
def watch(agent):
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


@pytest.fixture
def run_script(agent, gateway):
    """Runs a shell or Python script once under the exec contract; returns its output."""
    def run_script(script, payload=b"", **options):
        code = agent.add_code({"main": (0o755, script.encode())})
        with gateway.spawn(code, "main", runtime=agent_client.EXEC, **options) as instance:
            instance.wait_ready()
            return instance.invoke(payload).decode()
    return run_script
