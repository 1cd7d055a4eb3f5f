"""SIGTERM in the middle of an episode, after its first of six segments."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.faults.conftest import Seen
from tests.faults.episodes import SLOW_WORK, long_episode, report_of
from tests.faults.scene import assert_each_once
from tests.service_runner import ServiceRunner, eventually

_LONGEST_S = 30


@pytest.mark.slow
def test_a_stop_ends_in_order_and_uses_no_attempt(tmp_path: Path, seen: Seen) -> None:
    with ServiceRunner(tmp_path, f"{SLOW_WORK}work_dir: elsewhere\n") as service:
        long_episode(service.inbox / "long.mkv")
        service.start()
        eventually(lambda: _segments(tmp_path))
        began, done = time.monotonic(), _segments(tmp_path)
        assert service.stop() == 0
        seconds = time.monotonic() - began
        assert seconds <= _LONGEST_S
        status = service.status()
        assert status["service"]["runs"] is False
        assert status["counts"] == {"queued": 1}
        assert status["queued"][0]["failures"] == 0
        service.start().wait_for(delivered=1)
        assert_each_once(service, ["long [240p].mkv"])
        # whatever was finished is used; at most the one that was at work is made again
        assert report_of(service)["details"]["segments_reused"] >= done
    seen(
        f"exit 0 after {seconds:.1f} s, queued in its place, no attempt used, no finished segment made again",
        lost=0,
        duplicated=0,
    )


def _segments(base: Path) -> int:
    return len(list((base / "elsewhere").glob("*/1/segments/segment_*.mkv")))
