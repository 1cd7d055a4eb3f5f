"""Bytes appended to an episode while it is enlarged."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.conftest import Seen
from tests.faults.scene import assert_each_once
from tests.service_runner import ServiceRunner, eventually, write_episode

# a Void element (RFC 8794, 11.3.1), which a Matroska file may end with
_APPENDED = b"\xec\x80"


@pytest.mark.slow
def test_the_result_is_dropped_and_made_anew(tmp_path: Path, seen: Seen) -> None:
    with ServiceRunner(tmp_path) as service:
        episode = service.inbox / "long.mkv"
        write_episode(episode, frames=96, size="320x240")
        service.start()
        eventually(lambda: (service.status()["running"] or {}).get("stage"))
        with episode.open("ab") as file:
            file.write(_APPENDED)
        status = service.wait_for(delivered=1, skipped=1)
        assert "changed while it was read" in status["skipped"][0]["reason"]
        assert_each_once(service, ["long [480p].mkv"])
    seen("result dropped, queued again, delivered once", duplicated=0, partial=0)
