"""`magpie layer` and `magpie deploy --layer` against a real node."""
import json
import os
import re
import shutil

import pytest

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a node makes sandboxes")

USES = "import shared\n\n\ndef handler(event, context):\n    return shared.NAME\n"


@pytest.fixture
def node(cli, server):
    cli.environment["MAGPIE_URL"] = server.url
    cli.environment["MAGPIE_DATA_DIR"] = str(server.data_dir)

    def good(*arguments, **options):
        ended = cli.run(*arguments, **options)
        assert ended.returncode == 0, ended
        return ended
    cli.good = good
    return cli


def test_a_layer_is_published_used_listed_and_removed(node):
    node.write("deps/python/shared.py", "NAME = 'first'\n")
    published = node.good("layer", "publish", "cli-shared", "deps")
    assert published.stdout == "cli-shared:1\n"
    assert "cli-shared:1 is published: 15 bytes" in published.stderr
    node.write("deps/python/shared.py", "NAME = 'second'\n")
    assert node.good("layer", "publish", "cli-shared", "deps", "-q").stdout == "cli-shared:2\n"

    node.write("user/main.py", USES)
    node.good("deploy", "user", "--name", "cli-user", "--layer", "cli-shared:1")
    assert node.good("invoke", "cli-user", "-d", "1").stdout == "first"
    node.write("user/function.yaml", "name: cli-user\nlayers:\n  - cli-shared\n")
    node.good("deploy", "user")
    assert node.good("invoke", "cli-user", "-d", "1").stdout == "second"
    assert "layer        cli-shared:2\n" in node.good("inspect", "cli-user").stdout

    table = node.good("layer", "ls").stdout
    assert re.search(r"^LAYER +SIZE +PUBLISHED", table)
    assert re.search(r"^cli-shared:1 +15 bytes +", table, re.MULTILINE)
    assert {"cli-shared:1", "cli-shared:2"} <= set(node.good("layer", "ls", "-q").stdout.split())
    assert "cli-shared:2" in [each["layer"] for each in
                              json.loads(node.good("layer", "ls", "-o", "json").stdout)]

    refused = node.run("layer", "rm", "cli-shared:2")
    assert refused.returncode == 1 and "in use by: cli-user" in refused.stderr
    assert "log in" not in refused.stderr
    assert "cli-shared:1 is removed" in node.good("layer", "rm", "cli-shared:1").stderr
    gone = node.run("layer", "rm", "cli-shared:1")
    assert gone.returncode == 3 and "There is no such layer." in gone.stderr
    node.good("rm", "cli-user")
    assert node.good("layer", "rm", "cli-shared:2", "-q").stdout == "cli-shared:2\n"


@pytest.mark.parametrize("kind", ["zip", "tar", "gztar"])
def test_an_archive_is_sent_as_it_is_and_unpacked_by_the_node(node, kind):
    node.write("deps/python/shared.py", "NAME = 'packed'\n")
    packed = shutil.make_archive(node.folder / "deps", kind, node.folder / "deps")
    node.good("layer", "publish", f"cli-{kind}", packed)
    node.write("user/main.py", USES)
    node.good("deploy", "user", "--name", f"cli-uses-{kind}", "--layer", f"cli-{kind}")
    assert node.good("invoke", f"cli-uses-{kind}", "-d", "1").stdout == "packed"


@pytest.mark.parametrize("kind, sentence", [
    ("bztar", "packed with bzip2"), ("xztar", "packed with xz"), ("zip", "empty")])
def test_an_archive_that_the_node_does_not_take_is_refused_in_its_words(node, kind, sentence):
    (node.folder / "deps").mkdir()
    packed = shutil.make_archive(node.folder / "deps", kind, node.folder / "deps")
    refused = node.run("layer", "publish", "cli-refused", packed)
    assert refused.returncode == 1 and sentence in refused.stderr, refused


def test_a_single_file_is_a_layer_of_its_own(node):
    node.write("words.txt", "hello\n")
    node.good("layer", "publish", "cli-words", "words.txt")
    node.write("reader/main.py",
               "def handler(event, context):\n    return open('/opt/words.txt').read()\n")
    node.good("deploy", "reader", "--name", "cli-reader", "--layer", "cli-words")
    assert node.good("invoke", "cli-reader", "-d", "1").stdout == "hello\n"


def test_a_layer_that_is_not_there_is_named(node):
    node.write("user/main.py", USES)
    refused = node.run("deploy", "user", "--name", "cli-none", "--layer", "nowhere")
    assert refused.returncode == 1 and "There is no layer 'nowhere'." in refused.stderr


@pytest.mark.parametrize("arguments, sentence", [
    (["layer"], "something is missing"),
    (["layer", "publish"], "which layer? magpie layer publish NAME [PATH]"),
    (["layer", "publish", "Not-A-Name"], "name 'Not-A-Name' is not allowed"),
    (["layer", "rm"], "which layer? magpie layer rm NAME:VERSION"),
    (["layer", "rm", "tools"], "'tools' is not NAME:VERSION"),
    (["layer", "rm", "tools:x"], "'tools:x' is not NAME:VERSION"),
    (["layer", "ls", "tools"], "'tools' is one too many"),
    (["layer", "pubish", "x"], "did you mean 'publish'?"),
    (["layers"], "did you mean 'magpie layer'?"),
])
def test_what_is_wrong_is_said_before_anything_is_sent(cli, arguments, sentence):
    refused = cli.run(*arguments)
    assert refused.returncode == 2 and sentence in refused.stderr, refused


def test_an_empty_folder_is_no_layer(node):
    (node.folder / "nothing").mkdir()
    refused = node.run("layer", "publish", "empty", "nothing")
    assert refused.returncode == 1 and refused.stderr != ""
