'use strict';
// What V8 has compiled of a function, kept for its next instances.
//
// The agent mounts a file over PATH: an empty one for the first instance of a version, which writes to
// it what V8 gives for each CommonJS module of the bundle (bundlers make one large such file) and of its
// layers, and what was written for all others. ES modules are compiled as ever: V8 has no such thing for
// them.
//
// The file: COMPLETE (written last), the length of the index, the index as JSON - names with their
// places - and the data. V8 itself checks that data and source belong together, and its own version.

const fs = require('fs');
const path = require('path');

const Module = module.constructor; // `require('module')` loads much that nobody needs here

const PATH = '/run/compile-cache';
const COMPLETE = Buffer.from('mapshot1');
const REFUSED = Buffer.from('mapshot0'); // instead of it: there will be none
const WORTH_MS = 10; // what is loaded more quickly is not worth the look
const HEADER = 16;
const WAIT_MAX_S = 1;
const BYTES_MAX = 32 * 2 ** 20;
let known = new Map(); // file name -> data of an earlier instance
let compiled = null; // [file name, script] to be kept, in the first instance
let started; // loading, by hrtime()

function read() {
  try {
    const bytes = fs.readFileSync(PATH);
    if (!bytes.subarray(0, 8).equals(COMPLETE)) return;
    const start = HEADER + bytes.readUInt32LE(8);
    for (const [name, from, to] of JSON.parse(bytes.subarray(HEADER, start).toString())) {
      known.set(name, bytes.subarray(start + from, start + to));
    }
  } catch {
    known.clear(); // the function has written there itself
  }
}

// import() fails in code that comes from a cache, and a Script knows no "#!". The format is Node's; it
// has none where only the syntax tells.
function canBeKept(source, format) {
  const isScript = !format || format === 'commonjs';
  return isScript && !source.startsWith('#!') && !/\bimport\s*\(/.test(source);
}

// As Node's own makeRequireFunction().
function requireOf(module) {
  const require = (name) => module.require(name);
  require.resolve = (name, options) => Module._resolveFilename(name, module, false, options);
  require.resolve.paths = (name) => Module._resolveLookupPaths(name, module);
  require.main = process.mainModule;
  require.extensions = Module._extensions;
  require.cache = Module._cache;
  return require;
}

function parse(source, filename) {
  const { Script } = require('vm');
  try {
    return new Script(Module.wrap(source), {
      filename,
      columnOffset: -Module.wrapper[0].length, // of the first line
      cachedData: known.get(filename),
    });
  } catch {
    return null;
  }
}

// undefined where it is no script: an ES module, or wrong, which Node says best.
function compile(source, filename) {
  const script = parse(source, filename);
  if (script === null) return undefined;
  if (compiled !== null) compiled.push([filename, script]);
  return script.runInThisContext();
}

// The agent takes a copy and removes this file: no call shall find one that it can change.
function waitUntilTaken() {
  const started = process.hrtime();
  while (fs.statSync(PATH).nlink > 0 && process.hrtime(started)[0] < WAIT_MAX_S);
}

// True where all of it has been written.
function write(index, pieces, length) {
  let text = JSON.stringify(index);
  text += ' '.repeat(-Buffer.byteLength(text) & 7);
  const head = Buffer.alloc(HEADER + Buffer.byteLength(text));
  head.writeUInt32LE(head.length - HEADER, 8);
  head.write(text, HEADER);
  const fd = fs.openSync(PATH, 'r+');
  try {
    const all = fs.writevSync(fd, [head, ...pieces], 0) === head.length + length;
    if (all) fs.writeSync(fd, COMPLETE, 0, COMPLETE.length, 0);
    return all;
  } finally {
    fs.closeSync(fd);
  }
}

function writeCompiled() {
  const index = [];
  const pieces = [];
  let length = 0;
  for (const [filename, script] of compiled) {
    const data = script.createCachedData();
    index.push([filename, length, length + data.length]);
    pieces.push(data, Buffer.alloc(-data.length & 7)); // V8 would copy what does not lie well
    length += (data.length + 7) & ~7;
  }
  if (length > 0 && length <= BYTES_MAX && write(index, pieces, length)) waitUntilTaken();
}

function isWorthIt() {
  const [seconds, nanoseconds] = process.hrtime(started);
  return seconds * 1e3 + nanoseconds / 1e6 >= WORTH_MS;
}

// From here on, for the files in these folders. False where there is nothing to do.
module.exports.install = (folders) => {
  const file = fs.statSync(PATH, { throwIfNoEntry: false });
  if (file === undefined) return false;
  if (process.getuid() === 0) return false; // the nursery's scout
  if (file.size === 0 && file.uid === process.getuid()) compiled = [];
  else if (file.size >= HEADER) read();
  if (compiled === null && known.size === 0) return false;
  started = process.hrtime();
  const isOurs = (filename) => folders.some((folder) => filename.startsWith(folder + path.sep));
  const plain = Module.prototype._compile;
  Module.prototype._compile = function (source, filename, format) {
    const run = isOurs(filename) && canBeKept(source, format) ? compile(source, filename) : undefined;
    if (run === undefined) return plain.call(this, source, filename, format);
    const { exports } = this;
    return run.call(exports, exports, requireOf(this), this, filename, path.dirname(filename));
  };
  module.exports.uninstall = () => {
    Module.prototype._compile = plain;
    known = new Map();
  };
  return true;
};

// When the function has been loaded: its own modules compile as ever from now on.
module.exports.keep = () => {
  module.exports.uninstall();
  if (compiled === null) return;
  try {
    if (isWorthIt()) writeCompiled();
    else fs.writeFileSync(PATH, REFUSED);
  } catch {
    // No room, or the function has been there: the next instances compile for themselves.
  }
  compiled = null;
};
