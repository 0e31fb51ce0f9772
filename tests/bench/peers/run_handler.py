"""A Python handler in a fresh interpreter: the payload on stdin, the body on stdout; the module is the
first argument."""
import importlib
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
handle = importlib.import_module(sys.argv[1]).handle

os.write(1, handle({"body": os.read(0, 65536).decode()}, None)["body"].encode())
