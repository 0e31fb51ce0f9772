'use strict';
// Puts process.stdout and process.stderr, and with them console, on LOG frames. The streams
// themselves come with the first use: Node's stream module costs two milliseconds.

const streams = [];
let installed = false;

function stream(number) {
  if (streams[number] === undefined) {
    const { LogStream } = require('./log_stream');
    streams[number] = new LogStream(number);
  }
  return streams[number];
}

function replace(name, number) {
  const get = () => stream(number);
  Object.defineProperty(process, name, { configurable: true, enumerable: true, get });
}

// Sends unfinished lines.
function flush() {
  for (const each of streams) {
    if (each !== undefined) each.flushPartial();
  }
}

// Again in a copy of the nursery, which has rehearsed.
function install() {
  if (installed) return;
  installed = true;
  replace('stdout', 1);
  replace('stderr', 2);
  process.on('exit', () => {
    try {
      flush();
    } catch {
      // The gateway has gone: nobody is left to read it.
    }
  });
}

module.exports = { install, flush };
