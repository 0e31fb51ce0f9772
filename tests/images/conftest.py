"""A registry, programs for images, and the node that a file shares."""
import json
import os
import pathlib
import subprocess
import sysconfig

import pytest
from image_layers import add_folder, add_program
from image_registry import ImageServer, Registry
from oci import Image, Layer
from people import Person

ROOT = pathlib.Path(__file__).resolve().parents[2]
NODE = os.environ.get("MAGPIE_TEST_NODE", "/usr/bin/node")


@pytest.fixture(scope="module")
def server():
    with ImageServer() as node:
        yield node


@pytest.fixture(scope="module")
def person(server):
    return Person(server)


@pytest.fixture(scope="session")
def program(tmp_path_factory):
    """A static program for this machine, which knows every contract."""
    built = tmp_path_factory.mktemp("program") / "hello"
    subprocess.run(["cc", "-Wall", "-Wextra", "-Werror", "-O2", "-static", "-s", "-o", built,
                    pathlib.Path(__file__).parent / "programs/hello.c"], check=True)
    return built.read_bytes()


@pytest.fixture(scope="session")
def registry():
    with Registry() as started:
        yield started


class Store:
    """What a node keeps of images on its disk."""

    def __init__(self, server):
        self.folder = pathlib.Path(server.data_dir)

    def names(self, part):
        return sorted(path.name for path in (self.folder / part).iterdir())

    def root(self, digest):
        return self.folder / "images" / digest.split(":")[-1] / "root"

    def are_all_used(self):
        """Is every layer one of an image that is kept?"""
        used = set()
        for path in (self.folder / "images").iterdir():
            configuration = json.loads((path / "configuration.json").read_text())
            used |= {digest.split(":")[1] for digest in configuration["rootfs"]["diff_ids"]}
        return set(self.names("layers")) == used

    def everything(self):
        """Paths of all that is kept."""
        return sorted(os.path.join(folder, name) for part in ("images", "layers", "pulls")
                      for folder, folders, files in os.walk(self.folder / part)
                      for name in folders + files)


@pytest.fixture
def store(server):
    return Store(server)


@pytest.fixture(scope="session")
def hello(program):
    """An image of that program, other settings as said."""
    def hello(**options):
        options.setdefault("config", {"Entrypoint": ["/hello"]})
        return Image([Layer().file("hello", program, 0o755)], **options)
    return hello


@pytest.fixture(scope="session")
def deployed():
    """Makes a function of an image; what the API shows of it."""
    def deployed(person, reference, **fields):
        answer = person.request("POST", "/api/v1/functions", {"image": reference, **fields})
        assert answer.status == 201, answer
        identity = answer.json()["functionId"]
        return person.request("GET", f"/api/v1/functions/{identity}").json()
    return deployed


@pytest.fixture(scope="session")
def node_layer():
    """Node, with what it needs."""
    layer = Layer("")
    add_program(layer, NODE, "/usr/bin/node")
    for name in ("acorn", "acorn-walk", "cjs-module-lexer", "undici"):
        add_folder(layer, f"/usr/share/nodejs/{name}")  # Debian's Node has them outside of it
    return layer


@pytest.fixture(scope="session")
def python_layer():
    """Python, with its library."""
    layer = Layer("")
    add_program(layer, "/usr/bin/python3", "/usr/bin/python3")
    add_folder(layer, sysconfig.get_path("stdlib"),
               without=("__pycache__", "dist-packages", "test", "config-*"))
    return layer


@pytest.fixture(scope="session")
def image_of():
    """An image of one of these layers and some files; its program is what `config` says."""
    def image_of(layer, files, **config):
        own = Layer()
        for path, content in files.items():
            own.file(path, content, 0o755)
        return Image([layer, own], config)
    return image_of


@pytest.fixture
def ask(person):
    """A request to a function's URL."""
    def ask(function, path="/", body=None, method="GET", headers=None):
        return person.request(method, f"/f/{function['functionId']}{path}", body, headers=headers)
    return ask
