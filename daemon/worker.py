"""Jobs in child processes, one at a time (several where a cluster works): claims, starts, hears, delivers, records.

`tick` is called by the service's loop and never blocks for long. Every step first writes the ledger and then forgets
what led to it, so that a step the disk refused (`EnvironmentFault`) is simply made again at the next tick.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from daemon.agreement import accept_plan
from daemon.claims import Claims, goes_to_cluster
from daemon.conclusions import Conclusions
from daemon.config_model import Config
from daemon.folder_files import FolderFiles
from daemon.halt import halt
from daemon.job import Job
from daemon.ledger import Ledger
from daemon.outcome import Stopped
from daemon.pauses import Pauses
from daemon.running import GLIMPSE, Running
from daemon.tally import Tally
from daemon.text import printable
from daemon.workshop import Workshop

log = logging.getLogger(__name__)

DRAIN_S = 30.0
"""Seconds that the running job has, when the service is to end, to finish its segment."""
STOP_GRACE_S = 10.0
"""Seconds that a job's process has for an orderly end."""
OUTLIVED_S = 600.0
"""Seconds of work after which a job is not what makes the service die: earlier deaths are forgotten."""
_PAUSE_LOOK_S = 1.0
"""How often the file is looked for that lets a running job wait."""
_LAST_WORDS_S = 5.0
"""Seconds more, for the ledger's disk; if it refuses so long, the job counts as interrupted at the next start."""


class Worker:
    """Works the ledger's queue. `forget` tells the watcher to look at a source anew."""

    def __init__(
        self,
        config: Config,
        ledger: Ledger,
        *,
        clock: Callable[[], float],
        forget: Callable[[Path], None],
        news: Callable[[Job], None] = lambda _job: None,
    ) -> None:
        self._shop = Workshop(config, ledger, clock=clock, forget=forget, news=news)
        self._claims = Claims(self._shop)
        self._conclusions = Conclusions(self._shop)
        self._drain_until: float | None = None
        self._looked_at_pauses = float("-inf")
        self._told: deque[str] = deque(maxlen=1000)
        self.at_work: list[Running] = []

    @property
    def running(self) -> Running | None:
        """The job at work that began first."""
        return self.at_work[0] if self.at_work else None

    @property
    def _most_at_work(self) -> int:
        return self._shop.config.cluster.episodes if self._shop.config.cluster else 1

    def cluster(self) -> dict[str, Any] | None:
        """The cluster's nodes, JSON-ready; None where there is none."""
        return self._shop.cluster.plain(self._shop.config.cluster)

    @property
    def pauses(self) -> Pauses:
        """Which folders and jobs wait for the machine."""
        return self._shop.pauses

    @property
    def files(self) -> FolderFiles:
        """The files by which folders are steered."""
        return self._shop.files

    def waits(self) -> dict[Path, tuple[str, str]]:
        """Reason and remedy for each folder whose jobs wait."""
        return {
            **self.pauses.reasons(),
            **{hold.place: (hold.reason, hold.remedy) for hold in self._claims.holds()},
        }

    @property
    def tally(self) -> Tally:
        """What was done so far."""
        return self._shop.tally

    def glimpse_path(self, number: int) -> Path | None:
        """The last look at the running job's work, if that is job `number` and it took one."""
        running = next((running for running in self.at_work if running.job.id == number), None)
        if running is None or running.glimpse is None:
            return None
        return self._shop.work_dir(running.job) / GLIMPSE

    def reload(self, config: Config) -> None:
        """Work by another configuration from the next job on."""
        self._shop.config = config
        self._claims.reload()

    @property
    def stopped(self) -> bool:
        """Whether the end that was asked for is reached: no process runs, or its time is over."""
        if self._drain_until is None or not self.at_work:
            return self._stopping
        return self._shop.clock() > self._drain_until + STOP_GRACE_S + _LAST_WORDS_S

    @property
    def _stopping(self) -> bool:
        return self._drain_until is not None

    def stop(self) -> None:
        """Claim nothing more and end the running job in order; it is queued again in its place.

        Where the end of its segment is near, it gets there first.
        """
        if self._drain_until is None:
            left = {running: running.seconds_to_safety() for running in self.at_work}
            near = [running for running, left_s in left.items() if left_s is not None and left_s <= DRAIN_S]
            self._drain_until = self._shop.clock() + (DRAIN_S if near else 0.0)
            for running in self.at_work:
                if running in near:
                    name = printable(running.job.source)
                    log.info("%s: finishes its segment first; a second signal ends it at once", name)
                else:
                    running.ask_to_end()

    def stop_at_once(self) -> None:
        """The same without waiting for the segment."""
        for running in self.at_work:
            running.ask_to_end()

    def tell_failures(self, jobs: Iterable[Job]) -> None:
        """Of jobs that failed while no worker was there."""
        for job in jobs:
            self._conclusions.tell_failure(job)

    def drop(self, numbers: Collection[int]) -> None:
        """End the running job at once if it is one of these: the ledger has cancelled it already."""
        for running in [running for running in self.at_work if running.job.id in numbers]:
            self._end(running)
            self._conclusions.remove_work_files(running.job)

    def close(self) -> None:
        """End the running processes at once."""
        for running in list(self.at_work):
            self._end(running)

    def _end(self, running: Running) -> None:
        running.process.close()
        self.at_work.remove(running)
        self._shop.cluster.over(running.job.id)

    def leave_alone(self, silent: Collection[Path]) -> None:
        """Touch nothing of these watched folders, which do not answer, until told otherwise."""
        self._shop.leave_alone(silent)

    def tick(self, *, missing: Mapping[Path, str], may_begin: bool = True) -> None:
        """Go on; begin another job only if it `may_begin`. `missing` are the watched folders that cannot be listed.

        Raises `EnvironmentFault` of the ledger.
        """
        halted = halt(self._shop.config, self._shop.ledger, now=time.time()) is not None
        looks = self._shop.clock() >= self._looked_at_pauses + _PAUSE_LOOK_S
        self._looked_at_pauses = self._shop.clock() if looks else self._looked_at_pauses
        for running in list(self.at_work):
            running.paused = self._is_paused(running) if looks else running.paused
            running.draining = halted or self._stopping or running.paused
            self._attend(running)
        if len(self.at_work) < self._most_at_work:
            self._conclusions.remove_leftovers()
            self._conclusions.finish_deliveries()
            if may_begin and not halted and not self._stopping:
                self._claims.look_again_at_incomplete(missing)
                here = any(not goes_to_cluster(running.job) for running in self.at_work)
                claimed = self._claims.claim(missing, only_for_cluster=here)
                self.at_work += [] if claimed is None else [claimed]

    def _is_paused(self, running: Running) -> bool:
        return self.files.paused(running.folder, running.job.source, running.job.kind) is not None

    def _attend(self, running: Running) -> None:
        silent = running.folder.input in self._shop.silent
        running.hear()
        if silent:
            running.excuse()
        self._pass_on_warnings(running)
        if running.cluster is not None:
            self._shop.cluster.note(running.job.id, running.cluster)
            running.cluster = None
        while running.outcome is None and running.plans and not silent:
            accept_plan(self._shop, running, running.plans[0])
            running.plans.popleft()
        self._record_segments(running)
        self._end_in_order(running)
        if running.outcome is None and not silent:
            running.outcome = running.verdict()
        if not running.outlived and running.seconds > OUTLIVED_S:
            self._shop.ledger.outlived(running.job)
            running.outlived = True
        if silent and not isinstance(running.outcome, Stopped):
            return
        if running.outcome is not None and running.ended():
            self._conclusions.conclude(running, running.outcome, stopping=self._stopping)
            self._shop.tally.note(running.outcome)
            self._end(running)

    def _end_in_order(self, running: Running) -> None:
        """Ask a job to end that is to leave and has nothing to lose, or no time left; insist when it does not."""
        now = self._shop.clock()
        nothing_to_lose = running.draining and running.wanted is None
        if nothing_to_lose or (self._drain_until is not None and now >= self._drain_until):
            running.ask_to_end()
        asked = running.asked_to_end
        if running.outcome is None and asked is not None and now >= asked + STOP_GRACE_S:
            running.outcome = Stopped()

    def _pass_on_warnings(self, running: Running) -> None:
        """Into the service's log; what every job says (no GPU, …) only once, what it says of its output always."""
        while running.warnings:
            warning = running.warnings.popleft()
            if warning not in self._told:
                self._told.append(warning)
                log.warning("%s: %s", printable(running.job.source), printable(warning))
        while running.notes:
            log.warning("%s: %s", printable(running.job.source), printable(running.notes.popleft()))

    def _record_segments(self, running: Running) -> None:
        """Commit what is finished; the process waits for the word. One that is to leave is told so before it."""
        while running.segments:
            self._shop.ledger.segments.keep(running.job, running.segments[0])
            index = running.segments.popleft().index
            if running.draining:
                running.ask_to_end()
            running.process.answer(segment=index)
