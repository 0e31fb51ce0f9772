"""Images that mean harm: each is refused or harmless, and the disk is as it was before."""
import io
import tarfile

import pytest
from image_registry import ImageServer
from oci import Image, Layer, RawLayer, sha256
from people import expect_problem
from raw_http import eventually


@pytest.fixture(scope="module")
def server():
    with ImageServer("--image-max", "32MiB", "--image-files-max", "5000") as node:
        yield node


@pytest.fixture
def refused(person, registry, store, request):
    """Deploys what must be refused; the disk has nothing of it."""
    def refused(image, status, reason, *words, spoil=None):
        tag = "t" + sha256(request.node.name.encode())[-12:]
        reference = registry.push("hostile/image", tag, image)
        if spoil:
            spoil(image)
        eventually(lambda: store.are_all_used(), "what others have left is collected")
        before = store.everything()
        answer = person.request("POST", "/api/v1/functions", {"image": reference})
        problem = expect_problem(answer, status, reason, *words)
        eventually(lambda: store.everything() == before, "the disk is as before")
        return problem
    return refused


def test_a_path_that_leads_out_is_refused(refused, program):
    for name in ("../evil", "a/../../evil", "a/b/.."):
        layer = Layer().file("hello", program, 0o755).file(name, "x")
        refused(Image([layer], {"Cmd": ["/hello"]}), 400, "image.refused", "leads out")


def test_an_absolute_path_stays_inside(registry, person, program, store, deployed):
    image = Image([Layer().file("/hello", program, 0o755).file("//etc/evil", "x")],
                  {"Cmd": ["/hello"]})
    deployed(person, registry.push("hostile/absolute", "1", image))
    assert (store.root(image.digest) / "etc/evil").read_text() == "x"


def test_a_file_behind_a_link_is_refused(refused, program, tmp_path):
    for target in (str(tmp_path), "../../../../..", "/"):
        layer = Layer().file("hello", program, 0o755).link("way", target).file("way/evil", "x")
        refused(Image([layer], {"Cmd": ["/hello"]}), 400, "image.refused", "no folder")
    assert list(tmp_path.iterdir()) == []


def test_a_link_of_a_lower_layer_is_not_followed_by_an_upper_one(registry, person, program, store,
                                                                 deployed, tmp_path):
    below = Layer().file("hello", program, 0o755).link("way", str(tmp_path))
    above = Layer().file("way/evil", "x").whiteout("way/never")
    image = Image([below, above], {"Cmd": ["/hello"]})
    deployed(person, registry.push("hostile/two", "1", image))
    assert list(tmp_path.iterdir()) == []
    assert (store.root(image.digest) / "way/evil").read_text() == "x"


def test_a_whiteout_does_not_reach_through_a_link(registry, person, program, store, deployed,
                                                  tmp_path):
    (tmp_path / "mine").write_text("x")
    below = Layer().file("hello", program, 0o755).link("way", str(tmp_path))
    for number, above in enumerate((Layer().whiteout("way/mine"), Layer().opaque("way"))):
        image = Image([below, above], {"Cmd": ["/hello"]})
        deployed(person, registry.push("hostile/reach", str(number), image))
        assert (tmp_path / "mine").read_text() == "x"


@pytest.mark.parametrize("name", [".wh...", "a/.wh...", ".wh..", "a/.wh.."])
def test_a_whiteout_of_a_parent_is_refused(refused, program, name):
    layer = Layer().file("hello", program, 0o755).file("a/b", "x")
    above = Layer().file(name)
    refused(Image([layer, above], {"Cmd": ["/hello"]}), 400, "image.refused", "removes what")


def test_a_hard_link_out_of_the_layer_is_refused(refused, program):
    for target in ("/etc/passwd", "../../../../etc/passwd", "nowhere", "way/passwd", ""):
        layer = Layer().file("hello", program, 0o755).link("way", "/etc").hard_link("evil", target)
        refused(Image([layer], {"Cmd": ["/hello"]}), 400, "image.refused")


def test_devices_are_left_out_and_modes_tamed(registry, person, program, store, deployed):
    layer = Layer().member("hello", content=program, mode=0o6755) \
        .member("dev/sda", tarfile.BLKTYPE, device=(8, 0)) \
        .member("null", tarfile.CHRTYPE, device=(1, 3)).member("pipe", tarfile.FIFOTYPE) \
        .member("secret", content=b"x", mode=0o000).member("closed/", tarfile.DIRTYPE, mode=0o1000) \
        .file("closed/in", "x", pax={"SCHILY.xattr.security.capability": "evil",
                                     "SCHILY.xattr.user.note": "x"})
    image = Image([layer], {"Cmd": ["/hello"]})
    deployed(person, registry.push("hostile/modes", "1", image))
    root = store.root(image.digest)
    modes = {str(path.relative_to(root)): path.lstat().st_mode & 0o7777
             for path in root.rglob("*") if not str(path.relative_to(root)).startswith("etc")}
    assert modes == {"hello": 0o755, "secret": 0o644, "closed": 0o755, "closed/in": 0o644,
                     "dev": 0o755, "proc": 0o755, "sys": 0o755, "tmp": 0o755}
    import os
    assert os.listxattr(root / "closed/in") == []


def test_odd_names_are_only_names(registry, person, program, store, deployed):
    names = ["back\\x2dslash", "new\nline", "sp ace", "-rf", "ümläut", "a" * 255]
    layer = Layer().file("hello", program, 0o755)
    for name in names:
        layer.file(f"odd/{name}", name)
    image = Image([layer], {"Cmd": ["/hello"]})
    deployed(person, registry.push("hostile/names", "1", image))
    assert sorted(path.name for path in (store.root(image.digest) / "odd").iterdir()) == \
        sorted(names)


def test_names_that_no_file_can_have_are_refused(refused, program):
    for name in ("a" * 256, "/".join(["d"] * 100), "a" * 200 + "/" + "/".join(["b" * 200] * 8)):
        layer = Layer().file("hello", program, 0o755).file(name, "x")
        refused(Image([layer], {"Cmd": ["/hello"]}), 400, "image.refused")


def test_the_later_of_two_entries_counts(registry, person, program, store, deployed):
    layer = Layer().file("hello", program, 0o755).file("twice", "1").file("twice", "2") \
        .folder("kind").file("kind/in", "x").file("kind", "a file").link("other", "x") \
        .folder("other").file("other/in", "x")
    image = Image([layer], {"Cmd": ["/hello"]})
    deployed(person, registry.push("hostile/twice", "1", image))
    root = store.root(image.digest)
    assert (root / "twice").read_text() == "2" and (root / "kind").read_text() == "a file"
    assert (root / "other/in").read_text() == "x"


def test_a_bomb_is_refused(refused, program):
    for content in (b"\0" * (40 << 20),):
        layer = Layer().file("hello", program, 0o755).file("zeros", content)
        refused(Image([layer], {"Cmd": ["/hello"]}), 400, "image.refused", "32MiB")
    layers = [Layer().file("hello", program, 0o755)]
    layers += [Layer().file(f"part{i}", bytes([i]) * (8 << 20)) for i in range(5)]
    refused(Image(layers, {"Cmd": ["/hello"]}), 400, "image.refused", "32MiB")


def test_a_hole_counts_by_what_it_seems_to_hold(refused, program):
    """GNU's sparse format: a terabyte of nothing."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        entry = tarfile.TarInfo("hello")
        entry.size, entry.mode = len(program), 0o755
        archive.addfile(entry, io.BytesIO(program))
        content = b"1\n1099511627775\n1\n".ljust(512, b"\0") + b"x"
        entry = tarfile.TarInfo("GNUSparseFile.0/huge")
        entry.size = len(content)
        entry.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0",
                             "GNU.sparse.name": "huge", "GNU.sparse.realsize": "1099511627776"}
        archive.addfile(entry, io.BytesIO(content))
    image = Image([RawLayer(packed.getvalue())], {"Cmd": ["/hello"]})
    refused(image, 400, "image.refused", "32MiB")


def test_a_million_files_are_refused(refused, program):
    """Raw headers, for tarfile would take a minute."""
    entry = tarfile.TarInfo("f0000000")
    entry.mtime = 1700000000
    head = bytearray(entry.tobuf(tarfile.USTAR_FORMAT))
    total = sum(head[:148]) + 8 * 32 + sum(head[156:])
    out = bytearray()
    base = total - sum(b"f0000000")
    for number in range(1_000_000):
        name = b"f%07d" % number
        head[:8] = name
        head[148:156] = b"%06o\0 " % (base + sum(name))
        out += head
    out += b"\0" * 1024
    refused(Image([RawLayer(bytes(out), packing="zstd")], {"Cmd": ["/f0000001"]}), 400, "image.refused", "5000")


def test_what_is_no_tar_is_refused(refused):
    refused(Image([RawLayer(b"no tar at all" * 100)], {"Cmd": ["/x"]}), 502, "image.corrupt")
    refused(Image([RawLayer(b"x" * 600, packed=b"\x1f\x8b\x08broken")], {"Cmd": ["/x"]}),
            502, "image.corrupt")
    packed = Layer().file("hello", b"x" * 100000).packed
    refused(Image([RawLayer(b"x", packed=packed[:200])], {"Cmd": ["/x"]}), 502, "image.corrupt")


def test_a_packer_in_a_packer_is_refused(refused, program):
    layer = Layer().file("hello", program, 0o755)
    twice = RawLayer(layer.packed)  # gzip in gzip
    refused(Image([twice], {"Cmd": ["/hello"]}, diff_ids=[sha256(layer.plain)]),
            502, "image.corrupt")


def test_a_wrong_diff_id_is_refused(refused, program):
    layer = Layer().file("hello", program, 0o755)
    refused(Image([layer], {"Cmd": ["/hello"]}, diff_ids=[sha256(b"other")]),
            502, "image.corrupt", "configuration says")


def test_a_spoiled_blob_is_refused(refused, registry, program):
    def spoil(change):
        def spoil(image):
            path = registry.blob_path(image.layers[0]["digest"])
            path.write_bytes(change(path.read_bytes()))
        return spoil

    def image_with(name):
        return Image([Layer().file("hello", program, 0o755).file(name, name)], {"Cmd": ["/hello"]})
    refused(image_with("flipped"), 502, "image.corrupt",
            spoil=spoil(lambda old: old[:50] + bytes([old[50] ^ 1]) + old[51:]))
    refused(image_with("truncated"), 502, "image.corrupt", spoil=spoil(lambda old: old[:1000]))
    refused(image_with("longer"), 502, "image.corrupt", spoil=spoil(lambda old: old + b"x" * 99))
    refused(image_with("gone"), 502, "image.corrupt",
            spoil=lambda image: registry.blob_path(image.layers[0]["digest"]).unlink())


def test_a_spoiled_configuration_is_refused(refused, registry, program):
    def spoil(image):
        digest = next(digest for digest, blob in image.blobs.items() if blob.startswith(b"{"))
        path = registry.blob_path(digest)
        path.write_bytes(path.read_bytes().replace(b"hello", b"evils"))

    image = Image([Layer().file("hello", program, 0o755)], {"Cmd": ["/hello", "spoiled"]})
    refused(image, 502, "image.corrupt", spoil=spoil)


@pytest.mark.parametrize("config, words", [
    ({}, ("neither Entrypoint nor Cmd",)),
    ({"Cmd": ["/nowhere"]}, ("no program '/nowhere'",)),
    ({"Cmd": ["nowhere"]}, ("no program 'nowhere'",)),
    ({"Cmd": ["/data"]}, ("cannot be executed",)),
    ({"Cmd": ["/folder"]}, ("cannot be executed",)),
    ({"Cmd": ["/text"]}, ("neither a program nor a script",)),
    ({"Cmd": ["/script"]}, ("needs the interpreter '/bin/nosh'",)),
    ({"Cmd": ["/hello"], "User": "nobody-here"}, ("not in its /etc/passwd",)),
    ({"Cmd": ["/hello"], "User": "0:no-group"}, ("not in its /etc/group",)),
    ({"Cmd": ["/hello"], "User": "65536"}, ("65536", "up to 65535")),
    ({"Cmd": ["/hello"], "User": "4294967295"}, ("up to 65535",)),
    ({"Cmd": ["/hello"], "WorkingDir": "/a/../../.."}, ("WorkingDir",)),
    ({"Cmd": ["/hello"], "WorkingDir": "/data/x"}, ("WorkingDir", "no folder")),
    ({"Cmd": ["/hello"], "WorkingDir": "/dangling"}, ("WorkingDir", "no folder")),
    ({"Cmd": ["/hello"] * 65}, ("more than 64 words",)),
    ({"Cmd": ["/hello"], "Env": [f"A{i}=x" for i in range(65)]}, ("more than 64 variables",)),
    ({"Cmd": ["/hello", "x" * 20000]}, ("more than 16384 bytes",)),
    ({"Cmd": ["/hello"], "Labels": {"magpie.contract": "pray"}}, ("magpie.contract", "pray")),
    ({"Cmd": ["/hello"], "Labels": {"magpie.port": "70000"}}, ("magpie.port",)),
    ({"Cmd": [7]}, ("not a list of words",)),
])
def test_a_configuration_that_cannot_be_is_refused(refused, program, config, words):
    layer = Layer().file("hello", program, 0o755).file("data", "x").folder("folder") \
        .file("text", "just words\n", 0o755).file("script", "#!/bin/nosh\n", 0o755) \
        .link("dangling", "not/there")
    refused(Image([layer], config), 400, "image.refused", *words)


def test_a_configuration_that_is_none_is_refused(refused, program):
    layers = [Layer().file("hello", program, 0o755)]
    for text in (b"[]", b"{", b"\xff{}", b'{"a":"\\u0000"}', b"{}", b"{" * 5000):
        refused(Image(layers, configuration=text), 400, "image.refused")
    refused(Image(layers, {"Cmd": ["/hello"]}, diff_ids=["sha256:" + "0" * 64] * 2),
            502, "image.corrupt", "1 layers by its manifest, 2 by its configuration")


def test_links_in_etc_do_not_lead_to_the_hosts_accounts(registry, person, program, deployed,
                                                        refused):
    layer = Layer().file("hello", program, 0o755).link("etc/passwd", "/secret") \
        .file("secret", "web:x:77:7::/home/web:/bin/sh\n").link("etc/group", "../../../../etc/group")
    image = Image([layer], {"Cmd": ["/hello"], "User": "web"})
    assert deployed(person, registry.push("hostile/accounts", "1", image))["user"] == "77:7"
    image = Image([layer], {"Cmd": ["/hello"], "User": "daemon"})
    refused(image, 400, "image.refused", "not in its /etc/passwd")
    image = Image([layer], {"Cmd": ["/hello"], "User": "1:daemon"})
    refused(image, 400, "image.refused", "not in its /etc/group")


def test_nothing_is_left_in_pulls(store):
    assert store.names("pulls") == []
