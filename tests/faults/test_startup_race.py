"""500 files dropped while the service starts."""

from __future__ import annotations

from pathlib import Path

from tests.faults.conftest import Seen
from tests.faults.scene import jobs_of
from tests.service_runner import ServiceRunner, eventually, write_picture

_FILES = 500


def test_none_slips_between_listing_and_watching(tmp_path: Path, seen: Seen) -> None:
    write_picture(tmp_path / "one.png")
    content = (tmp_path / "one.png").read_bytes()
    with ServiceRunner(tmp_path) as service:
        service.launch()
        for number in range(_FILES):
            (service.inbox / f"{number:03}.png").write_bytes(content + str(number).encode())
        eventually((tmp_path / "state" / "control.sock").exists)
        eventually(lambda: sum(service.status()["counts"].values()) >= _FILES)
        service.stop()
    assert sorted(job.source.name for job in jobs_of(tmp_path)) == [f"{number:03}.png" for number in range(_FILES)]
    seen("500 jobs", jobs=_FILES, lost=0, duplicated=0)
