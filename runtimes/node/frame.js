'use strict';
// Frames of the worker protocol (docs/worker-protocol.md): one frame is one message on fd 3.
//
// Both buffers live as long as the process: a warm invocation allocates nothing for its frames.
// Numbers are laid over the header as 32-bit words; every machine that Node runs on here is
// little-endian, as the protocol is.

const { readSync, writeSync, read } = require('fs');

const FD = 3;
const HEADER_SIZE = 16;
const FRAME_MAX = 65536;
const META_MAX = 40960;
const PAYLOAD_MAX = FRAME_MAX - HEADER_SIZE;
const [INVOKE, DATA, READY, RESULT, ERROR, LOG, REFUSED, BOOT] = [1, 2, 3, 4, 5, 6, 7, 8];
const FLAG_END = 1;
const FLAG_HTTP = 2;
const UTF8_BYTES_MAX = 3; // of one UTF-16 unit

const inbox = Buffer.from(new ArrayBuffer(FRAME_MAX));
const inboxWords = new Uint32Array(inbox.buffer, 0, 4);
const outbox = Buffer.from(new ArrayBuffer(FRAME_MAX));
const outboxWords = new Uint32Array(outbox.buffer, 0, 4);

// The invocation's number, 0 between invocations; and when its handler was called: by hrtime(),
// because loading `performance` would take more than a millisecond of every cold start. When BOOT came,
// by the same clock; null where nobody has told.
const state = { running: 0, started: [0, 0], booted: null };

let fd = FD;

// For the nursery's rehearsal, which nobody shall hear of.
function redirect(number) {
  fd = number;
}

function header(type, flags, metaLength, number, value, ranUs) {
  outboxWords[0] = type | (flags << 8) | (metaLength << 16);
  outboxWords[1] = number;
  outboxWords[2] = value;
  outboxWords[3] = ranUs;
}

// `payload` is a string or bytes; it and `meta` fit into one frame together.
function send(type, flags, number, value, meta, payload, ranUs = 0) {
  const metaLength = meta === '' ? 0 : outbox.write(meta, HEADER_SIZE);
  const start = HEADER_SIZE + metaLength;
  let length = start;
  if (typeof payload === 'string') {
    length += outbox.write(payload, start);
  } else {
    outbox.set(payload, start);
    length += payload.length;
  }
  header(type, flags, metaLength, number, value, ranUs);
  writeSync(fd, outbox, 0, length);
}

// The last frame of the running invocation; logs belong to none from here on.
function finish(type, flags, value, meta, payload, ranUs = 0) {
  const number = state.running;
  state.running = 0;
  send(type, flags, number, value, meta, payload, ranUs);
}

// A piece of a response that goes on.
function data(bytes) {
  for (let start = 0; start < bytes.length; start += PAYLOAD_MAX) {
    send(DATA, 0, state.running, 0, '', bytes.subarray(start, start + PAYLOAD_MAX));
  }
}

// A RESULT that DATA frames follow.
function begin(status, meta, bytes) {
  const room = PAYLOAD_MAX - Buffer.byteLength(meta);
  send(RESULT, 0, state.running, status, meta, bytes.subarray(0, room));
  data(bytes.subarray(room));
}

function end() {
  finish(DATA, FLAG_END, 0, '', '');
}

// Rounded up, and within the 32 bits that it has.
function microsecondsSince(started) {
  const [seconds, nanoseconds] = process.hrtime(started);
  return Math.min(seconds * 1e6 + Math.ceil(nanoseconds / 1e3), 0xffffffff);
}

// The whole response; `body` is a string or bytes.
function answer(status, meta, body) {
  const unit = typeof body === 'string' ? UTF8_BYTES_MAX : 1;
  if (body.length * unit + meta.length * UTF8_BYTES_MAX <= PAYLOAD_MAX) {
    finish(RESULT, FLAG_END, status, meta, body, microsecondsSince(state.started));
    return;
  }
  begin(status, meta, typeof body === 'string' ? Buffer.from(body) : body);
  end();
}

// Sends `text` (bytes) as LOG frames, cut at line ends where it is too long for one.
function log(stream, text) {
  while (text.length > 0) {
    let cut = text.length;
    if (cut > PAYLOAD_MAX) cut = text.lastIndexOf(10, PAYLOAD_MAX - 1) + 1 || PAYLOAD_MAX;
    send(LOG, 0, state.running, stream, '', text.subarray(0, cut));
    text = text.subarray(cut);
  }
}

// Instead of one that is received. Its length.
function put(bytes) {
  inbox.set(bytes);
  return bytes.length;
}

// The next frame's length, waiting for it with the whole process; 0 when the gateway has gone.
function receive() {
  return readSync(fd, inbox, 0, FRAME_MAX, null);
}

// The same without blocking the event loop: a thread of libuv's pool waits.
function receiveLater(done) {
  read(fd, inbox, 0, FRAME_MAX, null, (error, length) => {
    if (error) throw error;
    done(length);
  });
}

// Where a received frame's parts lie in the inbox.
function parse(length) {
  const word = inboxWords[0];
  const metaEnd = HEADER_SIZE + (word >>> 16);
  if (length < metaEnd) throw new Error(`a frame of ${length} bytes`);
  return {
    type: word & 0xff,
    flags: (word >>> 8) & 0xff,
    number: inboxWords[1],
    value: inboxWords[2] + inboxWords[3] * 2 ** 32,
    metaEnd,
    length,
  };
}

// Collects the DATA frames of a request body that did not fit into its INVOKE.
function restOfBody(number, first) {
  const pieces = [Buffer.from(first)];
  for (;;) {
    const length = receive();
    if (length === 0) throw new Error('the gateway left in the middle of a request body');
    const frame = parse(length);
    if (frame.type !== DATA || frame.number !== number) {
      throw new Error(`frame ${frame.type} of ${frame.number} within the body of ${number}`);
    }
    pieces.push(Buffer.from(inbox.subarray(frame.metaEnd, length)));
    if (frame.flags & FLAG_END) return Buffer.concat(pieces);
  }
}

module.exports = {
  INVOKE, READY, RESULT, ERROR, LOG, REFUSED, BOOT, FLAG_END, FLAG_HTTP, HEADER_SIZE, META_MAX,
  FD, redirect, put,
  inbox, state, send, finish, data, begin, end, answer, log, receive, receiveLater,
  parse, restOfBody, microsecondsSince,
};
