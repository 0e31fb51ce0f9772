"""Whom the node pulls from, and how much of that one user may have done at once."""
import contextlib
import socket
import threading

import pytest
from image_registry import ImageServer
from people import Person, expect_problem
from server import Server


def deploy(person, reference):
    return person.request("POST", "/api/v1/functions", {"image": reference})


@pytest.fixture(scope="module")
def strict():
    """A node as it is when nobody has said anything of registries."""
    with Server() as node:
        yield Person(node)


@pytest.mark.parametrize("host", [
    "127.0.0.1:{port}", "localhost:{port}", "127.1.2.3:{port}", "10.0.0.1", "172.16.9.9:5000",
    "192.168.0.10", "169.254.169.254", "100.64.0.1:80", "0.0.0.0:{port}", "198.18.0.1", "224.0.0.1"])
def test_a_registry_in_a_private_network_is_refused(strict, registry, hello, host):
    registry.push("private/app", "1", hello())
    host = host.format(port=registry.port)
    before = registry.log()
    problem = expect_problem(deploy(strict, f"{host}/private/app:1"), 403, "image.registry", host)
    assert "network of the server's own" in problem["detail"]
    assert registry.log() == before  # nobody has asked it


def test_a_name_that_leads_nowhere_is_merely_out_of_reach(strict):
    expect_problem(deploy(strict, "no-such-host.invalid/a/b"), 502, "image.unreachable")


@pytest.mark.parametrize("option", ["--insecure-registries", "--registries"])
def test_a_registry_that_the_operator_names_is_asked(registry, hello, option):
    reference = registry.push("named/app", "1", hello())
    with Server(option, f"elsewhere.example,{registry.host}") as node:
        person = Person(node)
        assert deploy(person, reference).status == 201
        answer = deploy(person, reference.replace("127.0.0.1", "localhost"))
        expect_problem(answer, 403, "image.registry", "localhost")


def test_where_registries_are_named_there_are_no_others(registry, hello):
    with Server("--registries", "registry.example") as node:
        person = Person(node)
        for host in ("docker.io", registry.host, "other.example"):
            expect_problem(deploy(person, f"{host}/a/b:1"), 403, "image.registry", host)


def test_an_image_that_is_here_needs_no_registry_to_be_allowed(registry, hello, deployed):
    """Its digest says which bytes; nobody is asked for them."""
    image = hello(config={"Entrypoint": ["/hello", "here"]})
    reference = registry.push("here/app", "1", image)
    with ImageServer() as node:
        person = Person(node)
        deployed(person, reference)
        function = deployed(person, f"10.0.0.1/here/app@{image.digest}", name="second")
        assert function["codeDigest"] == image.digest.split(":")[1]


def test_one_user_has_so_many_pulls_at_once_and_no_more(registry, hello):
    reference = registry.push("bound/app", "1", hello())
    with contextlib.ExitStack() as stack, ImageServer("--pulls-max", "3") as node:
        silent = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        busy, other = Person(node), Person(node)
        answers = []
        waiting = f"127.0.0.1:{silent.getsockname()[1]}/slow/app"
        threads = [threading.Thread(target=lambda number=number: answers.append(
            deploy(busy, f"{waiting}:{number}"))) for number in range(3)]
        for thread in threads:
            thread.start()
        held = [silent.accept()[0] for _ in threads]  # all three are under way
        answer = deploy(busy, reference)
        expect_problem(answer, 429, "image.pulls", "3 pulls")
        assert int(answer.headers["Retry-After"]) >= 1
        assert deploy(other, reference).status == 201  # nobody else pays for it
        stack.close()
        for connection in held:
            connection.close()
        for thread in threads:
            thread.join()
        assert {answer.status for answer in answers} == {502}
        assert deploy(busy, reference).status == 201
