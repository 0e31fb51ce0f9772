"""A client of the AWS Lambda Runtime API, as its documentation describes one, for the programs that
the tests run."""
import http.client
import json
import os
import socket

PATH = "/2018-06-01/runtime"


class Runtime:
    def __init__(self):
        self.connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])

    def ask(self, method, path, body=None, **headers):
        """(status, JSON) of any request."""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        self.connection.request(method, PATH + path, body, names)
        answer = self.connection.getresponse()
        assert answer.headers["Content-Type"] == "application/json"
        return answer.status, json.loads(answer.read())

    def next(self):
        """(request id, event, headers) of the next invocation."""
        self.connection.request("GET", PATH + "/invocation/next")
        answer = self.connection.getresponse()
        assert answer.status == 200 and answer.headers["Content-Type"] == "application/json"
        return answer.headers["Lambda-Runtime-Aws-Request-Id"], answer.read(), answer.headers

    def respond(self, request_id, body):
        return self.ask("POST", f"/invocation/{request_id}/response", body)

    def fail(self, request_id, report, **headers):
        return self.ask("POST", f"/invocation/{request_id}/error", json.dumps(report), **headers)

    def stream(self, request_id, pieces, content_type=None, trailers=None):
        """A streamed response; a piece is sent when it is there."""
        send = self.begin_stream(request_id, content_type, trailers)
        for piece in pieces:
            if piece:
                send(b"%x\r\n%b\r\n" % (len(piece), piece))
        lines = "".join(f"{name}: {value}\r\n" for name, value in (trailers or {}).items())
        send(b"0\r\n" + lines.encode() + b"\r\n")
        answer = self.connection.getresponse()
        return answer.status, json.loads(answer.read())

    def begin_stream(self, request_id, content_type=None, trailers=None):
        connection = self.connection
        connection.putrequest("POST", f"{PATH}/invocation/{request_id}/response")
        connection.putheader("Lambda-Runtime-Function-Response-Mode", "streaming")
        connection.putheader("Transfer-Encoding", "chunked")
        if content_type:
            connection.putheader("Content-Type", content_type)
        if trailers:
            connection.putheader("Trailer", ", ".join(trailers))
        connection.putheader("Expect", "100-continue")
        connection.endheaders()
        interim = connection.sock.recv(25, socket.MSG_WAITALL)  # now it is known to have begun
        assert interim == b"HTTP/1.1 100 Continue\r\n\r\n", interim
        return connection.send

    def serve(self, handler):
        """Answers each invocation with what handler(event, headers) returns."""
        while True:
            request_id, event, headers = self.next()
            assert self.respond(request_id, handler(event, headers)) == (202, {"status": "OK"})
