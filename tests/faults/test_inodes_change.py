"""Files that get other inode numbers on a mount, as on sshfs and mergerfs (bindfs, equal files put in their place)."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from shutil import which

import pytest

from daemon.asking import order
from daemon.cli import main
from daemon.config import load_config
from tests.faults.conftest import Seen
from tests.faults.scene import assert_each_once, needs_fuse
from tests.service_runner import CONFIG, ServiceRunner, eventually, write_picture

_MOVED = CONFIG.replace("settle_s: 0.2", "settle_s: 0.2, original: move, moved_to: done")


@needs_fuse
@pytest.mark.skipif(which("bindfs") is None, reason="bindfs is not installed")
def test_a_file_is_the_same_by_all_else(tmp_path: Path, seen: Seen, capsys: pytest.CaptureFixture[str]) -> None:
    behind = tmp_path / "behind"
    behind.mkdir()
    (tmp_path / "in").mkdir()
    mounted = subprocess.run(
        ["bindfs", "-o", "subtype=sshfs,attr_timeout=0,entry_timeout=0", str(behind), str(tmp_path / "in")],
        check=False,
        capture_output=True,
        text=True,
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount here: {mounted.stderr.strip()}")
    try:
        with ServiceRunner(tmp_path) as service:
            write_picture(behind / "a.png", seed=1)
            service.start().wait_for(delivered=1)
            assert "in: is a network mount (fuse.sshfs)" in service.log()
            assert main(["check", "--config", str(service.config)]) == 0
            assert "set polling: true" in capsys.readouterr().out
            (service.outbox / "a [64p].png").rename(tmp_path / "taken away")
            number = (service.inbox / "a.png").stat().st_ino
            _swap(behind / "a.png")
            assert (service.inbox / "a.png").stat().st_ino != number
            write_picture(behind / "b.png", seed=2)  # found by the rescan, as a.png would be
            service.wait_for(delivered=2)
            assert sum(service.status()["counts"].values()) == 2
            assert_each_once(service, ["b [64p].png"])

            service.stop()
            service.config.write_text(_MOVED)
            service.start()
            order(load_config(service.config), {"do": "pause", "reason": "for a test"})
            write_picture(behind / "c.png", seed=3)
            service.wait_for(queued=1)
            _swap(behind / "c.png")
            order(load_config(service.config), {"do": "resume"})
            service.wait_for(delivered=3)
            eventually(lambda: [path.name for path in (tmp_path / "done").glob("*")] == ["c.png"])
            assert sum(service.status()["counts"].values()) == 3
            service.stop()
    finally:
        subprocess.run(["umount", "--lazy", str(tmp_path / "in")], check=True)
    seen("one job each, made once, the original moved", jobs=3, duplicated=0)


def _swap(path: Path) -> None:
    """The same bytes, name, size and time, with another inode."""
    other = path.with_name(".swapped")
    shutil.copy2(path, other)
    other.replace(path)
