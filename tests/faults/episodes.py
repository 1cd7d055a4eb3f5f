"""An episode that takes long enough to be interrupted, and what became of its segments."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from daemon.ledger import Ledger
from engine.segment_records import SegmentRecord
from tests import media
from tests.service_runner import CONFIG, ServiceRunner, eventually

SLOW_WORK = CONFIG.replace("model: bicubic, ", "model: bicubic, mode: double-enlarge, ")


def long_episode(path: Path) -> Path:
    """Six segments of ten frames: at one frame a second, ten seconds are ten frames."""
    return media.video(path, frames=60, size="160x120", rate="1", more=("-g", "7"))


def undisturbed(base: Path, config: str) -> Path:
    """The same episode made without any interruption."""
    base.mkdir()
    with ServiceRunner(base, config) as service:
        long_episode(service.inbox / "Show.mkv")
        service.start().wait_for(delivered=1)
    (output,) = service.outbox.glob("*.mkv")
    return output


def killed_after_segment(service: ServiceRunner, number: int) -> list[SegmentRecord]:
    """kill -9 as soon as that segment lies in the work folder; the rows that the ledger then has."""
    work = service.base / "elsewhere"
    eventually(lambda: list(work.glob(f"*/1/segments/segment_{number:05}.mkv")))
    service.kill()
    ledger = Ledger(service.base / "state" / "ledger.db")
    (job,) = ledger.jobs("running")
    rows = list(ledger.segments.of(job))
    ledger.close()
    on_disk = len(list(work.glob("*/1/segments/segment_*.mkv")))
    assert on_disk - 1 <= len(rows) <= on_disk
    return rows


def report_of(service: ServiceRunner) -> dict[str, Any]:
    """Stop the service; the report of its only delivery."""
    service.stop()
    ledger = Ledger(service.base / "state" / "ledger.db")
    (job,) = ledger.jobs("delivered")
    ledger.close()
    assert job.report is not None
    return dict(json.loads(job.report))


def assert_same_video(output: Path, expected: Path) -> None:
    """Equal decoded frames and equal packets' timestamps."""
    assert media.frame_hashes(output) == media.frame_hashes(expected)
    assert media.packets(output)[0] == media.packets(expected)[0]
