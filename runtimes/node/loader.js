'use strict';
// From MAGPIE_HANDLER to a function, or REFUSED with the reason as Node itself would print it.

const fs = require('fs');
const path = require('path');
const compileCache = require('./compile_cache');

let CODE; // the bundle's folder; not known before load() where the process was parked
const EXTENSIONS = ['.js', '.mjs', '.cjs'];
const REFUSED_MAX = 60000;

function refuse(text) {
  const frame = require('./frame');
  require('./logs').flush(); // what the module printed comes first
  frame.send(frame.REFUSED, 0, 0, 0, '', Buffer.from(text).subarray(0, REFUSED_MAX));
  process.reallyExit(1);
}

function refuseError(error) {
  refuse(require('./failure').logText(error));
}

// 'dir/file.function' -> ['/code/dir/file.js', 'function']
function locate(handler) {
  const dot = handler.lastIndexOf('.');
  const name = handler.slice(0, dot);
  if (dot < 1 || dot === handler.length - 1) {
    refuse(`The handler '${handler}' is not of the form file.function, such as index.handler.\n`);
  }
  const base = path.join(CODE, name);
  const file = EXTENSIONS.map((extension) => base + extension).find((each) => fs.existsSync(each));
  if (file === undefined) {
    const there = fs.readdirSync(CODE).filter((each) => EXTENSIONS.includes(path.extname(each)));
    refuse(
      `The handler is '${handler}', so the bundle needs ${name}.js, .mjs or .cjs;` +
        ` the scripts at its top are: ${there.join(', ') || 'none'}.\n`,
    );
  }
  return [file, handler.slice(dot + 1)];
}

// Whether Node takes a file for an ES module: by its extension, else by the nearest package.json.
function isModule(file) {
  const extension = path.extname(file);
  if (extension !== '.js') return extension === '.mjs';
  for (let folder = path.dirname(file); folder.startsWith(CODE); folder = path.dirname(folder)) {
    try {
      const text = fs.readFileSync(path.join(folder, 'package.json'), 'utf8');
      return JSON.parse(text).type === 'module';
    } catch (error) {
      if (error.code !== 'ENOENT') return false;
    }
  }
  return false;
}

function pick(exports, file, name) {
  const found = exports[name] ?? exports.default?.[name];
  if (typeof found === 'function') return found;
  const where = path.relative(CODE, file);
  if (found !== undefined) refuse(`'${name}' of ${where} is no function but ${typeof found}.\n`);
  const there = Object.keys(exports).filter((each) => typeof exports[each] === 'function');
  return refuse(
    `${where} exports no '${name}', which the handler names;` +
      ` the functions that it exports are: ${there.join(', ') || 'none'}.\n`,
  );
}

async function loadModule(file, name) {
  const { pathToFileURL } = require('url');
  try {
    return pick(await import(pathToFileURL(file)), file, name);
  } catch (error) {
    return refuseError(error);
  }
}

// The handler, or a promise of it.
function load(file, name) {
  if (isModule(file)) return loadModule(file, name);
  try {
    return pick(require(file), file, name);
  } catch (error) {
    return refuseError(error);
  }
}

// What may happen while a module is loading, besides that it throws.
const mishaps = {
  uncaughtException: refuseError,
  beforeExit: () => refuse('The module never finishes: an await at its top waits for nothing.\n'),
  exit: (code) => refuse(`The module called process.exit(${code}) while it was loaded.\n`),
};

// A rehearsal has no cache.
module.exports.load = async (isRehearsal) => {
  CODE = process.env.MAGPIE_CODE || process.cwd();
  const [file, name] = locate(process.env.MAGPIE_HANDLER || '');
  if (process.env.MAGPIE_VERIFY === '1') {
    const problems = require('./verify').compileAll(CODE, isModule);
    if (problems !== '') refuse(problems);
  }
  const watched = Object.entries(mishaps);
  watched.forEach(([event, mishap]) => process.on(event, mishap));
  const layers = process.env.MAGPIE_LAYERS;
  const folders = layers === undefined ? [CODE] : [CODE, layers];
  const isCached = !isRehearsal && compileCache.install(folders);
  const handler = await load(file, name);
  if (isCached) compileCache.keep();
  watched.forEach(([event, mishap]) => process.off(event, mishap));
  return handler;
};
