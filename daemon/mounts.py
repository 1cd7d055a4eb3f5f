"""Which mounts keep a file's inode number: sshfs and mergerfs hand out new ones, SMB does where the server has none.

There the number tells nothing, and a file is known by its path, size and time of change alone.
"""

from __future__ import annotations

import functools
import os
import select

_TABLE = "/proc/self/mountinfo"


def keeps_inodes(device: int) -> bool:
    """Whether files on the file system of that number (`st_dev`) keep their inode numbers. Never waits for a disk."""
    return device not in _mounts().forgetful()


class _Mounts:
    """The table of mounts, read again when the system says that it has changed (proc(5))."""

    def __init__(self) -> None:
        self._fd = os.open(_TABLE, os.O_RDONLY | os.O_CLOEXEC)
        self._news = select.poll()
        self._news.register(self._fd, select.POLLPRI | select.POLLERR)
        self._forgetful = self._read()

    def forgetful(self) -> frozenset[int]:
        if self._news.poll(0):
            self._forgetful = self._read()
        return self._forgetful

    def _read(self) -> frozenset[int]:
        os.lseek(self._fd, 0, os.SEEK_SET)
        table = b""
        while chunk := os.read(self._fd, 1 << 16):
            table += chunk
        return forgetful_devices(table)


_mounts = functools.cache(_Mounts)


def forgetful_devices(table: bytes) -> frozenset[int]:
    """Of a table as in /proc/PID/mountinfo: `… 0:39 / /mnt rw … - fuse.sshfs host: rw,user_id=0`."""
    found = set()
    for line in table.splitlines():
        mount, _, kind = line.partition(b" - ")
        name, _, options = kind.split(b" ")[:3]
        if name == b"fuse" or name.startswith(b"fuse.") or b"noserverino" in options.split(b","):
            major, _, minor = mount.split(b" ")[2].partition(b":")
            found.add(os.makedev(int(major), int(minor)))
    return frozenset(found)
