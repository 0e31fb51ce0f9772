'use strict';
// Loads the user's handler and then turns requests on descriptor 3 into calls of it.
//
// Theory of operation. While nothing but requests can happen, the process waits for them in a
// blocking read: no event loop, no wake-ups, one system call in and one out for an invocation.
// A handler's promise is given the chance to settle by running the microtasks at once. Only where
// it needs the event loop (a timer, a socket) does the process return to it; and as long as a
// function has left something active behind, the next request is awaited on a thread of libuv's
// pool, so that it goes on.

const frame = require('./frame');
const logs = require('./logs');
const { parseEvent } = require('./events');
const { answer, functionUrl } = require('./results');

// Of the function.
let functionName;
let functionVersion;
let memoryLimitInMB;

// Runs what is due in this turn: ticks, promise reactions, unhandled rejections. Node has it under
// this name, undocumented, since 0.8; without it a turn of the event loop does the same.
const runMicrotasks = process._tickCallback;

let handler = null;
let awaited = 0; // the invocation whose promise the event loop works on
let isReading = false; // on a thread of libuv's pool

// What a handler learns about the invocation it runs for.
class Context {
  constructor(meta, deadlineMs) {
    const end = meta.indexOf('\n');
    this.invocationId = meta.slice(0, end);
    this.awsRequestId = this.invocationId;
    this.functionName = functionName;
    this.functionVersion = functionVersion;
    this.memoryLimitInMB = memoryLimitInMB;
    this.deadlineMs = deadlineMs;
    this.userId = meta.slice(end + 1, meta.indexOf('\n', end + 1)) || null; // null: anonymous
  }

  getRemainingTimeInMillis() {
    return Math.max(0, this.deadlineMs - Date.now());
  }
}

// ---- one invocation ----

function isPromise(value) {
  return value !== null && typeof value === 'object' && typeof value.then === 'function';
}

function call(event, context) {
  if (handler.length < 3) return handler(event, context);
  return new Promise((resolve, reject) => {
    const callback = (error, value) => (error ? reject(error) : resolve(value));
    const result = handler(event, context, callback);
    if (isPromise(result)) result.then(resolve, reject);
  });
}

function fail(error) {
  const failure = require('./failure');
  logs.flush(); // what the handler printed comes before what became of it
  frame.log(2, Buffer.from(failure.logText(error)));
  frame.finish(frame.ERROR, 0, 0, '', failure.toJson(error));
}

// Sends the handler's result, if its invocation is still the running one: a promise that was given
// up may settle later. A streamed answer takes its time: then a promise comes back.
function reply(number, result) {
  if (frame.state.running !== number) return undefined;
  logs.flush();
  return answer(result);
}

// Lets a promise's answer come. True where it has come at once; else the event loop works on it,
// and goes on serving afterwards in a turn of its own, not from within a microtask.
function settle(number, promise) {
  let settled = false;
  const done = () => {
    settled = true;
    if (awaited !== number) return;
    awaited = 0;
    setImmediate(serve);
  };
  promise.then(done, (error) => {
    if (frame.state.running === number) fail(error);
    done();
  });
  if (runMicrotasks !== undefined) runMicrotasks();
  if (!settled) awaited = number;
  return settled;
}

// Lets happen what the handler began and did not wait for. True where the loop may go on at once.
function takeTurn() {
  if (runMicrotasks === undefined) {
    setImmediate(serve);
    return false;
  }
  runMicrotasks();
  return true;
}

// One request. False where its answer takes turns of the event loop, which calls serve() again.
function invoke(length) {
  const { type, flags, number, value: deadlineMs, metaEnd } = frame.parse(length);
  if (type !== frame.INVOKE) throw new Error(`frame ${type} between invocations`);
  const meta = frame.inbox.utf8Slice(frame.HEADER_SIZE, metaEnd);
  let body = frame.inbox.subarray(metaEnd, length);
  if (!(flags & frame.FLAG_END)) body = frame.restOfBody(number, body);
  frame.state.running = number;
  frame.state.started = process.hrtime();
  let pending;
  try {
    const context = new Context(meta, deadlineMs);
    const isHttp = (flags & frame.FLAG_HTTP) !== 0;
    const event = isHttp ? functionUrl().event(meta, body, context) : parseEvent(body);
    const result = call(event, context);
    pending = isPromise(result)
      ? Promise.resolve(result).then((value) => reply(number, value))
      : reply(number, result);
  } catch (error) {
    fail(error);
  }
  return isPromise(pending) ? settle(number, pending) : takeTurn();
}

// ---- the loop ----

function accept(length) {
  if (length === 0) process.exit(0); // the gateway has gone
  return invoke(length);
}

function serve() {
  while (process.getActiveResourcesInfo().length === 0) {
    if (!accept(frame.receive())) return;
  }
  isReading = true;
  frame.receiveLater((length) => {
    isReading = false;
    if (accept(length)) serve();
  });
}

// ---- the process around it ----

function leaveAtOnce(code) {
  const addon = { exports: {} };
  try {
    process.dlopen(addon, `${__dirname}/magpie_node.node`);
    addon.exports.leave(Number(code));
  } finally {
    process.kill(process.pid, 'SIGKILL'); // not the end that was asked for, but one
  }
}

// The last step of process.exit(). Node's own waits for libuv's pool, and so for the next request, which
// would have been received for nobody.
const { reallyExit } = process;
process.reallyExit = (code) => (isReading ? leaveAtOnce(code) : reallyExit(code));

function onUncaught(error) {
  try {
    if (frame.state.running !== 0) {
      fail(error);
    } else {
      frame.log(2, Buffer.from(require('./failure').logText(error)));
    }
  } catch (broken) {
    // Descriptor 3 itself: user code has closed or used it, or the gateway has gone.
    require('fs').writeSync(2, `magpie: cannot go on: ${broken.message}\n`);
    process.reallyExit(1);
  }
  process.exit(1);
}

// The event loop has nothing left to do, and yet an answer is due.
function onEmptyLoop() {
  if (awaited === 0) return;
  awaited = 0;
  const { UnsettledError } = require('./failure');
  fail(new UnsettledError());
  setImmediate(serve);
}

// Microseconds since BOOT came, by what parking.js or magpie-init has noted; 0 where neither has.
function microsecondsSinceBoot() {
  const noted = process.env.MAGPIE_BOOT_NS;
  if (noted !== undefined) {
    delete process.env.MAGPIE_BOOT_NS;
    frame.state.booted = [Math.floor(noted / 1e9), noted % 1e9];
  }
  return frame.state.booted === null ? 0 : frame.microsecondsSince(frame.state.booted);
}

// Up to READY.
async function begin(isRehearsal) {
  const interpreterUs = microsecondsSinceBoot();
  const started = process.hrtime();
  functionName = process.env.MAGPIE_FUNCTION_NAME || '';
  functionVersion = process.env.MAGPIE_FUNCTION_VERSION || '';
  memoryLimitInMB = Math.floor(Number(process.env.MAGPIE_MEMORY_BYTES || 0) / 2 ** 20);
  logs.install();
  handler = await require('./loader').load(isRehearsal);
  logs.flush();
  process.on('uncaughtException', onUncaught);
  process.on('beforeExit', onEmptyLoop);
  frame.send(frame.READY, 0, 0, frame.microsecondsSince(started), '', '', interpreterUs);
}

module.exports.main = async () => {
  await begin(false);
  setImmediate(serve);
};

// For the nursery, with a stand-in: all that a function's start and first calls take. Not from within a
// microtask, or a promise would have to wait for the event loop.
module.exports.rehearse = async (frames) => {
  await begin(true);
  await new Promise((done) => {
    setImmediate(() => {
      frame.receive();
      for (const bytes of frames) accept(frame.put(bytes));
      done();
    });
  });
  process.off('uncaughtException', onUncaught);
  process.off('beforeExit', onEmptyLoop);
  handler = null;
};
