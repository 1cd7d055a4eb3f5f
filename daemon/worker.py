"""One job at a time in a child process: claims, starts, hears, delivers, records.

`tick` is called by the service's loop and never blocks for long. Every step first writes the ledger and then forgets
what led to it, so that a step the disk refused (`EnvironmentFault`) is simply made again at the next tick.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

from daemon.agreement import accept_plan
from daemon.claims import Claims
from daemon.conclusions import Conclusions
from daemon.config_model import Config
from daemon.ledger import Ledger
from daemon.outcome import Stopped
from daemon.pauses import Pauses
from daemon.running import Running
from daemon.text import printable
from daemon.workshop import Workshop

log = logging.getLogger(__name__)

STOP_GRACE_S = 20.0
"""Seconds that a job's process has for an orderly end."""
OUTLIVED_S = 600.0
"""Seconds of work after which a job is not what makes the service die: earlier deaths are forgotten."""
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
    ) -> None:
        self._shop = Workshop(config, ledger, clock=clock, forget=forget)
        self._claims = Claims(self._shop)
        self._conclusions = Conclusions(self._shop)
        self._stop_by: float | None = None
        self._told: deque[str] = deque(maxlen=1000)
        self.running: Running | None = None

    @property
    def pauses(self) -> Pauses:
        """Which folders and jobs wait for the machine."""
        return self._shop.pauses

    def reload(self, config: Config) -> None:
        """Work by another configuration from the next job on."""
        self._shop.config = config

    @property
    def stopped(self) -> bool:
        """Whether the end that was asked for is reached: no process runs, or its time is over."""
        if self._stop_by is None:
            return False
        return self.running is None or self._shop.clock() > self._stop_by + _LAST_WORDS_S

    def stop(self) -> None:
        """Claim nothing more and end the running job in order; it is queued again in its place."""
        if self._stop_by is None:
            self._stop_by = self._shop.clock() + STOP_GRACE_S
            if self.running:
                self.running.process.terminate()

    def close(self) -> None:
        """End the running process at once."""
        if self.running:
            self.running.process.close()
            self.running = None

    def tick(self, *, missing: Mapping[Path, str]) -> None:
        """Go on. `missing` are the watched folders that cannot be listed. Raises `EnvironmentFault` of the ledger."""
        if self.running:
            self._attend(self.running)
        if self.running is None:
            self._conclusions.remove_leftovers()
            self._conclusions.finish_deliveries()
            if self._stop_by is None:
                self._claims.look_again_at_incomplete(missing)
                self.running = self._claims.claim(missing)

    def _attend(self, running: Running) -> None:
        running.hear()
        self._pass_on_warnings(running)
        while running.outcome is None and running.plans:
            accept_plan(self._shop, running, running.plans[0])
            running.plans.popleft()
        self._record_segments(running)
        if running.outcome is None:
            running.outcome = running.verdict(stopping=self._stop_by is not None)
        if not running.outlived and running.seconds > OUTLIVED_S:
            self._shop.ledger.outlived(running.job)
            running.outlived = True
        if self._stop_by is not None and self._shop.clock() >= self._stop_by and running.outcome is None:
            running.outcome = Stopped()
        if running.outcome is not None and running.ended():
            self._conclusions.conclude(running, running.outcome, stopping=self._stop_by is not None)
            running.process.close()
            self.running = None

    def _pass_on_warnings(self, running: Running) -> None:
        """Into the service's log; what every job says (no GPU, …) only once."""
        while running.warnings:
            warning = running.warnings.popleft()
            if warning not in self._told:
                self._told.append(warning)
                log.warning("%s: %s", printable(running.job.source), printable(warning))

    def _record_segments(self, running: Running) -> None:
        """Commit what is finished; the process waits for the word."""
        while running.segments:
            self._shop.ledger.segments.keep(running.job, running.segments[0])
            running.process.answer(segment=running.segments.popleft().index)
