"""From a bundle to READY or REFUSED, the same in Python and in Node."""
import os
import time

import pytest
from shims import ECHO


def test_a_handler_may_lie_in_a_folder(starter, pick):
    suffix, code = pick((".py", "def go(e, c): return 'deep'\n"), (".js", "exports.go = () => 'deep';\n"))
    worker = starter.start({f"pkg/sub/file{suffix}": code}, MAGPIE_HANDLER="pkg/sub/file.go")
    assert worker.invoke().body == b"deep"


def test_the_bundle_can_be_named_by_a_variable(starter, pick, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / pick("main.py", "main.js")).write_text(ECHO[pick("python3", "node")])
    assert starter.start({}, MAGPIE_CODE=str(elsewhere)).invoke(b"1").body == b"1"


def test_a_syntax_error_is_refused_with_line_and_caret(starter, pick):
    text = starter.refusal(pick("def ok(): pass\ndef handler(:\n    pass\n", "let a = 1;\nlet b = = 2;\n"))
    assert pick('File "main.py", line 2', "main.js:2") in text
    assert "^" in text and "SyntaxError" in text and "shim" not in text


def test_an_import_that_fails_is_refused_with_the_users_frames(starter, pick):
    text = starter.refusal(pick("import os\nimport nosuchthing\n", "require('fs');\nrequire('nosuchthing');\n"))
    assert "nosuchthing" in text and pick('File "main.py", line 2', "main.js:2") in text
    assert "shim" not in text and "The handler is" not in text


def test_an_exception_while_loading_is_refused(starter, pick):
    text = starter.refusal(pick("x = 1 / 0\n", "null.x;\n"))
    assert pick("ZeroDivisionError", "TypeError") in text and pick("main.py", "main.js:1") in text


def test_a_missing_file_is_refused_and_what_there_is_is_named(starter, pick):
    files = {pick("other.py", "other.js"): "", "README": ""}
    text = starter.refusal(files)
    assert pick("main.py", "main.js") in text and pick("other.py", "other.js") in text
    assert "README" not in text


def test_a_missing_function_is_refused_and_what_there_is_is_named(starter, pick):
    text = starter.refusal(pick("def handle(e, c): pass\n", "exports.handle = () => 1;\n"))
    assert "no 'handler'" in text and "functions" in text and "handle." in text


def test_a_handler_that_is_no_function_is_refused(starter, pick):
    assert "no function" in starter.refusal(pick("handler = 5\n", "exports.handler = 5;\n"))


@pytest.mark.parametrize("handler", ["", "main", ".", "main.", ".handler"])
def test_a_malformed_handler_is_refused(starter, pick, handler):
    text = starter.refusal(ECHO[pick("python3", "node")], MAGPIE_HANDLER=handler)
    assert "file.function" in text


def test_leaving_the_process_while_loading_is_refused(starter, pick):
    assert "exit(3)" in starter.refusal(pick("import sys\nsys.exit(3)\n", "process.exit(3);\n"))


def test_what_a_refused_module_printed_is_not_lost(starter, pick):
    worker = starter.boot(pick("print('half', end='')\n1/0\n", "process.stdout.write('half');\nnull.x;\n"))
    worker.until_ready()
    assert worker.loose_logs[0] == (1, "half")


def test_loading_tells_how_long_it_took(starter, pick):
    slow = pick("import time\ntime.sleep(0.05)\n", "const e = Date.now() + 50; while (Date.now() < e);\n")
    frame = starter.boot(slow + ECHO[pick("python3", "node")]).until_ready()
    assert 50_000 <= frame.value < 20_000_000


def test_what_passed_since_boot_is_told_where_it_was_noted_and_the_note_is_taken_away(starter, pick):
    worker = starter.boot(
        pick(
            "import subprocess\ndef handler(e, c): return subprocess.getoutput(e)\n",
            "exports.handler = (event) => require('child_process').execSync(event).toString();\n",
        ),
        MAGPIE_BOOT_NS=str(time.monotonic_ns() - 5_000_000_000),
    )
    timing = worker.until_ready().value
    assert 5_000_000 <= timing >> 32 < 25_000_000
    assert 0 < timing & 0xFFFFFFFF < 20_000_000
    assert worker.invoke(b"echo ${MAGPIE_BOOT_NS-gone}").body.strip() == b"gone"


# ---- the check at registration ----


def test_verification_compiles_what_the_handler_never_loads(starter, pick):
    files = {
        pick("main.py", "main.js"): ECHO[pick("python3", "node")],
        pick("lib/broken.py", "lib/broken.js"): pick("x = 1\nif x\n", "let x = 1;\nlet y = ;\n"),
    }
    assert starter.start(files).invoke(b"1").body == b"1", "unverified, it does not matter"
    text = starter.refusal(files, MAGPIE_VERIFY="1")
    assert pick('File "lib/broken.py", line 2', "lib/broken.js:2") in text
    assert "^" in text and "SyntaxError" in text


def test_verification_passes_a_good_bundle_and_loads_it(starter, pick):
    worker = starter.start(ECHO[pick("python3", "node")], MAGPIE_VERIFY="1")
    assert worker.invoke(b"1").body == b"1"
    assert "no 'handler'" in starter.refusal(pick("x = 1\n", "exports.x = 1;\n"), MAGPIE_VERIFY="1")


def test_verification_leaves_installed_packages_alone(starter, pick):
    files = pick(
        {
            "main.py": ECHO["python3"],
            "package/template.py": "this is {{ no }} python",
            "package-1.0.dist-info/RECORD": "package/template.py,sha256=x,1\n",
        },
        {"main.js": ECHO["node"], "node_modules/a/template.js": "this is no javascript"},
    )
    assert starter.start(files, MAGPIE_VERIFY="1").invoke(b"1").body == b"1"


def test_the_environment_of_the_function_is_its_own(starter, pick):
    worker = starter.start(
        pick(
            "import os\ndef handler(e, c): return os.environ['COLOUR']\n",
            "exports.handler = () => process.env.COLOUR;\n",
        ),
        COLOUR="grün",
    )
    assert worker.invoke().body.decode() == "grün"


def test_the_examples_greet(runtime, starter):
    folder = os.path.join(os.path.dirname(__file__), "../../examples", runtime)
    handler = {"python3": "main.handler", "node": "index.handler"}[runtime]
    worker = starter.start({}, MAGPIE_CODE=os.path.realpath(folder), MAGPIE_HANDLER=handler)
    assert worker.invoke(b'{"name":"magpie"}').json == {"message": "Hello, magpie!"}
    assert worker.invoke(b"").json == {"message": "Hello, world!"}
