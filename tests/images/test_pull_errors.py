"""What can go wrong with a pull: each in a sentence and a reason of its own."""
import http.server
import json
import os
import pathlib
import socket
import subprocess
import threading

import pytest
from conftest import Store
from image_registry import PASSWORD, USER, ImageServer, Registry
from oci import Image, Index, Layer
from people import Person, expect_problem
from server import free_port


@pytest.fixture(scope="module")
def private():
    with Registry(private=True) as started:
        yield started


def deploy(person, reference, **fields):
    return person.request("POST", "/api/v1/functions", {"image": reference, **fields})


@pytest.mark.parametrize("reference", [
    "", "UPPER/case", "a b", "-x", "repo:", "repo:tag:tag", "repo@sha256:12", "http://x/y",
    "../../etc/passwd", "a//b", "host:99999999/x", "x" * 300, "repo:" + "t" * 129, "$(id)", "a;b",
])
def test_what_is_no_reference_is_refused(person, reference):
    expect_problem(deploy(person, reference), 400, "invalid", "no reference")


def test_a_registry_that_is_not_there(person):
    answer = deploy(person, f"127.0.0.1:{free_port()}/team/app:1")
    expect_problem(answer, 502, "image.unreachable", "cannot be reached", "connection refused")
    answer = deploy(person, "no-such-host.invalid/team/app:1")
    expect_problem(answer, 502, "image.unreachable", "cannot be reached")


def test_an_unknown_tag_or_repository(person, registry, hello):
    registry.push("errors/known", "1", hello())
    for name in ("errors/known:2", "errors/unknown:1"):
        answer = deploy(person, f"{registry.host}/{name}")
        expect_problem(answer, 400, "image.unknown", "no such image")
    answer = deploy(person, f"{registry.host}/errors/known@sha256:{'0' * 64}")
    expect_problem(answer, 400, "image.unknown")


def test_credentials(person, private, hello, store):
    reference = private.push("secret/app", "1", hello(config={"Cmd": ["/hello", "secret"]}))
    for fields in ({}, {"registryUser": USER, "registryPassword": "wrong"},
                   {"registryUser": "other", "registryPassword": PASSWORD}):
        expect_problem(deploy(person, reference, **fields), 400, "image.credentials", "credentials")
    answer = deploy(person, reference, registryUser=USER, registryPassword=PASSWORD)
    assert answer.status == 201, answer
    path = f"/api/v1/functions/{answer.json()['functionId']}"
    assert PASSWORD not in json.dumps(person.request("GET", path).json())
    # They are not kept: the next version needs them again, and is told so.
    answer = person.request("POST", path + "/versions", {"image": reference})
    expect_problem(answer, 400, "image.credentials")
    answer = person.request("POST", path + "/versions", {
        "image": reference, "registryUser": USER, "registryPassword": PASSWORD})
    assert answer.status == 200, answer
    assert store.names("pulls") == []
    found = subprocess.run(["grep", "-rIl", PASSWORD, person.server.data_dir,
                            person.server.log_path], stdout=subprocess.PIPE, check=False).stdout
    assert found == b""


def test_a_password_needs_a_user(person, registry):
    answer = deploy(person, f"{registry.host}/a/b", registryPassword="x")
    expect_problem(answer, 400, "invalid", "registryUser")


def test_another_machine(person, registry, hello):
    reference = registry.push("errors/arch", "arm", hello(architecture="arm64"))
    expect_problem(deploy(person, reference), 400, "image.platform", "linux/amd64", "linux/arm64")
    reference = registry.push("errors/arch", "windows", hello(system="windows"))
    expect_problem(deploy(person, reference), 400, "image.platform", "windows/amd64")
    images = [hello(architecture=name) for name in ("arm64", "riscv64")]
    reference = registry.push("errors/arch", "index", Index(images))
    expect_problem(deploy(person, reference), 400, "image.platform", "linux/arm64, linux/riscv64")


class OldRegistry(http.server.BaseHTTPRequestHandler):
    """Has one manifest, of schema 1; or answers with whatever the server holds."""

    def do_GET(self):
        body = b"{}" if self.path == "/v2/" else self.server.manifest
        self.send_response(200)
        self.send_header("Content-Type", self.server.kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def strange_registry():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), OldRegistry) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("manifest, words", [
    ({"schemaVersion": 1, "name": "x", "tag": "y", "fsLayers": []}, "old kind"),
    ({"schemaVersion": 2}, "neither layers nor images"),
    ({"schemaVersion": 2, "layers": [], "manifests": []}, "layers and images"),
    ({"schemaVersion": 2, "config": {}, "layers": []}, "no digest"),
])
def test_a_manifest_that_is_none(person, strange_registry, manifest, words):
    strange_registry.manifest = json.dumps(manifest).encode()
    strange_registry.kind = "application/vnd.oci.image.manifest.v1+json"
    answer = deploy(person, f"127.0.0.1:{strange_registry.server_address[1]}/a/b:c")
    expect_problem(answer, 400, "image.refused", words)


def test_a_manifest_that_is_not_what_was_asked_for(person, strange_registry, hello):
    strange_registry.manifest = hello().manifest
    strange_registry.kind = hello().type
    answer = deploy(person, f"127.0.0.1:{strange_registry.server_address[1]}/a/b@sha256:{'1' * 64}")
    expect_problem(answer, 502, "image.corrupt")


def test_a_manifest_without_end(person, strange_registry):
    strange_registry.manifest = b'{"schemaVersion":2,"x":"' + b"x" * (9 << 20) + b'"}'
    strange_registry.kind = "application/vnd.oci.image.manifest.v1+json"
    answer = deploy(person, f"127.0.0.1:{strange_registry.server_address[1]}/a/b:c")
    assert answer.status in (502, 500), answer


def test_no_skopeo(registry, hello):
    reference = registry.push("errors/skopeo", "1", hello())
    with ImageServer(environment={"PATH": "/nowhere"}) as node:
        person = Person(node)
        expect_problem(deploy(person, reference), 501, "image.no_transport", "skopeo")


def test_a_registry_that_does_not_answer_costs_its_time_and_no_more(hello):
    with socket.create_server(("127.0.0.1", 0)) as silent, \
            ImageServer("--pull-timeout", "500ms") as node:
        person = Person(node)
        answer = deploy(person, f"127.0.0.1:{silent.getsockname()[1]}/team/app:1")
        expect_problem(answer, 504, "image.timeout", "longer")
        assert Store(node).names("pulls") == []


def test_a_server_that_ends_does_not_wait_for_pulls(hello):
    with socket.create_server(("127.0.0.1", 0)) as silent, ImageServer() as node:
        person = Person(node)
        answers = []
        thread = threading.Thread(target=lambda: answers.append(
            deploy(person, f"127.0.0.1:{silent.getsockname()[1]}/team/app:1")))
        thread.start()
        silent.accept()
        node.stop()
        thread.join()
        expect_problem(answers[0], 503, "draining")
        assert Store(node).names("pulls") == []


@pytest.fixture
def small_disk(tmp_path):
    """12 MiB, then it is full."""
    pathlib.Path(tmp_path).chmod(0o755)
    for folder in tmp_path.parents:
        if folder.stat().st_uid == os.getuid() and str(folder).startswith("/tmp/"):
            folder.chmod(folder.stat().st_mode | 0o011)
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m,mode=755", "magpie-test", disk],
                   check=True)
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("layer", [
    lambda: Layer("").file("blob", os.urandom(14 << 20)),  # while it is being fetched
    lambda: Layer().file("zeros", b"\0" * (14 << 20)),  # while it is being unpacked
])
def test_a_full_disk(registry, program, hello, small_disk, layer):
    tag = str(len(layer().packed))
    reference = registry.push("errors/disk", tag, Image(
        [Layer().file("hello", program, 0o755), layer()], {"Cmd": ["/hello"]}))
    small = registry.push("errors/disk", "small", hello())
    with ImageServer(data_dir=small_disk) as node:
        person = Person(node)
        expect_problem(deploy(person, reference), 507, "image.disk_full")
        store = Store(node)
        assert store.everything() == []
        assert deploy(person, small).status == 201  # there is room again
