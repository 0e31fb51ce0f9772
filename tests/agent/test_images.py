"""A container image as a sandbox's root: all of its files, nothing of anybody else's, and whoever it says it
is. That walls stand there as everywhere else is tested where they are: test_sandbox, test_forbidden,
test_hostile."""
import errno
import json
import os
import pathlib

import pytest
from agent_client import (BY_EXEC, BY_HTTP, BY_LAMBDA, EXEC, IMAGE, MIB, ON_REQUEST, PROVIDED,
                          STOCKED_SANDBOX, WORKER_REFUSED, Refused)
from conftest import USERS, start_agent
from sandbox_host import UID_FIRST, eventually, host_uid
from stocked import from_stock

IDS = [(0, 0), (1000, 1000), (65534, 65534), (65535, 65535), (33, 7), (0, 5)]


@pytest.fixture(scope="module")
def agent(either_agent):
    return either_agent


@pytest.fixture(scope="module")
def image(agent, image_base):
    """Its program is a script that does what the payload says."""
    return agent.add_image({"main": (0o755, b'#!/bin/sh\neval "$1"\n'),
                            "etc/passwd": (0o644, USERS)}, image_base)


@pytest.fixture
def ask(gateway, image):
    """Asks the image's shell."""
    def ask(command, **options):
        with gateway.spawn_image(image, "/main", **options) as instance:
            instance.wait_ready()
            return instance.invoke(command.encode()).decode()
    return ask


def lines_of_mounts(text):
    return {fields[4]: fields for fields in map(str.split, text.splitlines())}


def test_the_root_is_the_images_and_nothing_else(agent, image, ask):
    root = agent.data_dir / "images" / image / "root"
    assert ask("ls -A /").split() == sorted(os.listdir(root))
    inside = ask("find / -xdev -type f").split()
    assert sorted(inside) == sorted(
        f"/{path.relative_to(root)}" for path in root.rglob("*")
        if path.is_file() and not path.is_symlink())


def test_what_is_mounted_is_the_image_and_what_is_private(ask, image):
    mounts = lines_of_mounts(ask("cat /proc/self/mountinfo"))
    assert set(mounts) == {"/", "/proc", "/dev", "/tmp", "/var/tmp"}
    assert mounts["/"][3].endswith(f"/images/{image}/root")
    assert mounts["/tmp"][2] == mounts["/var/tmp"][2]


def test_nothing_of_the_root_before_is_left(ask):
    """Neither by going up, nor at the old names."""
    ups = ("/ /.. /proc/.. /proc/../.. /tmp/.. /dev/../.. /var/tmp/../../.. /proc/self/root/.. "
           "/proc/self/cwd/..")
    assert len(set(ask(f"for up in {ups}; do stat -c %d:%i $up; done").split())) == 1
    assert ask("ls -d /magpie /proc/1 /usr/share /code/main 2>/dev/null; true") == ""


def test_another_image_and_the_code_store_are_not_there(agent, ask, probe_code, probe):
    other = agent.add_image(probe)
    assert ask(f"find / -name '*{other[:16]}*' -o -name '*{probe_code[:16]}*'; "
               f"grep -c {other} /proc/self/mountinfo; true") == "0\n"


def test_process_one_lives_in_the_image_too(gateway, image, watch):
    """Seen from the host: no process of the sandbox has kept the root it was parked with."""
    with gateway.spawn_image(image, "/main") as instance:
        instance.wait_ready()
        (pid,) = watch.pids()
        assert set(lines_of_mounts(pathlib.Path(f"/proc/{pid}/mountinfo").read_text())) == {
            "/", "/proc", "/dev", "/tmp", "/var/tmp"}
        assert os.path.exists(f"/proc/{pid}/root/main")
        assert os.readlink(f"/proc/{pid}/root") == os.readlink(f"/proc/{pid}/cwd") == "/"


def test_the_root_can_be_read_and_not_written(ask):
    text = ask("for f in /x /etc/passwd /main /dev/x /sys/x; do echo >$f; done 2>/tmp/said; "
               "grep -c -e 'Read-only' -e 'Permission denied' /tmp/said; head -n 1 /etc/passwd",
               user=0)
    assert text == "5\nroot:x:0:0::/:/bin/sh\n"


@pytest.mark.parametrize("size", [1 * MIB, 100 * MIB])
def test_tmp_is_as_large_as_it_was_asked_for(ask, size):
    for folder in ("/tmp", "/var/tmp"):
        assert int(ask(f"df --output=size -B1 {folder} | sed 1d", tmp=size)) == size


@pytest.mark.parametrize("files", [{}, {"var/tmp": (None, "/tmp")}, {"var/tmp": (0o644, b"")},
                                   {"var": (None, "/proc")}],
                         ids=["absent", "a link", "a file", "beneath a link"])
def test_an_image_without_the_second_folder_for_temporary_files_has_none_made(
        agent, gateway, image_base, files):
    """What is no plain folder is left as it is."""
    script = b"#!/bin/sh\n/usr/bin/sed 's/^[^ ]* [^ ]* [^ ]* [^ ]* \\([^ ]*\\) .*/\\1/' /proc/self/mountinfo\n"
    base = bare_base(image_base)
    image = agent.add_image({"main": (0o755, script), **files}, base)
    with gateway.spawn_image(image, "/main") as instance:
        instance.wait_ready()
        assert set(instance.invoke().decode().split()) == {"/", "/proc", "/dev", "/tmp"}


def bare_base(base):
    """The same without its var."""
    bare = base.parent / "bare"
    if not bare.exists():
        bare.mkdir()
        for entry in base.iterdir():
            if entry.name not in ("var", "usr"):
                (bare / entry.name).symlink_to(os.readlink(entry)) if entry.is_symlink() else \
                    (bare / entry.name).mkdir()
        os.system(f"cp -al {base}/usr {bare}/usr")
    return bare


@pytest.mark.parametrize("user, group", IDS)
def test_the_user_is_whom_the_image_names_and_a_host_user_of_its_own(gateway, image, watch, user,
                                                                     group):
    with gateway.spawn_image(image, "/main", user=user, group=group) as instance:
        instance.wait_ready()
        assert instance.invoke(b"id -u; id -ru; id -g; id -rg; id -G").decode().split() == [
            str(number) for number in (user, user, group, group, group)]
        (pid,) = watch.pids()
        assert host_uid(pid) >= UID_FIRST
        maps = [pathlib.Path(f"/proc/{pid}/{kind}_map").read_text().split() for kind in ("uid", "gid")]
        assert maps == [[str(user), str(host_uid(pid)), "1"], [str(group), str(host_uid(pid)), "1"]]


def test_two_users_of_one_number_are_two_users_of_the_host(gateway, image, watch):
    with gateway.spawn_image(image, "/main") as one, gateway.spawn_image(image, "/main") as other:
        one.wait_ready()
        other.wait_ready()
        assert len({host_uid(pid) for pid in watch.pids()}) == 2


def test_users_take_turns_in_one_slot(ask):
    """A slot's user namespace is another's when the user is."""
    for user in (0, 1000, 0, 65535, 1000, 33):
        assert ask("id -u", user=user) == f"{user}\n"


def test_root_inside_owns_nothing_and_may_do_nothing(ask):
    status = dict(line.split(":\t", 1) for line in ask("cat /proc/self/status").splitlines())
    assert {int(status[f"Cap{kind}"], 16) for kind in ("Inh", "Prm", "Eff", "Amb")} == {0}
    assert status["NoNewPrivs"] == "1"
    # A file of the image's is somebody else's, and what is not for others stays closed.
    assert ask("stat -c %u /main /etc/passwd").split() == ["65534", "65534"]
    assert ask("chmod 777 /tmp && echo changed; chmod 600 /main && echo changed; true") == ""


def test_a_file_that_is_not_for_others_is_closed_to_root_inside(agent, gateway, image_base):
    image = agent.add_image({"main": (0o755, b"#!/bin/sh\ncat /secret || echo closed\n"),
                             "secret": (0o600, b"of the store's owner\n")}, image_base)
    with gateway.spawn_image(image, "/main", user=0) as instance:
        instance.wait_ready()
        assert instance.invoke() == b"closed\n"


def test_root_inside_cannot_reach_process_one(gateway, agent, image_base):
    """It is undumpable, and hidden, and no signal is deadly that it has not asked for."""
    script = b"""#!/usr/bin/python3 -ISB
import os
found = []
for path in ("mem", "fd", "maps", "environ", "root", "cwd", "fd/3", "ns/user", "oom_score_adj"):
    try:
        os.stat(f"/proc/1/{path}")
        found.append(path)
    except OSError:
        pass
for number in range(1, 65):
    try:
        os.kill(1, number)
    except OSError:
        pass
print(found, os.getuid())
"""
    image = agent.add_image({"main": (0o755, script)}, image_base)
    with gateway.spawn_image(image, "/main", user=0) as instance:
        instance.wait_ready()
        assert instance.invoke() == b"[] 0\n"
        assert instance.invoke() == b"[] 0\n", "process 1 is still there"


@pytest.mark.parametrize("folder", ["/", "/usr/bin", "/tmp", "/proc"])
def test_it_starts_in_the_folder_that_it_names(ask, folder):
    assert ask("pwd", folder=folder) == f"{folder}\n"


def test_a_program_without_a_slash_is_found_in_the_path(agent, gateway, image_base):
    files = {"opt/tools/tool": (0o755, b"#!/bin/sh\necho found $PATH\n"),
             "usr/local/bin/tool": (0o755, b"#!/bin/sh\necho elsewhere\n")}
    image = agent.add_image(files, image_base)
    for env, answer in ((["PATH=/nowhere:/opt/tools:/bin"], b"found /nowhere:/opt/tools:/bin\n"),
                        ([], b"elsewhere\n")):
        with gateway.spawn_image(image, "tool", env=env) as instance:
            instance.wait_ready()
            assert instance.invoke() == answer


def test_the_words_of_the_command_line_come_before_the_payload(agent, gateway, image_base):
    image = agent.add_image({"main": (0o755, b'#!/bin/sh\nfor a; do echo "[$a]"; done\n')}, image_base)
    with gateway.spawn_image(image, "/main", "-x", "", "two words", *["w"] * 60) as instance:
        instance.wait_ready()
        assert instance.invoke(b"payload").decode().split("\n") == [
            "[-x]", "[]", "[two words]", *["[w]"] * 60, "[payload]", ""]


@pytest.mark.parametrize("word, folder", [("/absent", "/"), ("absent", "/"), ("/main", "/absent")])
def test_what_cannot_be_run_is_refused_by_process_one(gateway, image, word, folder):
    with gateway.spawn_image(image, word, folder=folder) as instance:
        refused = instance.receive()
        assert refused.type == WORKER_REFUSED and b"absent" in refused.payload, refused


@pytest.mark.parametrize("contract, options", [(BY_HTTP, {"port": 8123}), (BY_LAMBDA, {})])
def test_the_contract_is_the_one_that_was_asked_for(agent, gateway, image_base, contract, options):
    """Neither program serves anything: what process 1 says of their end tells which it took them for."""
    script = b'#!/bin/sh\necho "<$PORT> <$AWS_LAMBDA_RUNTIME_API>" >&2\nexit 3\n'
    image = agent.add_image({"main": (0o755, script)}, image_base)
    with gateway.spawn_image(image, "/main", contract=contract, **options) as instance:
        instance.wait_exited()
        said = instance.read_log().decode()
    assert said == ("<8123> <>\n" if contract == BY_HTTP else "<> <127.0.0.1:9001>\n")


def test_provided_code_is_its_bootstrap_by_the_runtime_api(agent, gateway):
    script = b'#!/bin/sh\necho "$PWD $0 $_HANDLER $AWS_LAMBDA_RUNTIME_API" >&2\nexit 3\n'
    code = agent.add_code({"bootstrap": (0o755, script)})
    with gateway.spawn(code, "app.handle", runtime=PROVIDED) as instance:
        instance.wait_exited()
        assert instance.read_log() == b"/code /code/bootstrap app.handle 127.0.0.1:9001\n"


PYTHON_ENVIRONMENT = b"""#!/usr/bin/python3 -ISB
import os, json
print(json.dumps(dict(os.environ)))
"""


@pytest.mark.parametrize("said, found", [
    ([], {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/tmp"}),
    (["PATH=/bin", "HOME=/root", "A=1", "A=2", "MAGPIE_FUNCTION_NAME=f"],
     {"PATH": "/bin", "HOME": "/root", "A": "2", "MAGPIE_FUNCTION_NAME": "f"}),
])
def test_the_environment_is_the_requests_and_a_path_and_a_home_where_it_has_none(
        agent, gateway, image_base, said, found):
    image = agent.add_image({"main": (0o755, PYTHON_ENVIRONMENT)}, image_base)
    with gateway.spawn_image(image, "/main", env=said) as instance:
        instance.wait_ready()
        environment = json.loads(instance.invoke())
    for name in ("MAGPIE_INVOCATION_ID", "MAGPIE_USER", "MAGPIE_DEADLINE_MS"):
        environment.pop(name)
    environment.pop("LC_CTYPE", None)  # Python's own
    assert environment == found


def test_a_registration_check_finds_the_image_where_it_is(ask):
    assert ask("echo $MAGPIE_VERIFY", verify=True) == "1\n"


# What an image may have where the agent wants to mount.
WRONG = {"a link to a folder of the image": (None, "etc"), "a link out": (None, "../../.."),
         "a link to the old root's": (None, "/code"), "a link to itself": (None, "."),
         "a file": (0o644, b"")}


@pytest.mark.parametrize("point", ["proc", "tmp", "dev"])
@pytest.mark.parametrize("wrong", WRONG)
def test_an_image_with_something_else_where_a_mount_belongs_is_refused(agent, gateway, probe, watch,
                                                                       point, wrong):
    image = agent.add_image({**probe, point: WRONG[wrong]}, without=(point,))
    before = watch.mounts()
    with pytest.raises(Refused, match=f"opening the image's folder /{point}: ") as refused:
        gateway.spawn_image(image, "/probe")
    assert refused.value.code in (errno.ELOOP, errno.ENOTDIR, errno.EXDEV)
    assert watch.mounts() == before


@pytest.mark.parametrize("point", ["proc", "tmp", "dev"])
def test_an_image_that_lacks_a_folder_to_mount_on_is_refused(agent, gateway, probe, point):
    image = agent.add_image(probe, without=(point,))
    with pytest.raises(Refused, match=f"opening the image's folder /{point}: No such file"):
        gateway.spawn_image(image, "/probe")


def test_whoever_is_refused_leaves_nothing_and_the_next_is_served(agent, gateway, probe, watch, ask):
    bad = agent.add_image(probe, without=("proc",))
    for _ in range(5):
        with pytest.raises(Refused):
            gateway.spawn_image(bad, "/probe")
    assert eventually(lambda: watch.groups() == [] and watch.children() == [])
    assert ask("echo fine") == "fine\n"


def test_an_image_that_is_not_there_is_refused_in_words(gateway):
    with pytest.raises(Refused, match="opening the image 0000") as refused:
        gateway.spawn_image("0" * 64, "/main")
    assert refused.value.code == errno.ENOENT


def test_an_image_or_a_root_that_is_a_link_elsewhere_is_refused(agent, gateway, image):
    images = agent.data_dir / "images"
    for digest, link, target in (("1" * 64, "", "/etc"), ("2" * 64, "", image),
                                 ("3" * 64, "root", f"../{image}/root"), ("4" * 64, "root", "/")):
        folder = images / digest
        if link:
            folder.mkdir()
        (folder / link if link else folder).symlink_to(target)
        with pytest.raises(Refused) as refused:
            gateway.spawn_image(digest, "/main")
        assert refused.value.code == errno.ELOOP


def test_code_is_no_image_and_an_image_no_code(agent, gateway, image, probe_code):
    with pytest.raises(Refused):
        gateway.spawn_image(probe_code, "/probe")
    with pytest.raises(Refused):
        gateway.spawn(image, "main", runtime=EXEC)


def test_each_user_has_a_stock_of_its_own(image_base):
    """Parked sandboxes serve every image of their user, and no other."""
    with start_agent(stock=8) as agent:
        gateway = agent.connect()
        files = {"main": (0o755, b"#!/bin/sh\nid -u; id -g\n")}
        one = agent.add_image(files, image_base)
        other = agent.add_image({**files, "more": (0o644, b"")}, image_base)
        for user, group in ((0, 0), (33, 7), (0, 0), (33, 33)):
            for image in (one, other):
                with from_stock(gateway, image, "", runtime=IMAGE, contract=BY_EXEC, user=user,
                                user_group=group, words=1, command=("/", "/main"),
                                which=lambda made: made.origin == STOCKED_SANDBOX) as made:
                    assert made.invoke().decode().split() == [str(user), str(group)]


def test_more_users_than_there_are_kinds_of_stock_are_served(image_base):
    with start_agent(stock=4) as agent:
        gateway = agent.connect()
        image = agent.add_image({"main": (0o755, b"#!/bin/sh\nid -u\n")}, image_base)
        for user in range(2000, 2024):
            with gateway.spawn_image(image, "/main", user=user) as made:
                made.wait_ready()
                assert made.invoke() == b"%d\n" % user


def test_made_on_request_it_tells_so(image_base):
    with start_agent() as agent:
        image = agent.add_image({"main": (0o755, b"#!/bin/sh\n")}, image_base)
        with agent.connect().spawn_image(image, "/main") as made:
            made.wait_ready()
            assert made.origin == ON_REQUEST and made.phases["assign"] > 0
