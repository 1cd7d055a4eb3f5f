"""inotify(7), as far as a recursive watch needs it: directories by path, events as hints, overflow told.

A file descriptor for the service's own loop, no thread. watchdog was weighed and left (7.1, tried): after
a queue overflow it mends its own watches but gives the application no way to learn that events were lost, and at the
limit of watches it leaves folders unwatched without a word (3 of 6 with max_inotify_watches 3). Both must be told here.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from dataclasses import dataclass

_CLOSE_WRITE, _MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x8, 0x40, 0x80, 0x100, 0x200
_OVERFLOW, _IGNORED, _IS_DIRECTORY = 0x4000, 0x8000, 0x4000_0000
_ONLY_DIRECTORY, _DO_NOT_FOLLOW, _EXCLUDE_UNLINKED = 0x0100_0000, 0x0200_0000, 0x0400_0000
_WANTED = _CLOSE_WRITE | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE
_WANTED |= _ONLY_DIRECTORY | _DO_NOT_FOLLOW | _EXCLUDE_UNLINKED
_HEAD = struct.Struct("iIII")
_BUFFER = 1 << 16

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Event:
    """Something happened at `path` (of a directory entry), it left, or events were lost (`overflow`, empty path)."""

    path: str
    is_directory: bool = False
    left: bool = False
    overflow: bool = False


class Inotify:
    """One inotify instance. Raises OSError when the system has none left."""

    def __init__(self) -> None:
        self.fd: int = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self.fd < 0:
            number = ctypes.get_errno()
            raise OSError(number, f"inotify: {os.strerror(number)}")
        self._paths: dict[int, str] = {}

    def close(self) -> None:
        """End all watches."""
        os.close(self.fd)

    def add(self, directory: str) -> bool:
        """Watch the entries of `directory`. False when the limit of watches is reached; a vanished one is fine."""
        watch: int = _libc.inotify_add_watch(self.fd, os.fsencode(directory), _WANTED)
        if watch >= 0:
            self._paths[watch] = directory
            return True
        return ctypes.get_errno() not in (errno.ENOSPC, errno.ENOMEM)

    def read(self) -> list[Event]:
        """What has happened since the last call; empty when nothing has."""
        try:
            data = os.read(self.fd, _BUFFER)
        except BlockingIOError:
            return []
        events = []
        offset = 0
        while offset < len(data):
            watch, mask, _, length = _HEAD.unpack_from(data, offset)
            offset += _HEAD.size
            name = os.fsdecode(data[offset : offset + length].rstrip(b"\0"))
            offset += length
            if mask & _OVERFLOW:
                events.append(Event("", overflow=True))
            elif mask & _IGNORED:
                self._paths.pop(watch, None)
            elif watch in self._paths and name:
                path = f"{self._paths[watch]}/{name}"
                is_directory, left = bool(mask & _IS_DIRECTORY), bool(mask & (_MOVED_FROM | _DELETE))
                if is_directory and mask & _MOVED_FROM:
                    self._remove_below(path)
                events.append(Event(path, is_directory=is_directory, left=left))
        return events

    def _remove_below(self, directory: str) -> None:
        """A directory that moved keeps its watches under the old path: end them; a scan adds it where it went."""
        inside = [watch for watch, path in self._paths.items() if path == directory or path.startswith(f"{directory}/")]
        for watch in inside:
            del self._paths[watch]
            _libc.inotify_rm_watch(self.fd, watch)
