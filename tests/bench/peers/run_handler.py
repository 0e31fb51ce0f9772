"""The Python handler in a fresh interpreter: the payload on stdin, the body on stdout."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from handler import handle  # noqa: E402

os.write(1, handle({"body": os.read(0, 65536).decode()}, None)["body"].encode())
