"""What lies on the disk: brought once, shared, and removed when nobody has it any more."""
import concurrent.futures
import os
import subprocess

from conftest import Store
from image_registry import ImageServer
from oci import Image, Layer, sha256
from people import Person
from raw_http import eventually


def large(name="large"):
    return Layer("").file(name, os.urandom(2 << 20))


def test_a_layer_that_is_there_is_not_fetched_again(person, registry, program, deployed):
    shared = Layer().file("hello", program, 0o755).file("shared", os.urandom(99))
    first = Image([shared], {"Cmd": ["/hello"]})
    second = Image([shared, large()], {"Cmd": ["/hello"]})
    deployed(person, registry.push("store/shared", "1", first))
    reference = registry.push("store/shared", "2", second)
    registry.blob_path(first.layers[0]["digest"]).unlink()
    deployed(person, reference)
    assert registry.times_sent(first.layers[0]["digest"]) == 1
    # And of an image that has nothing else, no layer at all.
    third = Image([shared], {"Cmd": ["/hello", "third"]})
    registry.push_blob("store/shared", first.layers[0]["digest"], shared.packed)
    deployed(person, registry.push("store/shared", "3", third))
    assert registry.times_sent(first.layers[0]["digest"]) == 1


def test_who_names_a_layer_without_its_blob_is_not_given_it(person, registry, program, server,
                                                            deployed):
    secret = Layer().file("secret", os.urandom(99))
    own = Layer().file("hello", program, 0o755)
    image = Image([secret, own], {"Cmd": ["/hello"]})
    deployed(person, registry.push("store/secret", "1", image))
    thief = Image([Layer("").file("x", b"x"), own], {"Cmd": ["/hello"]},
                  diff_ids=[sha256(secret.plain), sha256(own.plain)])
    answer = Person(server).request("POST", "/api/v1/functions",
                                    {"image": registry.push("store/thief", "1", thief)})
    assert answer.status == 502, answer
    assert "is not what its configuration says" in answer.json()["detail"]


def test_a_layer_packed_otherwise_is_fetched_once(person, registry, program, deployed):
    content = os.urandom(99)

    def push(packing, tag):
        layer = Layer(packing).file("hello", program, 0o755).file("shared", content)
        image = Image([layer], {"Cmd": ["/hello"], "Labels": {"tag": tag}})
        deployed(person, registry.push("store/packed", tag, image))
        return image.layers[0]["digest"]

    blobs = [push(packing, str(number))
             for number, packing in enumerate(("gzip", "", "gzip", ""))]
    assert [registry.times_sent(blob) for blob in blobs[:2]] == [1, 1]
    assert blobs[2:] == blobs[:2]


def test_a_layer_may_be_there_twice_packed_in_two_ways(person, registry, program, deployed):
    content = os.urandom(99)
    first, *others = (Layer(packing).file("hello", program, 0o755).file("own", content)
                      for packing in ("zstd", "gzip", ""))
    deployed(person, registry.push("store/twice", "1", Image([first], {"Cmd": ["/hello"]})))
    image = Image(others, {"Cmd": ["/hello"]})
    deployed(person, registry.push("store/twice", "2", image))
    assert [registry.times_sent(layer["digest"]) for layer in image.layers] == [1, 1]


def test_deployments_of_one_image_at_once_pull_once(person, registry, program, server, deployed):
    image = Image([Layer().file("hello", program, 0o755), large()], {"Cmd": ["/hello"]})
    reference = registry.push("store/once", "1", image)
    other = Person(server)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        functions = list(pool.map(lambda who: deployed(who, reference), [person, other] * 4))
    assert {function["codeDigest"] for function in functions} == {image.digest.split(":")[1]}
    assert sorted(function["name"] for function in functions) == \
        sorted(["once", "once-2", "once-3", "once-4"] * 2)
    assert registry.times_sent(image.layers[1]["digest"]) == 1


def test_images_at_once_share_the_layers_that_they_have_in_common(person, registry, program, store,
                                                                  deployed):
    base, common = Layer().file("hello", program, 0o755), large("common")
    images = [Image([base, common, large()], {"Cmd": ["/hello"]}) for _ in range(4)]
    references = [registry.push("store/common", str(number), image)
                  for number, image in enumerate(images)]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda reference: deployed(person, reference), references))
    assert registry.times_sent(images[0].layers[1]["digest"]) == 1
    assert len({(store.root(image.digest) / "common").stat().st_ino for image in images}) == 1
    assert store.names("pulls") == []


def test_images_that_no_function_has_are_removed_after_a_while(registry, program, deployed):
    shared = Layer().file("hello", program, 0o755)
    images = [Image([shared, large()], {"Cmd": ["/hello"]}) for _ in range(2)]
    with ImageServer("--images-keep", "1ms") as node:
        person, store = Person(node), Store(node)
        functions = [deployed(person, registry.push("store/removed", str(number), image))
                     for number, image in enumerate(images)]
        assert len(store.names("images")) == 2 and len(store.names("layers")) == 3
        person.request("DELETE", f"/api/v1/functions/{functions[0]['functionId']}")
        eventually(lambda: len(store.names("layers")) == 2, "the first one's layer is gone")
        assert store.names("images") == [images[1].digest.split(":")[1]]
        assert (store.root(images[1].digest) / "hello").read_bytes() == program
        path = f"/api/v1/functions/{functions[1]['functionId']}"
        reference = registry.push("store/removed", "new", Image([shared], {"Cmd": ["/hello"]}))
        assert person.request("POST", path + "/versions", {"image": reference}).status == 200
        eventually(lambda: len(store.names("layers")) == 1, "the old version's layer is gone")
        person.request("DELETE", path)
        eventually(lambda: store.everything() == [], "all is gone")


def test_unused_images_go_when_they_take_too_much(registry, program, deployed):
    shared = Layer().file("hello", program, 0o755)
    images = [Image([shared, large()], {"Cmd": ["/hello"]}) for _ in range(4)]
    with ImageServer("--images-max", "7MiB") as node:
        person, store = Person(node), Store(node)
        functions = [deployed(person, registry.push("store/least", str(number), image))
                     for number, image in enumerate(images)]
        for function in functions[:3]:
            person.request("DELETE", f"/api/v1/functions/{function['functionId']}")
        eventually(lambda: len(store.names("images")) == 3, "one of three is gone")
        assert images[3].digest.split(":")[1] in store.names("images")  # it has a function


def test_what_is_left_of_a_crash_is_swept_at_the_start(registry, hello, deployed):
    with ImageServer() as node:
        person, store = Person(node), Store(node)
        deployed(person, registry.push("store/swept", "1", hello()))
        node.stop()
        (store.folder / "pulls/half/layout").mkdir(parents=True)
        (store.folder / "pulls/half/layout/blob").write_text("x")
        orphan = store.folder / "layers" / ("0" * 64) / "files"
        orphan.mkdir(parents=True)
        owner = store.folder.stat()
        for folder in ("pulls/half", "layers/" + "0" * 64):
            subprocess.run(["chown", "-R", f"{owner.st_uid}:{owner.st_gid}", store.folder / folder],
                           check=True)
        node.start()
        assert store.names("pulls") == []
        eventually(lambda: len(store.names("layers")) == 1, "a layer of no image is collected")
        assert person.request("GET", "/api/v1/functions/swept").status == 200
