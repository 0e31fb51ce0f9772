'use strict';
// The node runtime's entry: what runs as `node /magpie/node/shim.js` in a sandbox, with the word
// `parked` behind it where the sandbox has no function yet; and, with the word `nursery`, outside of
// them, to be copied into them.

const worker = require('./worker');

const place = process.argv[2];

async function main() {
  if (place === 'nursery') await require('./nursery').serve();
  if (place !== undefined) require('./parking').wait();
  worker.main();
}

main();
