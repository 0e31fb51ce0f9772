"""Cold starts: what they are made of, and where their time went."""
import time

COMMAND_LINE = """def handler(event, context):
    with open("/proc/self/cmdline", encoding="utf-8") as file:
        return file.read().split("\\0")
"""


def eventually(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)  # the stock needs a moment without calls to be made up for
    return True


def change(server, function, **settings):
    assert server.request("PATCH", f"/api/v1/functions/{function}", settings).status == 200


def was_forked(server, function):
    answer = server.call(function, b"")
    assert answer.headers["Magpie-Start"] == "cold", answer
    return any(word.endswith("/nursery.py") for word in answer.json())


def test_a_function_without_zygote_is_never_forked_and_can_have_it_back(server):
    function = server.deploy("forked", "python3", {"main.py": COMMAND_LINE}, handler="main.handler",
                             keepAlive="0s")
    assert eventually(lambda: was_forked(server, function))
    change(server, function, zygote="off")
    for _ in range(5):
        assert not was_forked(server, function)
        time.sleep(0.05)  # as long as a fork would take to arrive
    change(server, function, zygote="auto")
    assert eventually(lambda: was_forked(server, function))


def test_the_metrics_tell_what_waits_in_stock(server):
    function = server.deploy("stocked", "python3", {"main.py": COMMAND_LINE}, handler="main.handler",
                             keepAlive="0s")
    server.call(function, b"")

    def waiting(interpreter):
        return server.metrics()[f'magpie_stock_sandboxes{{interpreter="{interpreter}"}}']
    assert eventually(lambda: waiting("none") >= 2 and waiting("python3") >= 2)
