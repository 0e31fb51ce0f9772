"""The command line that each test gets."""
import pytest
from command_line import CommandLine


@pytest.fixture
def cli(tmp_path):
    return CommandLine(tmp_path)
