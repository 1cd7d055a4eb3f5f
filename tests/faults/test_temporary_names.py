"""Downloads in progress under six temporary names, then renamed."""

from __future__ import annotations

from pathlib import Path

from tests.faults.conftest import Seen
from tests.faults.scene import assert_each_once, jobs_of
from tests.service_runner import ServiceRunner, eventually, write_picture

_NAMES = {
    "a.png.part": "a.png",
    "b.png.crdownload": "b.png",
    "c.png.!qB": "c.png",
    "d.png.aria2": "d.png",
    "e.tmp": "e.png",
    ".f.png.Xa3bQ1": "f.png",
}


def test_temporary_names_are_ignored_then_one_job(tmp_path: Path, seen: Seen) -> None:
    service = ServiceRunner(tmp_path)
    for seed, name in enumerate(_NAMES):
        write_picture(tmp_path / "drawn.png", seed=seed)
        (tmp_path / "drawn.png").rename(service.inbox / name)
    write_picture(service.inbox / "g.png", seed=99)
    with service.start():
        service.wait_for(delivered=1)  # the rescan that found this one has seen the others too
        assert service.status()["counts"] == {"delivered": 1}
        assert service.status()["settling"] == 0
        for before, after in _NAMES.items():
            (service.inbox / before).rename(service.inbox / after)
        eventually(lambda: service.count("delivered") == 7)
        assert_each_once(service, [f"{letter} [64p].png" for letter in "abcdefg"])
        service.stop()
    assert len(jobs_of(tmp_path)) == 7
    seen("ignored, then one job each", names=len(_NAMES), duplicated=0)
