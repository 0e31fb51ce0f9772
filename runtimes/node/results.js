'use strict';
// Sends what a handler returned, by its kind (docs/functions.md).

const frame = require('./frame');

const JSON_META = 'content-type:application/json\n';
const TEXT_META = 'content-type:text/plain; charset=utf-8\n';
const BYTES_META = 'content-type:application/octet-stream\n';

// What the handler returned cannot be sent.
class MarshalError extends Error {
  get name() {
    return 'Runtime.MarshalError';
  }
}

function toJson(value) {
  let text;
  try {
    text = JSON.stringify(value);
  } catch (error) {
    throw new MarshalError(`the handler's result is not JSON: ${error.message}`);
  }
  return text === undefined ? 'null' : text; // undefined, a function or a symbol
}

function isBytes(value) {
  return ArrayBuffer.isView(value) || value instanceof ArrayBuffer;
}

function toBytes(value) {
  return value instanceof ArrayBuffer
    ? new Uint8Array(value)
    : new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
}

function isStream(value) {
  if (value === null || typeof value !== 'object') return false;
  if (Symbol.asyncIterator in value) return true;
  return Symbol.iterator in value && typeof value.next === 'function';
}

// Half of all functions never need it.
let loadedFunctionUrl = null;
function functionUrl() {
  loadedFunctionUrl ??= require('./function_url');
  return loadedFunctionUrl;
}

// Where the result is a stream, a promise of its end.
function answer(result) {
  if (typeof result === 'string') return frame.answer(0, TEXT_META, result);
  if (result !== null && typeof result === 'object') {
    if (result.statusCode !== undefined) return functionUrl().answer(result);
    if (isBytes(result)) return frame.answer(0, BYTES_META, toBytes(result));
    if (isStream(result)) return stream(0, null, result);
  }
  return frame.answer(0, JSON_META, toJson(result));
}

function piece(chunk) {
  if (typeof chunk === 'string') return Buffer.from(chunk);
  if (chunk !== null && typeof chunk === 'object' && isBytes(chunk)) return toBytes(chunk);
  throw new MarshalError(`a streamed result consists of strings or bytes, not ${typeof chunk}`);
}

// RESULT goes out with the first piece, so that a failure before it is still a clean one. Each
// piece leaves at once, in a write that waits while the gateway has no room: the back-pressure. An
// invocation may be given up while its stream still waits, and what the stream does then is nobody's.
async function stream(status, meta, pieces) {
  const number = frame.state.running;
  let begun = false;
  for await (const chunk of pieces) {
    if (frame.state.running !== number) return;
    const bytes = piece(chunk);
    if (begun) {
      frame.data(bytes);
    } else {
      frame.begin(status, meta ?? (typeof chunk === 'string' ? TEXT_META : BYTES_META), bytes);
      begun = true;
    }
  }
  if (frame.state.running !== number) return;
  require('./logs').flush();
  if (begun) frame.end();
  else frame.answer(status, meta ?? BYTES_META, '');
}

module.exports = {
  MarshalError, JSON_META, toJson, isBytes, toBytes, isStream, stream, functionUrl, answer,
};
