"""SIGSTOP to the ffmpeg of a running episode (limits.silence_s: 7 instead of 60)."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.faults.conftest import Seen
from tests.faults.scene import assert_each_once
from tests.service_runner import CONFIG, ServiceRunner, eventually, write_episode


@pytest.mark.slow
def test_it_is_killed_and_the_job_tried_again(tmp_path: Path, seen: Seen) -> None:
    with ServiceRunner(tmp_path, CONFIG + "limits: {silence_s: 7}\n") as service:
        write_episode(service.inbox / "long.mkv", frames=240, size="640x480")
        service.start()
        stopped: list[int] = []

        def stop_one() -> bool:
            running = service.status()["running"]
            stopped.extend(_ffmpegs(running["pid"]) if running else [])
            for pid in stopped:
                os.kill(pid, signal.SIGSTOP)
            return bool(stopped)

        eventually(stop_one)
        eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in stopped))
        service.wait_for(delivered=1)
        assert_each_once(service, ["long [960p].mkv"])
        assert "attempt 1 failed" in service.log()
    seen("killed after the silence, no zombie left, the job tried again and delivered", lost=0, partial=0)


def _ffmpegs(pid: int) -> list[int]:
    """ffmpeg processes that a job's process started (of any of its threads)."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                name, fields = (entry / "stat").read_text().split("(", 1)[1].rsplit(")", 1)
            except OSError:
                continue
            if name == "ffmpeg" and int(fields.split()[1]) == pid:
                found.append(int(entry.name))
    return found
