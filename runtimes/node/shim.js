'use strict';
// The node runtime's entry: what runs as `node /magpie/node/shim.js` in a sandbox, with the word
// `parked` behind it where the sandbox has no function yet; and, with the word `nursery`, outside of
// them, to be copied into them.

const worker = require('./worker');

const place = process.argv[2];

function main() {
  if (place !== undefined) require('./parking').wait();
  worker.main();
}

// Never from within a microtask: a module's ticks would wait for its promises then.
if (place === 'nursery') require('./nursery').serve().then(() => setImmediate(main));
else main();
