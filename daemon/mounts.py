"""What the system's table of mounts tells of a file system, without asking the file system itself, which may hang.

Some hand out new inode numbers from time to time: sshfs, mergerfs, SMB where the server has none. There the number
tells nothing, and a file is known by its path, size and time of change alone.
"""

from __future__ import annotations

import functools
import os
import re
import select
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_TABLE = "/proc/self/mountinfo"
_NETWORK = frozenset(
    {"9p", "afs", "ceph", "cifs", "glusterfs", "lustre", "ncpfs", "nfs", "nfs4", "smb3", "smbfs"}
    | {f"fuse.{name}" for name in ("ceph", "curlftpfs", "davfs", "glusterfs", "rclone", "s3fs", "smbnetfs", "sshfs")}
)

_OCTAL = re.compile(rb"\\([0-7]{3})")
"""How the table writes blanks, line ends and backslashes in paths."""


@dataclass(frozen=True)
class Mount:
    """One line of the table. `number` is never given to another while this is mounted; `device` as in `st_dev`."""

    number: int
    device: int
    point: Path
    kind: str
    """As mount(8) has it: ext4, nfs4, fuse.sshfs, …"""
    keeps_inodes: bool

    @property
    def may_hang(self) -> bool:
        """Whether it asks another machine, or another process, for what is in it."""
        return self.kind in _NETWORK or self.kind.startswith("fuse") or self.kind == "autofs"


def keeps_inodes(device: int) -> bool:
    """Whether files on the file system of that number (`st_dev`) keep their inode numbers."""
    mount = _table().now().by_device.get(device)
    return mount is None or mount.keeps_inodes  # btrfs gives its subvolumes numbers that the table does not have


def network_kind(device: int) -> str | None:
    """What kind of network file system has that number; None where it is on this machine, or not known."""
    mount = _table().now().by_device.get(device)
    return mount.kind if mount is not None and mount.kind in _NETWORK else None


def mount_of(path: Path) -> Mount | None:
    """What an absolute `path` lies on, by its words alone: links on the way are not followed."""
    mounts = _table().now().by_point
    return next((mounts[place] for place in (path, *path.parents) if place in mounts), None)


class _Table:
    """Read again when the system says that it has changed (proc(5))."""

    def __init__(self) -> None:
        self._fd = os.open(_TABLE, os.O_RDONLY | os.O_CLOEXEC)
        self._news = select.poll()
        self._news.register(self._fd, select.POLLPRI | select.POLLERR)
        self.by_device: Mapping[int, Mount] = {}
        self.by_point: Mapping[Path, Mount] = {}
        """Of several at one point, the last: that one is seen."""
        self._read()

    def now(self) -> Self:
        """As the system has it."""
        if self._news.poll(0):
            self._read()
        return self

    def _read(self) -> None:
        os.lseek(self._fd, 0, os.SEEK_SET)
        table = b""
        while chunk := os.read(self._fd, 1 << 16):
            table += chunk
        found = mounts_in(table)
        self.by_device = {mount.device: mount for mount in found}
        self.by_point = {mount.point: mount for mount in found}


_table = functools.cache(_Table)


def mounts_in(table: bytes) -> list[Mount]:
    """Of a table as in /proc/PID/mountinfo: `36 22 0:39 / /mnt rw … - fuse.sshfs host: rw,user_id=0`."""
    found = []
    for line in table.splitlines():
        where, _, what = line.partition(b" - ")
        kind, _, options = what.split(b" ")[:3]
        number, _, device, _, point = where.split(b" ")[:5]
        major, _, minor = device.partition(b":")
        forgets = kind == b"fuse" or kind.startswith(b"fuse.") or b"noserverino" in options.split(b",")
        path = _OCTAL.sub(lambda octal: bytes([int(octal[1], 8)]), point)
        found.append(
            Mount(
                int(number),
                os.makedev(int(major), int(minor)),
                Path(os.fsdecode(path)),
                os.fsdecode(kind),
                not forgets,
            )
        )
    return found
