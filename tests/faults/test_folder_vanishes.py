"""The input is unmounted with three jobs queued, and mounted again."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.faults.conftest import Seen
from tests.faults.scene import assert_each_once, mounted, needs_root
from tests.service_runner import ServiceRunner, eventually, write_picture


@needs_root
@pytest.mark.slow
def test_a_lost_mount_pauses_and_drops_nothing(tmp_path: Path, seen: Seen) -> None:
    disk = tmp_path / "disk"
    with (
        ServiceRunner(tmp_path) as service,
        mounted(disk, "-t", "tmpfs", "none"),
        mounted(service.inbox, "--bind", str(disk)),
    ):
        for number in range(3):
            write_picture(disk / f"{number}.png", seed=number)
        service.start()
        service.outbox.rename(tmp_path / "away")  # so that the jobs wait
        service.wait_for(queued=3)
        subprocess.run(["umount", "--lazy", str(service.inbox)], check=True)
        (tmp_path / "away").rename(service.outbox)
        eventually(lambda: any("is a mount lost" in wait["reason"] for wait in service.status()["waiting"]))
        assert service.count("queued") == 3
        subprocess.run(["mount", "--bind", str(disk), str(service.inbox)], check=True)
        status = service.wait_for(delivered=3)
        assert_each_once(service, [f"{number} [64p].png" for number in range(3)])
        assert all(job["failures"] == 0 for job in status["delivered"])
        service.stop()
    seen("paused with the reason, no attempt used, went on by itself", jobs=3, lost=0)
