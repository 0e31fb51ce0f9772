'use strict';
// Where Node instances are born: an interpreter that has loaded everything which does not depend on a
// function, and is copied into sandboxes that the agent has prepared (runtimes/birth/node.c). A copy takes
// a tenth of the time that an interpreter needs to start, and shares the memory of what was loaded.
//
// It runs as root, and so it never meets a function's code, environment or bytes.

const { closeSync, openSync } = require('fs');
const vm = require('vm');
const { setFlagsFromString } = require('v8');

const frame = require('./frame');
const parking = require('./parking');
const worker = require('./worker');

// What many functions use, and takes milliseconds to load. Not what looks at the sandbox when it is
// loaded, such as dns.
const COMMON = [
  'assert', 'async_hooks', 'buffer', 'child_process', 'crypto', 'events', 'fs/promises', 'http', 'https',
  'module', 'net', 'os', 'path', 'perf_hooks', 'querystring', 'stream', 'stream/promises',
  'string_decoder', 'timers/promises', 'tls', 'tty', 'url', 'util', 'worker_threads', 'zlib',
];

const STAND_INS = ['stand_in.handle', 'stand_in.handleHttp', 'stand_in.handleLater'];
// Not from a file: that would be read by libuv's threads, which all copies would have then.
const MODULE = 'data:text/javascript,export const handle = (event) => event;';
const REHEARSALS = 8; // until V8 has nothing more to learn of it
const FIRST = 'id\nuser\n';
const HTTP = `${FIRST}POST\n/a\nb=c\n192.0.2.7\nexample.org\nhost:example.org\ncookie:a=b\n`;
const VARIABLES = {
  MAGPIE_CODE: `${__dirname}/rehearsal`,
  MAGPIE_FUNCTION_NAME: 'stand-in',
  MAGPIE_FUNCTION_VERSION: '1',
  MAGPIE_MEMORY_BYTES: '134217728',
  NODE_OPTIONS: '--max-old-space-size=32768',
};

function message(type, flags, meta, body) {
  const bytes = Buffer.alloc(frame.HEADER_SIZE + meta.length + body.length);
  bytes[0] = type;
  bytes[1] = flags;
  bytes.writeUInt16LE(meta.length, 2);
  bytes.writeUInt32LE(1, 4);
  bytes.write(meta + body, frame.HEADER_SIZE);
  return bytes;
}

function boot(handler) {
  const variables = { ...VARIABLES, MAGPIE_HANDLER: handler };
  const lines = Object.entries(variables).map(([name, value]) => `${name}=${value}\0`);
  return message(frame.BOOT, 0, '', lines.join(''));
}

function forget() {
  for (const name of Object.keys(require.cache)) {
    if (name.startsWith(`${__dirname}/rehearsal/`)) delete require.cache[name];
  }
}

const EVENT = '{"a": [1, "b", null]}';
const plain = message(frame.INVOKE, frame.FLAG_END, FIRST, EVENT);
const http = message(frame.INVOKE, frame.FLAG_END | frame.FLAG_HTTP, HTTP, EVENT);

// Goes through what the start and the first calls of a function take. Nobody hears of it.
async function rehearse(handlers) {
  const nowhere = openSync('/dev/null', 'r+');
  frame.redirect(nowhere);
  for (const handler of handlers) {
    parking.begin(frame.put(boot(handler)));
    await worker.rehearse([plain, http, plain, http]);
    forget();
  }
  for (const name of [...Object.keys(VARIABLES), 'MAGPIE_HANDLER']) delete process.env[name];
  frame.redirect(frame.FD);
  closeSync(nowhere);
}

// What has died is not copied; what was compiled is, though it has not been used lately.
function collectGarbage() {
  setFlagsFromString('--expose-gc');
  setFlagsFromString('--no-flush-bytecode');
  vm.runInNewContext('gc')();
  setFlagsFromString('--flush-bytecode');
  setFlagsFromString('--no-expose-gc');
}

// Returns in the copies alone. What V8 compiles for a rehearsal in the nursery, it compiles for all.
module.exports.serve = async () => {
  const module = { exports: {} };
  process.dlopen(module, `${__dirname}/magpie_node.node`);
  delete process.env.LD_PRELOAD; // has had its effect
  setFlagsFromString('--initial-old-space-size=0'); // so has this; V8's caches are for the same flags only
  parking.limitHeap = module.exports.limitHeap;
  COMMON.forEach((name) => require(name));
  await import(MODULE);
  for (let i = 0; i < REHEARSALS; i++) await rehearse(STAND_INS);
  process.execArgv = [];
  collectGarbage();
  const value = module.exports.serve(boot(STAND_INS[0]), http);
  Object.defineProperty(process, 'pid', { value, enumerable: true, configurable: true });
};
