"""What one writes without a platform: a WSGI application around the handler."""
from handler import handle


def application(environ, start_response):
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)).decode()
    answer = handle({"body": body}, None)
    payload = answer["body"].encode()
    start_response("200 OK", [*answer["headers"].items(), ("content-length", str(len(payload)))])
    return [payload]
