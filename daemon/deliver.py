"""From a finished part to a delivered file, in steps that each can be the last before a power cut.

    part, durable → `verifying` in the ledger, with the part's content and final name → rename without replacing
    → fsync of the folder → report → `delivered` in the ledger → what becomes of the original

After a death, the disk tells how far it came: the part is there, or what has its content lies under the final name.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
import stat
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from daemon.config_model import Folder, Original, TakenName
from daemon.job import Job, JobKind
from daemon.ledger import Ledger
from daemon.place import free_name, is_the_one, make_folder, part_path, remove, rename_without_replacing
from daemon.settling import frame_entries, look, mount_is_lost
from daemon.text import printable
from engine.errors import ProcessingError
from engine.files import flush_folder, storing
from engine.source import held_folder

log = logging.getLogger(__name__)

_CHANGED = "the source has changed since it was enlarged, and was kept"
_GONE = {Original.MOVE: "moved", Original.DELETE: "deleted"}
"""A source that is gone: by us before a death, or by somebody else."""


def deliver(
    job: Job, folder: Folder, ledger: Ledger, *, write_report: Callable[[Job, Path], None] = lambda _job, _output: None
) -> None:
    """Bring a job in `verifying` to its end; may be called again after any interruption.

    `write_report` writes the report of the job's output, durably.

    Raises `EnvironmentFault` and `OutputError` (nothing is lost, call again later), `ProcessingError` (part gone).
    """
    assert job.part is not None
    assert job.wanted is not None
    assert job.output is not None
    output = job.output
    with storing(output):
        while os.path.lexists(job.part):
            try:
                rename_without_replacing(job.part, output)
            except FileExistsError:
                if not job.part.is_dir() and output.exists() and job.part.samefile(output):
                    job.part.unlink()  # linked, but not yet unlinked, before a death
                elif folder.taken_name is TakenName.SKIP:
                    remove(job.part)
                    ledger.skip(job, taken(output))
                    return
                else:
                    output = free_name(job.wanted, after=1)
                    ledger.rename_output(job, output)
        if not is_the_one(output, job.part_inode, job.part_size, job.part_sha256):
            raise ProcessingError(
                "the finished part was removed before it could be delivered",
                remedy="keep other programs from removing hidden .part files in the output folder",
                path=job.source,
            )
        flush_folder(output.parent)
    write_report(job, output)
    ledger.delivered(job, original="kept" if folder.original is Original.KEEP else "pending")
    log.info("delivered %s as %s", printable(job.source), printable(output))


def taken(output: Path) -> str:
    """Why a file is skipped whose name is taken."""
    return f"the output holds {printable(output.name)} already (taken_name: skip)"


def finish_original(job: Job, folder: Folder, ledger: Ledger) -> None:
    """Move or delete the source of a delivered job, as the folder says; it is kept if it has changed since.

    Call again later while its file system is away, or when this raises: `EnvironmentFault`, `OutputError`.
    """
    if folder.original is Original.KEEP or job.output is None:
        ledger.original_done(job, "kept")
        return
    with storing(job.source), ExitStack() as stack:
        try:
            held = stack.enter_context(held_folder(job.source.parent))
        except NotADirectoryError:
            ledger.original_done(job, "kept", note="a folder on the way to it has become a link")
            return
        except FileNotFoundError:
            _note_gone(job, folder, ledger)
            return
        # from here on in that very folder, whatever becomes of its path
        source = Path(f"/proc/self/fd/{held}") / job.source.name
        seen = look(os.fspath(source), job.kind)
        if seen is None:
            _note_gone(job, folder, ledger)
        elif not job.identity.same_file(seen.identity):
            ledger.original_done(job, "kept", note=_CHANGED)
        elif folder.original is Original.DELETE:
            _delete(source, job.kind)
            ledger.original_done(job, "deleted")
        else:
            assert folder.moved_to is not None
            note = _move(source, job, folder.moved_to / job.relative)
            ledger.original_done(job, "kept" if note else "moved", note=note)


def _note_gone(job: Job, folder: Folder, ledger: Ledger) -> None:
    if not mount_is_lost(job):
        ledger.original_done(job, _GONE[folder.original])


def _delete(source: Path, kind: JobKind) -> None:
    if kind == "sequence":
        for frame in frame_entries(os.fspath(source)):
            Path(frame.path).unlink()
        with contextlib.suppress(OSError):
            source.rmdir()  # stays when it holds more than the frames
    else:
        source.unlink()
    flush_folder(source.parent)


def _move(source: Path, job: Job, target: Path) -> str | None:
    """Returns why the source is kept, None when it is moved."""
    make_folder(target.parent)
    target = free_name(target)
    try:
        rename_without_replacing(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        if note := _copy_away(source, job, target):
            return note
    flush_folder(target.parent)
    flush_folder(source.parent)
    return None


def _copy_away(source: Path, job: Job, target: Path) -> str | None:
    """Move to another file system: copy under a hidden name, make durable, rename, and only then remove.

    Returns why the source is kept: it changed meanwhile, or holds what cannot be copied.
    """
    part = part_path(target.parent, target.name, str(job.id))
    remove(part)
    if job.kind == "sequence":
        if any(_is_special(path) for path in source.rglob("*")):
            return "the folder holds a pipe, a socket or a device, and was kept"
        _copy_folder(source, part)
        for file in part.rglob("*"):
            _flush(file)
    else:
        _copy_file(source, part)
    _flush(part)
    seen = look(os.fspath(source), job.kind)
    if seen is None or not job.identity.same_file(seen.identity):
        remove(part)
        return _CHANGED
    rename_without_replacing(part, target)
    flush_folder(target.parent)
    if job.kind == "sequence":
        _remove_what_was_copied(source, target)
    else:
        source.unlink()
    return None


def _copy_folder(source: Path, copy: Path) -> None:
    copy.mkdir()
    for entry in source.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            _copy_folder(entry, copy / entry.name)
        else:
            _copy_file(entry, copy / entry.name)
    _copy_metadata(source, copy)


def _copy_file(source: Path, copy: Path) -> None:
    shutil.copyfile(source, copy, follow_symlinks=False)
    _copy_metadata(source, copy)


def _copy_metadata(source: Path, copy: Path) -> None:
    """Times, mode and attributes, where both file systems know them: SMB, FAT and cloud mounts refuse some or all."""
    with contextlib.suppress(OSError):
        shutil.copystat(source, copy, follow_symlinks=False)


def _remove_what_was_copied(source: Path, copy: Path) -> None:
    """What came into the folder meanwhile stays, and the folder with it."""
    for copied in sorted(copy.rglob("*"), reverse=True):  # what is in a folder before the folder
        original = source / copied.relative_to(copy)
        if original.is_dir() and not original.is_symlink():
            with contextlib.suppress(OSError):
                original.rmdir()
        else:
            original.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        source.rmdir()


def _is_special(path: Path) -> bool:
    mode = path.lstat().st_mode
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode))


def _flush(path: Path) -> None:
    if path.is_symlink():
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
