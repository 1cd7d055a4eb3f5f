"""FIFO, socket, device, symlink and a loop of symlinks in the inbox; a file, and a folder, swapped for a link."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from tests.faults.conftest import Seen
from tests.faults.scene import assert_each_once
from tests.service_runner import ServiceRunner, eventually, write_picture


def test_none_is_opened_or_followed(tmp_path: Path, seen: Seen) -> None:
    write_picture(tmp_path / "secret.png", seed=1)
    with ServiceRunner(tmp_path) as service, socket.socket(socket.AF_UNIX) as listener:
        os.mkfifo(service.inbox / "fifo.png")
        fd = os.open(service.inbox, os.O_RDONLY)
        listener.bind(f"/proc/self/fd/{fd}/socket.png")
        os.close(fd)
        if os.geteuid() == 0:
            os.mknod(service.inbox / "device.png", 0o020600, os.makedev(1, 5))
        (service.inbox / "link.png").symlink_to(tmp_path / "secret.png")
        (service.inbox / "loop.png").symlink_to("loop.png")
        (service.inbox / "folder").symlink_to(tmp_path)
        service.start()
        service.outbox.rename(tmp_path / "away")  # so that what is queued waits
        write_picture(service.inbox / "swapped.png", seed=2)
        write_picture(service.inbox / "true.png", seed=3)
        write_picture(service.inbox / "sub" / "secret.png", seed=4)
        service.wait_for(queued=3)
        (service.inbox / "sub").rename(tmp_path / "elsewhere")  # the same file, reached through a link
        (service.inbox / "sub").symlink_to(tmp_path / "elsewhere")
        (service.inbox / "swapped.png").unlink()
        (service.inbox / "swapped.png").symlink_to(tmp_path / "secret.png")
        (tmp_path / "away").rename(service.outbox)
        service.wait_for(delivered=1, queued=0)
        eventually(lambda: service.status()["running"] is None)
        assert any("reached through one" in job["reason"] for job in service.status()["failed"])
        assert_each_once(service, ["true [64p].png"])
        assert sum(service.status()["counts"].values()) == 3
    seen("none of them was delivered, no hang; the true file was done", files=8)
