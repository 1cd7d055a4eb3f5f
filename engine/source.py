"""A source file, opened once and never followed anywhere else.

Everything that reads it afterwards (ffprobe, ffmpeg, mkvmerge, libvips) is given `/proc/self/fd/N`, so that a path that
is swapped for a link after the check cannot lead elsewhere (promise 7).
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from engine.errors import EnvironmentFault, InputError, MissingInputError

_CHUNK = 1 << 20
_TAIL = 4096


@dataclass(frozen=True)
class Source:
    """An open regular file. `path` is for names and messages only; read through `fd` or `readable`."""

    path: Path
    fd: int
    size: int
    mtime_ns: int
    inode: int
    device: int

    @property
    def readable(self) -> str:
        """A path that this process, and a child that inherits `fd`, can open: each opening has its own offset."""
        return f"/proc/self/fd/{self.fd}"

    def sha256(self) -> str:
        """SHA-256 of the content, hex."""
        digest = hashlib.sha256()
        offset = 0
        while chunk := os.pread(self.fd, _CHUNK, offset):
            digest.update(chunk)
            offset += len(chunk)
        return digest.hexdigest()

    def head(self, count: int) -> bytes:
        """The first `count` bytes."""
        return os.pread(self.fd, count, 0)

    def tail(self, count: int) -> bytes:
        """The last `count` bytes."""
        return os.pread(self.fd, count, max(0, self.size - count))

    def ends_in_zeros(self) -> bool:
        """Whether its last 4 KiB (of a small one, the last quarter) are zeros, as where the content is yet to come."""
        return not any(self.tail(min(_TAIL, self.size // 4 + 1)))

    def last_bytes(self, count: int) -> bytes:
        """The last `count` bytes before the zeros at its end."""
        end = self.size
        while end > 0:
            start = max(0, end - _CHUNK)
            content = os.pread(self.fd, end - start, start).rstrip(b"\0")
            if content:
                end = start + len(content)
                return os.pread(self.fd, min(count, end), max(0, end - count))
            end = start
        return b""

    def changed(self) -> bool:
        """Whether the file was written to, or its path leads to another file, since it was opened."""
        now = os.fstat(self.fd)
        if (now.st_size, now.st_mtime_ns) != (self.size, self.mtime_ns):
            return True
        try:
            there = os.lstat(self.path)
        except FileNotFoundError:
            return True
        return (there.st_ino, there.st_dev) != (self.inode, self.device)


@contextmanager
def open_source(path: Path, *, links_above: bool = True) -> Iterator[Source]:
    """Open `path` for reading without following a link and without blocking on a FIFO.

    Without `links_above`, which wants an absolute path, no folder on the way may be a link either.

    Raises `MissingInputError` (not there, not readable), `InputError` (not a regular file, empty),
    `EnvironmentFault` (the file system does not answer).
    """
    try:
        fd = _open(path, links_above=links_above)
    except FileNotFoundError as error:
        raise MissingInputError("no such file", remedy="check the path", path=path) from error
    except PermissionError as error:
        raise MissingInputError(
            "not readable: permission denied",
            remedy="let the user that runs Kakudai read it (chmod, chown or group)",
            path=path,
        ) from error
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise InputError(
                "is a symbolic link, or reached through one; links are never followed",
                remedy="give the file itself",
                path=path,
            ) from error
        if error.errno == errno.ENXIO:
            raise _not_regular(path) from error
        raise EnvironmentFault(
            f"cannot be opened: {error.strerror}", remedy="check the disk or mount it lies on", path=path
        ) from error
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise _not_regular(path)
        if status.st_size == 0:
            raise InputError("the file is empty (0 bytes)", remedy="copy it again", path=path)
        yield Source(path, fd, status.st_size, status.st_mtime_ns, status.st_ino, status.st_dev)
    finally:
        os.close(fd)


def _open(path: Path, *, links_above: bool) -> int:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    if links_above:
        return os.open(path, flags)
    with held_folder(path.parent) as folder:
        return os.open(path.name, flags, dir_fd=folder)


@contextmanager
def held_folder(path: Path) -> Iterator[int]:
    """A descriptor of the folder at an absolute `path`, on the way to which no link was followed.

    What is done through it (`dir_fd`, `/proc/self/fd/N`) is done in that folder, whatever becomes of the path.
    Raises OSError (ENOTDIR for a link).
    """
    folder = os.open(path.anchor, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in path.parts[1:]:
            # a link is no directory when it is not followed
            below = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            os.close(folder)
            folder = below
        yield folder
    finally:
        os.close(folder)


def _not_regular(path: Path) -> InputError:
    return InputError(
        "is not a regular file",
        remedy="give a picture or an episode, not a folder, pipe or device",
        path=path,
    )
