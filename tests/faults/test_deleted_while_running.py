"""An episode unlinked while it is enlarged."""

from __future__ import annotations

from pathlib import Path

from tests.faults.conftest import Seen
from tests.faults.scene import assert_each_once
from tests.service_runner import ServiceRunner, eventually, write_episode, write_picture


def test_it_ends_clean_and_the_next_is_done(tmp_path: Path, seen: Seen) -> None:
    with ServiceRunner(tmp_path) as service:
        write_episode(service.inbox / "long.mkv", frames=96, size="320x240")
        service.start()
        eventually(lambda: (service.status()["running"] or {}).get("stage"))
        write_picture(service.inbox / "next.png")
        (service.inbox / "long.mkv").unlink()
        service.wait_for(delivered=1, skipped=1)
        assert_each_once(service, ["next [64p].png"])
    seen("skipped with the reason, no partial output, the next one done", partial=0)
