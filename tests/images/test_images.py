"""Images from a registry: pulled, unpacked, made to a root, and known as functions."""
import stat

import pytest
from oci import Image, Index, Layer, sha256
from people import Person


def simple(program, **options):
    options.setdefault("config", {"Entrypoint": ["/hello"]})
    return Image([Layer().file("hello", program, 0o755)], **options)


@pytest.fixture(scope="module")
def person(server):
    return Person(server)


def deploy(person, reference, **fields):
    return person.request("POST", "/api/v1/functions", {"image": reference, **fields})


def deployed(person, reference, **fields):
    answer = deploy(person, reference, **fields)
    assert answer.status == 201, answer
    return person.request("GET", f"/api/v1/functions/{answer.json()['functionId']}").json()


def test_an_image_becomes_a_function(person, registry, program, store):
    image = simple(program, config={"Entrypoint": ["/hello"], "Cmd": ["-v", "x"],
                                    "Env": ["A=1"], "WorkingDir": "/srv/work"})
    function = deployed(person, registry.push("first/hello", "1.0", image))
    assert function["name"] == "hello" and function["runtime"] == "image"
    assert function["codeDigest"] == image.digest.split(":")[1]
    assert function["command"] == ["/hello", "-v", "x"]
    assert function["directory"] == "/srv/work" and function["user"] == "0:0"
    assert function["contract"] == "exec"
    assert function["image"] == registry.reference("first/hello", "1.0")
    root = store.root(image.digest)
    assert (root / "hello").read_bytes() == program
    assert stat.S_IMODE((root / "hello").stat().st_mode) == 0o755
    assert (root / "srv/work").is_dir()
