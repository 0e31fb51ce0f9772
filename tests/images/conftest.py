"""A registry and programs for images; the node that a file shares is tests/conftest.py's."""
import pathlib
import subprocess

import pytest
from image_registry import Registry

HELLO = """
#include <stdio.h>
int main(int count, char **words)
{
        printf("hello %s\\n", count > 1 ? words[count - 1] : "nobody");
        return 0;
}
"""


@pytest.fixture(scope="session")
def program(tmp_path_factory):
    """A static program for this machine."""
    folder = tmp_path_factory.mktemp("program")
    (folder / "hello.c").write_text(HELLO)
    subprocess.run(["cc", "-Wall", "-Werror", "-O2", "-static", "-s", "-o", folder / "hello",
                    folder / "hello.c"], check=True)
    return (folder / "hello").read_bytes()


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

    def everything(self):
        """Paths of all that is kept."""
        return sorted(str(path.relative_to(self.folder)) for part in ("images", "layers", "pulls")
                      for path in (self.folder / part).rglob("*"))


@pytest.fixture
def store(server):
    return Store(server)
