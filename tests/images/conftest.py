"""A registry and programs for images; the node that a file shares is tests/conftest.py's."""
import json
import os
import pathlib
import subprocess

import pytest
from image_registry import Registry
from oci import Image, Layer

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
