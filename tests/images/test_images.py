"""Images from a registry: pulled, unpacked, made to a root, and known as functions."""
import stat

import pytest
from oci import Image, Index, Layer
from people import expect_problem


def names_below(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


FIXTURES = ["dev", "etc", "etc/hostname", "etc/hosts", "etc/resolv.conf", "proc", "sys", "tmp"]


def test_an_image_becomes_a_function(person, registry, hello, store, deployed):
    image = hello(config={"Entrypoint": ["/hello"], "Cmd": ["-v", "x"], "Env": ["A=1"],
                          "WorkingDir": "/srv/work"})
    reference = registry.push("first/hello", "1.0", image)
    function = deployed(person, reference)
    assert function["name"] == "hello" and function["runtime"] == "image"
    assert function["image"] == reference
    assert function["codeDigest"] == image.digest.split(":")[1]
    assert function["command"] == ["/hello", "-v", "x"]
    assert function["directory"] == "/srv/work" and function["user"] == "0:0"
    assert function["contract"] == "exec"
    answer = person.server.call(function["functionId"], b"there", token=person.token)
    assert (answer.status, answer.body) == (201, b"hello there\n"), answer
    root = store.root(image.digest)
    assert stat.S_IMODE((root / "hello").stat().st_mode) == 0o755
    assert names_below(root) == sorted(FIXTURES + ["hello", "srv", "srv/work"])
    assert (root / "etc/hostname").read_text() == "function\n"
    assert "nameserver 169.254.0.53" in (root / "etc/resolv.conf").read_text()
    assert "127.0.0.1 localhost" in (root / "etc/hosts").read_text()


def test_names_are_made_from_the_repository_and_are_unique(person, registry, hello, deployed):
    reference = registry.push("names/some_tool.x", "1", hello())
    assert [deployed(person, reference)["name"] for _ in range(3)] == \
        ["some-tool-x", "some-tool-x-2", "some-tool-x-3"]
    assert deployed(person, reference, name="mine")["name"] == "mine"
    answer = person.request("POST", "/api/v1/functions", {"image": reference, "name": "mine"})
    expect_problem(answer, 409, "taken", "mine")


def test_forty_layers_lie_on_each_other(person, registry, program, store, deployed):
    layers = [Layer().file("hello", program, 0o755)]
    for number in range(39):
        layers.append(Layer().file(f"own/{number}", str(number)).file("shared", str(number)))
    image = Image(layers, {"Entrypoint": ["/hello"]})
    deployed(person, registry.push("many/layers", "1", image))
    root = store.root(image.digest)
    assert (root / "shared").read_text() == "38"
    assert sorted(int(path.name) for path in (root / "own").iterdir()) == list(range(39))


def test_whiteouts_remove_what_is_below_and_nothing_else(person, registry, program, store,
                                                         deployed):
    below = (Layer().file("hello", program, 0o755).file("a/gone", "1").file("a/stays", "1")
             .file("b/old", "1").file("b/deep/old", "1").file("c/old", "1").link("l", "a")
             .folder("e").file("e/f/g", "1").file("top", "1"))
    above = (Layer().whiteout("a/gone").whiteout("a/never-was").whiteout("not/there")
             .opaque("b").file("b/new", "2").whiteout("c").file("c/new", "2").whiteout("l")
             .whiteout("e").file("top/now/a/folder", "2"))
    image = Image([below, above], {"Entrypoint": ["/hello"]})
    deployed(person, registry.push("white/outs", "1", image))
    assert [name for name in names_below(store.root(image.digest)) if name not in FIXTURES] == [
        "a", "a/stays", "b", "b/new", "c", "c/new", "hello", "not", "top", "top/now", "top/now/a",
        "top/now/a/folder"]


def test_a_whiteout_after_its_own_folder_leaves_that_alone(person, registry, program, store,
                                                           deployed):
    """What a layer removes is below it: the order within a layer says nothing."""
    below = Layer().file("hello", program, 0o755).file("d/old", "1").file("o/old", "1")
    above = Layer().file("d/new", "2").whiteout("d").file("o/new", "2").opaque("o")
    image = Image([below, above], {"Entrypoint": ["/hello"]})
    deployed(person, registry.push("white/order", "1", image))
    root = store.root(image.digest)
    assert names_below(root / "d") == ["new"] and names_below(root / "o") == ["new"]


def test_links_are_kept_and_files_shared(person, registry, program, store, deployed):
    layer = (Layer().file("hello", program, 0o755).file("data", "x" * 5000)
             .hard_link("bin/same", "data").link("relative", "../../data")
             .link("absolute", "/etc/passwd").hard_link("link-again", "relative")
             .link("usr/lib", "/lib").link("dangling", "nowhere"))
    first = Image([layer], {"Entrypoint": ["/hello"]})
    second = Image([layer, Layer().file("more", "y")], {"Entrypoint": ["/hello"]})
    for number, image in enumerate((first, second)):
        deployed(person, registry.push("links/image", str(number), image))
    root, other = store.root(first.digest), store.root(second.digest)
    assert (root / "data").stat().st_ino == (root / "bin/same").stat().st_ino
    assert (root / "data").stat().st_ino == (other / "data").stat().st_ino
    assert (root / "relative").readlink().as_posix() == "../../data"
    assert (root / "absolute").readlink().as_posix() == "/etc/passwd"
    assert (root / "link-again").is_symlink()


def test_only_folders_are_united(person, registry, program, store, deployed):
    below = Layer().file("hello", program, 0o755).link("bin", "usr/bin").file("usr/bin/a", "1") \
        .file("file", "1").folder("folder").file("folder/x", "1")
    above = Layer().file("bin/b", "2").file("file/in", "2").file("folder", "2")
    image = Image([below, above], {"Entrypoint": ["/hello"]})
    deployed(person, registry.push("only/folders", "1", image))
    root = store.root(image.digest)
    assert not (root / "bin").is_symlink() and names_below(root / "bin") == ["b"]
    assert names_below(root / "file") == ["in"] and (root / "folder").read_text() == "2"
    assert names_below(root / "usr/bin") == ["a"]


def test_what_a_sandbox_mounts_on_is_a_folder(person, registry, program, store, deployed):
    layer = Layer().file("hello", program, 0o755).link("proc", "/hello").link("dev", "/") \
        .file("tmp", "x").link("etc", "/hello").file("sys/kept", "x")
    image = Image([layer], {"Entrypoint": ["/hello"]})
    deployed(person, registry.push("mount/points", "1", image))
    root = store.root(image.digest)
    for name in ("proc", "sys", "dev", "tmp", "etc"):
        assert (root / name).is_dir() and not (root / name).is_symlink()
    layer = Layer().file("hello", program, 0o755).link("etc/hosts", "/hello") \
        .file("etc/resolv.conf/in/a/folder", "x").hard_link("etc/hostname", "hello")
    image = Image([layer], {"Entrypoint": ["/hello"]})
    deployed(person, registry.push("mount/points", "2", image))
    root = store.root(image.digest)
    for name in ("hosts", "hostname", "resolv.conf"):
        assert stat.S_ISREG((root / "etc" / name).lstat().st_mode)
    assert (root / "hello").read_bytes() == program


@pytest.mark.parametrize("packing", ["gzip", "zstd", ""])
def test_a_layer_may_be_packed_in_each_way(person, registry, program, store, deployed, packing):
    layer = Layer(packing).file("hello", program, 0o755).file("packed-by", packing)
    image = Image([layer], {"Entrypoint": ["/hello"]})
    deployed(person, registry.push("packed/layer", packing or "plain", image))
    assert (store.root(image.digest) / "packed-by").read_text() == packing


def test_an_index_leads_to_the_image_of_this_machine(person, registry, program, deployed):
    def image_for(architecture, docker):
        return Image([Layer().file("hello", program, 0o755).file("for", architecture)],
                     {"Entrypoint": ["/hello"]}, architecture, docker=docker)
    for docker in (False, True):
        images = [image_for(name, docker) for name in ("arm64", "amd64", "s390x")]
        reference = registry.push("multi/arch", f"d{docker}".lower(), Index(images, docker))
        assert deployed(person, reference)["codeDigest"] == images[1].digest.split(":")[1]


def test_dockers_own_manifests_are_taken(person, registry, hello, deployed):
    image = hello(docker=True)
    function = deployed(person, registry.push("docker/schema2", "1", image))
    assert function["codeDigest"] == image.digest.split(":")[1]


@pytest.mark.parametrize("user, known", [
    ("", "0:0"), ("web", "101:7"), ("101", "101:7"), ("web:staff", "101:50"), ("33:44", "33:44"),
    ("4000", "4000:0"), ("web:9", "101:9"),
])
def test_a_user_is_found_in_the_images_own_files(person, registry, program, deployed, user, known):
    layer = Layer().file("hello", program, 0o755).file(
        "etc/passwd", "root:x:0:0:root:/root:/bin/sh\nweb:x:101:7:Web:/srv/web:/bin/false\n") \
        .file("etc/group", "root:x:0:\nstaff:x:50:web\n")
    image = Image([layer], {"Entrypoint": ["/hello"], "User": user})
    function = deployed(person, registry.push("users/image", f"u{user.replace(':', '-')}", image))
    assert function["user"] == known


@pytest.mark.parametrize("config, contract, port", [
    ({}, "exec", 8080),
    ({"ExposedPorts": {"3000/tcp": {}}}, "http", 3000),
    ({"ExposedPorts": {"3000/udp": {}}}, "exec", 8080),
    ({"ExposedPorts": {"3000/tcp": {}, "4000/tcp": {}}}, "exec", 8080),
    ({"Env": ["PORT=5000"]}, "http", 5000),
    ({"Env": ["PORT=5000"], "ExposedPorts": {"3000/tcp": {}}}, "http", 5000),
    ({"Labels": {"magpie.contract": "lambda"}, "ExposedPorts": {"3000/tcp": {}}}, "lambda", 3000),
    ({"Labels": {"magpie.port": "7000"}, "Env": ["PORT=5000"]}, "http", 7000),
    ({"Entrypoint": ["/lambda-entrypoint.sh"]}, "lambda", 8080),
    ({"Entrypoint": ["/hello", "aws-lambda-ric"]}, "lambda", 8080),
    ({"Entrypoint": ["/hello", "-m", "awslambdaric"]}, "lambda", 8080),
    ({"Entrypoint": ["/var/runtime/bootstrap"], "Env": ["LAMBDA_TASK_ROOT=/x"]}, "lambda", 8080),
    ({"Entrypoint": ["/var/runtime/bootstrap"]}, "exec", 8080),
])
def test_the_contract_is_guessed_where_it_is_plain(person, registry, program, deployed, request,
                                                   config, contract, port):
    layer = Layer().file("hello", program, 0o755).file("lambda-entrypoint.sh", program, 0o755) \
        .file("var/runtime/bootstrap", program, 0o755)
    image = Image([layer], {"Entrypoint": ["/hello"], **config})
    tag = "t" + request.node.name.split("[")[1].rstrip("]").replace("/", "-")[:60]
    function = deployed(person, registry.push("guess/contract", tag, image))
    assert (function["contract"], function["port"]) == (contract, port)


@pytest.mark.parametrize("contract, status, result", [
    ("exec", 201, b"hello there\n"), ("http", 200, b"served"), ("lambda", 201, b"there")],
    ids=["exec", "http", "lambda"])  # a server's status is its own
def test_an_image_of_each_contract_answers(person, registry, hello, deployed, contract, status,
                                           result):
    reference = registry.push("each/contract", contract, hello())
    function = deployed(person, reference, contract=contract, name=f"each-{contract}")
    answer = person.server.call(function["functionId"], b"there", token=person.token)
    assert (answer.status, answer.body) == (status, result), answer


def test_what_is_said_counts_more_than_the_guess(person, registry, hello, deployed):
    reference = registry.push("said/so", "1", hello(config={
        "Entrypoint": ["/hello"], "ExposedPorts": {"3000/tcp": {}}}))
    function = deployed(person, reference, contract="exec", port=9)
    assert (function["contract"], function["port"]) == ("exec", 9)
    answer = person.request("PATCH", f"/api/v1/functions/{function['functionId']}",
                            {"contract": "http", "port": 99})
    assert answer.status == 200, answer
    function = person.request("GET", f"/api/v1/functions/{function['functionId']}").json()
    assert (function["contract"], function["port"]) == ("http", 99)


def test_a_contract_of_one_call_at_a_time_refuses_more_whether_it_is_said_or_guessed(
        person, registry, hello, deployed):
    reference = registry.push("one/call", "1", hello())
    answer = person.request("POST", "/api/v1/functions", {"image": reference, "concurrency": 2})
    expect_problem(answer, 400, "invalid", "contract exec")
    path = f"/api/v1/functions/{deployed(person, reference)['functionId']}"
    answer = person.request("PATCH", path, {"contract": "http", "concurrency": 2})
    assert answer.status == 200, answer
    answer = person.request("PATCH", path, {"contract": "exec"})
    expect_problem(answer, 400, "invalid", "concurrency 2")


def test_a_new_version_resolves_its_reference_anew(person, registry, hello, program, deployed):
    old = hello()
    reference = registry.push("new/version", "latest", old)
    function = deployed(person, reference)
    new = Image([Layer().file("hello", program, 0o755).file("new", "x")],
                {"Entrypoint": ["/hello", "new"], "ExposedPorts": {"8081/tcp": {}}})
    registry.push("new/version", "latest", new)
    path = f"/api/v1/functions/{function['functionId']}"
    assert person.request("GET", path).json()["codeDigest"] == old.digest.split(":")[1]
    answer = person.request("POST", path + "/versions", {"image": reference, "memory": "64MiB"})
    assert answer.status == 200 and answer.json()["version"] == 2, answer
    changed = person.request("GET", path).json()
    assert changed["codeDigest"] == new.digest.split(":")[1] and changed["memory"] == "64MiB"
    assert changed["command"] == ["/hello", "new"]
    assert (changed["contract"], changed["port"]) == ("http", 8081)  # nobody has said another


def test_an_image_by_its_digest_needs_no_registry_twice(person, registry, hello, deployed):
    image = hello(config={"Entrypoint": ["/hello", "by-digest"]})
    registry.push("by/digest", "1", image)
    reference = registry.reference("by/digest", image.digest)
    first = deployed(person, reference)
    second = deployed(person, reference.replace(str(registry.port), "1"))
    assert first["codeDigest"] == second["codeDigest"] == image.digest.split(":")[1]


def test_a_function_from_an_image_has_no_code(person, registry, hello, deployed):
    function = deployed(person, registry.push("no/code", "1", hello()))
    path = f"/api/v1/functions/{function['functionId']}"
    expect_problem(person.request("PUT", path + "/code", b"x"), 400, "invalid", "no code")
    answer = person.request("POST", path + "/versions", {"code": "eA=="})
    expect_problem(answer, 400, "invalid", "no code")
    answer = person.request("POST", "/api/v1/functions",
                            {"image": function["image"], "code": "eA=="})
    expect_problem(answer, 400, "invalid", "no code")
    answer = person.request("POST", "/api/v1/functions",
                            {"image": function["image"], "runtime": "node"})
    expect_problem(answer, 400, "invalid", "runtime")


def test_pulls_are_the_owners_to_see(person):
    assert person.request("GET", "/api/v1/pulls").json() == []
