"""A damaged ledger is set aside, and a new one learns from the reports what was delivered already.

All else it learns from the folders: what lies in an input and was not delivered is queued anew.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from daemon.config_model import Config, Folder
from daemon.folder_files import FolderFiles, Hold
from daemon.job import Delivery
from daemon.knocks import Knocks
from daemon.ledger import Ledger
from daemon.place import free_name, is_reachable, remove
from daemon.places import SILENT_REMEDY, silent_folders
from daemon.report import read_report
from daemon.request import settings_to_plain
from daemon.store import DamagedLedgerError
from daemon.text import printable
from engine.errors import EnvironmentFault, KakudaiError
from engine.files import storing

log = logging.getLogger(__name__)

_PART = re.compile(r"\..*\.\d+\.part", re.DOTALL)
_NUMBER = re.compile(r" \(\d+\)$")


def open_ledger(config: Config, knocks: Knocks) -> Ledger:
    """The ledger of the state folder; a damaged one is set aside as `ledger.db.damaged`, loudly.

    Raises `EnvironmentFault` (locked, disk, a folder that does not tell what it holds), `ToolError` (too new).
    """
    path = config.state_dir / "ledger.db"
    try:
        return Ledger(path)
    except DamagedLedgerError as error:
        for folder, reason in silent_folders(config, knocks).items():
            raise _unseen(folder, reason, SILENT_REMEDY) from error
        aside = free_name(path.with_name("ledger.db.damaged"))
        log.error("%s; it is set aside as %s and a new one is made from the folders and reports", error, aside.name)
    with storing(path):
        path.rename(aside)
        for tail in ("-wal", "-shm"):
            if (beside := path.with_name(path.name + tail)).exists():
                beside.rename(aside.with_name(aside.name + tail))
    ledger = Ledger(path)
    try:
        _rebuild(config, ledger)
    except BaseException:
        ledger.close()
        remove(path)  # half a memory would have delivered files made again
        aside.rename(path)
        raise
    return ledger


def _rebuild(config: Config, ledger: Ledger) -> None:
    files = FolderFiles()
    deliveries = [delivery for path in _reports(config) if (delivery := _delivery(config, path, files))]
    used = [int(name) for name in _numbers(config)]
    ledger.remember(deliveries, after=max(used, default=0))
    for folder in config.folders:
        for part in _below(folder.output, ".*.part"):
            if _PART.fullmatch(part.name):
                remove(part)
    log.warning("the new ledger knows of %d deliveries; what else lies in the folders is queued", len(deliveries))


def _reports(config: Config) -> Iterator[Path]:
    yield from sorted((config.state_dir / "reports").glob("*.json"))
    for folder in config.folders:
        yield from sorted(_below(folder.output, "*.kakudai.json"))


def _below(folder: Path, pattern: str) -> list[Path]:
    """Raises `EnvironmentFault` where the folder does not answer."""
    with storing(folder):
        return list(folder.rglob(pattern))


def _delivery(config: Config, path: Path, files: FolderFiles) -> Delivery | None:
    """What a report tells of an output that is still there, made with the settings of today.

    Raises `EnvironmentFault` where that cannot be seen.
    """
    try:
        report = read_report(path)
        output, source = Path(report["output"]["path"]), report["source"]
        folder = _folder_of(config, output, Path(source["path"]), files)
        if folder is None or report["settings"] != _plain(folder):
            return None
        if not _lies_there(output, report["output"]["size"], folder):
            return None
        wanted = output.with_name(_NUMBER.sub("", output.stem) + output.suffix)
        return Delivery(
            folder=folder.input,
            source=Path(source["path"]),
            profile=folder.profile,
            sha256=str(source["sha256"]),
            fingerprint=folder.settings.fingerprint(),
            wanted=wanted,
            output=output,
        )
    except EnvironmentFault:
        raise
    except (KakudaiError, KeyError, TypeError, ValueError) as error:
        log.warning("%s: tells nothing of a delivery: %s", printable(path), printable(str(error)))
        return None


def _lies_there(output: Path, size: int, folder: Folder) -> bool:
    if not is_reachable(folder.output):
        raise _unseen(folder.output, "is not there", "mount it; if all of it has gone, make an empty folder there")
    with storing(output):
        return output.exists() and (output.is_dir() or output.stat().st_size == size)


def _unseen(folder: Path, why: str, remedy: str) -> EnvironmentFault:
    return EnvironmentFault(
        f"{why}; what was delivered cannot be seen, and the damaged ledger is to be made anew from it",
        remedy=remedy,
        path=folder,
    )


def _folder_of(config: Config, output: Path, source: Path, files: FolderFiles) -> Folder | None:
    """The folder, with the settings that hold for that source."""
    folder = next((folder for folder in config.folders if output.is_relative_to(folder.output)), None)
    if folder is None or not source.is_relative_to(folder.input):
        return folder
    found = files.override(folder, source, "file")
    return None if isinstance(found, Hold) else found


def _plain(folder: Folder) -> dict[str, Any]:
    """As `daemon.report.assemble` writes settings."""
    plain = settings_to_plain(folder.settings)
    return {name: value for name, value in plain.items() if name != "limits" and value is not None}


def _numbers(config: Config) -> Iterator[str]:
    """Numbers of jobs that left something behind: new jobs start after them."""
    for place, pattern in (("logs", r"job-(\d+)\.log"), ("reports", r"(\d+) .*"), ("work", r"(\d+)")):
        folder = config.state_dir / place
        if folder.is_dir():
            yield from (
                match[1] for entry in folder.iterdir() if (match := re.fullmatch(pattern, entry.name, re.DOTALL))
            )
