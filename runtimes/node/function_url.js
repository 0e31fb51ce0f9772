'use strict';
// HTTP in and out: the AWS Lambda function-URL shapes, payload format 2.0.
// https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-payloads

const frame = require('./frame');
const { MarshalError, JSON_META, toJson, isBytes, toBytes, isStream, stream } = require('./results');
const { decodeText } = require('./events');

const MONTHS = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ');

// An object of the pairs, repeated names joined by commas. No name is special: Object.fromEntries
// makes a plain property even of "__proto__".
function joined(pairs) {
  const values = new Map();
  for (const [name, value] of pairs) {
    values.set(name, values.has(name) ? `${values.get(name)},${value}` : value);
  }
  return Object.fromEntries(values);
}

function splitLine(line) {
  const colon = line.indexOf(':');
  return [line.slice(0, colon), line.slice(colon + 1)];
}

function cookiesOf(headers) {
  return headers
    .filter(([name]) => name === 'cookie')
    .flatMap(([, value]) => value.split(';').map((each) => each.trim()).filter(Boolean));
}

function requestTime(now) {
  const two = (number) => String(number).padStart(2, '0');
  const day = `${two(now.getUTCDate())}/${MONTHS[now.getUTCMonth()]}/${now.getUTCFullYear()}`;
  return `${day}:${two(now.getUTCHours())}:${two(now.getUTCMinutes())}:${two(now.getUTCSeconds())} +0000`;
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

function requestContext(context, http, domainName) {
  const now = new Date();
  const request = {
    accountId: context.userId ?? 'anonymous',
    apiId: context.functionName,
    authentication: null,
    domainName,
    domainPrefix: domainName.split('.', 1)[0],
    http,
    requestId: context.invocationId,
    routeKey: '$default',
    stage: '$default',
    time: requestTime(now),
    timeEpoch: now.getTime(),
  };
  if (context.userId !== null) request.authorizer = authorizer(context.userId);
  return request;
}

// The event of a request that came by function URL.
function event(meta, bytes, context) {
  const [, , method, path, query, sourceIp, domainName, ...lines] = meta.split('\n').slice(0, -1);
  const pairs = lines.map(splitLine);
  const headers = joined(pairs);
  const cookies = cookiesOf(pairs);
  const userAgent = headers['user-agent'] ?? '';
  const http = { method, path, protocol: 'HTTP/1.1', sourceIp, userAgent };
  const request = {
    version: '2.0',
    routeKey: '$default',
    rawPath: path,
    rawQueryString: query,
    headers,
    requestContext: requestContext(context, http, domainName),
    isBase64Encoded: false,
  };
  if (cookies.length > 0) request.cookies = cookies;
  if (query !== '') request.queryStringParameters = joined(new URLSearchParams(query));
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
  if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name)) throw new MarshalError(`'${name}' is no name for a header`);
  if (/[\0-\x08\x0a-\x1f\x7f]/.test(value)) {
    throw new MarshalError(`the header '${name}' contains a control character`);
  }
  return `${name}:${value}\n`;
}

function headerLines(result) {
  const headers = result.headers ?? {};
  if (typeof headers !== 'object') throw new MarshalError(`headers is a ${typeof headers}, no object`);
  let lines = '';
  for (const [name, value] of Object.entries(headers)) {
    for (const each of Array.isArray(value) ? value : [value]) lines += line(name, String(each));
  }
  for (const cookie of result.cookies ?? []) lines += line('set-cookie', String(cookie));
  return lines;
}

function bodyOf(result) {
  const { body } = result;
  if (body === undefined || body === null) return '';
  if (typeof body === 'string') return result.isBase64Encoded ? Buffer.from(body, 'base64') : body;
  return isBytes(body) ? toBytes(body) : toJson(body);
}

// Sends an object with `statusCode`. Its body may also be a stream.
function answer(result) {
  const status = checkedStatus(result.statusCode);
  const streamed = isStream(result.body) && !isBytes(result.body);
  const body = streamed ? '' : bodyOf(result);
  let meta = headerLines(result);
  if (!/^content-type:/im.test(meta) && (streamed || body.length > 0)) meta += JSON_META;
  const metaLength = Buffer.byteLength(meta);
  if (metaLength > frame.META_MAX) {
    throw new MarshalError(`the headers take ${metaLength} bytes; at most ${frame.META_MAX} are allowed`);
  }
  return streamed ? stream(status, meta, result.body) : frame.answer(status, meta, body);
}

module.exports = { event, answer };
