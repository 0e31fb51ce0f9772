"""Programs compiled once for all files, and the node that a file shares."""
import pathlib
import subprocess

import pytest
from node_host import NodeHost
from server import ROOT

HERE = pathlib.Path(__file__).parent
HANDLERS = {"python3": "main.handler", "node": "main.handler"}


@pytest.fixture(scope="session")
def compile_native(tmp_path_factory):
    """Compiles functions/NAME.c; returns the program's bytes."""
    folder = tmp_path_factory.mktemp("native")

    def compile_native(name, *flags):
        program = folder / f"{name}{'-'.join(flags).replace('/', '_')}"
        if not program.exists():
            subprocess.run(["cc", "-Wall", "-Wextra", "-Werror", "-O2", "-pthread", "-static",
                            f"-I{ROOT / 'runtimes/c'}", *flags, "-o", program,
                            HERE / "functions" / f"{name}.c"], check=True)
        return program.read_bytes()
    return compile_native


@pytest.fixture(scope="session")
def source():
    """The text of functions/NAME."""
    return lambda name: (HERE / "functions" / name).read_text()


@pytest.fixture(scope="module")
def host(server):
    return NodeHost(server)
