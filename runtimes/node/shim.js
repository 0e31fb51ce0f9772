'use strict';
// The node runtime's entry: what runs as `node /magpie/node/shim.js` in a sandbox. It loads the
// user's handler and then turns requests on descriptor 3 into calls of it.
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
const { answer } = require('./results');

const functionName = process.env.MAGPIE_FUNCTION_NAME || '';
const functionVersion = process.env.MAGPIE_FUNCTION_VERSION || '';
const memoryLimitInMB = Math.floor(Number(process.env.MAGPIE_MEMORY_BYTES || 0) / 2 ** 20);

// Runs what is due in this turn: ticks, promise reactions, unhandled rejections. Node has it under
// this name, undocumented, since 0.8; without it a turn of the event loop does the same.
const runMicrotasks = process._tickCallback;

let handler = null;

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
    const result = handler(event, context, (error, value) => (error ? reject(error) : resolve(value)));
    if (isPromise(result)) result.then(resolve, reject);
  });
}

// A streamed reply takes its time: then a promise comes back.
function reply(result) {
  logs.flush();
  return answer(result);
}

function fail(error) {
  const failure = require('./failure');
  logs.flush(); // what the handler printed comes before what became of it
  frame.log(2, Buffer.from(failure.logText(error)));
  frame.finish(frame.ERROR, 0, 0, '', failure.toJson(error));
}

// Ends the invocation when the promise settles. True where that has happened already; else the
// loop goes on by itself afterwards, in a turn of its own and not from within a microtask.
function settle(promise) {
  let settled = false;
  let later = false;
  const done = () => {
    settled = true;
    if (later) setImmediate(serve);
  };
  promise.then(done, (error) => {
    fail(error);
    done();
  });
  if (runMicrotasks !== undefined) runMicrotasks();
  later = !settled;
  return settled;
}

// One request. False where its answer takes a turn of the event loop, which calls serve() again.
function invoke(length) {
  const { type, flags, number, value, metaEnd } = frame.parse(length);
  if (type !== frame.INVOKE) throw new Error(`frame ${type} between invocations`);
  const meta = frame.inbox.utf8Slice(frame.HEADER_SIZE, metaEnd);
  let body = frame.inbox.subarray(metaEnd, length);
  if (!(flags & frame.FLAG_END)) body = frame.restOfBody(number, body);
  frame.state.running = number;
  try {
    const context = new Context(meta, value);
    const isHttp = (flags & frame.FLAG_HTTP) !== 0;
    const event = isHttp ? require('./function_url').event(meta, body, context) : parseEvent(body);
    const result = call(event, context);
    if (isPromise(result)) return settle(Promise.resolve(result).then(reply));
    const replied = reply(result);
    if (isPromise(replied)) return settle(replied);
  } catch (error) {
    fail(error);
  }
  if (runMicrotasks === undefined) {
    setImmediate(serve);
    return false;
  }
  runMicrotasks();
  return true;
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
  frame.receiveLater((length) => {
    if (accept(length)) serve();
  });
}

// ---- the process around it ----

function onUncaught(error) {
  if (frame.state.running !== 0) {
    fail(error);
  } else {
    frame.log(2, Buffer.from(require('./failure').logText(error)));
  }
  process.exit(1);
}

// The event loop has nothing left to do, and yet an answer is due.
function onEmptyLoop() {
  if (frame.state.running === 0) return;
  const { UnsettledError } = require('./failure');
  fail(new UnsettledError());
  setImmediate(serve);
}

async function main() {
  const started = process.hrtime();
  logs.install();
  const loaded = require('./loader').load();
  handler = isPromise(loaded) ? await loaded : loaded;
  logs.flush();
  process.on('uncaughtException', onUncaught);
  process.on('beforeExit', onEmptyLoop);
  const [seconds, nanoseconds] = process.hrtime(started);
  frame.send(frame.READY, 0, 0, seconds * 1e6 + Math.floor(nanoseconds / 1e3), '', '');
  setImmediate(serve);
}

main();
