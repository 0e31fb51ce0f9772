"""kill -9 of the server while it pulls and unpacks: what is on the disk is whole, or not there.

MAGPIE_KILL_ROUNDS says how many kills there are (3)."""
import hashlib
import http.client
import io
import os
import random
import signal
import tarfile
import threading
import time

import pytest
from conftest import Store
from image_registry import ImageServer
from node_host import NodeHost
from oci import Image, Layer
from people import Person
from raw_http import eventually

ROUNDS = int(os.environ.get("MAGPIE_KILL_ROUNDS", "3"))
NO_ANSWER = (OSError, http.client.HTTPException)


def members_of(layer):
    """Its files: {path: SHA-256}, marks of what it removes included."""
    with tarfile.open(fileobj=io.BytesIO(layer.plain)) as archive:
        return {entry.name: hashlib.sha256(archive.extractfile(entry).read()).hexdigest()
                for entry in archive}


def files_of(layers):
    """What the root of these layers holds."""
    found = {}
    for members in map(members_of, layers):
        for path in members:
            folder, _, name = path.rpartition("/")
            if name.startswith(".wh."):
                found.pop(f"{folder}/{name[4:]}", None)
        found.update((path, digest) for path, digest in members.items() if ".wh." not in path)
    return found


def files_below(folder):
    """{path: SHA-256}; what goes meanwhile is not in it."""
    found = {}
    for path in folder.rglob("*"):
        try:
            if path.is_file():
                found[str(path.relative_to(folder))] = hashlib.sha256(path.read_bytes()).hexdigest()
        except FileNotFoundError:
            pass
    return found


def processes_in(folder):
    """Who works there: skopeo's current folder is in it."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{pid}/cwd").startswith(str(folder)):
                found.append(pid)
        except OSError:
            pass
    return found


def kill_everything(node):
    host = NodeHost(node)
    for pid in (host.gateway, host.agent):
        if pid:
            os.kill(pid, signal.SIGKILL)
    node.kill()


@pytest.mark.timeout(180 + 60 * ROUNDS)
def test_whatever_is_kept_is_whole_after_a_kill(registry, program):
    base = Layer().file("hello", program, 0o755)
    expected, layers_of = {}, {}

    def push(number):
        layers = [base]
        for part in range(4):
            layer = Layer(random.choice(["gzip", ""]))
            for name in range(150):
                layer.file(f"d{name % 7}/{part}-{name}", os.urandom(random.randrange(9000)))
            layers.append(layer.whiteout(f"d1/{part - 1}-8"))
        image = Image(layers, {"Cmd": ["/hello"]})
        expected[image.digest.split(":")[1]] = files_of(layers)
        for layer in layers:
            layers_of[hashlib.sha256(layer.plain).hexdigest()] = members_of(layer)
        return registry.push("kill/image", f"r{number}", image)

    def check(store):
        """What has a name is whole for as long as it has it: the collector takes that away first."""
        eventually(lambda: store.names("pulls") == [], "what was half done is gone")
        for digest in store.names("images"):
            found = files_below(store.folder / "images" / digest / "root")
            for name in ("etc/hosts", "etc/hostname", "etc/resolv.conf"):
                found.pop(name, None)
            assert found == expected[digest] or digest not in store.names("images")
        for diff_id in store.names("layers"):
            found = files_below(store.folder / "layers" / diff_id / "files")
            assert found == layers_of[diff_id] or diff_id not in store.names("layers")

    def deploy(person, reference, answers):
        try:
            answers.append(person.request("POST", "/api/v1/functions", {"image": reference}))
        except NO_ANSWER:
            pass

    with ImageServer() as node:
        person, store = Person(node), Store(node)
        began = time.monotonic()
        answers = []
        deploy(person, push("first"), answers)
        took = time.monotonic() - began
        assert answers[0].status == 201, answers
        for number in range(ROUNDS):
            reference, answers = push(number), []
            thread = threading.Thread(target=deploy, args=(person, reference, answers))
            thread.start()
            time.sleep(random.uniform(0, took))
            kill_everything(node)
            thread.join()
            eventually(lambda: processes_in(store.folder) == [], "skopeo has ended, too")
            node.start()
            check(store)
            deploy(person, reference, answers)
            assert answers[-1].status == 201, answers
            check(store)
        known = {function["codeDigest"] for function in
                 person.request("GET", "/api/v1/functions/me").json()}
        assert known == set(expected) == set(store.names("images"))
