"""kill -9 of the service after the first and after the third of six segments."""

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
@pytest.mark.parametrize("encoder", ["x264", "x265"])
def test_at_most_one_segment_is_redone_and_the_frames_are_the_same(tmp_path: Path, seen: Seen, encoder: str) -> None:
    config = SLOW_WORK.replace("x264", encoder)
    expected = undisturbed(tmp_path / "undisturbed", config)
    base = tmp_path / "disturbed"
    base.mkdir()
    with ServiceRunner(base, f"{config}work_dir: elsewhere\n") as service:
        long_episode(service.inbox / "Show.mkv")
        for number in (0, 2):
            service.start()
            rows = killed_after_segment(service, number)
        service.start()
        status = service.wait_for(delivered=1)
        assert status["delivered"][0]["failures"] == 0
        # those that were not there yet are made, and no other
        assert report_of(service)["details"]["segments_reused"] == len(rows) >= 2
    (output,) = service.outbox.glob("*.mkv")
    assert_same_video(output, expected)
    assert not list((base / "elsewhere").glob("*/1"))
    seen(f"{encoder}: only what was unwritten was made again; frames and timestamps equal", kills=2, lost=0)
