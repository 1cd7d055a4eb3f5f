"""Which job is next, and its start in a process of its own."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from daemon.child import JobProcess
from daemon.config_model import Folder
from daemon.request import Request
from daemon.running import Running
from daemon.text import printable
from daemon.workshop import Workshop
from engine.errors import EnvironmentFault

log = logging.getLogger(__name__)


class Claims:
    """Of one service. Raises `EnvironmentFault` of the ledger."""

    def __init__(self, shop: Workshop) -> None:
        self._shop = shop

    def look_again_at_incomplete(self, missing: Mapping[Path, str]) -> None:
        """Back-off in memory: after a restart each is looked at once, at once."""
        delayed = self._shop.pauses.delayed_jobs()
        for job in self._shop.ledger.jobs("incomplete"):
            if job.id not in delayed and job.folder in self._shop.folders and job.folder not in missing:
                self._shop.ledger.look_again(job)

    def claim(self, missing: Mapping[Path, str]) -> Running | None:
        """Start the first job of the queue whose folder is ready; None where none is."""
        ready = [
            folder
            for folder in self._shop.folders.values()
            if folder.input not in missing and not self._shop.pauses.is_paused(folder)
        ]
        job = self._shop.ledger.next_queued(
            folders=[folder.input for folder in ready], not_jobs=self._shop.pauses.delayed_jobs()
        )
        if job is None:
            return None
        folder = self._shop.folders[job.folder]
        if job.part is not None:
            return None  # what an earlier attempt left is removed first
        if not folder.output.is_dir():
            self._shop.pause(
                folder,
                EnvironmentFault(
                    "the output folder is not there",
                    remedy="mount or make it; work goes on by itself then",
                    path=folder.output,
                ),
            )
            return None
        self._shop.ledger.start(job, profile=folder.profile)
        try:
            process = JobProcess(
                Request(job.source, job.kind, job.identity, folder.settings, self._bytes_per_pixel(folder)),
                state_dir=self._shop.config.state_dir,
                log_path=self._shop.log_path(job),
            )
        except (EnvironmentFault, OSError) as error:
            reason = error.reason if isinstance(error, EnvironmentFault) else str(error)
            fault = EnvironmentFault(reason, remedy="free space and memory; work goes on by itself then")
            self._shop.ledger.requeue(job, outcome="paused", reason=fault.reason, remedy=fault.remedy)
            self._shop.pause(folder, fault)
            return None
        log.info("enlarging %s (job %d, profile %s)", printable(job.source), job.id, folder.profile)
        return Running(job, folder, process, work_dir=self._shop.work_dir(job), clock=self._shop.clock)

    def _bytes_per_pixel(self, folder: Folder) -> dict[str, float]:
        fingerprint = folder.settings.fingerprint()
        known = self._shop.ledger.rates.all().items()
        return {kind: found.rate.bytes_per_pixel for (settings, kind), found in known if settings == fingerprint}
