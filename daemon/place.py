"""Putting finished work under its name: hidden parts, durable folders, a rename that replaces nothing."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from daemon.job import signed
from engine.errors import OutputError
from engine.files import content_hashes, flush_folder, storing

_LONGEST_NAME = 255
"""Bytes of a file name on Linux."""
_RENAME_NOREPLACE = 1
_AT_FDCWD = -100

_libc = ctypes.CDLL(None, use_errno=True)


def part_path(folder: Path, name: str, job: str) -> Path:
    """The hidden file in which `name` is made: `.name.<job>.part`, in the same folder and so the same file system."""
    tail = f".{job}.part".encode()
    stem = os.fsencode(name)[: _LONGEST_NAME - 1 - len(tail)]
    return folder / os.fsdecode(b"." + stem + tail)


def numbered(path: Path, count: int) -> Path:
    """The name for the `count`-th file of one name: `film.mkv`, `film (2).mkv`, `film (3).mkv`, …

    A name too long for the file system is shortened before the number.
    """
    if count == 1:
        return path
    tail = f" ({count}){path.suffix}".encode("utf-8", "surrogateescape")
    stem = os.fsencode(path.stem)[: _LONGEST_NAME - len(tail)]
    return path.with_name(os.fsdecode(stem + tail))


def free_name(path: Path, *, after: int = 0) -> Path:
    """The first of `numbered(path, after + 1)`, … that nothing has."""
    count = after + 1
    while os.path.lexists(numbered(path, count)):
        count += 1
    return numbered(path, count)


def is_reachable(folder: Path) -> bool:
    """Whether there is a folder that answers: a mount whose other end has died (sshfs, rclone, NFS) does not."""
    try:
        return stat.S_ISDIR(folder.stat().st_mode)
    except OSError:
        return False


def make_folder(folder: Path) -> None:
    """Make `folder` and what is missing above it, durably. Raises `EnvironmentFault`, `OutputError`."""
    missing = []
    above = folder
    with storing(folder):
        while not above.exists() and above != above.parent:
            missing.append(above)
            above = above.parent
        for new in reversed(missing):
            new.mkdir(exist_ok=True)
            flush_folder(new.parent)
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))


def rename_without_replacing(source: Path, target: Path) -> None:
    """Give `source` the name `target` in one step, in one file system. Raises `FileExistsError`, other OSErrors."""
    result = _libc.renameat2(
        _AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), ctypes.c_uint(_RENAME_NOREPLACE)
    )
    if result == 0:
        return
    number = ctypes.get_errno()
    if number not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
        raise OSError(number, os.strerror(number), str(source), None, str(target))
    # the file system does not know the flag: a link refuses a taken name as well, but only files can have one
    if source.is_dir():
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
        source.rename(target)
    else:
        target.hardlink_to(source)
        source.unlink()


def refuse_unsafe(folder: Path) -> None:
    """Raise `OutputError` where the file system of `folder` has neither a rename nor a link that replaces nothing.

    Two jobs could overwrite each other there. Nothing is said of a folder that cannot be written now.
    """
    with contextlib.suppress(OSError):
        for left in folder.glob(".kakudai-*.part"):  # by a death in the middle of this
            left.unlink(missing_ok=True)
    probe = folder / f".kakudai-{os.getpid()}.part"
    target = folder / f".kakudai-{os.getpid()}-renamed.part"
    try:
        probe.touch(exist_ok=False)
    except OSError:
        return
    try:
        rename_without_replacing(probe, target)
    except OSError as error:
        if _renames(probe, target):  # so it is not the disk that refuses
            raise OutputError(
                "its file system can give names neither by renameat2(RENAME_NOREPLACE) nor by link, so that another "
                "file could be overwritten",
                remedy="choose a folder on another file system",
                path=folder,
            ) from error
    finally:
        probe.unlink(missing_ok=True)
        target.unlink(missing_ok=True)


def _renames(probe: Path, target: Path) -> bool:
    try:
        probe.rename(target)
    except OSError:
        return False
    return True


def remove(path: Path) -> None:
    """Remove a file or a folder with all it holds; nothing is followed, and nothing there is fine."""
    with storing(path):
        try:
            is_folder = stat.S_ISDIR(path.lstat().st_mode)
            if is_folder:
                shutil.rmtree(path)
            else:
                path.unlink()
        except FileNotFoundError:
            return


@dataclass(frozen=True)
class Content:
    """What identifies a finished part: `inode` while it stays on its file system, `sha256` and `size` anywhere."""

    inode: int
    size: int
    sha256: str
    crc32: str | None = None
    """Of a file."""


def read_back(path: Path, *, read: Callable[[int], object] = lambda _count: None) -> Content:
    """Read a part back; `read` is told of its bytes.

    A folder's SHA-256 is over the names and SHA-256s of its files, its size their sum.
    """
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode):
        return Content(signed(status.st_ino), status.st_size, *_hashes(path, read))
    digest = hashlib.sha256()
    size = 0
    for file in _files_below(path):
        digest.update(f"{file.relative_to(path)}\0{_hashes(file, read)[0]}\n".encode("utf-8", "surrogateescape"))
        size += file.lstat().st_size
    return Content(signed(status.st_ino), size, digest.hexdigest())


def is_the_one(path: Path, inode: int | None, size: int | None, sha256: str | None) -> bool:
    """Whether what lies at `path` is the part that was read back so. The content is read only if the inode differs."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return False
    is_folder = stat.S_ISDIR(status.st_mode)
    if not is_folder and status.st_size != size:
        return False
    return signed(status.st_ino) == inode or read_back(path).sha256 == sha256


def _files_below(folder: Path) -> Iterator[Path]:
    yield from sorted(path for path in folder.rglob("*") if not path.is_dir())


def _hashes(path: Path, read: Callable[[int], object]) -> tuple[str, str]:
    with path.open("rb") as file:
        return content_hashes(file.fileno(), read=read)
