"""When a file counts as finished: unchanged for a while, nobody has it open for writing, and no download goes on."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import stat
from dataclasses import dataclass, replace
from pathlib import Path

from daemon.job import Identity, Job, JobKind, signed
from daemon.names import source_kind
from engine.source import held_folder


@dataclass(frozen=True)
class Seen:
    """A file as it was at one look. `change_ns` is its ctime, which nothing can set back."""

    identity: Identity
    change_ns: int
    files: int = 1


def look(path: str, kind: JobKind) -> Seen | None:
    """The file (or folder of frames) as it is now; None when it is gone, of another kind, or not to be seen.

    The last (no permission, a mount that does not answer) is no loss: every rescan looks again.
    """
    try:
        return _look_at_frames(path) if kind == "sequence" else _look_at_file(path)
    except OSError:
        return None


def _look_at_file(path: str) -> Seen | None:
    status = os.lstat(path)
    if not stat.S_ISREG(status.st_mode):
        return None
    return Seen(Identity.of(status), status.st_ctime_ns)


def _look_at_frames(path: str) -> Seen | None:
    frames = [entry.stat(follow_symlinks=False) for entry in frame_entries(path)]
    if not frames:
        return None
    return Seen(
        replace(
            Identity.of(os.lstat(path)),
            size=signed(sum(frame.st_size for frame in frames)),
            mtime_ns=signed(max(frame.st_mtime_ns for frame in frames)),
        ),
        max(frame.st_ctime_ns for frame in frames),
        len(frames),
    )


def listed(directory: str) -> list[tuple[os.DirEntry[str], bool, bool]]:
    """Each entry, whether it is a directory and whether a regular file; links are neither.

    Raises `OSError`, for an entry as well: some file systems have to be asked for its kind.
    """
    with os.scandir(directory) as entries:
        return [(entry, entry.is_dir(follow_symlinks=False), entry.is_file(follow_symlinks=False)) for entry in entries]


def frame_entries(path: str) -> list[os.DirEntry[str]]:
    """The pictures that lie directly in a folder, by name."""
    frames = [entry for entry, _, is_file in listed(path) if is_file and source_kind(entry.name) == "picture"]
    return sorted(frames, key=lambda entry: entry.name)


def writer_of(path: str, kind: JobKind) -> bool | str:
    """Whether some process has the file (of a sequence: its latest frame) open for writing; why, if that is not told.

    A read lease is refused with EAGAIN while a writer exists. Where leases do not work (another owner's file without
    CAP_LEASE, many network file systems) the waiting time alone decides. `path` is absolute; no link is followed.
    """
    try:
        if kind == "sequence":
            path = max(frame_entries(path), key=lambda entry: entry.stat(follow_symlinks=False).st_mtime_ns).path
        file = Path(path)
        with held_folder(file.parent) as folder:
            fd = os.open(file.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except (OSError, ValueError):
        return False  # gone, unreadable or behind a link: the next look, or the job itself, tells why
    try:
        # the lease lasts for microseconds; whoever opens the file for writing meanwhile causes a signal that is
        # ignored by default, instead of SIGIO, which would end the service
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EWOULDBLOCK):
            return True
        if error.errno == errno.EACCES:
            return "the file is another user's, and the service has no CAP_LEASE"
        return f"its file system gives no leases: {error.strerror}"
    finally:
        os.close(fd)
    return False


def is_still_downloading(path: str, root: str) -> bool:
    """Whether aria2 has not finished it: until then `NAME.aria2` lies beside a file, or beside the folder of a torrent.

    While such a download is paused nobody has the file open, and it is of its full size, with holes.
    """
    while len(path) > len(root):
        if os.path.lexists(f"{path}.aria2"):
            return True
        path = path.rpartition("/")[0]
    return False


def mount_is_lost(job: Job) -> bool:
    """Whether a job's source is out of sight because its file system is: no folder, or an empty one on another."""
    return folder_is_lost(job.folder, job.identity.device)


def folder_is_lost(folder: Path, device: int) -> bool:
    """Whether the file system is away on which `folder` lay when the device was `device`."""
    try:
        return signed(folder.stat().st_dev) != device and not any(folder.iterdir())
    except OSError:
        return True
