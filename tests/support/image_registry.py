"""A registry on loopback: Debian's docker-registry, with a folder of its own.

    with Registry() as registry:
        registry.push("team/hello", "1.0", image)
        server.request(..., {"image": registry.reference("team/hello", "1.0")})
"""
import base64
import http.client
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time

from server import Server, free_port

START_SECONDS = 20
USER, PASSWORD = "jo", "correct horse"
# htpasswd(1)'s line for them; the cost is the least that bcrypt has.
HTPASSWD = "jo:$2b$04$Awp8NZesVC9ez9vVaSPN..SxAnbgXF78BW8baztbMBhckLu2G8Say\n"


class ImageServer(Server):
    """A node that may pull from registries on this machine, which are not for everybody."""

    def __init__(self, *arguments, **options):
        super().__init__("--insecure-registries", "127.0.0.1", *arguments, **options)


class Registry:
    def __init__(self, private=False):
        self.private = private
        self.port = free_port()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="magpie-registry-"))
        self.process = None

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_):
        self.stop()

    @property
    def host(self):
        return f"127.0.0.1:{self.port}"

    def start(self):
        settings = ["version: 0.1", "log: {level: error}",
                    f"storage: {{filesystem: {{rootdirectory: {self.folder}/data}}, "
                    "delete: {enabled: true}}", f"http: {{addr: '{self.host}'}}"]
        if self.private:
            (self.folder / "htpasswd").write_text(HTPASSWD)
            settings.append(f"auth: {{htpasswd: {{realm: test, path: {self.folder}/htpasswd}}}}")
        (self.folder / "config.yml").write_text("\n".join(settings) + "\n")
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                ["docker-registry", "serve", self.folder / "config.yml"], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, env={**os.environ, "OTEL_TRACES_EXPORTER": "none"})
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                if self.request("GET", "/v2/").status in (200, 401):
                    return self
            except OSError:
                pass
            log = (self.folder / "log").read_text(errors="replace")
            assert self.process.poll() is None, f"the registry has ended:\n{log}"
            assert time.monotonic() < deadline, f"the registry does not answer:\n{log}"
            time.sleep(0.02)

    def stop(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
        shutil.rmtree(self.folder, ignore_errors=True)

    def request(self, method, path, body=b"", headers=None):
        headers = dict(headers or {})
        if self.private:
            text = f"{USER}:{PASSWORD}".encode()
            headers["Authorization"] = "Basic " + base64.b64encode(text).decode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            answer.text = answer.read()
            return answer
        finally:
            connection.close()

    def reference(self, repository, tag="latest"):
        return f"{self.host}/{repository}{'@' if tag.startswith('sha256:') else ':'}{tag}"

    def push_blob(self, repository, digest, content):
        answer = self.request("POST", f"/v2/{repository}/blobs/uploads/")
        assert answer.status == 202, answer.text
        place = answer.headers["Location"].split(self.host, 1)[-1]
        answer = self.request("PUT", f"{place}{'&' if '?' in place else '?'}digest={digest}",
                              content, {"Content-Type": "application/octet-stream"})
        assert answer.status == 201, answer.text

    def push(self, repository, tag, image):
        """An Image, or an Index with its images. Returns the reference."""
        for part in getattr(image, "images", []):
            self.push(repository, part.digest, part)
        for digest, content in getattr(image, "blobs", {}).items():
            self.push_blob(repository, digest, content)
        answer = self.request("PUT", f"/v2/{repository}/manifests/{tag}", image.manifest,
                              {"Content-Type": image.type})
        assert answer.status == 201, answer.text
        return self.reference(repository, tag)

    def log(self):
        """Its own, of requests."""
        return (self.folder / "log").read_text(errors="replace")

    def times_sent(self, digest):
        """How often it has sent this blob."""
        return len(re.findall(rf'"GET /v2/[^ ]*/blobs/{digest} HTTP[^"]*" 200', self.log()))

    def blob_path(self, digest):
        """Where it keeps the bytes of a blob or manifest."""
        digits = digest.split(":")[1]
        return (self.folder / "data/docker/registry/v2/blobs/sha256" / digits[:2] / digits / "data")
