"""Nothing to do for half a minute, the status page on: what the service takes while it waits."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest

from tests.faults.conftest import Seen
from tests.service_runner import CONFIG, ServiceRunner, write_picture

_WATCHED_S = 30
_LARGEST_MB = 150
_LARGEST_SHARE = 0.01


@pytest.mark.slow
def test_an_idle_service_takes_next_to_nothing(tmp_path: Path, seen: Seen) -> None:
    # as people have it: the page on, a scan each minute
    config = CONFIG.replace("web: false", "web: {port: 0}").replace("rescan_s: 1\n", "")
    with ServiceRunner(tmp_path, config) as service:
        for number in range(20):
            write_picture(service.inbox / f"{number}.png", seed=number, width=8, height=8)
        service.start().wait_for(delivered=20)
        assert service.process is not None
        before = _cpu_s(service.process.pid)
        time.sleep(_WATCHED_S)  # what is measured is that nothing happens
        share = (_cpu_s(service.process.pid) - before) / _WATCHED_S
        memory = _resident_mb(service.process.pid)
        assert memory < _LARGEST_MB
        assert share < _LARGEST_SHARE
    seen(f"{memory} MB, {share:.2%} of a core")


def _cpu_s(pid: int) -> float:
    """User and system time of all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident_mb(pid: int) -> int:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) // 1024
