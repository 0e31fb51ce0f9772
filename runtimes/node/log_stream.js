'use strict';
// A writable stream that sends LOG frames: in order with the results, under the right invocation,
// and synchronous: a finished line has left the process before console.log() returns.

const { Writable } = require('stream');
const frame = require('./frame');

const LINE_FEED = 10;

class LogStream extends Writable {
  constructor(number) {
    super({ decodeStrings: true });
    this.fd = number; // the sandbox's raw pipe, for child processes that inherit it
    this.partial = []; // of a line that has not ended yet
  }

  _write(bytes, encoding, done) {
    const end = bytes.lastIndexOf(LINE_FEED) + 1;
    if (end > 0) {
      const lines = bytes.subarray(0, end);
      frame.log(this.fd, this.partial.length > 0 ? Buffer.concat([...this.partial, lines]) : lines);
      this.partial = [];
    }
    if (end < bytes.length) this.partial.push(Buffer.from(bytes.subarray(end)));
    done();
  }

  // There is more to come as long as there is a process, though pipeline() ends what it writes to. What
  // Node emits in the next tick leaves its marks, and with those there would be no second end.
  _destroy(error, done) {
    done(error);
    this._undestroy();
    const marks = { closeEmitted: false, errorEmitted: false };
    process.nextTick(() => Object.assign(this._writableState, marks));
  }

  flushPartial() {
    if (this.partial.length === 0) return;
    frame.log(this.fd, Buffer.concat(this.partial));
    this.partial = [];
  }
}

module.exports = { LogStream };
