"""Registering, logging in, and being gone."""
import base64
import http.client
import json

import pytest
from people import PASSWORD, Person, create, expect_problem


def register(server, **body):
    return server.request("POST", "/api/v1/users", body, token=None)


def login(server, **body):
    return server.request("POST", "/api/v1/users/login", body, token=None)


def test_a_user_registers_logs_in_and_is_known(server):
    answer = register(server, email="Ada@Example.org", password=PASSWORD)
    assert answer.status == 201 and answer.json() == {"message": "User created successfully."}
    answer = login(server, email="ada@example.ORG", password=PASSWORD)
    assert answer.status == 201
    assert answer.json()["message"] == "User logged successfully."
    me = server.request("GET", "/api/v1/users/me", token=answer.json()["token"])
    assert me.status == 200
    assert me.json()["email"] == "ada@example.org" and len(me.json()["userId"]) == 26


def test_an_e_mail_address_is_taken_once_in_whatever_case(server):
    person = Person(server)
    expect_problem(register(server, email=person.email, password=PASSWORD), 409, "taken")
    expect_problem(register(server, email=person.email.upper(), password=PASSWORD), 409, "taken")


def test_the_same_local_part_gives_namespaces_of_their_own(server):
    names = {Person(server, f"same@{host}.example").request(
        "GET", "/api/v1/users/me").json()["namespace"] for host in ("a", "b", "c")}
    assert len(names) == 3 and "same" in names


@pytest.mark.parametrize("body", [
    {"email": "nobody", "password": PASSWORD},
    {"email": "a b@example.org", "password": PASSWORD},
    {"email": "", "password": PASSWORD},
    {"email": "short@example.org", "password": "7 chars"},
    {"email": "long@example.org", "password": "x" * 2000},
    {"email": "only@example.org"},
    {"password": PASSWORD},
    {"email": 7, "password": PASSWORD},
    {"email": "more@example.org", "password": PASSWORD, "admin": True},
    [],
])
def test_a_registration_that_is_not_right_is_refused(server, body):
    answer = server.request("POST", "/api/v1/users", body, token=None)
    expect_problem(answer, 400, "invalid")


def test_what_is_wrong_is_named(server):
    body = {"email": "x@example.org", "password": PASSWORD, "admin": True}
    expect_problem(register(server, **body), 400, "invalid", "admin")
    expect_problem(register(server, email="x@example.org", password="short"), 400, "invalid",
                   "password", "8")


@pytest.mark.parametrize("text", ["", "{", "{} {}", "null", '{"email":"\\u0000"}'])
def test_a_body_that_is_no_json_object_is_refused(server, text):
    expect_problem(server.request("POST", "/api/v1/users", text, token=None), 400, "invalid")


def test_a_wrong_password_and_an_unknown_address_are_answered_alike(server):
    person = Person(server)
    wrong = login(server, email=person.email, password="not " + PASSWORD)
    unknown = login(server, email="nobody@example.org", password=PASSWORD)
    expect_problem(wrong, 401, "unauthorized")
    assert wrong.body == unknown.body
    assert wrong.headers["WWW-Authenticate"]


def test_nobody_logs_in_as_the_administrator_without_a_password(server):
    for password in ("", "admin", PASSWORD):
        assert login(server, email="admin@localhost", password=password).status == 401


def test_without_credentials_there_is_a_401_that_says_what_to_do(server):
    answer = server.request("GET", "/api/v1/users/me", token=None)
    expect_problem(answer, 401, "unauthorized", "Bearer")
    assert "Bearer" in answer.headers["WWW-Authenticate"]


def sign_by_hand(header, claims):
    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
    return part(header) + "." + part(claims) + "."


def test_forged_and_broken_tokens_are_refused(server):
    token = Person(server).token
    head, claims, signature = token.split(".")
    other = "A" if signature[0] != "A" else "B"
    wrong = [
        "", "x", head + "." + claims, head + "." + claims + ".",
        ".".join([head, claims, other + signature[1:]]),
        ".".join([head, claims + "A", signature]), token + "A", " " + token + " x",
        sign_by_hand({"alg": "none", "typ": "JWT"}, {"sub": "01M7XZRQJCJAAQ2H1DCYJYHPSV"}),
    ]
    for candidate in wrong:
        answer = server.request("GET", "/api/v1/users/me", token=candidate)
        expect_problem(answer, 401, "unauthorized")
    assert server.request("GET", "/api/v1/users/me", token=token).status == 200


def test_e_mail_and_password_do_as_well_as_a_token(server):
    person = Person(server)
    for _ in range(3):  # the first time it is hashed, afterwards it is known
        answer = server.request("GET", "/api/v1/users/me", token=None, headers=person.basic())
        assert answer.status == 200 and answer.json()["email"] == person.email
    person.password = "wrong " + PASSWORD
    for _ in range(2):
        answer = server.request("GET", "/api/v1/users/me", token=None, headers=person.basic())
        expect_problem(answer, 401, "unauthorized")


def test_the_longest_password_that_may_be_chosen_works_either_way(server):
    person = Person(server, password="é" * 512)
    answer = server.request("GET", "/api/v1/users/me", token=None, headers=person.basic())
    assert answer.status == 200


@pytest.mark.parametrize("value", [
    "Basic", "Basic ", "Basic !!!!", "Basic " + base64.b64encode(b"no colon").decode(),
    "Basic " + base64.b64encode(b"nobody@example.org:" + PASSWORD.encode()).decode(),
    "Basic " + base64.b64encode(b"x" * 3000 + b":y").decode(),
    "Digest username=x", "Bearer", "Bearer ",
])
def test_other_credentials_are_refused(server, value):
    answer = server.request("GET", "/api/v1/users/me", token=None, headers={"Authorization": value})
    expect_problem(answer, 401, "unauthorized")


def test_a_wrong_password_leaves_the_connection_and_what_is_pipelined_alone(server):
    person = Person(server)
    wrong = "Basic " + base64.b64encode(f"{person.email}:wrong".encode()).decode()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        for value, status in ((wrong, 401), (person.basic()["Authorization"], 200), (wrong, 401)):
            connection.request("GET", "/api/v1/users/me", headers={"Authorization": value})
            response = connection.getresponse()
            response.read()
            assert response.status == status
    finally:
        connection.close()


def test_a_deleted_user_is_gone_at_once_with_tokens_and_functions(server):
    person = Person(server)
    function = create(person, "mine", public=True)
    namespace = person.request("GET", "/api/v1/users/me").json()["namespace"]
    assert server.request("GET", "/api/v1/users/me", token=None,
                          headers=person.basic()).status == 200
    assert server.request("POST", f"/f/{function}", b"hi", token=None).status == 200

    answer = person.request("DELETE", "/api/v1/users/me")
    assert answer.status == 200
    assert answer.json() == {"message": f"User email {person.email} deleted successfully."}

    assert person.request("GET", "/api/v1/users/me").status == 401
    assert server.request("GET", "/api/v1/users/me", token=None,
                          headers=person.basic()).status == 401
    assert server.request("POST", f"/f/{function}", b"hi", token=None).status in (401, 404)
    assert server.request("POST", f"/f/{namespace}/mine", b"hi").status == 404
    assert login(server, email=person.email, password=person.password).status == 401


def test_who_registers_again_gets_none_of_what_was_deleted(server):
    first = Person(server)
    create(first, "mine")
    first.request("DELETE", "/api/v1/users/me")
    again = Person(server, first.email)
    assert again.request("GET", "/api/v1/functions/me").json() == []
    assert first.request("GET", "/api/v1/users/me").status == 401


def test_the_administrator_stays(server):
    expect_problem(server.request("DELETE", "/api/v1/users/me"), 403, "not_permitted")
    assert server.request("GET", "/api/v1/users/me").status == 200


def test_more_passwords_than_can_be_checked_are_turned_away_not_queued(server):
    """A storm of log-ins: each is answered, some with 503, and nothing else waits for them."""
    person = Person(server)
    body = json.dumps({"email": person.email, "password": person.password})
    connections = []
    for _ in range(80):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        connection.request("POST", "/api/v1/users/login", body)
        connections.append(connection)
    assert person.request("GET", "/api/v1/users/me").status == 200
    answers = [connection.getresponse() for connection in connections]
    statuses = [answer.status for answer in answers]
    for answer in answers:
        answer.read()
        if answer.status == 503:
            assert answer.headers["Retry-After"] == "1"
    assert set(statuses) == {201, 503}, statuses
    for connection in connections:
        connection.close()
