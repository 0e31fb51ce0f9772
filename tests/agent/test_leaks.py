"""Hundreds of sandboxes come and go, and leave nothing. ./dev bench leaks does it with thousands, and
looks at the kernel's memory too."""
import os

import pytest
from conftest import start_agent
from ledger import AT_ONCE, Ledger


@pytest.mark.parametrize("kind, cycles", [("native", 200), ("image", 200), ("python", 60)])
@pytest.mark.parametrize("stock", [0, 4], ids=["on request", "from stock"])
def test_hundreds_of_sandboxes_come_and_go_and_leave_nothing(compile_probe, kind, cycles, stock):
    with start_agent(stock=stock) as agent:
        ledger = Ledger(agent, compile_probe("native", "-static"))
        ledger.run(kind, 24)
        before = ledger.take()
        ledger.run(kind, cycles)
        after = ledger.take()
    assert after["mounts"] == before["mounts"]
    # Slots that were used are kept, each with two descriptors and three groups: as many as there were
    # sandboxes at once, those of the last round that were not gone yet included.
    assert after["slots"] <= 2 * AT_ONCE + stock
    # What stands in stock may differ by a few; each has six descriptors, or with its groups seven, its
    # slot's among them.
    more = max(after["in stock"] - before["in stock"], 0)
    slots = max(after["slots"] - before["slots"] - more, 0)
    assert after["descriptors"] - before["descriptors"] <= 7 * more + 2 * slots
    assert after["groups"] - before["groups"] <= 4 * more + 3 * slots
    assert after["groups in use"] == after["children"] == 0
    assert after["dying groups"] - before["dying groups"] < cycles // 4
    if "TSAN_OPTIONS" not in os.environ:  # a sanitizer's shadow grows with all that was touched
        assert after["agent KiB"] - before["agent KiB"] < 512
