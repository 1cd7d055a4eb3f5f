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
from collections.abc import Callable
from pathlib import Path

from daemon.config_model import Folder, Original, TakenName
from daemon.job import Job
from daemon.ledger import Ledger
from daemon.place import free_name, is_the_one, make_folder, part_path, remove, rename_without_replacing
from daemon.settling import frame_entries, look
from daemon.text import printable
from engine.errors import ProcessingError
from engine.files import flush_folder, storing

log = logging.getLogger(__name__)

_CHANGED = "the source has changed since it was enlarged, and was kept"


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

    Raises `EnvironmentFault` and `OutputError`: call again later.
    """
    if folder.original is Original.KEEP or job.output is None:
        ledger.original_done(job, "kept")
        return
    seen = look(os.fspath(job.source), job.kind)
    if seen is None:
        # gone: by us before a death, or by somebody else
        ledger.original_done(job, "moved" if folder.original is Original.MOVE else "deleted")
        return
    if not job.identity.same_file(seen.identity):
        ledger.original_done(job, "kept", note=_CHANGED)
        return
    with storing(job.source):
        if folder.original is Original.DELETE:
            _delete(job)
            ledger.original_done(job, "deleted")
        else:
            assert folder.moved_to is not None
            if _move(job, folder.moved_to / job.relative):
                ledger.original_done(job, "moved")
            else:
                ledger.original_done(job, "kept", note=_CHANGED)


def _delete(job: Job) -> None:
    if job.kind == "sequence":
        for frame in frame_entries(os.fspath(job.source)):
            Path(frame.path).unlink()
        with contextlib.suppress(OSError):
            job.source.rmdir()  # stays when it holds more than the frames
    else:
        job.source.unlink()
    flush_folder(job.source.parent)


def _move(job: Job, target: Path) -> bool:
    make_folder(target.parent)
    target = free_name(target)
    try:
        rename_without_replacing(job.source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        if not _copy_away(job, target):
            return False
    flush_folder(target.parent)
    flush_folder(job.source.parent)
    return True


def _copy_away(job: Job, target: Path) -> bool:
    """Move to another file system: copy under a hidden name, make durable, rename, and only then remove.

    False when the source changed meanwhile: it is kept.
    """
    part = part_path(target.parent, target.name, str(job.id))
    remove(part)
    if job.kind == "sequence":
        shutil.copytree(job.source, part, symlinks=True)
        for file in part.rglob("*"):
            _flush(file)
    else:
        shutil.copy2(job.source, part, follow_symlinks=False)
    _flush(part)
    seen = look(os.fspath(job.source), job.kind)
    if seen is None or not job.identity.same_file(seen.identity):
        remove(part)
        return False
    rename_without_replacing(part, target)
    flush_folder(target.parent)
    if job.kind == "sequence":
        shutil.rmtree(job.source)
    else:
        job.source.unlink()
    return True


def _flush(path: Path) -> None:
    if path.is_symlink():
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
