'use strict';
// HTTP in and out: the AWS Lambda function-URL shapes, payload format 2.0.
// https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-payloads

const frame = require('./frame');
const { decodeText } = require('./events');
const results = require('./results');
const { MarshalError, JSON_META } = results;

// Repeated names are joined. No name is special, not even "__proto__".
function add(object, name, value, separator) {
  const whole = Object.hasOwn(object, name) ? object[name] + separator + value : value;
  if (name === '__proto__') {
    const plain = { configurable: true, enumerable: true, writable: true };
    Object.defineProperty(object, name, { ...plain, value: whole });
  } else {
    object[name] = whole;
  }
}

function queryParameters(query) {
  const parameters = {};
  for (const [name, value] of new URLSearchParams(query)) add(parameters, name, value, ',');
  return parameters;
}

const FIRST_HEADER_LINE = 7;

// How repeated headers are joined: RFC 9110, section 5.3; cookies: RFC 9113, section 8.2.3.
function parseHeaders(lines) {
  const headers = {};
  // Nothing follows the last line's end.
  for (let i = FIRST_HEADER_LINE; i < lines.length - 1; i++) {
    const line = lines[i];
    const colon = line.indexOf(':');
    const name = line.slice(0, colon);
    add(headers, name, line.slice(colon + 1), name === 'cookie' ? '; ' : ',');
  }
  return headers;
}

function splitCookies(header) {
  return header.split(';').map((each) => each.trim()).filter(Boolean);
}

let datedSecond = 0; // the last second that was asked for, and its text
let date = '';

function requestTime(now) {
  const second = Math.floor(now / 1000);
  if (second !== datedSecond) {
    // 'Fri, 21 Nov 2025 08:14:39 GMT' -> '21/Nov/2025:08:14:39 +0000'
    const [, day, month, year, time] = new Date(now).toUTCString().split(' ');
    date = `${day}/${month}/${year}:${time} +0000`;
    datedSecond = second;
  }
  return date;
}

function authorizer(userId) {
  const iam = {
    accessKey: null,
    accountId: userId,
    callerId: userId,
    cognitoIdentity: null,
    principalOrgId: null,
    userArn: null,
    userId,
  };
  return { iam, userId };
}

// The name or address in a host, without the port.
function domainOf(host) {
  const end = host.startsWith('[') ? host.indexOf(']') + 1 : host.indexOf(':');
  return end < 0 ? host : host.slice(0, end);
}

function prefixOf(domainName) {
  const dot = domainName.indexOf('.');
  return dot < 0 ? domainName : domainName.slice(0, dot);
}

function requestContext(context, http, domainName) {
  const now = Date.now();
  const request = {
    accountId: context.userId ?? 'anonymous',
    apiId: context.functionName,
    authentication: null,
    domainName,
    domainPrefix: prefixOf(domainName),
    http,
    requestId: context.invocationId,
    routeKey: '$default',
    stage: '$default',
    time: requestTime(now),
    timeEpoch: now,
  };
  if (context.userId !== null) request.authorizer = authorizer(context.userId);
  return request;
}

// The event of a request that came by function URL.
function event(meta, bytes, context) {
  const lines = meta.split('\n');
  const [, , method, path, query, sourceIp, host] = lines;
  const headers = parseHeaders(lines);
  const userAgent = headers['user-agent'] ?? '';
  const http = { method, path, protocol: 'HTTP/1.1', sourceIp, userAgent };
  const request = {
    version: '2.0',
    routeKey: '$default',
    rawPath: path,
    rawQueryString: query,
    headers,
    requestContext: requestContext(context, http, domainOf(host)),
    isBase64Encoded: false,
  };
  if (Object.hasOwn(headers, 'cookie')) request.cookies = splitCookies(headers.cookie);
  if (query !== '') request.queryStringParameters = queryParameters(query);
  if (bytes.length > 0) {
    const text = decodeText(bytes);
    request.body = text ?? bytes.toString('base64');
    request.isBase64Encoded = text === undefined;
  }
  return request;
}

// ---- answers ----

function checkedStatus(value) {
  const status = Number(value);
  if (Number.isInteger(status) && status >= 200 && status <= 599) return status;
  throw new MarshalError(`statusCode is ${String(value)}, not a number from 200 to 599`);
}

// What HTTP forbids (RFC 9110, sections 5.5 and 5.6.2) must not get as far as the gateway, which
// would take the whole instance for a hostile one.
function line(name, value) {
  if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name)) {
    throw new MarshalError(`'${name}' is no name for a header`);
  }
  if (/[\0-\x08\x0a-\x1f\x7f]/.test(value)) {
    throw new MarshalError(`the header '${name}' contains a control character`);
  }
  return `${name}:${value}\n`;
}

function refuseType(name, value, wanted) {
  const type = Object.prototype.toString.call(value).slice('[object '.length, -1);
  throw new MarshalError(`${name} is of the type ${type}, not ${wanted}`);
}

function headerLines(result) {
  const headers = result.headers ?? {};
  const cookies = result.cookies ?? [];
  // Of a list, a Map or a Headers the entries are not what its maker thinks.
  if (typeof headers !== 'object' || Symbol.iterator in headers) {
    refuseType('headers', headers, 'Object');
  }
  if (!Array.isArray(cookies)) refuseType('cookies', cookies, 'Array');
  let lines = '';
  for (const [name, value] of Object.entries(headers)) {
    for (const each of Array.isArray(value) ? value : [value]) lines += line(name, String(each));
  }
  for (const cookie of cookies) lines += line('set-cookie', String(cookie));
  return lines;
}

function refuseBase64(reason) {
  throw new MarshalError(`isBase64Encoded is set, but the body is not: ${reason}`);
}

// What comes of that many digits, when none is skipped.
function isWhole(bytes, digits) {
  return digits % 4 !== 1 && bytes.length === Math.floor((digits * 3) / 4);
}

// Buffer skips what is no base64, and takes a character beyond Latin-1 for its lower byte.
function fromBase64(body) {
  const text = results.isBytes(body) ? Buffer.from(results.toBytes(body)).toString('latin1') : body;
  if (typeof text !== 'string') refuseBase64('it is no text');
  const bytes = Buffer.from(text, 'base64');
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  const isAscii = Buffer.byteLength(text) === text.length;
  if (isAscii && isWhole(bytes, text.length - padding)) return bytes;
  const digits = text.replace(/[ \t\r\n]+/g, '').replace(/=+$/, '');
  if (/[^A-Za-z0-9+/_-]/.test(digits)) refuseBase64('there are other characters in it');
  if (!isWhole(bytes, digits.length)) refuseBase64('a part of it is missing');
  return bytes;
}

function bodyOf(result) {
  const { body } = result;
  if (body === undefined || body === null) return '';
  if (result.isBase64Encoded) return fromBase64(body);
  if (typeof body === 'string') return body;
  return results.isBytes(body) ? results.toBytes(body) : results.toJson(body);
}

// Sends an object with `statusCode`. Its body may also be a stream.
function answer(result) {
  const status = checkedStatus(result.statusCode);
  const streamed = results.isStream(result.body) && !results.isBytes(result.body);
  const body = streamed ? '' : bodyOf(result);
  let meta = headerLines(result);
  if (!/^content-type:/im.test(meta) && (streamed || body.length > 0)) meta += JSON_META;
  const metaLength = Buffer.byteLength(meta);
  if (metaLength > frame.META_MAX) {
    const limit = frame.META_MAX;
    throw new MarshalError(`the headers take ${metaLength} bytes; at most ${limit} are allowed`);
  }
  return streamed ? results.stream(status, meta, result.body) : frame.answer(status, meta, body);
}

module.exports = { event, answer };
