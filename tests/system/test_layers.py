"""Layers: published once, found at /opt by the functions that name them, shared, and removable only when
nobody has them."""
import io
import json
import os
import pathlib
import subprocess
import tarfile
import threading
import zipfile

import pytest
from people import Person, code_of, expect_problem
from sandbox_host import eventually
from server import Server, pack

WHO = "def who():\n    return '%s'\n"
USES_WHO = "import who\ndef handle(event, context):\n    return who.who()\n"


@pytest.fixture
def person(server):
    return Person(server)


def publish(person, name, files):
    """The text that names the new version."""
    body = files if isinstance(files, bytes) else pack(files)
    answer = person.request("PUT", f"/api/v1/layers/{name}", body)
    assert answer.status == 201, answer
    return answer.json()["layer"]


def ask_to_deploy(person, name, runtime, files, layers, **fields):
    return person.request("POST", "/api/v1/functions", {
        "name": name, "runtime": runtime, "layers": layers, **fields,
        "code": code_of(pack(files) if isinstance(files, dict) else files)})


def deploy(person, *arguments, **fields):
    answer = ask_to_deploy(person, *arguments, **fields)
    assert answer.status == 201, answer
    return answer.json()["functionId"]


def call(person, name, body=b"null"):
    answer = person.server.call(name, body, token=person.token)
    assert answer.status == 201, answer
    return answer.body


def show(person, name):
    return person.request("GET", f"/api/v1/functions/{name}").json()


def layers_digest(person, server, name):
    """What the function has at /opt: the folder on the disk."""
    script = "def handle(e, c):\n    return [l for l in open('/proc/self/mountinfo') if ' /opt ' in l]\n"
    answer = person.request("PUT", f"/api/v1/functions/{name}/code", pack({"main.py": script}))
    assert answer.status == 200, answer
    (line,) = json.loads(call(person, name))
    return pathlib.Path(server.data_dir, "code", line.split()[3].rpartition("/")[2])


# ---- publishing ----


def test_each_publication_is_a_version_that_is_listed(person):
    first = person.request("POST", "/api/v1/layers",
                           {"name": "tools", "code": code_of(pack({"python/who.py": WHO % 1}))})
    assert first.status == 201, first
    shown = first.json()
    assert (shown["layer"], shown["name"], shown["version"]) == ("tools:1", "tools", 1)
    assert len(shown["digest"]) == 64 and shown["bytes"] > 0 and shown["createdAt"].endswith("Z")
    assert publish(person, "tools", {"python/who.py": WHO % 2}) == "tools:2"
    assert publish(person, "others", {"x": "x"}) == "others:1"
    listed = person.request("GET", "/api/v1/layers").json()
    assert [layer["layer"] for layer in listed] == ["tools:1", "tools:2", "others:1"]
    versions = person.request("GET", "/api/v1/layers/tools").json()
    assert [layer["version"] for layer in versions] == [1, 2]
    assert all(layer["functions"] == [] for layer in versions)
    assert {key: versions[0][key] for key in listed[0]} == listed[0]


def test_the_same_content_has_the_same_digest_and_a_version_of_its_own(person):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        entry = tarfile.TarInfo("a/b")
        entry.size = 1
        archive.addfile(entry, io.BytesIO(b"x"))
    publish(person, "one", {"a/b": "x"})
    publish(person, "one", packed.getvalue())
    first, second = person.request("GET", "/api/v1/layers/one").json()
    assert first["digest"] == second["digest"] and second["version"] == 2


@pytest.mark.parametrize("body, words", [
    (b"just a file", "no archive"), (pack({}), "empty"), (pack({"../x": "x"}), ".."),
    (pack({"a": "x"})[:-30], "damaged"),
])
def test_what_is_no_layer_is_refused_and_takes_no_number(person, body, words):
    answer = person.request("PUT", "/api/v1/layers/refused", body)
    expect_problem(answer, 400, "code.refused", words)
    assert person.request("GET", "/api/v1/layers/refused").status == 404
    assert publish(person, "refused", {"a": "x"}) == "refused:1"


@pytest.mark.parametrize("document", [
    {"code": code_of("x")}, {"name": "x"}, {"name": "X", "code": code_of("x")},
    {"name": "x", "code": "%"}, {"name": "x", "code": code_of("x"), "more": 1},
])
def test_a_document_that_is_not_right_is_refused(person, document):
    expect_problem(person.request("POST", "/api/v1/layers", document), 400, "invalid")
    expect_problem(person.request("PUT", "/api/v1/layers/UPPER", b"x"), 400, "invalid")
    expect_problem(person.request("PUT", "/api/v1/layers/empty", b""), 400, "invalid")
    expect_problem(person.request("PUT", "/api/v1/layers/" + "x" * 64, b"x"), 400, "invalid")


# ---- what a function finds ----


def test_a_python_function_imports_from_its_layers(person):
    publish(person, "package", {
        "python/who.py": WHO % "layer",
        f"python/lib/python{python_version()}/site-packages/installed/__init__.py": "NAME = 'pip'\n"})
    source = ("import installed, os, who\n"
              "def handle(event, context):\n    return [who.who(), installed.NAME, os.listdir('/opt')]\n")
    deploy(person, "importing", "python3", {"main.py": source}, ["package"], handler="main.handle")
    for _ in range(2):
        assert json.loads(call(person, "importing")) == ["layer", "pip", ["python"]]
    assert show(person, "importing")["layers"] == ["package:1"]


def python_version():
    return subprocess.run(["/usr/bin/python3", "-c",
                           "import sys; print('%d.%d' % sys.version_info[:2])"],
                          check=True, capture_output=True, text=True).stdout.strip()


def test_a_functions_own_module_comes_before_a_layers(person):
    publish(person, "hidden", {"python/who.py": WHO % "layer"})
    deploy(person, "own", "python3", {"main.py": USES_WHO, "who.py": WHO % "bundle"}, ["hidden"],
           handler="main.handle")
    assert call(person, "own") == b"bundle"


def test_a_node_function_finds_packages_of_its_layers_in_scripts_and_modules(person):
    publish(person, "modules", {
        "nodejs/node_modules/greet/package.json": '{"name": "greet", "main": "index.js"}',
        "nodejs/node_modules/greet/index.js":
            "exports.greet = () => `hello ${require('inner').name}`;\n",
        "nodejs/node_modules/inner/index.js": "exports.name = 'inner';\n"})
    script = "const { greet } = require('greet');\nexports.handle = () => greet();\n"
    module = "import { greet } from 'greet';\nexport const handle = () => greet();\n"
    deploy(person, "script", "node", {"main.js": script}, ["modules"], handler="main.handle")
    deploy(person, "module", "node", {"main.mjs": module}, ["modules"], handler="main.handle")
    for _ in range(2):
        assert call(person, "script") == b"hello inner"
        assert call(person, "module") == b"hello inner"
    variable = "exports.handle = () => process.env.NODE_PATH;\n"
    deploy(person, "node-path", "node", {"main.js": variable}, ["modules"], handler="main.handle")
    assert call(person, "node-path") == b"/opt/nodejs/node_modules"


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """A shared library, and a program that is linked against it."""
    folder = tmp_path_factory.mktemp("library")
    (folder / "answer.c").write_text("int answer(void) { return 42; }\n")
    (folder / "main.c").write_text(
        "#include <stdio.h>\nint answer(void);\n"
        "int main(void) { printf(\"%d\", answer()); return 0; }\n")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", "libanswer.so", "answer.c"], cwd=folder, check=True)
    subprocess.run(["cc", "-o", "main", "main.c", "-L.", "-lanswer"], cwd=folder, check=True)
    return (folder / "libanswer.so").read_bytes(), (folder / "main").read_bytes()


def test_a_native_library_of_a_layer_is_found_by_programs_and_by_parked_interpreters(person, library):
    shared, program = library
    publish(person, "native", {"lib/libanswer.so": shared})
    deploy(person, "linked", "exec", {"main": program}, ["native"])
    assert call(person, "linked") == b"42"
    source = ("import ctypes\nLIBRARY = ctypes.CDLL('libanswer.so')\n"
              "def handle(event, context):\n    return LIBRARY.answer()\n")
    deploy(person, "loading", "python3", {"main.py": source}, ["native"], handler="main.handle",
           keepAlive="0s")
    for _ in range(4):  # from the second on there is an interpreter that waited
        assert call(person, "loading") == b"42"


def test_a_program_of_a_layer_is_on_the_path_and_may_be_the_interpreter(person):
    publish(person, "programs", {"bin/shout": "#!/bin/sh\ntr a-z A-Z\n",
                                 "bin/run": "#!/bin/sh\necho \"run by $0\"\n"})
    deploy(person, "shouting", "exec", "#!/bin/sh\nshout\n", ["programs"])
    assert call(person, "shouting", b"loud") == b"LOUD"
    deploy(person, "interpreted", "exec", {"main": "#!/opt/bin/shell\n"}, [publish(
        person, "shell", {"bin/shell": pathlib.Path("/bin/dash").read_bytes()})])
    assert call(person, "interpreted") == b""
    refused = ask_to_deploy(person, "alone", "exec", {"main": "#!/opt/bin/shell\n"}, [])
    expect_problem(refused, 400, "code.refused", "/opt/bin/shell")


def test_layers_are_read_only_and_without_them_opt_is_empty(person):
    publish(person, "files", {"data": "x"})
    script = ("#!/bin/sh\ngrep ' /opt ' /proc/self/mountinfo | cut -d' ' -f6\n"
              "touch /opt/more 2>/dev/null || ls /opt\necho ${MAGPIE_LAYERS-none}\n")
    deploy(person, "mounted", "exec", script, ["files"])
    options, *listed = call(person, "mounted").decode().splitlines()
    assert {"ro", "nosuid", "nodev"} <= set(options.split(",")) and listed == ["data", "/opt"]
    deploy(person, "without", "exec", "#!/bin/sh\nls -R /opt/lib\necho ${MAGPIE_LAYERS-none}\n", [])
    assert call(person, "without").decode().split() == ["/opt/lib:", "none"]


def test_a_functions_own_variables_count_more_than_its_layers(person):
    publish(person, "tools", {"bin/tool": "#!/bin/sh\n", "lib/x": "x"})
    script = "#!/bin/sh\necho $PATH $LD_LIBRARY_PATH\n"
    deploy(person, "given", "exec", script, ["tools"])
    assert call(person, "given") == b"/usr/local/bin:/usr/bin:/bin:/opt/bin /opt/lib\n"
    deploy(person, "chosen", "exec", script, ["tools"],
           env={"PATH": "/bin", "LD_LIBRARY_PATH": "/opt/other"})
    assert call(person, "chosen") == b"/bin /opt/other\n"


def test_later_layers_win_over_earlier_ones_and_folders_are_merged(person):
    publish(person, "below", {"python/who.py": WHO % "below", "d/only-below": "1", "swap": "file",
                              "turn/inner": "x"})
    publish(person, "above", {"python/who.py": WHO % "above", "d/only-above": "2", "swap/inner": "x",
                              "turn": "file"})
    source = ("import os, who\n"
              "def handle(event, context):\n"
              "    return [who.who(), sorted(os.listdir('/opt/d')), os.path.isdir('/opt/swap'),"
              " os.path.isfile('/opt/turn')]\n")
    deploy(person, "up", "python3", {"main.py": source}, ["below", "above"], handler="main.handle")
    assert json.loads(call(person, "up")) == ["above", ["only-above", "only-below"], True, True]
    deploy(person, "down", "python3", {"main.py": source}, ["above", "below"], handler="main.handle")
    assert json.loads(call(person, "down")) == ["below", ["only-above", "only-below"], False, False]


# ---- which layers ----


def test_five_layers_are_allowed_and_six_are_not(person):
    names = [publish(person, f"layer-{n}", {f"python/m{n}.py": f"N = {n}\n"}) for n in range(6)]
    source = ("import m0, m1, m2, m3, m4\n"
              "def handle(event, context):\n    return [m0.N, m1.N, m2.N, m3.N, m4.N]\n")
    deploy(person, "five", "python3", {"main.py": source}, names[:5], handler="main.handle")
    assert json.loads(call(person, "five")) == [0, 1, 2, 3, 4]
    refused = ask_to_deploy(person, "six", "python3", {"main.py": source}, names)
    expect_problem(refused, 400, "invalid", "at most 5 layers")


@pytest.mark.parametrize("layers, words", [
    (["x:0"], "x:0"), (["x:-1"], "x:-1"), (["X"], "'X'"), ([""], "''"), (["x", "x:2"], "twice"),
    ("x", "list"), ([1], "list"), (["x:4294967296"], "x:4294967296"),
])
def test_what_names_no_layer_is_refused(person, layers, words):
    refused = ask_to_deploy(person, "wrong", "exec", "#!/bin/sh\n", layers)
    expect_problem(refused, 400, "invalid", words)


def test_a_name_alone_means_the_version_that_is_newest_now(person):
    publish(person, "moving", {"python/who.py": WHO % "one"})
    deploy(person, "fixed", "python3", {"main.py": USES_WHO}, ["moving"], handler="main.handle")
    publish(person, "moving", {"python/who.py": WHO % "two"})
    assert show(person, "fixed")["layers"] == ["moving:1"] and call(person, "fixed") == b"one"

    answer = person.request("PATCH", "/api/v1/functions/fixed", {"layers": ["moving"]})
    assert answer.status == 200 and answer.json()["version"] == 2
    assert show(person, "fixed")["layers"] == ["moving:2"] and call(person, "fixed") == b"two"
    person.request("PATCH", "/api/v1/functions/fixed", {"layers": ["moving:1"]})
    assert call(person, "fixed") == b"one"


def test_layers_stay_when_code_and_settings_change_and_go_when_that_is_said(person):
    publish(person, "kept", {"python/who.py": WHO % "kept"})
    deploy(person, "changing", "python3", {"main.py": USES_WHO}, ["kept"], handler="main.handle")
    person.request("PATCH", "/api/v1/functions/changing", {"memory": "64MiB"})
    assert person.request("PUT", "/api/v1/functions/changing/code",
                          pack({"main.py": USES_WHO + "\n"})).status == 200
    assert call(person, "changing") == b"kept"
    answer = person.request("POST", "/api/v1/functions/changing/versions", {
        "layers": [], "code": code_of("def handle(event, context):\n    return 'none'\n")})
    assert answer.status == 200, answer
    assert show(person, "changing")["layers"] == [] and call(person, "changing") == b"none"


def test_code_is_tried_with_its_layers_before_it_is_taken(person):
    publish(person, "needed", {"python/who.py": WHO % "x"})
    refused = ask_to_deploy(person, "tried", "python3", {"main.py": USES_WHO}, [],
                            handler="main.handle")
    expect_problem(refused, 400, "function.refused", "who")
    deploy(person, "tried", "python3", {"main.py": USES_WHO}, ["needed"], handler="main.handle")


def test_another_users_layer_is_not_found(person, server):
    publish(person, "mine", {"python/who.py": WHO % "mine"})
    other = Person(server)
    for names in (["mine"], ["mine:1"], ["nobodys"]):
        refused = ask_to_deploy(other, "thief", "python3", {"main.py": USES_WHO}, names)
        expect_problem(refused, 400, "layer.not_found", names[0])
    assert other.request("GET", "/api/v1/layers").json() == []
    assert other.request("GET", "/api/v1/layers/mine").status == 404
    assert other.request("DELETE", "/api/v1/layers/mine/1").status == 404
    assert publish(other, "mine", {"python/who.py": WHO % "other"}) == "mine:1"
    assert len(person.request("GET", "/api/v1/layers/mine").json()) == 1


# ---- removing ----


def test_a_layer_in_use_cannot_be_removed_and_its_number_never_comes_again(person):
    publish(person, "used", {"python/who.py": WHO % "used"})
    deploy(person, "user-1", "python3", {"main.py": USES_WHO}, ["used"], handler="main.handle")
    deploy(person, "user-2", "python3", {"main.py": USES_WHO}, ["used"], handler="main.handle")
    refused = person.request("DELETE", "/api/v1/layers/used/1")
    expect_problem(refused, 409, "in_use", "user-1, user-2")
    (shown,) = person.request("GET", "/api/v1/layers/used").json()
    assert shown["functions"] == ["user-1", "user-2"]

    assert person.request("DELETE", "/api/v1/functions/user-1").status == 200
    expect_problem(person.request("DELETE", "/api/v1/layers/used/1"), 409, "in_use", "user-2")
    assert person.request("PATCH", "/api/v1/functions/user-2", {"layers": []}).status == 200
    assert person.request("DELETE", "/api/v1/layers/used/1").status == 200
    expect_problem(person.request("DELETE", "/api/v1/layers/used/1"), 404, "not_found")
    assert person.request("GET", "/api/v1/layers/used").status == 404
    assert publish(person, "used", {"x": "y"}) == "used:2"


@pytest.mark.parametrize("path", ["none/1", "there/2", "there/0", "there/x", "there/01",
                                  "there/99999999999999", "there/-1"])
def test_what_is_not_there_cannot_be_removed(person, path):
    publish(person, "there", {"x": "x"})
    expect_problem(person.request("DELETE", f"/api/v1/layers/{path}"), 404, "not_found")


def test_a_user_who_goes_takes_his_layers_along(server):
    person = Person(server)
    publish(person, "going", {"python/who.py": WHO % "x"})
    deploy(person, "going", "python3", {"main.py": USES_WHO}, ["going"], handler="main.handle")
    assert person.request("DELETE", "/api/v1/users/me").status == 200
    again = Person(server, email=person.email)
    assert again.request("GET", "/api/v1/layers").json() == []


# ---- on the disk ----


def inodes(folder):
    return {path.relative_to(folder): path.stat().st_ino for path in folder.rglob("*")
            if path.is_file()}


def test_what_functions_share_lies_on_the_disk_once(person, server):
    publish(person, "big", {"data": os.urandom(1 << 20), "python/a.py": "A = 1\n"})
    publish(person, "small", {"python/b.py": "B = 1\n"})
    publish(person, "third", {"python/c.py": "C = 1\n"})
    source = {"main.py": "def handle(e, c):\n    return 1\n"}
    for name, layers in (("first", ["big", "small"]), ("same", ["big", "small"]),
                         ("other", ["third", "big"]), ("single", ["big"])):
        deploy(person, name, "python3", source, layers, handler="main.handle")
    folders = {name: layers_digest(person, server, name) for name in ("first", "same", "other", "single")}
    (big,) = person.request("GET", "/api/v1/layers/big").json()
    assert folders["first"] == folders["same"] and folders["single"].name == big["digest"]
    found = {name: inodes(folder) for name, folder in folders.items()}
    data, module = pathlib.Path("data"), pathlib.Path("python/a.py")
    assert len({files[data] for files in found.values()}) == 1
    assert len({files[module] for files in found.values()}) == 1
    assert set(found["first"]) == {data, module, pathlib.Path("python/b.py")}


def code_folders(server):
    return {path.name for path in pathlib.Path(server.data_dir, "code").iterdir()}


def test_what_nobody_uses_any_more_is_gone_after_the_next_start_and_the_rest_works():
    with Server() as server:
        person = Person(server)
        publish(person, "a", {"python/who.py": WHO % "a"})
        publish(person, "b", {"x": "b"})
        publish(person, "unused", {"x": "unused"})
        deploy(person, "stays", "python3", {"main.py": USES_WHO}, ["a", "b"], handler="main.handle")
        deploy(person, "goes", "python3", {"main.py": USES_WHO}, ["b", "a"], handler="main.handle")
        digests = {layer["name"]: layer["digest"]
                   for layer in person.request("GET", "/api/v1/layers").json()}
        assert person.request("DELETE", "/api/v1/functions/goes").status == 200
        assert person.request("DELETE", "/api/v1/layers/unused/1").status == 200
        server.stop()
        server.start()
        left = code_folders(server)
        assert digests["unused"] not in left
        # Two layers, one tree of both, one bundle of code.
        assert {digests["a"], digests["b"]} < left and len(left) == 4
        assert call(person, "stays") == b"a"
        assert show(person, "stays")["layers"] == ["a:1", "b:1"]
        expect_problem(person.request("DELETE", "/api/v1/layers/a/1"), 409, "in_use", "stays")


@pytest.mark.parametrize("published", [2, 3, 4, 6, 9])
def test_kill_9_between_publishing_and_registering_leaves_nothing_half(published):
    """Publications and deployments go on until the whole node is killed, at whatever they are then."""
    with Server() as server:
        person = Person(server)
        publish(person, "base", {"python/who.py": WHO % "base"})
        ended = threading.Event()

        def work(number):
            turn = 0
            while not ended.is_set():
                turn += 1
                try:
                    person.request("PUT", f"/api/v1/layers/l{number}",
                                   pack({f"f{n}": f"{number} {turn} {n}" for n in range(50)}))
                    ask_to_deploy(person, f"f{number}-{turn}", "python3", {"main.py": USES_WHO},
                                  ["base", f"l{number}"], handler="main.handle")
                except (OSError, EOFError, ValueError):
                    return
                except Exception as error:  # what http.client makes of a broken answer
                    assert "http.client" in type(error).__module__, error
                    return

        workers = [threading.Thread(target=work, args=(number,)) for number in range(3)]
        for worker in workers:
            worker.start()
        assert eventually(
            lambda: len(person.request("GET", "/api/v1/layers").json()) > published)
        server.kill()
        ended.set()
        for worker in workers:
            worker.join()
        server.start()

        layers = person.request("GET", "/api/v1/layers").json()
        functions = person.request("GET", "/api/v1/functions/me").json()
        known = {layer["digest"] for layer in layers} | {each["codeDigest"] for each in functions}
        trees = code_folders(server) - known
        assert known <= code_folders(server)
        assert len(trees) == len({tuple(each["layers"]) for each in functions})
        assert list(pathlib.Path(server.data_dir, "staging").iterdir()) == []
        for tree in trees:
            files = inodes(pathlib.Path(server.data_dir, "code", tree))
            assert len(files) == 51
        for each in functions[-3:]:
            assert call(person, each["name"]) == b"base"
        for layer in layers:
            assert len(inodes(pathlib.Path(server.data_dir, "code", layer["digest"]))) in (1, 50)


def test_a_layer_that_is_removed_while_it_is_named_is_either_there_or_refused(person):
    """Whoever comes first: never a function whose layer is gone."""
    for turn in range(6):
        name = publish(person, "raced", {"python/who.py": WHO % turn})
        answers = {}

        def register():
            answers["deploy"] = ask_to_deploy(person, f"racer-{turn}", "python3",
                                              {"main.py": USES_WHO}, [name], handler="main.handle")

        thread = threading.Thread(target=register)
        thread.start()
        answers["remove"] = person.request("DELETE", f"/api/v1/layers/{name.replace(':', '/')}")
        thread.join()
        statuses = (answers["deploy"].status, answers["remove"].status)
        assert statuses in ((201, 409), (400, 200), (404, 200)), answers
        if statuses[0] == 201:
            assert call(person, f"racer-{turn}") == str(turn).encode()


def test_an_archive_with_links_keeps_them_in_the_tree(person):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("bin/real", "#!/bin/sh\necho linked\n")
        link = zipfile.ZipInfo("bin/alias")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        archive.writestr(link, "real")
    publish(person, "linked", packed.getvalue())
    publish(person, "beside", {"x": "x"})
    deploy(person, "aliased", "exec", "#!/bin/sh\nalias\nreadlink /opt/bin/alias\n".replace(
        "alias\nread", "/opt/bin/alias\nread"), ["beside", "linked"])
    assert call(person, "aliased") == b"linked\nreal\n"
