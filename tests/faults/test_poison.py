"""A job whose process is killed at each attempt."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.faults.conftest import Seen
from tests.faults.scene import assert_each_once
from tests.service_runner import ServiceRunner, eventually, write_episode, write_picture


def test_it_fails_after_three_attempts_and_the_next_runs(tmp_path: Path, seen: Seen) -> None:
    with ServiceRunner(tmp_path) as service:
        write_episode(service.inbox / "a poison.mkv", frames=96, size="320x240")
        service.start()
        killed = set()

        def kill_the_worker() -> bool:
            status = service.status()
            running = status["running"]
            if running and running["source"].endswith("poison.mkv") and running["pid"] not in killed:
                os.kill(running["pid"], signal.SIGKILL)
                killed.add(running["pid"])
            return bool(status["counts"].get("failed"))

        eventually(kill_the_worker)
        assert len(killed) == 3
        (failed,) = service.status()["failed"]
        assert failed["reason"] == "the job's process was killed by SIGKILL"
        assert failed["failures"] == 3
        write_picture(service.inbox / "next.png")
        service.wait_for(delivered=1)
        assert_each_once(service, ["next [64p].png"])
        assert service.log().count("; again in ") == 2
    seen("failed after 3 attempts with growing pauses; the next job ran", kills=3)
