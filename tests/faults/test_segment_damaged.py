"""A byte of one finished segment flipped and another one deleted while the service is down."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.conftest import Seen
from tests.faults.episodes import (
    SLOW_WORK,
    assert_same_video,
    killed_after_segment,
    long_episode,
    report_of,
    undisturbed,
)
from tests.service_runner import ServiceRunner


@pytest.mark.slow
def test_only_those_are_redone(tmp_path: Path, seen: Seen) -> None:
    expected = undisturbed(tmp_path / "undisturbed", SLOW_WORK)
    base = tmp_path / "disturbed"
    base.mkdir()
    with ServiceRunner(base, f"{SLOW_WORK}work_dir: elsewhere\n") as service:
        long_episode(service.inbox / "Show.mkv")
        service.start()
        rows = killed_after_segment(service, 3)
        flipped = next((base / "elsewhere").glob("*/1/segments/segment_00000.mkv"))
        content = bytearray(flipped.read_bytes())
        content[-1] ^= 1
        flipped.write_bytes(content)
        flipped.with_name("segment_00001.mkv").unlink()
        service.start().wait_for(delivered=1)
        assert report_of(service)["details"]["segments_reused"] == len(rows) - 2 >= 1
    (output,) = service.outbox.glob("*.mkv")
    assert_same_video(output, expected)
    seen("both made again and no other; frames and timestamps equal", lost=0)
