"""Which job is next, and its start in a process of its own."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from pathlib import Path

from daemon.child import JobProcess
from daemon.config_model import Folder
from daemon.folder_files import Hold
from daemon.job import Job
from daemon.place import is_reachable
from daemon.request import Request
from daemon.running import Running
from daemon.text import printable
from daemon.workshop import Workshop
from engine.errors import EnvironmentFault
from engine.settings import EPISODE_EXTENSIONS

log = logging.getLogger(__name__)

_HOLD_LOOK_S = 1.0
_LONGEST_LOOK_S = 0.25
"""For a job that nothing holds back; the search goes on at the next turn."""
_MOST_HOLDS = 1000
"""Folders that wait, each on its own: far more than a person makes, and few enough to look at every second."""


def goes_to_cluster(job: Job) -> bool:
    """Whether a job's work is sent to the cluster where there is one: an episode's is."""
    return job.kind == "file" and job.source.suffix.lower() in EPISODE_EXTENSIONS


class Claims:
    """Of one service. Raises `EnvironmentFault` of the ledger."""

    def __init__(self, shop: Workshop) -> None:
        self._shop = shop
        self._holds: dict[Path, Hold] = {}
        self._looked_at_holds = float("-inf")
        self._in_vain: object = None

    def holds(self) -> Collection[Hold]:
        """The folders that wait because of a file in them, as far as the queue came upon them."""
        return self._holds.values()

    def reload(self) -> None:
        """Another configuration: whatever was held is looked at anew."""
        self._holds.clear()
        self._in_vain = None

    def look_again_at_incomplete(self, missing: Mapping[Path, str]) -> None:
        """Back-off in memory: after a restart each is looked at once, at once."""
        delayed = self._shop.pauses.delayed_jobs()
        for job in self._shop.ledger.jobs("incomplete"):
            if job.id not in delayed and job.folder in self._shop.folders and job.folder not in missing:
                self._shop.ledger.look_again(job)

    def claim(self, missing: Mapping[Path, str], *, only_for_cluster: bool = False) -> Running | None:
        """Start the first job of the queue that nothing holds back; None where there is none.

        `only_for_cluster`: another job takes this machine, so a job that would as well waits for its turn.
        """
        found = self._first(missing)
        if found is None:
            return None
        job, folder = found
        cluster = self._shop.config.cluster if goes_to_cluster(job) else None
        if cluster is None and only_for_cluster:
            return None
        if job.part is not None:
            return None  # what an earlier attempt left is removed first
        if not is_reachable(folder.output):
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
                Request(
                    job.source,
                    job.kind,
                    job.identity,
                    folder.settings,
                    self._bytes_per_pixel(folder),
                    self._shop.config.worker.nice,
                    cluster,
                    self._shop.cluster.set_aside(),
                ),
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
        return Running(
            job,
            folder,
            process,
            work_dir=self._shop.work_dir(job),
            clock=self._shop.clock,
            limits=self._shop.config.worker,
        )

    def _first(self, missing: Mapping[Path, str]) -> tuple[Job, Folder] | None:
        """The next job, and its folder with the settings that hold for it.

        Where nothing has changed since nothing was found, a long queue of held jobs is not searched again.
        """
        folders = {
            place: folder
            for place, folder in self._shop.folders.items()
            if place not in missing and not self._shop.pauses.is_paused(folder)
        }
        self._forget_old_holds(folders)
        turn_ends = self._shop.clock() + _LONGEST_LOOK_S
        while self._shop.clock() < turn_ends:
            delayed = self._shop.pauses.delayed_jobs()
            asked = (self._shop.ledger.version, frozenset(folders), frozenset(delayed), frozenset(self._holds))
            if asked == self._in_vain:
                return None
            job = self._shop.ledger.next_queued(folders=folders, not_jobs=delayed, not_below=self._holds)
            if job is None:
                self._in_vain = asked
                return None
            found = self._shop.files.steer(folders[job.folder], job.source, job.kind)
            if isinstance(found, Folder):
                return job, found
            self._hold(found, job)
        return None

    def _hold(self, hold: Hold, job: Job) -> None:
        if len(self._holds) >= _MOST_HOLDS:
            hold = Hold(job.folder, f"more than {_MOST_HOLDS} folders in it wait", "look at the others that wait first")
        log.warning("%s: waits: %s; %s", printable(hold.place), hold.reason, hold.remedy)
        self._holds[hold.place] = hold

    def _forget_old_holds(self, folders: Mapping[Path, Folder]) -> None:
        """Those whose file is gone or correct, once a second."""
        now = self._shop.clock()
        if now < self._looked_at_holds + _HOLD_LOOK_S:
            return
        self._looked_at_holds = now
        for place in list(self._holds):
            folder = next((folder for root, folder in folders.items() if place.is_relative_to(root)), None)
            if folder is None:
                continue
            found = self._shop.files.steer(folder, place, "sequence")
            if not isinstance(found, Hold) or found.place != place:
                del self._holds[place]
                log.info("%s: goes on", printable(place))
            else:
                self._holds[place] = found

    def _bytes_per_pixel(self, folder: Folder) -> dict[str, float]:
        fingerprint = folder.settings.fingerprint()
        known = self._shop.ledger.rates.all().items()
        return {kind: found.rate.bytes_per_pixel for (settings, kind), found in known if settings == fingerprint}
