"""Durable files: written under a hidden name, flushed to the disk, then renamed; and what the disk says when it cannot.

`OSError` never leaves the engine: `storage_error` tells a fault of the machine, which passes (disk full, mount lost),
from an output that cannot be written at all.
"""

from __future__ import annotations

import errno
import hashlib
import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.errors import EnvironmentFault, KakudaiError, OutputError

_FAULTS = frozenset(
    {
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EROFS,
        errno.EIO,
        errno.ESTALE,
        errno.ENOTCONN,
        errno.ENODEV,
        errno.EHOSTDOWN,
        errno.ETIMEDOUT,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOMEM,
    }
)
"""Errors of the machine rather than of the job: the same job succeeds once they are gone."""

_CHUNK = 1 << 20
_REMEDY = "free space on the disk, or bring the file system back; work goes on by itself then"


def storage_error(error: OSError, path: Path) -> KakudaiError:
    """What an `OSError` on `path` means to the user: `EnvironmentFault` or `OutputError`."""
    reason = f"cannot be written: {error.strerror or error}"
    if error.errno in _FAULTS:
        return EnvironmentFault(reason, remedy=_REMEDY, path=path)
    return OutputError(reason, remedy="check the folder's owner, permissions and file system", path=path)


_FAULT_WORDS = (
    "No space left",
    "Disk quota exceeded",
    "Read-only file system",
    "Input/output error",
    "Stale file handle",
    "Transport endpoint is not connected",
)


def fault_in_message(message: str, path: Path) -> EnvironmentFault | None:
    """The fault of the machine that a child process reports in its own words (in the C locale), if it does."""
    for words in _FAULT_WORDS:
        if words.lower() in message.lower():
            return EnvironmentFault(f"cannot be written: {words}", remedy=_REMEDY, path=path)
    return None


@contextmanager
def storing(path: Path) -> Iterator[None]:
    """Turn an `OSError` of the block, which writes `path`, into a `KakudaiError`."""
    try:
        yield
    except OSError as error:
        raise storage_error(error, path) from error


def flush_folder(folder: Path) -> None:
    """Make the names in `folder` durable (fsync of the directory)."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def publish(hidden: Path, final: Path) -> None:
    """Rename `hidden`, which is flushed already, to `final` in the same folder, durably."""
    hidden.rename(final)
    flush_folder(final.parent)


def write_durably(path: Path, content: bytes) -> None:
    """Write a small file so that `path` holds either all of `content` or what it held before."""
    hidden = path.with_name(f".{path.name}.part")
    with storing(path):
        with hidden.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        publish(hidden, path)


def content_hashes(fd: int, *, read: Callable[[int], object] = lambda _count: None) -> tuple[str, str]:
    """SHA-256 (hex) and CRC-32 (eight upper-case digits) of an open file, in one pass; `read` is told of its bytes."""
    digest, checksum, offset = hashlib.sha256(), 0, 0
    while chunk := os.pread(fd, _CHUNK, offset):
        digest.update(chunk)
        checksum = zlib.crc32(chunk, checksum)
        offset += len(chunk)
        read(len(chunk))
    return digest.hexdigest(), f"{checksum:08X}"
