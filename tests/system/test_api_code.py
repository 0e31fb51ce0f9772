"""New code: unpacked, tried in a sandbox, and only then there."""
import base64
import contextlib
import gzip
import http.client
import io
import json
import socket
import tarfile

import pytest
from people import ECHO, Person, code_of, create, deployment, expect_problem
from raw_http import RawConnection, eventually, request
from server import Server, pack


@pytest.fixture(scope="module")
def person(server):
    return Person(server)


def call(person, name, body=b""):
    return person.server.call(name, body, token=person.token)


def answer_with(text):
    return f"def handle(event, context):\n    return {text!r}\n"


def tar_of(files, mode):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode) as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content.encode()))
    return packed.getvalue()


@pytest.mark.parametrize("name, code", [
    ("as-file", ECHO["main.py"].encode()), ("as-zip", pack(ECHO)),
    ("as-tar", tar_of(ECHO, "w")), ("as-tar-gz", tar_of(ECHO, "w:gz")),
])
def test_code_comes_as_a_file_or_an_archive(person, name, code):
    create(person, name, code=code_of(code))
    assert call(person, name, b"hello").body == b"hello"


def test_new_code_answers_the_next_request(person):
    function = create(person, "replaced")
    assert call(person, function, b"old").body == b"old"
    for number in range(3):
        answer = person.request("PUT", "/api/v1/functions/replaced/code",
                                pack({"main.py": answer_with(f"new {number}")}))
        assert answer.status == 200, answer
        assert answer.json()["version"] == number + 2
        assert answer.json()["functionId"] == function
        assert call(person, function, b"old").body == f"new {number}".encode()


def test_code_that_does_not_compile_is_refused_in_the_compilers_words(person):
    broken = "def handle(event, context):\n    return )\n"
    answer = person.request("POST", "/api/v1/functions", deployment("broken", code=code_of(broken)))
    expect_problem(answer, 400, "function.refused", "SyntaxError", "main.py")
    assert person.request("GET", "/api/v1/functions/broken").status == 404

    function = create(person, "sound")
    before = person.request("GET", "/api/v1/functions/sound").json()
    answer = person.request("PUT", "/api/v1/functions/sound/code", broken)
    expect_problem(answer, 400, "function.refused", "SyntaxError")
    assert person.request("GET", "/api/v1/functions/sound").json() == before
    assert call(person, function, b"still here").body == b"still here"


@pytest.mark.parametrize("handler", ["main.other", "other.handle", "main", "../main.handle"])
def test_a_handler_that_is_not_there_is_refused(person, handler):
    answer = person.request("POST", "/api/v1/functions",
                            deployment("no-handler", handler=handler, code=code_of(pack(ECHO))))
    assert answer.status == 400, answer
    assert answer.json()["reason"] in ("code.refused", "function.refused")


def test_a_bundle_that_would_escape_is_refused(person):
    code = code_of(pack({"main.py": ECHO["main.py"], "../escape.py": "x"}))
    answer = person.request("POST", "/api/v1/functions", deployment("escape", code=code))
    expect_problem(answer, 400, "code.refused")


def test_an_empty_upload_is_refused(person):
    create(person, "not-empty")
    answer = person.request("PUT", "/api/v1/functions/not-empty/code", b"")
    expect_problem(answer, 400, "invalid")


def test_scripts_and_programs_are_functions_too(person):
    script = "#!/bin/sh\ncat\n"
    answer = person.request("POST", "/api/v1/functions",
                            {"name": "script", "runtime": "exec", "code": code_of(script)})
    assert answer.status == 201, answer
    assert person.request("GET", "/api/v1/functions/script").json()["handler"] == "script"
    assert call(person, "script", b"through cat").body == b"through cat"
    answer = person.request("PUT", "/api/v1/functions/script/code", "#!/bin/sh\necho new\n")
    assert answer.status == 200, answer
    assert call(person, "script").body == b"new\n"


def test_two_who_replace_code_at_once_are_both_served(person):
    create(person, "contended")
    connections = []
    for number in range(4):
        connection = http.client.HTTPConnection("127.0.0.1", person.server.port, timeout=60)
        connection.request("PUT", "/api/v1/functions/contended/code", answer_with(str(number)),
                           {"Authorization": "Bearer " + person.token})
        connections.append(connection)
    answers = [connection.getresponse() for connection in connections]
    assert [answer.status for answer in answers] == [200] * 4
    assert sorted(json.loads(answer.read())["version"] for answer in answers) == [2, 3, 4, 5]
    for connection in connections:
        connection.close()
    assert call(person, "contended").body in (b"0", b"1", b"2", b"3")


def raw(server, head, body=b""):
    """Sends exactly these bytes; what came back until the server closed or 30 s passed."""
    with socket.create_connection(("127.0.0.1", server.port), 30) as client:
        client.sendall(head.replace("\n", "\r\n").encode() + body)
        client.shutdown(socket.SHUT_WR)
        received = b""
        while piece := client.recv(65536):
            received += piece
        return received


def test_code_that_is_too_large_is_refused_before_it_is_sent(person):
    create(person, "large")
    answer = raw(person.server, "PUT /api/v1/functions/large/code HTTP/1.1\nHost: x\n"
                 f"Authorization: Bearer {person.token}\nExpect: 100-continue\n"
                 "Content-Length: 10000000000\n\n")
    assert answer.startswith(b"HTTP/1.1 413 "), answer
    assert b'"payload.too_large"' in answer


def test_who_expects_100_continue_gets_it_when_the_body_is_wanted(person):
    create(person, "polite")
    code = answer_with("polite").encode()
    with socket.create_connection(("127.0.0.1", person.server.port), 30) as client:
        client.sendall(f"PUT /api/v1/functions/polite/code HTTP/1.1\r\nHost: x\r\n"
                       f"Authorization: Bearer {person.token}\r\nExpect: 100-continue\r\n"
                       f"Content-Length: {len(code)}\r\n\r\n".encode())
        assert client.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(code)
        assert client.recv(4096).startswith(b"HTTP/1.1 200 ")
    assert call(person, "polite").body == b"polite"


def test_code_may_come_in_chunks(person):
    create(person, "chunked")
    connection = http.client.HTTPConnection("127.0.0.1", person.server.port, timeout=60)
    pieces = (answer_with("in chunks")[i:i + 7].encode() for i in range(0, 60, 7))
    connection.request("PUT", "/api/v1/functions/chunked/code", pieces,
                       {"Authorization": "Bearer " + person.token}, encode_chunked=True)
    assert connection.getresponse().status == 200
    connection.close()
    assert call(person, "chunked").body == b"in chunks"


def test_an_archive_that_names_one_folder_without_end_is_refused_soon(person):
    folder = tarfile.TarInfo("a")
    folder.type = tarfile.DIRTYPE
    create(person, "endless")
    answer = person.request("PUT", "/api/v1/functions/endless/code",
                            gzip.compress(folder.tobuf() * 200_000))
    assert answer.status == 400 and "names more than 40000 things" in answer.json()["detail"], answer


def test_a_body_that_comes_too_slowly_is_given_up():
    with Server("--stall-timeout", "500ms") as node:
        with RawConnection(node.port) as client:
            client.send(request("POST", "/api/v1/users", headers=["Content-Length: 10000"]))
            with contextlib.suppress(ConnectionError):
                for _ in range(100):
                    client.send(b" ")
                    if not client.is_silent(0.1):
                        break
            assert client.read_head()[0] == 408


def test_who_goes_away_in_the_middle_of_an_upload_leaves_nothing(person):
    answer = raw(person.server, "POST /api/v1/functions HTTP/1.1\nHost: x\n"
                 f"Authorization: Bearer {person.token}\nContent-Length: 5000\n\n",
                 b'{"name":"half","code":"')
    assert answer.startswith(b"HTTP/1.1 400 ") and b"breaks off" in answer
    assert person.request("GET", "/api/v1/functions/half").status == 404
    create(person, "after-half")


def test_code_as_large_as_is_allowed_goes_through_json(person):
    """Incompressible, so that it is large on the way."""
    import random
    filler = random.Random(1).randbytes(3 << 20)
    code = pack({"main.py": answer_with("large"), "filler.bin": filler})
    create(person, "filled", code=base64.b64encode(code).decode())
    assert call(person, "filled").body == b"large"
    shown = person.request("GET", "/api/v1/functions/filled").json()
    assert shown["codeBytes"] > len(filler)


def test_code_and_settings_become_one_version(person):
    create(person, "both", memory="64MiB")
    answer = person.request("POST", "/api/v1/functions/both/versions", {
        "code": code_of("def other(event, context):\n    return 'both'\n"),
        "handler": "main.other", "timeout": "3s"})
    assert answer.status == 200 and answer.json()["version"] == 2
    shown = person.request("GET", "/api/v1/functions/both").json()
    assert (shown["handler"], shown["timeout"], shown["memory"]) == ("main.other", "3s", "64MiB")
    assert call(person, "both").body == b"both"


def test_a_new_version_may_have_no_more_concurrency_than_a_change(person):
    create(person, "alone")
    answers = [
        person.request("PATCH", "/api/v1/functions/alone", {"concurrency": 2}),
        person.request("POST", "/api/v1/functions/alone/versions", {
            "code": code_of(ECHO["main.py"]), "concurrency": 2})]
    for answer in answers:
        expect_problem(answer, 400, "invalid", "concurrency 2", "runtime python3")
    shown = person.request("GET", "/api/v1/functions/alone").json()
    assert (shown["concurrency"], shown["version"]) == (1, 1)
    answer = person.request("POST", "/api/v1/functions/alone/versions", {
        "code": code_of(ECHO["main.py"]), "concurrency": 1})
    assert answer.status == 200, answer


def test_many_small_deployments_at_once_are_no_crowd(person):
    connections = []
    for number in range(12):
        connection = http.client.HTTPConnection("127.0.0.1", person.server.port, timeout=60)
        connection.request("POST", "/api/v1/functions", json.dumps(deployment(f"many-{number}")),
                           {"Authorization": "Bearer " + person.token})
        connections.append(connection)
    assert [connection.getresponse().status for connection in connections] == [201] * 12
    for connection in connections:
        connection.close()


def test_the_same_code_is_kept_once(person):
    digests = set()
    for name, code in (("same-a", pack(ECHO)), ("same-b", tar_of(ECHO, "w:gz"))):
        create(person, name, code=code_of(code))
        digests.add(person.request("GET", f"/api/v1/functions/{name}").json()["codeDigest"])
    assert len(digests) == 1
    person.request("DELETE", "/api/v1/functions/same-a")
    assert call(person, "same-b", b"x").body == b"x"


def test_code_that_nobody_has_is_removed_at_the_start():
    from server import Server
    with Server() as node:
        person = Person(node)
        gone, kept = create(person, "gone", code=code_of(answer_with("gone"))), create(person, "kept")
        digests = {name: person.request("GET", f"/api/v1/functions/{name}").json()["codeDigest"]
                   for name in ("gone", "kept")}
        person.request("DELETE", "/api/v1/functions/gone")
        node.stop()
        stray = node.data_dir / "staging" / ("0" * 64)
        stray.mkdir()
        node.start()
        assert gone != kept
        code = {path.name for path in (node.data_dir / "code").iterdir()}
        assert code == {digests["kept"]}
        assert not stray.exists()
        assert node.call(kept, b"x", token=person.token).body == b"x"


def test_bodies_that_are_no_uploads_are_within_the_bound_for_bytes_in_flight():
    """3 of these 4 MiB are theirs: 12 bodies that do not end. What a client leaves is given back."""
    with Server("--buffers-max", "4MiB", "--threads", "1") as node, contextlib.ExitStack() as clients:
        whole = request("PUT", "/api/v1/functions/nothing/code", b"x" * (256 << 10), node.token)
        crowd = [clients.enter_context(RawConnection(node.port)).send(whole[:-1]) for _ in range(30)]
        eventually(lambda: sum(not client.is_silent(0) for client in crowd) >= 18, "18 are refused")
        for client in crowd:
            if not client.is_silent(0):
                answer = client.read_answer()
                assert answer.status == 503 and int(answer.headers["retry-after"]) >= 1
        clients.close()
        eventually(lambda: node.metrics()["magpie_connections"] == 1, "all have gone")
        for _ in range(13):
            with RawConnection(node.port) as client:
                assert client.send(whole).read_answer().status == 404


def test_slow_uploads_of_one_user_leave_room_to_others(person):
    other = Person(person.server)

    def begin(token):
        return clients.enter_context(RawConnection(person.server.port)).send(
            request("PUT", "/api/v1/functions/nothing/code", b"x" * (300 << 10), token)[:-1])

    with contextlib.ExitStack() as clients:
        slow = [begin(person.token) for _ in range(4)]
        refused, = eventually(lambda: [client for client in slow if not client.is_silent(0)], "one is refused")
        answer = refused.read_answer()
        assert answer.status == 503 and int(answer.headers["retry-after"]) >= 1
        assert begin(other.token).send("x").read_answer().status == 404
        slow.remove(refused)
        for client in slow:
            assert client.send("x").read_answer().status == 404
        assert begin(person.token).send("x").read_answer().status == 404
