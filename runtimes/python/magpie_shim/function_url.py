"""HTTP in and out: the AWS Lambda function-URL shapes, payload format 2.0.

https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-payloads
"""

import time
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64

from . import frame, results, worker
from .worker import JSON_META, MarshalError

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_NAME_BYTES = _LETTERS + _LETTERS.upper() + "0123456789!#$%&'*+-.^_`|~"
_FROM_URL_ALPHABET = bytes.maketrans(b"-_", b"+/")
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
    """Repeated ones are joined: RFC 9110, section 5.3, and RFC 9113, section 8.2.3, for cookies."""
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        if name in headers:
            value = headers[name] + ("; " if name == "cookie" else ",") + value
        headers[name] = value
    return headers


def _cookies(header):
    return [cookie for part in header.split(";") if (cookie := part.strip())]


_dated = (0, "")  # the last second that was asked for, and its text


def _date(second):
    global _dated
    if _dated[0] != second:
        date = time.gmtime(second)
        text = time.strftime(f"%d/{_MONTHS[date.tm_mon - 1]}/%Y:%H:%M:%S +0000", date)
        _dated = (second, text)
    return _dated[1]


def _domain(host):
    """The name or address in a host, without the port."""
    return host[: host.find("]") + 1] if host.startswith("[") else host.partition(":")[0]


def _authorizer(user):
    """The caller, as Lambda tells an IAM caller, and under the shorter name."""
    return {
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


def event(meta, payload, context):
    """The event of a request that came by function URL."""
    text = meta.decode("utf-8", "surrogateescape")
    invocation, user, method, path, query, address, host, *lines = text.split("\n")
    lines.pop()  # what follows the last line's end: nothing
    headers = _headers(lines)
    domain = _domain(host)
    now = time.time_ns() // 1_000_000
    request_context = {
        "accountId": user or "anonymous",
        "apiId": context.function_name,
        "authentication": None,
        "domainName": domain,
        "domainPrefix": domain.partition(".")[0],
        "http": {
            "method": method,
            "path": path,
            "protocol": "HTTP/1.1",
            "sourceIp": address,
            "userAgent": headers.get("user-agent", ""),
        },
        "requestId": invocation,
        "routeKey": "$default",
        "stage": "$default",
        "time": _date(now // 1000),
        "timeEpoch": now,
    }
    if user:
        request_context["authorizer"] = _authorizer(user)
    request = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": headers,
        "requestContext": request_context,
        "isBase64Encoded": False,
    }
    if "cookie" in headers:
        request["cookies"] = _cookies(headers["cookie"])
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


def _line(name, value):
    """What HTTP forbids (RFC 9110, sections 5.5 and 5.6.2) must not get as far as the gateway,
    which would take the whole instance for a hostile one."""
    if not name or name.strip(_NAME_BYTES):
        raise MarshalError(f"{name!r:.100} is no name for a header")
    # isprintable() is the quick way to say yes, and too strict to say no: it minds odd spaces.
    if not value.isprintable() and any(c < " " and c != "\t" or c == "\x7f" for c in value):
        raise MarshalError(f"the header {name!r:.100} contains a control character")
    return f"{name}:{value}\n"


def _member(answer, name, kinds, empty):
    """What is there under the name, of the right type."""
    value = answer.get(name)
    if value is None:
        return empty
    if not isinstance(value, kinds):
        wanted = type(empty).__name__
        raise MarshalError(f"{name} is of the type {type(value).__name__}, not {wanted}")
    return value


def _meta(answer, has_body):
    headers = _member(answer, "headers", dict, {})
    text, has_type = "", False
    for name, value in headers.items():
        name = str(name)
        has_type = has_type or name.lower() == "content-type"
        for each in value if isinstance(value, (list, tuple)) else (value,):
            text += _line(name, str(each))
    for cookie in _member(answer, "cookies", (list, tuple), []):
        text += _line("set-cookie", str(cookie))
    meta = text.encode("utf-8", "surrogateescape")
    if has_body and not has_type:
        meta += JSON_META
    if len(meta) > frame.META_MAX:
        limit = frame.META_MAX
        raise MarshalError(f"the headers take {len(meta)} bytes; at most {limit} are allowed")
    return meta


def _from_base64(body):
    try:
        return a2b_base64(body, strict_mode=True)
    except Base64Error:  # perhaps for what does no harm
        data = body.encode() if isinstance(body, str) else bytes(body)
    data = data.translate(_FROM_URL_ALPHABET, b" \t\r\n").rstrip(b"=")
    return a2b_base64(data + b"=" * (-len(data) % 4), strict_mode=True)


def _body(answer):
    body = answer.get("body")
    if body is None:
        return b""
    if answer.get("isBase64Encoded"):
        try:
            return _from_base64(body)
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
    pieces = results.chunks(result.get("body"))
    if pieces is None:
        body = _body(result)
        frame.answer(status, _meta(result, bool(body)), body)
    else:
        results.stream(status, _meta(result, True), pieces)
