"""Container images made byte by byte, without any engine, so that a test can put into them what no
honest builder would: tarfile, hashlib and json are all it takes.

    image = Image([Layer().file("hello", program, 0o755)], config={"Entrypoint": ["/hello"]})
    registry.push("team/hello", "1.0", image)
"""
import gzip
import hashlib
import io
import json
import subprocess
import tarfile

OCI = "application/vnd.oci.image."
DOCKER = "application/vnd.docker.distribution.manifest."
PACKERS = {
    "gzip": lambda plain: gzip.compress(plain, 1, mtime=0),
    "zstd": lambda plain: subprocess.run(["zstd", "-q", "-1", "-c"], input=plain, check=True,
                                         stdout=subprocess.PIPE).stdout,
    "": lambda plain: plain,
}
ENDING = {"gzip": "+gzip", "zstd": "+zstd", "": ""}


def sha256(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


class Layer:
    """A tar, member by member, in this order."""

    def __init__(self, packing="gzip"):
        self.packing = packing
        self.buffer = io.BytesIO()
        self.tar = tarfile.open(fileobj=self.buffer, mode="w", format=tarfile.PAX_FORMAT)
        self.finished = None

    def member(self, name, kind=tarfile.REGTYPE, content=b"", mode=0o644, link="", mtime=1700000000,
               pax=None, device=(0, 0)):
        entry = tarfile.TarInfo(name)
        entry.type, entry.mode, entry.linkname, entry.mtime = kind, mode, link, mtime
        entry.size = len(content)
        entry.devmajor, entry.devminor = device
        entry.pax_headers = pax or {}
        self.tar.addfile(entry, io.BytesIO(content))
        return self

    def file(self, name, content=b"", mode=0o644, **options):
        content = content.encode() if isinstance(content, str) else content
        return self.member(name, content=content, mode=mode, **options)

    def folder(self, name, mode=0o755):
        return self.member(name, tarfile.DIRTYPE, mode=mode)

    def link(self, name, target):
        return self.member(name, tarfile.SYMTYPE, link=target, mode=0o777)

    def hard_link(self, name, target):
        return self.member(name, tarfile.LNKTYPE, link=target)

    def whiteout(self, path):
        folder, _, name = path.rpartition("/")
        return self.file(f"{folder}/.wh.{name}" if folder else f".wh.{name}")

    def opaque(self, folder):
        return self.file(f"{folder}/.wh..wh..opq")

    @property
    def plain(self):
        if self.finished is None:
            self.tar.close()
            self.finished = self.buffer.getvalue()
        return self.finished

    @property
    def packed(self):
        return PACKERS[self.packing](self.plain)


class RawLayer:
    """Bytes that are no tar, or one made elsewhere."""

    def __init__(self, plain, packed=None, packing="gzip"):
        self.plain, self.packing = plain, packing
        self.packed = PACKERS[packing](plain) if packed is None else packed


class Image:
    """Blobs by digest, and the manifest that names them."""

    def __init__(self, layers, config=None, architecture="amd64", system="linux", docker=False,
                 diff_ids=None, configuration=None):
        self.blobs = {}
        document = configuration if configuration is not None else {
            "architecture": architecture, "os": system, "config": config or {},
            "rootfs": {"type": "layers",
                       "diff_ids": diff_ids or [sha256(layer.plain) for layer in layers]}}
        text = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.layers = [self._describe(layer.packed, self._layer_type(layer, docker))
                       for layer in layers]
        self.type = DOCKER + "v2+json" if docker else OCI + "manifest.v1+json"
        self.manifest = json.dumps({
            "schemaVersion": 2, "mediaType": self.type,
            "config": self._describe(text, "application/vnd.docker.container.image.v1+json"
                                     if docker else OCI + "config.v1+json"),
            "layers": self.layers}).encode()
        self.platform = {"architecture": architecture, "os": system}

    @staticmethod
    def _layer_type(layer, docker):
        if docker:
            return "application/vnd.docker.image.rootfs.diff.tar.gzip"
        return OCI + "layer.v1.tar" + ENDING[layer.packing]

    def _describe(self, content, kind):
        digest = sha256(content)
        self.blobs[digest] = content
        return {"mediaType": kind, "digest": digest, "size": len(content)}

    @property
    def digest(self):
        return sha256(self.manifest)


class Index:
    """One name for images of several machines."""

    def __init__(self, images, docker=False):
        self.images = images
        self.type = DOCKER + "list.v2+json" if docker else OCI + "index.v1+json"
        self.manifest = json.dumps({
            "schemaVersion": 2, "mediaType": self.type,
            "manifests": [{"mediaType": image.type, "digest": image.digest,
                           "size": len(image.manifest), "platform": image.platform}
                          for image in images]}).encode()

    @property
    def digest(self):
        return sha256(self.manifest)
