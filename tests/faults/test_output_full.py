"""The output is a small tmpfs that is full."""

from __future__ import annotations

from pathlib import Path

from tests.faults.conftest import Seen
from tests.faults.scene import assert_each_once, mounted, needs_root
from tests.service_runner import ServiceRunner, eventually, write_picture


@needs_root
def test_it_pauses_without_an_attempt_and_finishes_once_there_is_room(tmp_path: Path, seen: Seen) -> None:
    with ServiceRunner(tmp_path) as service, mounted(service.outbox, "-t", "tmpfs", "-o", "size=16m", "none"):
        filler = service.outbox / ".filler"
        filler.write_bytes(bytes(service.outbox.stat().st_blksize * 4090))
        write_picture(service.inbox / "cel.png", width=400, height=400)
        service.start()
        eventually(lambda: service.status()["waiting"])
        status = service.status()
        assert status["counts"] == {"queued": 1}
        assert status["queued"][0]["failures"] == 0
        assert service.delivered() == [".filler"]
        filler.unlink()
        service.wait_for(delivered=1)
        assert_each_once(service, ["cel [800p].png"])
        service.stop()
    seen(f"paused: {status['waiting'][0]['reason'].split(': ')[-1]}; finished after space was freed", lost=0, partial=0)
