"""What the system's table of mounts tells of a file system, without asking the file system itself, which may hang.

Some hand out new inode numbers from time to time: sshfs, mergerfs, SMB where the server has none. There the number
tells nothing, and a file is known by its path, size and time of change alone.
"""

from __future__ import annotations

import functools
import os
import select
from collections.abc import Mapping
from dataclasses import dataclass

_TABLE = "/proc/self/mountinfo"
_NETWORK = frozenset(
    {"9p", "afs", "ceph", "cifs", "glusterfs", "lustre", "ncpfs", "nfs", "nfs4", "smb3", "smbfs"}
    | {f"fuse.{name}" for name in ("ceph", "curlftpfs", "davfs", "glusterfs", "rclone", "s3fs", "smbnetfs", "sshfs")}
)


@dataclass(frozen=True)
class Mount:
    """`kind` as mount(8) has it: ext4, nfs4, fuse.sshfs, …"""

    kind: str
    keeps_inodes: bool


def keeps_inodes(device: int) -> bool:
    """Whether files on the file system of that number (`st_dev`) keep their inode numbers."""
    mount = _table().mounts().get(device)
    return mount is None or mount.keeps_inodes  # btrfs gives its subvolumes numbers that the table does not have


def network_kind(device: int) -> str | None:
    """What kind of network file system has that number; None where it is on this machine, or not known."""
    mount = _table().mounts().get(device)
    return mount.kind if mount is not None and mount.kind in _NETWORK else None


class _Table:
    """Read again when the system says that it has changed (proc(5))."""

    def __init__(self) -> None:
        self._fd = os.open(_TABLE, os.O_RDONLY | os.O_CLOEXEC)
        self._news = select.poll()
        self._news.register(self._fd, select.POLLPRI | select.POLLERR)
        self._mounts = self._read()

    def mounts(self) -> Mapping[int, Mount]:
        if self._news.poll(0):
            self._mounts = self._read()
        return self._mounts

    def _read(self) -> Mapping[int, Mount]:
        os.lseek(self._fd, 0, os.SEEK_SET)
        table = b""
        while chunk := os.read(self._fd, 1 << 16):
            table += chunk
        return mounts_in(table)


_table = functools.cache(_Table)


def mounts_in(table: bytes) -> dict[int, Mount]:
    """By number, of a table as in /proc/PID/mountinfo: `… 0:39 / /mnt rw … - fuse.sshfs host: rw,user_id=0`."""
    found = {}
    for line in table.splitlines():
        where, _, what = line.partition(b" - ")
        kind, _, options = what.split(b" ")[:3]
        major, _, minor = where.split(b" ")[2].partition(b":")
        forgets = kind == b"fuse" or kind.startswith(b"fuse.") or b"noserverino" in options.split(b",")
        found[os.makedev(int(major), int(minor))] = Mount(os.fsdecode(kind), not forgets)
    return found
