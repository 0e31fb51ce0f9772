'use strict';
// What an error looks like: for the log, for the caller, for who registers a function. Frames of
// the shim are left out, and paths are told as the user knows them: relative to the bundle.

const { inspect, types } = require('util');

const CODE = process.env.MAGPIE_CODE || process.cwd();
const TYPE_MAX = 256;
const MESSAGE_MAX = 4096; // UTF-16 units: at most six bytes each in JSON
const TRACE_BYTES_MAX = 32768;

class UnsettledError extends Error {
  constructor() {
    super("the handler's promise never settles: the event loop has nothing left to do for it");
  }

  get name() {
    return 'Runtime.UnsettledPromise';
  }
}

function isOurs(line) {
  return line.includes(__dirname) || /^\s+at .*node:internal/.test(line);
}

function clean(text) {
  const lines = text.split('\n').filter((line) => !isOurs(line));
  return lines.join('\n').replaceAll(`file://${CODE}/`, '').replaceAll(`${CODE}/`, '');
}

// Also one from another realm, such as vm's.
function isError(value) {
  return value instanceof Error || types.isNativeError(value);
}

// An error that the shim itself raised about what the function did: it has no place in the code.
function isRuntimeError(error) {
  return isError(error) && String(error.name).startsWith('Runtime.');
}

function logText(error) {
  try {
    if (isRuntimeError(error)) return `${error.name}: ${error.message}\n`;
    return `${clean(isError(error) ? inspect(error) : `Uncaught ${inspect(error)}`)}\n`;
  } catch {
    return 'an error that cannot be shown\n';
  }
}

function frames(error) {
  const trace = [];
  let size = 0;
  for (const line of clean(String(error.stack)).split('\n')) {
    size += Buffer.byteLength(JSON.stringify(line));
    if (size > TRACE_BYTES_MAX) break;
    if (/^\s+at /.test(line)) trace.push(line.trim());
  }
  return trace;
}

function describe(error) {
  if (!isError(error)) {
    const errorMessage = typeof error === 'object' ? inspect(error) : String(error);
    return { errorType: typeof error, errorMessage };
  }
  const stackTrace = isRuntimeError(error) ? [] : frames(error);
  return { errorType: String(error.name), errorMessage: String(error.message), stackTrace };
}

// The payload of an ERROR frame, short enough for one.
function toJson(error) {
  let { errorType, errorMessage, stackTrace = [] } = { errorType: 'Error', errorMessage: '' };
  try {
    ({ errorType, errorMessage, stackTrace = [] } = describe(error));
  } catch {
    errorMessage = 'an error that cannot be shown';
  }
  errorType = errorType.slice(0, TYPE_MAX);
  errorMessage = errorMessage.slice(0, MESSAGE_MAX);
  return JSON.stringify({ errorType, errorMessage, stackTrace });
}

module.exports = { UnsettledError, clean, logText, toJson };
