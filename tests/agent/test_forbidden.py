"""What a function must not be able to do, tried from inside of a sandbox one by one."""
import pathlib
import re

import pytest
from agent_client import EXEC


@pytest.fixture(scope="module")
def agent(either_agent):
    return either_agent


ATTEMPTS = re.findall(r"ATTEMPT\((\w+)\)", re.sub(
    r"#define.*", "", (pathlib.Path(__file__).parent / "probes/probe.c").read_text()))

# How each is refused where it matters: by the filter (EPERM; ENOSYS where programs are to take
# another way), by the kernel, or because there is nothing there.
EXPECTED = {
    "clone3_anything": {"ENOSYS"}, "clone_user": {"ENOSYS"}, "clone_network": {"ENOSYS"},
    "make_io_uring": {"ENOSYS"}, "other_personality": {"ENOSYS"},
    "make_block_device": {"ENOSYS"}, "make_char_device": {"ENOSYS"},
    "push_input": {"ENOSYS"}, "push_input_smuggled": {"ENOSYS"}, "console_input": {"ENOSYS"},
    "packet_socket": {"ENOSYS"}, "vsock": {"ENOSYS"}, "crypto_socket": {"ENOSYS"},
    "audit_socket": {"ENOSYS"}, "netfilter_socket": {"ENOSYS"}, "smuggled_socket": {"ENOSYS"},
    "sctp_socket": {"ENOSYS"}, "sctp_messages": {"ENOSYS"}, "dccp_by_kind": {"ENOSYS"},
    "l2tp_socket": {"ENOSYS"}, "smuggled_protocol": {"ENOSYS"},
    "signal_beyond": {"ESRCH"}, "reach_outside": {"ENETUNREACH"}, "drop_no_new_privs": {"EINVAL"},
    "open_init_memory": {"ENOENT", "EACCES"}, "open_init_descriptors": {"ENOENT", "EACCES"},
    "less_killable": {"EACCES"}, "nicer": {"EACCES", "EPERM"},
    "write_root": {"EROFS"}, "write_usr": {"EROFS"}, "write_code": {"EROFS"},
    "change_code": {"EROFS"}, "write_dev": {"EROFS"}, "write_etc": {"EROFS", "EACCES"},
    "write_init": {"EROFS", "EACCES"}, "write_proc": {"ENOENT", "EACCES"},
    "read_shadow": {"ENOENT"}, "read_kernel_memory": {"ENOENT"}, "read_sysctl": {"ENOENT"},
    "trigger_sysrq": {"ENOENT"}, "read_interrupts": {"ENOENT"}, "read_sys": {"ENOENT"},
    "read_home": {"ENOENT"}, "read_disk": {"ENOENT"}, "read_memory_device": {"ENOENT"},
    "open_terminal": {"ENOENT"}, "climb_by_link": {"ENOENT", "EACCES"},
    "climb_by_init_root": {"ENOENT", "EACCES"}, "climb_by_cwd": {"ENOENT"},
}


# What an image does not have, or has for itself.
EXPECTED_IN_IMAGE = {"write_init": {"ENOENT"}}


@pytest.fixture(scope="module", params=[None, 0, 1000, 65535],
                ids=["code", "image of root", "image", "image of somebody"])
def hostile(request, agent, gateway, probe, probe_code):
    if request.param is None:
        made = gateway.spawn(probe_code, "probe", runtime=EXEC)
    else:
        image = agent.add_image({"code/probe": probe["probe"], "etc/passwd": (0o644, b""),
                                 "usr/kept": (0o644, b"")})
        made = gateway.spawn_image(image, "/code/probe", user=request.param)
    with made as instance:
        instance.wait_ready()
        instance.is_image = request.param is not None
        yield instance


def test_the_list_of_attempts_is_the_probes_own(hostile):
    assert hostile.invoke(b"all").decode().split() == ATTEMPTS


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_a_function_is_refused(hostile, attempt):
    expected = EXPECTED.get(attempt, {"EPERM"})
    if hostile.is_image:
        expected = EXPECTED_IN_IMAGE.get(attempt, expected)
    assert hostile.invoke(attempt.encode()).decode().strip() in expected
