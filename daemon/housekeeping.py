"""What is thrown away, once a day: work files of failed jobs, the history of files that have left, old previews."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

from daemon.config_model import DAY_S, Config, Reports
from daemon.job import Job
from daemon.ledger import Ledger
from daemon.place import remove
from daemon.report import report_path
from daemon.settling import look, mount_is_lost
from engine.files import storing

log = logging.getLogger(__name__)

PREVIEWS = "previews"
"""In the state folder; each in a folder that has its job's number."""
KEPT_PREVIEWS = 20


def clean_up(config: Config, ledger: Ledger, *, now: Callable[[], float] = time.time) -> None:
    """Remove what `retention` no longer keeps. Raises `EnvironmentFault`.

    A row whose source still lies in its folder stays: it is what keeps the file from being enlarged again. While a
    folder is missing, none of its rows is judged.
    """
    places = {config.work_dir, config.state_dir / "work"}  # a work_dir that was configured only now left the other
    for entry in [entry for place in places for entry in _numbered(place)]:
        job = ledger.job(int(entry.name))
        ended = job is None or job.state in ("delivered", "skipped")
        kept_too_long = (
            job is not None and job.state == "failed" and _age_days(job.changed, now) > (config.retention.work_days)
        )
        if ended or kept_too_long:
            remove(entry)
            ledger.segments.forget(int(entry.name))
    configured = {folder.input for folder in config.folders}
    gone = []
    for job in ledger.ended_before(now() - config.retention.history_days * DAY_S):
        if job.folder in configured and mount_is_lost(job):
            continue
        seen = look(os.fspath(job.source), job.kind)
        if seen is None or not job.identity.same_file(seen.identity):
            gone.append(job)
    if gone:
        ledger.forget(gone)
        _drop_reports(config, gone)
        log.info("%d jobs are out of the history: their sources left long ago", len(gone))
    for log_file in sorted((config.state_dir / "logs").glob("job-*.log")):
        number = log_file.stem.removeprefix("job-").removesuffix("-preview")
        if number.isdigit() and ledger.job(int(number)) is None:
            remove(log_file)
    trim_previews(config, ledger)


def trim_previews(config: Config, ledger: Ledger) -> None:
    """Keep the newest previews, of jobs that the ledger knows. Raises `EnvironmentFault`."""
    entries = sorted(_numbered(config.state_dir / PREVIEWS), key=lambda entry: entry.lstat().st_mtime, reverse=True)
    known = [entry for entry in entries if ledger.job(int(entry.name)) is not None]
    for entry in set(entries) - set(known[:KEPT_PREVIEWS]):
        remove(entry)


def _drop_reports(config: Config, gone: list[Job]) -> None:
    """In the folder of reports, those of outputs that have left as well: nothing can be verified by them any more."""
    for job in gone:
        if config.reports is Reports.FOLDER and job.output is not None and not os.path.lexists(job.output):
            path = report_path(config, job.output, job.id)
            assert path is not None
            remove(path)


def _numbered(folder: Path) -> list[Path]:
    with storing(folder):
        return [entry for entry in folder.iterdir() if entry.name.isdigit()] if folder.is_dir() else []


def _age_days(moment: float, now: Callable[[], float]) -> float:
    return (now() - moment) / DAY_S
