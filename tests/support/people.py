"""Users for tests: each has an e-mail of his own and a token."""
import base64
import itertools

NUMBERS = itertools.count(1)
PASSWORD = "correct horse"

ECHO = {"main.py": "def handle(event, context):\n    return event\n"}


class Person:
    def __init__(self, server, email=None, password=PASSWORD):
        self.server = server
        self.email = email or f"user{next(NUMBERS)}@example.org"
        self.password = password
        answer = server.request("POST", "/api/v1/users", token=None,
                                body={"email": self.email, "password": password})
        assert answer.status == 201, answer
        self.token = self.login()

    def login(self):
        answer = self.server.request("POST", "/api/v1/users/login", token=None,
                                     body={"email": self.email, "password": self.password})
        assert answer.status == 201, answer
        return answer.json()["token"]

    def request(self, method, path, body=None, **options):
        return self.server.request(method, path, body, token=self.token, **options)

    def basic(self):
        text = f"{self.email}:{self.password}".encode()
        return {"Authorization": "Basic " + base64.b64encode(text).decode()}


def code_of(content):
    return base64.b64encode(content if isinstance(content, bytes) else content.encode()).decode()


def deployment(name, **fields):
    """What POST /api/v1/functions takes for an echo in Python."""
    return {"name": name, "runtime": "python3", "handler": "main.handle",
            "code": code_of(ECHO["main.py"]), **fields}


def create(person, name, **fields):
    answer = person.request("POST", "/api/v1/functions", deployment(name, **fields))
    assert answer.status == 201, answer
    return answer.json()["functionId"]


def expect_problem(answer, status, reason, *words):
    """RFC 9457, with what magpie adds."""
    assert answer.status == status, answer
    assert answer.headers["Content-Type"] == "application/problem+json", answer
    problem = answer.json()
    assert problem["status"] == status and problem["reason"] == reason, problem
    assert problem["title"] and problem["detail"] and problem["message"] == problem["detail"]
    for word in words:
        assert word in problem["detail"], problem
    return problem
