'use strict';
// A process that waits for its function: what does not depend on one is loaded before.
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

module.exports.wait = () => {
  const length = frame.receive();
  if (length === 0) process.reallyExit(0); // never needed
  frame.state.booted = process.hrtime();
  const { type, metaEnd } = frame.parse(length);
  if (type !== frame.BOOT) throw new Error(`frame ${type} before BOOT`);
  for (const assignment of frame.inbox.utf8Slice(metaEnd, length).split('\0').slice(0, -1)) {
    const equals = assignment.indexOf('=');
    process.env[assignment.slice(0, equals)] = assignment.slice(equals + 1);
  }
  process.argv.length = 2;
  process.chdir('/code');
};
