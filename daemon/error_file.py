"""`failed/NAME.error.txt` in the output: why a file was not enlarged, for whoever does not see the service."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from pathlib import Path

from daemon.config_model import ErrorFiles, Folder
from daemon.job import Job
from daemon.place import is_reachable, make_folder, remove
from daemon.text import printable
from engine.errors import EnvironmentFault, OutputError
from engine.files import write_durably

log = logging.getLogger(__name__)

FAILED_FOLDER = "failed"

_TAIL = ".error.txt"
_LONGEST_NAME = 240
"""Bytes, which leave room for the hidden name it is written under."""
_LOG_LINES, _LOG_BYTES = 40, 1 << 14


def error_path(folder: Folder, job: Job) -> Path:
    """In the mirrored tree, below `failed`."""
    name = os.fsdecode(os.fsencode(job.source.name)[: _LONGEST_NAME - len(_TAIL)]) + _TAIL
    return folder.output / FAILED_FOLDER / job.relative.parent / name


def write_error_file(folder: Folder, job: Job, log_path: Path) -> None:
    """Where the folder wants it, for a job that has failed. A disk that refuses it costs no more than the file."""
    if folder.errors is ErrorFiles.OFF or not is_reachable(folder.output):
        return
    path = error_path(folder, job)
    try:
        make_folder(path.parent)
        write_durably(path, _text(job, log_path).encode())
    except (EnvironmentFault, OutputError) as error:
        log.warning("%s: %s", printable(path), error.reason)


def remove_error_file(folder: Folder, job: Job) -> None:
    """Once the file is delivered all the same; folders that held nothing else go with it."""
    if folder.errors is ErrorFiles.OFF:
        return
    path = error_path(folder, job)
    if not os.path.lexists(path):
        return
    try:
        remove(path)
    except (EnvironmentFault, OutputError) as error:
        log.warning("%s: %s", printable(path), error.reason)
        return
    with contextlib.suppress(OSError):  # one that holds more stays, and all above it
        for place in path.parents:
            if place == folder.output:
                break
            place.rmdir()


def _text(job: Job, log_path: Path) -> str:
    moment = time.strftime("%Y-%m-%d %H:%M", time.localtime(job.changed))
    reason = "\n         ".join(printable(line) for line in (job.reason or "").split("\n"))
    lines = [
        f"{printable(job.source.name)} was not enlarged.",
        "",
        f"Why:     {reason}",
        f"Cure:    {printable(job.remedy or '')}",
        f"         Then: kakudai retry {job.id} (or take the file out of its folder and put it back)",
        f"File:    {printable(job.source)}",
        f"When:    {moment}, job {job.id}, profile {job.profile}, attempts that failed: {job.failures}",
    ]
    if said := _last_lines(log_path):
        lines += ["", "The end of its log:", *(f"    {line}" for line in said)]
    return "\n".join(lines) + "\n"


def _last_lines(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _LOG_BYTES))
            data = file.read(_LOG_BYTES)
    except OSError:
        return []
    return [printable(line) for line in data.decode("utf-8", "replace").splitlines()[-_LOG_LINES:]]
