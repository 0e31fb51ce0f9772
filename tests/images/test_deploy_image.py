"""`magpie deploy --image`, as a person has it."""
import base64
import json
import os
import pty
import socket
import subprocess
import threading

import pytest
from command_line import CommandLine
from image_registry import PASSWORD, USER, Registry
from oci import Image, Layer
from people import Person


@pytest.fixture
def node(server, tmp_path):
    cli = CommandLine(tmp_path)
    cli.environment["MAGPIE_URL"] = server.url
    cli.environment["MAGPIE_TOKEN"] = Person(server).token
    return cli


def good(result):
    assert result.returncode == 0, result
    return result.stdout


def test_an_image_is_deployed_shown_and_deployed_again(node, registry, hello):
    reference = registry.push("cli/my_app", "1", hello(config={
        "Entrypoint": ["/hello", "two words"], "ExposedPorts": {"8081/tcp": {}}}))
    result = node.run("deploy", "--image", reference)
    assert good(result).strip().endswith("/my-app")
    assert "my-app is deployed: version 1, image http" in result.stderr
    shown = good(node.run("inspect", "my-app"))
    for words in (reference, "http, port 8081", "/hello 'two words'", "0:0"):
        assert words in shown
    result = node.run("deploy", "--image", reference, "--contract", "exec")
    assert "version 2, image exec" in result.stderr, result
    assert good(node.run("deploy", "--image", reference, "-q")) == "my-app\n"


def test_a_folder_with_only_a_function_yaml_will_do(node, registry, hello):
    reference = registry.push("cli/yaml", "1", hello())
    node.write("function.yaml", f"name: from-yaml\nimage: {reference}\nmemory: 64MiB\n"
                                "env:\n  A: b\n")
    good(node.run("deploy"))
    function = json.loads(good(node.run("inspect", "from-yaml", "-o", "json")))
    assert function["image"] == reference and function["memory"] == "64MiB"
    assert function["env"] == {"A": "b"}
    plan = json.loads(good(node.run("deploy", "--dry-run")))
    assert plan["image"] == reference and "files" not in plan


def test_credentials_come_from_the_environment_or_from_docker(node, hello):
    with Registry(private=True) as private:
        reference = private.push("cli/private", "1", hello())
        result = node.run("deploy", "--image", reference)
        assert result.returncode == 1 and "MAGPIE_REGISTRY_USER" in result.stderr, result
        good(node.run("deploy", "--image", reference, MAGPIE_REGISTRY_USER=USER,
                      MAGPIE_REGISTRY_PASSWORD=PASSWORD))
        result = node.run("deploy", "--image", reference, MAGPIE_REGISTRY_PASSWORD=PASSWORD)
        assert result.returncode == 1 and "MAGPIE_REGISTRY_USER is not" in result.stderr, result
        auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        node.write("home/.docker/config.json", json.dumps({"auths": {private.host: {"auth": auth}}}))
        result = node.run("deploy", "--image", reference)
        assert "version 2" in result.stderr, result
        assert PASSWORD not in result.stderr + result.stdout


def test_what_is_no_reference_is_a_usage_error(node):
    result = node.run("deploy", "--image", "No/Ref erence")
    assert result.returncode == 2 and "no reference" in result.stderr, result


class SlowRegistry:
    """Passes bytes on from a registry; those of blobs when it is told to."""

    def __init__(self, registry):
        self.port = registry.port
        self.server = socket.create_server(("127.0.0.1", 0))
        self.host = "127.0.0.1:%d" % self.server.getsockname()[1]
        self.go_on = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        upstream = socket.create_connection(("127.0.0.1", self.port))
        threading.Thread(target=self._pass_on, args=(client, upstream, None), daemon=True).start()
        self._pass_on(upstream, client, self.go_on)

    @staticmethod
    def _pass_on(source, target, gate):
        passed = 0
        try:
            while piece := source.recv(65536):
                target.sendall(piece)
                passed += len(piece)
                if gate and passed > 200_000:
                    gate.wait(60)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self):
        self.go_on.set()
        self.server.close()


def read_until(descriptor, seen, wanted):
    """What a person has seen when `wanted` is on the terminal, or at its end."""
    while wanted is None or wanted not in seen:
        try:
            seen += os.read(descriptor, 65536)
        except OSError:  # EIO: the last of them closed the terminal
            assert wanted is None, seen
            break
    return seen


def test_progress_is_shown_by_the_api_and_on_a_terminal(node, server, registry, program):
    large = Layer("").file("large", os.urandom(3 << 20))
    image = Image([Layer().file("hello", program, 0o755), large], {"Cmd": ["/hello"]})
    registry.push("cli/progress", "1", image)
    slow = SlowRegistry(registry)
    reference = f"{slow.host}/cli/progress:1"
    ours, theirs = pty.openpty()
    with subprocess.Popen([node.program, "deploy", "--image", reference], stdin=theirs,
                          stdout=theirs, stderr=theirs, cwd=node.folder, env=node.environment,
                          start_new_session=True) as process:
        os.close(theirs)
        try:
            seen = read_until(ours, b"", b"pulling " + reference.encode())
            found = server.request("GET", "/api/v1/pulls",
                                   token=node.environment["MAGPIE_TOKEN"]).json()[0]
            of_others = server.request("GET", "/api/v1/pulls").json()
        finally:
            slow.go_on.set()
        text = read_until(ours, seen, None).decode()
        os.close(ours)
        assert process.wait(60) == 0, text
    slow.close()
    assert "progress is deployed: version 1" in text
    assert of_others == []
    assert found["image"] == reference and found["digest"] == image.digest.split(":")[1]
    assert found["state"] == "pulling" and 0 < found["bytes"] < found["size"]
    assert found["size"] == sum(layer["size"] for layer in image.layers)
    assert [layer["digest"] for layer in found["layers"]] == \
        [layer["digest"].split(":")[1] for layer in image.layers]
    assert {layer["state"] for layer in found["layers"]} <= {"waiting", "pulling", "pulled", "there"}
