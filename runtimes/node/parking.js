'use strict';
// A process that waits for its function: what does not depend on one is loaded before. It was started for
// that, or it is a copy of the nursery.
//
// The agent's BOOT frame brings the environment. What Node itself reads of it when it starts
// (NODE_OPTIONS, the time zone, the linker's variables) it has had from the beginning: the agent parks
// apart what differs in that.

const frame = require('./frame');
require('./events');
require('./loader');
require('./log_stream');
require('vm'); // the compile cache's
require('./logs');
require('./results').functionUrl(); // half of all functions need it

const HEAP_OPTION = /^--max-old-space-size=(\d+)$/;

// The one option that the nursery's copies need not have had when they started: the heap's size is each
// function's own. The nursery has been started with more than any.
function heedHeapOption(options) {
  const match = HEAP_OPTION.exec(options);
  if (match === null) return;
  require('v8').setFlagsFromString(options); // for worker threads
  module.exports.limitHeap(match[1] * 2 ** 20);
}

// As if the process had been started for the function.
function uptime() {
  const [seconds, nanoseconds] = process.hrtime(frame.state.booted);
  return seconds + nanoseconds / 1e9;
}

module.exports.limitHeap = null; // a function of bytes, in the nursery's copies

// From BOOT, in the frame's inbox, on.
module.exports.begin = (length) => {
  frame.state.booted = process.hrtime();
  const { type, metaEnd } = frame.parse(length);
  if (type !== frame.BOOT) throw new Error(`frame ${type} before BOOT`);
  for (const assignment of frame.inbox.utf8Slice(metaEnd, length).split('\0').slice(0, -1)) {
    const equals = assignment.indexOf('=');
    process.env[assignment.slice(0, equals)] = assignment.slice(equals + 1);
  }
  if (module.exports.limitHeap !== null) heedHeapOption(process.env.NODE_OPTIONS);
  process.argv.length = 2;
  process.uptime = uptime;
  process.chdir('/code');
};

module.exports.wait = () => {
  const length = frame.receive();
  if (length === 0) process.reallyExit(0); // never needed
  module.exports.begin(length);
};
