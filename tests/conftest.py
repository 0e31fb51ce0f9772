"""What all pytest folders share: a node, and the rule that sandboxes need root."""
import os
import pathlib

import pytest
from server import Server

NEEDS_ROOT = {"agent", "images", "system"}


def pytest_collection_modifyitems(items):
    if os.geteuid() == 0:
        return
    here = pathlib.Path(__file__).parent
    for item in items:
        if item.path.relative_to(here).parts[0] in NEEDS_ROOT:
            item.add_marker(pytest.mark.skip(reason="needs root: it makes sandboxes"))


@pytest.fixture(scope="module")
def server():
    """One node for all tests of a file; stopping it cleanly is part of the test."""
    with Server() as node:
        yield node
