'use strict';
// What an error looks like: for the log, for the caller, for who registers a function. Frames of the
// shim are left out, and paths are told as the user knows them: relative to the bundle.

const { inspect } = require('util');

const CODE = process.env.MAGPIE_CODE || process.cwd();
const MESSAGE_MAX = 8192;
const TRACE_MAX = 32768;

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

// An error that the shim itself raised about what the function did: it has no place in the code.
function isRuntimeError(error) {
  return error instanceof Error && String(error.name).startsWith('Runtime.');
}

function logText(error) {
  if (isRuntimeError(error)) return `${error.name}: ${error.message}\n`;
  try {
    return `${clean(error instanceof Error ? inspect(error) : `Uncaught ${inspect(error)}`)}\n`;
  } catch {
    return 'an error that cannot be shown\n';
  }
}

function frames(error) {
  const trace = [];
  let size = 0;
  for (const line of clean(String(error.stack)).split('\n')) {
    size += line.length;
    if (size > TRACE_MAX) break;
    if (/^\s+at /.test(line)) trace.push(line.trim());
  }
  return trace;
}

function describe(error) {
  if (!(error instanceof Error)) {
    return { errorType: typeof error, errorMessage: typeof error === 'object' ? inspect(error) : String(error) };
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
  errorType = errorType.slice(0, 256);
  return JSON.stringify({ errorType, errorMessage: errorMessage.slice(0, MESSAGE_MAX), stackTrace });
}

module.exports = { UnsettledError, clean, logText, toJson };
