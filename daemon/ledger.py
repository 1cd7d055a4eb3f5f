"""The one durable truth: which files are known, what became of them, what is to be done next.

One owner: the process that holds the state folder's lock; others ask it through the control socket.
`daemon.ledger_queries` reads, `daemon.ledger_transitions` takes a job from state to state; here is what concerns the
ledger as a whole, and what people ask for.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from daemon.history import History
from daemon.job import Delivery, Job
from daemon.ledger_transitions import Transitions
from daemon.rates import Rates
from daemon.segment_rows import SegmentRows
from daemon.store import Store

LARGEST_INTERRUPTIONS = 10
"""Deaths of the service in a row, without progress, after which a job counts as their cause."""
CANCELLED = "cancelled"
"""Why a job is skipped that somebody cancelled."""


@dataclass(frozen=True)
class Judged:
    """What was asked was done to these jobs, and why not to others."""

    jobs: list[int]
    refused: dict[int, str]


class Ledger(Transitions):
    """The ledger of one state folder. Raises `EnvironmentFault` when the disk refuses; nothing is half done."""

    def __init__(self, path: Path, *, now: Callable[[], float] = time.time) -> None:
        self.path = path
        self._now = now
        self._store = Store(path)
        self.history = History(self._store)
        self.segments = SegmentRows(self._store, now=now)
        self.rates = Rates(self._store, now=now)
        found = self._store.rows("SELECT max(position) FROM jobs")[0][0]
        self._position: int = found or 0

    def close(self) -> None:
        """Checkpoint and close."""
        self._store.close()

    def recover(self) -> list[Job]:
        """After a death of the service: what ran is queued again behind the others and uses no attempt.

        A job that saw ten deaths in a row fails as their likely cause. Returns what ran, as it was.
        """
        ran = self.jobs("running")
        for job in ran:
            if job.interruptions + 1 >= LARGEST_INTERRUPTIONS:
                self.fail(
                    job,
                    error="ProcessingError",
                    reason=f"the service died {LARGEST_INTERRUPTIONS} times in a row while working on it",
                    remedy=f"look into the service's journal; then: kakudai retry {job.id}",
                    used=False,
                )
            else:
                self.requeue(job, outcome="interrupted", reason="the service died while working on it")
        return ran

    def remember(self, deliveries: Iterable[Delivery], *, after: int) -> None:
        """Into an empty ledger: what was delivered under an earlier one; numbers of jobs go on behind `after`.

        The sources' identities are not known, so they are looked at again; their content tells that they are done.
        """
        with self._store.transaction() as write:
            for number, delivery in enumerate(deliveries, start=after + 1):
                write(
                    "INSERT INTO jobs (id, folder, source, kind, inode, device, size, mtime_ns, superseded, state, "
                    "position, profile, sha256, fingerprint, wanted, output, original, created, changed) "
                    "VALUES (?, ?, ?, 'file', 0, 0, 0, 0, 1, 'delivered', ?, ?, ?, ?, ?, ?, 'kept', ?, ?)",
                    (
                        number,
                        os.fsencode(delivery.folder),
                        os.fsencode(delivery.source),
                        self._next_position(),
                        delivery.profile,
                        delivery.sha256,
                        delivery.fingerprint,
                        os.fsencode(delivery.wanted),
                        os.fsencode(delivery.output),
                        self._now(),
                        self._now(),
                    ),
                )
            write(
                "INSERT INTO sqlite_sequence (name, seq) SELECT 'jobs', ? WHERE NOT EXISTS "
                "(SELECT 1 FROM sqlite_sequence WHERE name = 'jobs')",
                (after,),
            )

    def forget(self, jobs: Iterable[Job]) -> None:
        """Drop ended jobs from the history."""
        with self._store.transaction() as write:
            for job in jobs:
                write("DELETE FROM jobs WHERE id = ? AND state IN ('delivered', 'failed', 'skipped')", (job.id,))

    def see_place(self, path: Path) -> None:
        """This folder is there."""
        with self._store.transaction() as write:
            write("INSERT OR IGNORE INTO places (path) VALUES (?)", (os.fsencode(path),))

    # --- what people ask for ---

    def pause(self, reason: str) -> None:
        """Claim nothing, across restarts too, until `resume`."""
        with self._store.transaction() as write:
            write(
                "INSERT INTO pause (id, reason, since) VALUES (1, ?, ?) "
                "ON CONFLICT (id) DO UPDATE SET reason = excluded.reason",
                (reason, self._now()),
            )

    def resume(self) -> None:
        """Take back `pause`; nothing when it was not asked for."""
        with self._store.transaction() as write:
            write("DELETE FROM pause", ())

    def cancel(self, numbers: Collection[int]) -> Judged:
        """End jobs that are not delivered yet: they are skipped, until `retry`. A process at work is the caller's."""

        def end(job: Job) -> str | None:
            if job.state not in ("queued", "incomplete", "running"):
                return f"it is {job.state}"
            self._move(job, job.state, "skipped", error=None, reason=CANCELLED, remedy=None)
            self._end_attempt(job, "skipped", CANCELLED)
            self._forget_segments(job)
            return None

        return self._judge(numbers, end)

    def prioritise(self, numbers: Collection[int], priority: int) -> Judged:
        """Queued jobs with a higher priority come first; the others keep theirs, 0 at first."""

        def move(job: Job) -> str | None:
            if job.state not in ("queued", "running", "incomplete", "failed"):
                return f"it is {job.state}"
            self._move(job, job.state, job.state, priority=priority)
            return None

        return self._judge(numbers, move)

    def move_to_front(self, numbers: Collection[int]) -> Judged:
        """Before all others that are queued, in the order given."""
        highest, first = self._store.rows(
            "SELECT coalesce(max(priority), 0), coalesce(min(position), 0) FROM jobs WHERE state = 'queued'"
        )[0]
        places = {number: first - len(numbers) + place for place, number in enumerate(numbers)}

        def move(job: Job) -> str | None:
            if job.state != "queued":
                return f"it is {job.state}"
            self._move(job, "queued", "queued", priority=highest, position=places[job.id])
            return None

        return self._judge(numbers, move)

    def retry(self, numbers: Collection[int] | None) -> Judged:
        """Queue ended jobs again with fresh attempts: those given, or (None) every failed one."""

        def queue(job: Job) -> str | None:
            if job.state not in ("failed", "incomplete", "skipped"):
                return f"it is {job.state}"
            if job.superseded:
                return "its file has left or changed since"
            self._move(
                job,
                job.state,
                "queued",
                failures=0,
                interruptions=0,
                looks=0,
                error=None,
                reason=None,
                remedy=None,
                position=self._next_position(),
            )
            return None

        return self._judge([job.id for job in self.jobs("failed", "incomplete")] if numbers is None else numbers, queue)

    def _judge(self, numbers: Iterable[int], act: Callable[[Job], str | None]) -> Judged:
        """Do it to each job in one transaction; `act` returns why it cannot be done."""
        judged = Judged([], {})
        with self._store.transaction():
            for number in dict.fromkeys(numbers):
                job = self.job(number)
                if (why := act(job) if job else "there is no such job") is None:
                    judged.jobs.append(number)
                else:
                    judged.refused[number] = why
        return judged
