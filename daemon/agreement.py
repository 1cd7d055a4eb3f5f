"""What the service and the process of a job agree on before anything is written: the place of the result."""

from __future__ import annotations

import dataclasses
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from daemon.config_model import Folder, TakenName
from daemon.deliver import taken
from daemon.job import Job
from daemon.outcome import Failed, Skipped
from daemon.place import make_folder, remove
from daemon.room import check_room
from daemon.running import Place, Running
from daemon.text import printable
from daemon.workshop import Workshop
from engine.errors import EnvironmentFault, OutputError
from engine.files import storing

_LARGEST_TWIN_REPORT = 1 << 18


def accept_plan(shop: Workshop, running: Running, plan: Mapping[str, object]) -> None:
    """Record where the result goes, then let the process begin. Nothing is written before that.

    Raises `EnvironmentFault` of the ledger; what else is in the way becomes the outcome.
    """
    job, folder = running.job, running.folder
    place = running.place_for(plan)
    if isinstance(place, Failed):
        running.outcome = place
        return
    twin = shop.ledger.delivered_twin(
        job, sha256=place.sha256, fingerprint=folder.settings.fingerprint(), wanted=place.wanted
    )
    try:
        if (why := _needless(place, folder, twin)) is not None:
            running.outcome = Skipped(why)
            return
        remove(place.part)
        check_room(shop.config, shop.ledger, place, plan)
        make_folder(place.wanted.parent)
        make_folder(place.work_dir)
    except (EnvironmentFault, OutputError) as error:
        running.outcome = Failed.from_error(error)
        return
    shop.ledger.planned(
        job,
        sha256=place.sha256,
        fingerprint=folder.settings.fingerprint(),
        wanted=place.wanted,
        part=place.part,
    )
    running.wanted = place.wanted
    running.process.answer(
        part=str(place.part),
        work_dir=str(place.work_dir),
        segments=[dataclasses.asdict(segment) for segment in shop.ledger.segments.of(job)],
        twin=_twin(shop, job, place.sha256, folder),
    )


def _needless(place: Place, folder: Folder, twin: Job | None) -> str | None:
    """Why nothing is to be made. Raises `EnvironmentFault`, `OutputError`: the output folder does not answer."""
    with storing(place.wanted):
        if twin and twin.output and twin.output.exists():
            return (
                f"the same content is delivered already as {printable(twin.output.name)} (job {twin.id}); "
                "remove that to have it made again"
            )
        if folder.taken_name is TakenName.SKIP and os.path.lexists(place.wanted):
            return taken(place.wanted)
    return None


def _twin(shop: Workshop, job: Job, sha256: str, folder: Folder) -> dict[str, str] | None:
    """A delivered output that this job's would equal byte for byte, for its process to copy."""
    fingerprint = folder.settings.fingerprint()
    if job.kind != "file" or "{crc32}" in folder.settings.name:  # that name is known only from the output
        return None
    for twin in shop.ledger.same_content(job, sha256=sha256, fingerprint=fingerprint):
        if (
            twin.folder in shop.silent
            or not (twin.output and twin.part_sha256 and twin.report)
            or len(twin.report) > _LARGEST_TWIN_REPORT
        ):
            continue
        if _bytes_of(twin.output) == twin.part_size:
            return {"path": str(twin.output), "sha256": twin.part_sha256, "report": twin.report}
    return None


def _bytes_of(path: Path) -> int | None:
    """None where there is no file, or none that answers."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None
