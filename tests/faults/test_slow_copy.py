"""A copy at 64 KB/s for a minute, opened and closed for every piece."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.faults.conftest import Seen
from tests.faults.scene import assert_each_once, jobs_of
from tests.service_runner import CONFIG, ServiceRunner, write_picture

_BYTES_PER_S = 64 * 1024


@pytest.mark.slow
def test_a_slow_copy_is_queued_once_after_its_end(tmp_path: Path, seen: Seen) -> None:
    write_picture(tmp_path / "whole.png", width=1200, height=1100)
    content = (tmp_path / "whole.png").read_bytes()
    pieces = range(0, len(content), _BYTES_PER_S)
    assert len(pieces) >= 60
    with ServiceRunner(tmp_path, CONFIG.replace("settle_s: 0.2", "settle_s: 15")).start() as service:
        for start in pieces:
            with (service.inbox / "cel.png").open("ab") as file:
                file.write(content[start : start + _BYTES_PER_S])
            time.sleep(1)  # the fault itself: a writer that slow
            assert service.status()["counts"] == {}
        ended = time.time()
        service.wait_for(delivered=1)
        assert_each_once(service, ["cel [2200p].png"])
        service.stop()
    (job,) = jobs_of(tmp_path)
    assert job.created > ended
    seen(f"queued {job.created - ended:.0f} s after the last of {len(pieces)} writes", lost=0, duplicated=0)
