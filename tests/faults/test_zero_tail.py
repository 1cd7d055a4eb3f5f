"""Files whose second half is zeros, with an old time of change; one of them is filled later."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.faults.conftest import Seen
from tests.faults.scene import assert_each_once, jobs_of
from tests.service_runner import CONFIG, ServiceRunner, eventually, write_episode, write_picture

_NAMES = ("a.mkv", "b.mp4", "c.png", "d.jpg", "e.webp")
_BRIEF = CONFIG.replace("wait_s: 0.1}", "wait_s: 0.1, incomplete_wait_s: 2, incomplete_hours: 0.002}")


@pytest.mark.slow
def test_they_are_held_as_incomplete_then_fail_with_that_reason(tmp_path: Path, seen: Seen) -> None:
    with ServiceRunner(tmp_path, _BRIEF) as service:
        for name in _NAMES:
            whole = tmp_path / name
            if whole.suffix in (".mkv", ".mp4"):
                write_episode(whole, frames=12)
            else:
                write_picture(whole, width=120, height=120)
            _with_zeros(whole, service.inbox / name)
        _with_zeros(tmp_path / "c.png", service.inbox / "filled.png")
        service.start()
        eventually(lambda: service.count("incomplete") >= 1)
        assert "ends in zeros" in service.status()["incomplete"][0]["reason"]
        eventually(lambda: "filled.png: incomplete" in service.log())
        (service.inbox / "filled.png").write_bytes((tmp_path / "c.png").read_bytes())
        eventually(lambda: service.count("failed") == len(_NAMES), patience_s=240)
        status = service.wait_for(failed=len(_NAMES), delivered=1, incomplete=0)
        assert all("ends in zeros" in job["reason"] for job in status["failed"])
        assert all(job["failures"] == 1 for job in status["failed"])
        assert_each_once(service, ["filled [240p].png"])
        service.stop()
    assert sum(job.superseded for job in jobs_of(tmp_path)) == 1
    seen("held as incomplete, then failed with that reason; the one that was filled was delivered", partial=0)


def _with_zeros(whole: Path, target: Path) -> None:
    content = whole.read_bytes()
    half = len(content) // 2
    target.write_bytes(content[:half] + bytes(len(content) - half))
    os.utime(target, (1_000_000_000, 1_000_000_000))
