"""Node functions whose later instances need not compile again what the first one has compiled."""
import json

import pytest
from agent_client import MIB, NODE, OUT_OF_MEMORY, WORKER_REFUSED
from conftest import start_agent
from shims import takes_modules
from stocked import from_stock

# The function says itself what it finds at the place of the cache, and tries to change it.
SCRIPT = b"""for (const end = Date.now() + 15; Date.now() < end;); const fs = require('fs'); const helper = require('./lib/helper'); const late = require('./late');
const PATH = '/run/compile-cache';
const before = fs.readFileSync(PATH);
function attempt(change) {
  try { change(); return 'done'; } catch (error) { return error.code; }
}
exports.handle = async (event) => {
  const changes = {
    write: attempt(() => fs.writeFileSync(PATH, 'forged')), append: attempt(() => fs.appendFileSync(PATH, 'x')),
    truncate: attempt(() => fs.truncateSync(PATH, 0)), remove: attempt(() => fs.unlinkSync(PATH)),
    mode: attempt(() => fs.chmodSync(PATH, 0o777)),
  };
  let stack = '';
  try { helper.fail(); } catch (error) { stack = error.stack.split('\\n')[1]; }
  const names = before.length < 16 ? [] :
      JSON.parse(before.subarray(16, 16 + before.readUInt32LE(8)).toString()).map((each) => each[0]);
  return {
    found: before.subarray(0, 8).toString(), names: names.sort(), changes,
    works: {stack, event, separator: (await late.path()).sep, name: helper.name, this: this === module.exports,
            main: require.main === process.mainModule, resolved: require.resolve('./lib/helper'),
            cached: Object.keys(require.cache).filter((name) => name.startsWith('/code')).sort(),
            children: module.children.map((each) => each.filename)},
  };
};
"""
HELPER = b"exports.fail = () => { throw new Error('in the first line'); };\nexports.name = __filename + __dirname;\n"
LATE = b"exports.path = () => import('path');\n"
FILES = {"main.js": (0o644, SCRIPT), "lib/helper.js": (0o644, HELPER), "late.js": (0o644, LATE)}


@pytest.fixture(scope="module")
def agent():
    with start_agent(stock=8) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(agent):
    return agent.connect()


def call(made, event=None):
    return json.loads(made.invoke(json.dumps(event).encode()))


def answers_of(gateway, code, count, **options):
    found = []
    for _ in range(count):
        with gateway.spawn(code, "main.handle", runtime=NODE, **options) as made:
            made.wait_ready()
            found.append(call(made, {"a": 1}))
    return found


def test_later_instances_have_what_the_first_one_compiled(agent, gateway):
    first, *others = answers_of(gateway, agent.add_code(FILES), 4)
    assert first["found"] == ""
    for other in others:
        assert other["found"] == "mapshot1"
        # Not late.js: import() would fail in it.
        assert other["names"] == ["/code/lib/helper.js", "/code/main.js"]
        assert other["works"] == first["works"]
    assert "helper.js:1:30" in first["works"]["stack"]  # columns count as in the source


def test_another_function_of_the_same_code_finds_nothing_of_it(agent, gateway):
    code = agent.add_code({**FILES, "note.txt": (0o644, b"two functions")})
    answers_of(gateway, code, 2)
    assert answers_of(gateway, code, 1, function="01HF7YAT00YYYYYYYYYYYYYYYY")[0]["found"] == ""


def test_what_is_found_can_be_changed_by_nobody(agent, gateway):
    _, *others = answers_of(gateway, agent.add_code(FILES), 3)
    for other in others:
        assert "done" not in other["changes"].values()


def test_what_the_first_instance_writes_later_reaches_nobody(agent, gateway):
    """Its file is its own; but the others' is a copy of what it held before the first call."""
    code = agent.add_code({**FILES, "note.txt": (0o644, b"another version")})
    first, *others = answers_of(gateway, code, 3)
    assert first["changes"]["write"] == "done"
    assert all(other["found"] == "mapshot1" for other in others)


def test_a_parked_node_takes_it_too(agent, gateway):
    code = agent.add_code({**FILES, "note.txt": (0o644, b"a third version")})
    answers_of(gateway, code, 1)
    with from_stock(gateway, code, "main.handle", runtime=NODE) as made:
        assert call(made)["found"] == "mapshot1"


SLOW = """const found = require('fs').readFileSync('/run/compile-cache').subarray(0, 8).toString();
for (const end = Date.now() + 15; Date.now() < end;);
"""
# An old Node takes none of them, with or without a cache.
MODULES = {
    "by its syntax": {"main.js": "import found from './script.js';\nexport const handle = () => [found];",
                      "script.js": SLOW + "module.exports = found;"},
    "by its package": {"main.js": SLOW + "const lib = require('./lib');\nexports.handle = () => [lib.same(found)];",
                       "lib/package.json": '{"type": "module"}', "lib/index.js": "export const same = (value) => value;"},
    "by its name": {"main.js": SLOW + "const lib = require('./lib.mjs');\nexports.handle = () => [lib.same(found)];",
                    "lib.mjs": "export const same = (value) => value;"},
}


@pytest.mark.skipif(not takes_modules(), reason="this Node's require() takes no ES module")
@pytest.mark.parametrize("bundle", MODULES)
def test_an_es_module_that_is_required_is_one_with_a_cache_too(agent, gateway, bundle):
    code = agent.add_code({name: (0o644, text.encode()) for name, text in MODULES[bundle].items()})
    for expected in ("", "mapshot1", "mapshot1"):
        with gateway.spawn(code, "main.handle", runtime=NODE) as made:
            made.wait_ready()
            assert call(made) == [expected]


def test_what_cannot_be_compiled_is_refused_with_its_place(agent, gateway):
    """In the first instance, which has a cache, and in the next ones."""
    code = agent.add_code({"main.js": (0o644, b"exports.handle = require('./lib/broken').handle;"),
                           "lib/broken.js": (0o644, b"let x = = 2;\n")})
    for _ in range(3):
        with gateway.spawn(code, "main.handle", runtime=NODE) as made:
            frame = made.receive()
            assert frame.type == WORKER_REFUSED
            text = frame.payload.decode()
            assert text.startswith("lib/broken.js:1\nlet x = = 2;\n        ^\n\nSyntaxError: Unexpected token '='\n")
            assert "compile_cache" not in text


@pytest.mark.parametrize("content", [
    "'mapshot1'", "'mapshot1' + 'x'.repeat(100)", "Buffer.concat([Buffer.from('mapshot1'), Buffer.alloc(5000, 255)])",
    "'mapshot1\\x02\\0\\0\\0\\0\\0\\0\\0[]'", "'mapshot1\\x20\\0\\0\\0\\0\\0\\0\\0[[\"/code/main.js\",0,64]]      ' + 'y'.repeat(64)",
    "'mapshot0'",
])
def test_who_forges_a_cache_harms_nobody_but_itself(agent, gateway, content):
    code = agent.add_code({"main.js": (0o644, b"""const fs = require('fs');
try { fs.writeFileSync('/run/compile-cache', %s); while (fs.statSync('/run/compile-cache').nlink > 0); } catch {}
exports.handle = () => ['well'];
""" % content.encode())})
    for _ in range(4):
        with gateway.spawn(code, "main.handle", runtime=NODE) as made:
            made.wait_ready()
            assert call(made) == ["well"]


def test_what_no_shim_has_written_is_not_copied(agent, gateway):
    """It would be the agent's own time, and the place of all."""
    code = agent.add_code({"main.js": (0o644, b"""const fs = require('fs');
const PATH = '/run/compile-cache';
const size = fs.statSync(PATH).size;
try {
  const fd = fs.openSync(PATH, 'r+');
  fs.ftruncateSync(fd, 34 << 20);
  fs.writeSync(fd, 'mapshot1', 0);
  fs.closeSync(fd);
} catch {}
exports.handle = () => [size];
""")})
    for _ in range(3):
        with gateway.spawn(code, "main.handle", runtime=NODE) as made:
            made.wait_ready()
            assert call(made)[0] <= 8


HOG = b"""const fs = require('fs');
const piece = Buffer.alloc(1 << 20);
exports.handle = () => {
  const fd = fs.openSync('/run/compile-cache', 'r+');
  try {
    for (let i = 0; i < 300; i++) fs.writeSync(fd, piece);
  } catch (error) {
    return [error.code];
  }
  return ['all'];
};
"""


def test_who_fills_its_cache_takes_nothing_from_others(agent, gateway):
    quick = agent.add_code({"main.js": (0o644, b"exports.handle = () => ['well'];\n")})
    code = agent.add_code({**FILES, "note.txt": (0o644, b"beside one that takes too much")})
    with gateway.spawn(agent.add_code({"main.js": (0o644, HOG)}), "main.handle", runtime=NODE, memory=1 << 30,
                       function="01HF7YAT00XXXXXXXXXXXXXXXX") as hog:
        hog.wait_ready()
        call(hog)
        for _ in range(3):
            with gateway.spawn(quick, "main.handle", runtime=NODE) as made:
                made.wait_ready()
                assert call(made) == ["well"]
        assert [each["found"] for each in answers_of(gateway, code, 2)] == ["", "mapshot1"]


def test_what_is_written_to_a_cache_is_the_function_s_own_memory(agent, gateway):
    with gateway.spawn(agent.add_code({"main.js": (0o644, HOG)}), "main.handle", runtime=NODE,
                       memory=100 * MIB) as hog:
        hog.wait_ready()
        hog.begin(b"1")
        assert hog.wait_exited().cause == OUT_OF_MEMORY


@pytest.mark.parametrize("pause_ms", [0, 15])
def test_a_cache_that_cannot_be_written_is_done_without(agent, gateway, pause_ms):
    code = agent.add_code({"main.js": (0o644, b"""const fs = require('fs');
fs.chmodSync('/run/compile-cache', 0o400);
for (const end = Date.now() + %d; Date.now() < end;);
exports.handle = () => [fs.statSync('/run/compile-cache').size];
""" % pause_ms)})
    for _ in range(2):
        with gateway.spawn(code, "main.handle", runtime=NODE) as made:
            made.wait_ready()
            assert call(made) == [0]
