"""Folders on a mount that lets files be written, but refuses chmod and chown, as SMB and FAT may (bindfs)."""

from __future__ import annotations

import subprocess
from pathlib import Path
from shutil import which

import pytest

from tests.faults.conftest import Seen
from tests.faults.scene import assert_each_once, needs_fuse
from tests.service_runner import CONFIG, ServiceRunner, eventually, write_picture

_MOVED = CONFIG.replace("settle_s: 0.2", "settle_s: 0.2, original: move, moved_to: done")


@needs_fuse
@pytest.mark.skipif(which("bindfs") is None, reason="bindfs is not installed")
@pytest.mark.parametrize("place", ["in", "out", "done"])
def test_results_are_delivered_and_originals_move(tmp_path: Path, seen: Seen, place: str) -> None:
    behind, mount = tmp_path / "behind", tmp_path / place
    behind.mkdir()
    mount.mkdir()
    bind = ["bindfs", "--chmod-deny", "--chown-deny", "--force-user=nobody", "--perms=0777", str(behind), str(mount)]
    mounted = subprocess.run(bind, check=False, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"cannot mount here: {mounted.stderr.strip()}")
    try:
        with ServiceRunner(tmp_path, _MOVED) as service:
            write_picture(service.inbox / "show" / "a.png")
            content = (service.inbox / "show" / "a.png").read_bytes()
            (job,) = service.start().wait_for(delivered=1)["delivered"]
            assert job["failures"] == 0
            assert_each_once(service, ["show/a [64p].png"])
            eventually((tmp_path / "done" / "show" / "a.png").exists)
            eventually(lambda: not (service.inbox / "show" / "a.png").exists())
            assert (tmp_path / "done" / "show" / "a.png").read_bytes() == content
            assert service.stop() == 0
    finally:
        subprocess.run(["umount", "--lazy", str(mount)], check=True)
    seen(f"{place}: delivered and moved as on any disk", lost=0)
