"""A file by copy, by rename, by rsync's temporary name, and by hard link."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.faults.conftest import Seen
from tests.faults.scene import assert_each_once, jobs_of
from tests.service_runner import ServiceRunner, write_picture

_WAYS = ("copied", "linked", "moved", "synced")


def test_each_way_is_one_job(tmp_path: Path, seen: Seen) -> None:
    for seed, way in enumerate(_WAYS):
        write_picture(tmp_path / f"{way}.png", seed=seed)
    with ServiceRunner(tmp_path).start() as service:
        shutil.copy(tmp_path / "copied.png", service.inbox / "copied.png")
        (tmp_path / "moved.png").rename(service.inbox / "moved.png")
        os.link(tmp_path / "linked.png", service.inbox / "linked.png")
        shutil.copy(tmp_path / "synced.png", service.inbox / ".synced.png.Xa3bQ1")
        (service.inbox / ".synced.png.Xa3bQ1").rename(service.inbox / "synced.png")
        service.wait_for(delivered=4)
        assert_each_once(service, [f"{way} [64p].png" for way in _WAYS])
        service.stop()
    assert len(jobs_of(tmp_path)) == 4
    seen("one job each", jobs=4, duplicated=0)
