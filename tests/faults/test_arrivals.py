"""A file by copy, by rename, by rsync, and by hard link."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from shutil import which

import pytest

from tests.faults.conftest import Seen
from tests.faults.scene import assert_each_once, jobs_of
from tests.service_runner import ServiceRunner, write_picture

_WAYS = ("copied", "linked", "moved", "synced")


@pytest.mark.skipif(which("rsync") is None, reason="rsync is not installed")
def test_each_way_is_one_job(tmp_path: Path, seen: Seen) -> None:
    for seed, way in enumerate(_WAYS):
        write_picture(tmp_path / f"{way}.png", seed=seed)
    with ServiceRunner(tmp_path).start() as service:
        shutil.copy(tmp_path / "copied.png", service.inbox / "copied.png")
        (tmp_path / "moved.png").rename(service.inbox / "moved.png")
        os.link(tmp_path / "linked.png", service.inbox / "linked.png")
        subprocess.run(["rsync", "--times", str(tmp_path / "synced.png"), f"{service.inbox}/"], check=True)
        service.wait_for(delivered=4)
        assert_each_once(service, [f"{way} [64p].png" for way in _WAYS])
        service.stop()
    assert len(jobs_of(tmp_path)) == 4
    seen("one job each", jobs=4, duplicated=0)
