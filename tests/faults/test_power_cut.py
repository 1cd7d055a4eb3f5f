"""Copies of a loop-mounted ext4 image taken at five moments of a run, each mounted and started as after a power cut."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest

from daemon.ledger import Ledger
from daemon.place import is_the_one
from tests.faults.conftest import Seen
from tests.faults.scene import mounted, needs_root
from tests.service_runner import ServiceRunner, eventually, write_picture

_FILES = 6


@needs_root
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_what_is_on_the_disk_at_any_moment_is_enough(tmp_path: Path, seen: Seen) -> None:
    image = tmp_path / "disk.img"
    with image.open("wb") as file:
        file.truncate(48 << 20)
    subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
    cuts = []
    with mounted(tmp_path / "disk", "-o", "loop,commit=300", str(image)), ServiceRunner(tmp_path / "disk") as service:
        for number in range(_FILES):
            write_picture(service.inbox / f"{number}.png", seed=number)
        subprocess.run(["sync"], check=True)
        service.start()
        for number in range(_FILES - 1):
            eventually(lambda number=number: service.count("delivered") >= number)  # type: ignore[misc]
            cuts.append(tmp_path / f"cut{number}.img")
            shutil.copyfile(image, cuts[-1])
        service.wait_for(delivered=_FILES)
        service.stop()
    delivered_before = 0
    for number, cut in enumerate(cuts):
        place = tmp_path / f"cut{number}"
        with mounted(place, "-o", "loop", str(cut)):
            ledger_file = place / "state" / "ledger.db"
            connection = sqlite3.connect(ledger_file)
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            connection.close()
            ledger = Ledger(ledger_file)
            for job in ledger.jobs("delivered"):
                assert job.output is not None
                there = place / "out" / job.output.name
                assert is_the_one(there, job.part_inode, job.part_size, job.part_sha256)
                delivered_before += 1
            ledger.close()
            _moved_along(ledger_file, tmp_path / "disk", place)
            with ServiceRunner(place) as service:
                service.start().wait_for(delivered=_FILES, queued=0)
                assert service.delivered() == [f"{number} [64p].png" for number in range(_FILES)]
                service.stop()
    seen(
        f"each ledger passed integrity_check, {delivered_before} delivered outputs were intact, the rest was done",
        power_cuts=len(cuts),
        lost=0,
        duplicated=0,
        partial=0,
    )


def _moved_along(ledger: Path, before: Path, after: Path) -> None:
    """The copy is mounted elsewhere than the original: paths in its ledger follow."""
    connection = sqlite3.connect(ledger)
    for table, column in (
        *(("jobs", column) for column in ("folder", "source", "wanted", "part", "output")),
        ("places", "path"),
    ):
        for row, path in connection.execute(
            f"SELECT rowid, {column} FROM {table}" if table == "jobs" else f"SELECT {column}, {column} FROM {table}"
        ).fetchall():
            if path is not None and bytes(path).startswith(bytes(before)):
                moved = bytes(after) + bytes(path)[len(bytes(before)) :]
                key = "rowid" if table == "jobs" else column
                connection.execute(f"UPDATE {table} SET {column} = ? WHERE {key} = ?", (moved, row))
    connection.commit()
    connection.close()
