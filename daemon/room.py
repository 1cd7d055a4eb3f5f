"""Room on the disks for the next job: asked for before it starts, made where old work files can go."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from daemon.config_model import Config
from daemon.ledger import Ledger
from daemon.place import remove
from daemon.running import Place
from daemon.space import shortage, size, used_bytes

log = logging.getLogger(__name__)


def check_room(config: Config, ledger: Ledger, place: Place, plan: Mapping[str, object]) -> None:
    """Raise `EnvironmentFault` where a disk has no room for what the plan of a job says that it needs.

    Work files of failed jobs, kept for a retry, go where that is enough.
    """
    needs = _needs(place, plan)
    if not config.check_space or (short := shortage(needs)) is None:
        return
    old = {job.id: used_bytes(config.work_dir / str(job.id)) for job in ledger.jobs("failed")}
    kept = sum(old.values())
    if not kept or shortage({**needs, config.work_dir: -kept}) is not None:
        raise short
    for number in old:
        remove(config.work_dir / str(number))
        ledger.segments.forget(number)
    log.warning("the work files of failed jobs (%s) were removed to make room; a retry begins anew", size(kept))


def _needs(place: Place, plan: Mapping[str, object]) -> dict[Path, int]:
    """What the job will still write: segments that are there already count."""
    work, output = plan["work_bytes"], plan["output_bytes"]
    if not isinstance(work, int) or not isinstance(output, int):
        return {}
    return {place.wanted.parent: output, place.work_dir: max(0, work - used_bytes(place.work_dir))}
