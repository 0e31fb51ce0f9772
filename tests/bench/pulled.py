"""Functions of images for benchmarks: peers/server.c in an image, pulled from a registry of their own."""
import contextlib
import subprocess

from common import HERE, Server
from image_registry import Registry
from oci import Image, Layer

CONTRACTS = ("exec", "http", "lambda")


def build_server(folder):
    """The program, static."""
    built = folder / "server"
    subprocess.run(["musl-gcc", "-static", "-O2", "-o", built, HERE / "peers/server.c"], check=True)
    return built


@contextlib.contextmanager
def node(*arguments):
    """A server that may pull from the registry, and that."""
    with Registry() as registry, Server("--insecure-registries", registry.host, *arguments) as server:
        yield server, registry


def deploy(server, registry, program, name, contract, **fields):
    """The path of its URL."""
    image = Image([Layer().file("server", program.read_bytes(), 0o755)], {
        "Entrypoint": ["/server"] + (["exec"] if contract == "exec" else [])})
    reference = registry.push(f"bench/{contract}", "1", image)
    answer = server.request("POST", "/api/v1/functions", {
        "name": name, "image": reference, "contract": contract, "public": True, **fields})
    assert answer.status == 201, answer
    return f"/f/{answer.json()['functionId']}"
