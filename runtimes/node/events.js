'use strict';
// From a request body to the event: JSON where it is JSON, else the text, else the bytes.

function isUtf8(bytes) {
  const { isUtf8: check } = require('buffer');
  if (check !== undefined) return check(bytes);
  return Buffer.from(bytes.utf8Slice()).equals(bytes); // before Node 18.14
}

// undefined where the bytes are not UTF-8.
function decodeText(bytes) {
  const text = bytes.utf8Slice(0, bytes.length);
  return text.includes('\ufffd') && !isUtf8(bytes) ? undefined : text;
}

function parseEvent(bytes) {
  const text = decodeText(bytes);
  if (text === undefined) return Buffer.from(bytes); // a copy: the inbox is used again
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

module.exports = { decodeText, parseEvent };
