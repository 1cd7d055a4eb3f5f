"""SIGTERM in the middle of an episode."""

from __future__ import annotations

from pathlib import Path

from tests.faults.conftest import Seen
from tests.faults.scene import assert_each_once
from tests.service_runner import ServiceRunner, eventually, write_episode


def test_a_stop_ends_in_order_and_uses_no_attempt(tmp_path: Path, seen: Seen) -> None:
    with ServiceRunner(tmp_path) as service:
        write_episode(service.inbox / "long.mkv", frames=96, size="320x240")
        service.start()
        eventually(lambda: (service.status()["running"] or {}).get("stage"))
        assert service.stop() == 0
        status = service.status()
        assert status["service"]["runs"] is False
        assert status["counts"] == {"queued": 1}
        assert status["queued"][0]["failures"] == 0
        service.start().wait_for(delivered=1)
        assert_each_once(service, ["long [480p].mkv"])
    seen("exit 0, queued in its place, no attempt used, delivered after the next start", lost=0, duplicated=0)
