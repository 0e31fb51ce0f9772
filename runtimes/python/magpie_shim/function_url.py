"""HTTP in and out: the AWS Lambda function-URL shapes, payload format 2.0.

https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-payloads
"""

import time
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64

from . import frame, results, worker
from .worker import JSON_META, MarshalError

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_NAME_BYTES = frozenset(_LETTERS + _LETTERS.upper() + "0123456789!#$%&'*+-.^_`|~")
_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


def _unquote(text):
    """Percent-decoding as urllib.parse.unquote_plus does it, without what importing that costs."""
    text = text.replace("+", " ")
    if "%" not in text:
        return text
    first, *parts = text.encode("utf-8", "surrogateescape").split(b"%")
    decoded = [first]
    for part in parts:
        try:
            decoded += (bytes.fromhex(part[:2].decode("ascii")), part[2:])
            if len(part) < 2 or part[:2] != part[:2].strip():
                raise ValueError
        except ValueError:
            decoded[-2:] = (b"%", part)
    return b"".join(decoded).decode("utf-8", "replace")


def _query_parameters(query):
    parameters = {}
    for pair in query.split("&"):
        if pair:
            name, _, value = pair.partition("=")
            name, value = _unquote(name), _unquote(value)
            parameters[name] = f"{parameters[name]},{value}" if name in parameters else value
    return parameters


def _headers(lines):
    """Repeated headers joined by commas, and cookies apart from them."""
    headers, cookies = {}, []
    for line in lines:
        name, _, value = line.partition(":")
        if name == "cookie":
            cookies += [cookie for part in value.split(";") if (cookie := part.strip())]
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return headers, cookies


def _request_context(context, user, http, domain):
    now = time.time_ns() // 1_000_000
    date = time.gmtime(now // 1000)
    request = {
        "accountId": user or "anonymous",
        "apiId": context.function_name,
        "authentication": None,
        "domainName": domain,
        "domainPrefix": domain.partition(".")[0],
        "http": http,
        "requestId": context.invocation_id,
        "routeKey": "$default",
        "stage": "$default",
        "time": time.strftime(f"%d/{_MONTHS[date.tm_mon - 1]}/%Y:%H:%M:%S +0000", date),
        "timeEpoch": now,
    }
    if user:
        request["authorizer"] = {
            "iam": {
                "accessKey": None,
                "accountId": user,
                "callerId": user,
                "cognitoIdentity": None,
                "principalOrgId": None,
                "userArn": None,
                "userId": user,
            },
            "userId": user,
        }
    return request


def event(meta, payload, context):
    """The event of a request that came by function URL."""
    text = meta.decode("utf-8", "surrogateescape")
    _, user, method, path, query, address, domain, *lines = text.split("\n")[:-1]
    headers, cookies = _headers(lines)
    http = {
        "method": method,
        "path": path,
        "protocol": "HTTP/1.1",
        "sourceIp": address,
        "userAgent": headers.get("user-agent", ""),
    }
    request = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": headers,
        "requestContext": _request_context(context, user, http, domain),
        "isBase64Encoded": False,
    }
    if cookies:
        request["cookies"] = cookies
    if query:
        request["queryStringParameters"] = _query_parameters(query)
    if payload:
        try:
            request["body"] = payload.decode()
        except UnicodeDecodeError:
            request["body"] = b2a_base64(payload, newline=False).decode()
            request["isBase64Encoded"] = True
    return request


# ---- answers ----


def _status(value):
    try:
        status = int(value)
    except (TypeError, ValueError):
        status = 0
    if not 200 <= status <= 599:
        raise MarshalError(f"statusCode is {value!r:.100}, not a number from 200 to 599")
    return status


def _header_lines(answer):
    headers = answer.get("headers") or {}
    if not isinstance(headers, dict):
        raise MarshalError(f"headers is a {type(headers).__name__}, not a dict")
    lines, names = [], set()
    for name, value in headers.items():
        values = value if isinstance(value, (list, tuple)) else (value,)
        lines += [_line(str(name), str(value)) for value in values]
        names.add(str(name).lower())
    lines += [_line("set-cookie", str(cookie)) for cookie in answer.get("cookies") or ()]
    return lines, names


def _line(name, value):
    """What HTTP forbids (RFC 9110, sections 5.5 and 5.6.2) must not get as far as the gateway, which
    would take the whole instance for a hostile one."""
    if not name or not _NAME_BYTES.issuperset(name):
        raise MarshalError(f"{name!r:.100} is no name for a header")
    if any(byte < " " and byte != "\t" or byte == "\x7f" for byte in value):
        raise MarshalError(f"the header {name!r:.100} contains a control character")
    return f"{name}:{value}\n"


def _body(answer):
    body = answer.get("body")
    if body is None:
        return b""
    if answer.get("isBase64Encoded"):
        try:
            return a2b_base64(body)
        except (Base64Error, TypeError, ValueError) as error:
            raise MarshalError(f"isBase64Encoded is set, but the body is not: {error}") from None
    if isinstance(body, str):
        return worker.to_text(body)
    if isinstance(body, (bytes, bytearray, memoryview)):
        return bytes(body)
    return worker.to_json(body)


def answer(result):
    """Sends a dict with `statusCode`. Its body may also be an iterator: a stream with a head."""
    status = _status(result["statusCode"])
    lines, names = _header_lines(result)
    pieces = results.chunks(result.get("body"))
    body = _body(result) if pieces is None else b""
    if "content-type" not in names and (body or pieces):
        lines.append(JSON_META.decode())
    meta = "".join(lines).encode("utf-8", "surrogateescape")
    if len(meta) > frame.META_MAX:
        raise MarshalError(f"the headers take {len(meta)} bytes; at most {frame.META_MAX} are allowed")
    if pieces is None:
        frame.answer(status, meta, body)
    else:
        results.stream(status, meta, pieces)
