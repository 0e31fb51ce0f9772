"""Functions: made, shown, listed, changed, deleted; and what is refused."""
import pytest
from people import Person, create, deployment, expect_problem


@pytest.fixture(scope="module")
def person(server):
    return Person(server)


def test_a_function_is_created_and_shown_with_every_setting(person):
    function = create(person, "settings", memory="64MiB", timeout="1500ms", keepAlive="2m",
                      env={"GREETING": "hé\n", "EMPTY": ""}, concurrency=1, min=0, max=7,
                      public=True, zygote="off")
    shown = person.request("GET", f"/api/v1/functions/{function}")
    assert shown.status == 200 and shown.headers["Content-Type"] == "application/json"
    document = shown.json()
    digest = document.pop("codeDigest")
    times = document.pop("createdAt"), document.pop("updatedAt")
    namespace = person.request("GET", "/api/v1/users/me").json()["namespace"]
    assert document == {
        "functionId": function, "name": "settings", "namespace": namespace, "runtime": "python3",
        "image": None, "network": "none", "reach": [], "handler": "main.handle",
        "memory": "64MiB", "timeout": "1500ms",
        "keepAlive": "2m", "layers": [], "zygote": "off", "concurrency": 1, "min": 0,
        "env": {"GREETING": "hé\n", "EMPTY": ""},
        "max": 7, "public": True, "version": 1, "codeBytes": document["codeBytes"],
        "url": f"/f/{namespace}/settings",
        "instances": {"idle": 0, "frozen": 0, "busy": 0, "starting": 0},
        "coldStarts": {"count": 0}}
    assert len(digest) == 64 and document["codeBytes"] > 0
    assert times[0] == times[1] and times[0].endswith("Z") and len(times[0]) == 24


def test_the_defaults_are_shown(person):
    document = person.request("GET", f"/api/v1/functions/{create(person, 'defaults')}").json()
    assert document["memory"] == "128MiB" and document["timeout"] == "30s"
    assert document["keepAlive"] == "10m" and document["concurrency"] == 1
    assert document["min"] == 0 and document["public"] is False and document["env"] == {}
    assert document["zygote"] == "auto"


def test_a_keep_alive_that_is_learned_is_shown_and_can_be_changed_back(person):
    function = create(person, "learning", keepAlive="auto")
    assert person.request("GET", f"/api/v1/functions/{function}").json()["keepAlive"] == "auto"
    for changed in ("5m", "auto"):
        answer = person.request("PATCH", f"/api/v1/functions/{function}", {"keepAlive": changed})
        assert answer.status == 200
        document = person.request("GET", f"/api/v1/functions/{function}").json()
        assert document["keepAlive"] == changed


def test_a_function_is_found_by_its_id_and_by_its_owners_name_for_it(person):
    function = create(person, "by-name")
    by_id = person.request("GET", f"/api/v1/functions/{function}").json()
    assert person.request("GET", "/api/v1/functions/by-name").json() == by_id
    assert person.request("HEAD", "/api/v1/functions/by-name").body == b""


def test_the_list_has_ones_own_functions_in_the_order_of_their_making(server):
    someone = Person(server)
    assert someone.request("GET", "/api/v1/functions/me").json() == []
    ids = [create(someone, name) for name in ("zulu", "alpha", "mike")]
    listed = someone.request("GET", "/api/v1/functions/me").json()
    assert [function["functionId"] for function in listed] == ids
    assert [function["name"] for function in listed] == ["zulu", "alpha", "mike"]


def test_a_name_is_taken_once_for_each_owner(server, person):
    create(person, "twice")
    answer = person.request("POST", "/api/v1/functions", deployment("twice"))
    expect_problem(answer, 409, "taken", "twice")
    create(Person(server), "twice")


@pytest.mark.parametrize("change, word", [
    ({"name": "No"}, "No"), ({"name": ""}, "name"), ({"name": "a" * 64}, "name"),
    ({"name": "me"}, "me"), ({"name": None}, "name"), ({"runtime": "cobol"}, "python3"),
    ({"memory": "1MiB"}, "memory"), ({"memory": "lots"}, "lots"), ({"memory": -1}, "memory"),
    ({"timeout": "0s"}, "timeout"), ({"timeout": "2h"}, "timeout"), ({"timeout": 30}, "timeout"),
    ({"keepAlive": "48h"}, "keepAlive"), ({"keepAlive": "always"}, "auto"), ({"concurrency": 0}, "concurrency"),
    ({"min": 3, "max": 2}, "min"), ({"max": 0}, "max"), ({"min": 0.5}, "min"),
    ({"env": {"MAGPIE_X": "1"}}, "MAGPIE_X"), ({"env": {"1A": "x"}}, "1A"),
    ({"env": {"A=B": "1"}}, "A=B"),
    ({"env": {"A": 1}}, "env"), ({"env": ["A=1"]}, "env"),
    ({"env": {f"N{i}": "" for i in range(101)}}, "env"), ({"public": 1}, "public"),
    ({"handler": "x" * 256}, "handler"), ({"handler": "a\nb"}, "handler"),
    ({"zygote": "on"}, "zygote"), ({"zygote": False}, "zygote"),
    ({"code": "?"}, "base64"), ({"code": None}, "code"), ({"colour": "blue"}, "colour"),
])
def test_a_wrong_setting_is_refused_and_named(person, change, word):
    answer = person.request("POST", "/api/v1/functions", deployment("wrong") | change)
    expect_problem(answer, 400, "invalid", word)


@pytest.mark.parametrize("missing", ["name", "runtime", "code"])
def test_what_is_missing_is_named(person, missing):
    body = deployment("missing")
    del body[missing]
    answer = person.request("POST", "/api/v1/functions", body)
    expect_problem(answer, 400, "invalid", missing)


def test_settings_are_changed_and_the_next_request_sees_it(person):
    function = create(person, "changing", env={"A": "1"})
    before = person.request("GET", f"/api/v1/functions/{function}").json()
    answer = person.request("PATCH", "/api/v1/functions/changing",
                            {"memory": "256MiB", "public": True, "env": {"B": "2"}})
    assert answer.status == 200 and answer.json()["version"] == 2
    after = person.request("GET", f"/api/v1/functions/{function}").json()
    assert after["memory"] == "256MiB" and after["public"] and after["env"] == {"B": "2"}
    assert after["version"] == 2 and after["updatedAt"] >= before["updatedAt"]
    for kept in ("createdAt", "codeDigest", "timeout", "handler"):
        assert after[kept] == before[kept]


@pytest.mark.parametrize("change, word", [
    ({}, "setting"), ({"name": "other"}, "name"), ({"runtime": "node"}, "runtime"),
    ({"code": ""}, "code"), ({"memory": "1"}, "memory"), ({"min": 5, "max": 1}, "min"),
    ({"version": 9}, "version"),
])
def test_a_change_that_is_not_right_is_refused_and_changes_nothing(person, change, word):
    if person.request("GET", "/api/v1/functions/firm").status == 404:
        create(person, "firm")
    before = person.request("GET", "/api/v1/functions/firm").json()
    answer = person.request("PATCH", "/api/v1/functions/firm", change)
    expect_problem(answer, 400, "invalid", word)
    assert person.request("GET", "/api/v1/functions/firm").json() == before


def test_a_deleted_function_is_gone_for_the_next_request(person):
    function = create(person, "short-lived")
    assert person.server.call(function, b"x", token=person.token).body == b"x"
    answer = person.request("DELETE", "/api/v1/functions/short-lived")
    assert answer.status == 200
    assert answer.json() == {"message": "Function deleted successfully."}
    expect_problem(person.server.call(function, b"x", token=person.token), 404, "not_found")
    expect_problem(person.request("GET", f"/api/v1/functions/{function}"), 404, "not_found")
    expect_problem(person.request("DELETE", f"/api/v1/functions/{function}"), 404, "not_found")
    assert create(person, "short-lived") != function


def test_what_belongs_to_another_is_not_there(server, person):
    function = create(person, "private")
    stranger = Person(server)
    for method, path, body in [
            ("GET", "", None), ("PATCH", "", {"public": True}), ("DELETE", "", None),
            ("PUT", "/code", b"x"), ("GET", "/logs", None)]:
        for name in (function, "private"):
            answer = stranger.request(method, f"/api/v1/functions/{name}{path}", body)
            expect_problem(answer, 404, "not_found")
    expect_problem(server.call(function, b"x", token=stranger.token), 404, "not_found")
    expect_problem(server.request("GET", f"/api/v1/functions/{function}"), 404, "not_found")
    assert person.request("GET", f"/api/v1/functions/{function}").status == 200


def test_functions_and_users_survive_a_kill(server):
    from server import Server
    with Server() as node:
        person = Person(node)
        function = create(person, "kept", env={"A": "é"})
        before = person.request("GET", f"/api/v1/functions/{function}").json()
        node.kill()
        node.start()
        after = person.request("GET", f"/api/v1/functions/{function}").json()
        assert after == before
        assert node.call(function, b"alive", token=person.token).body == b"alive"
