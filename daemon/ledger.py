"""The one durable truth: which files are known, what became of them, what is to be done next.

One owner: the process that holds the state folder's lock; others ask it through the control socket.
Each transition is one transaction that names the state it starts from.

    queued → running → verifying → delivered
                 ↘ queued (again) | failed | incomplete (→ queued, later) | skipped
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from daemon.job import Delivery, Found, Identity, Job
from daemon.rates import Rates
from daemon.segment_rows import SegmentRows
from daemon.store import Store
from engine.errors import ProcessingError
from engine.naming import may_become

LARGEST_INTERRUPTIONS = 10
"""Deaths of the service in a row, without progress, after which a job counts as their cause."""


_AT_WORK = ("running", "verifying")


class Ledger:
    """The ledger of one state folder. Raises `EnvironmentFault` when the disk refuses; nothing is half done."""

    def __init__(self, path: Path, *, now: Callable[[], float] = time.time) -> None:
        self.path = path
        self._now = now
        self._store = Store(path)
        self.segments = SegmentRows(self._store, now=now)
        self.rates = Rates(self._store, now=now)
        found = self._store.rows("SELECT max(position) FROM jobs")[0][0]
        self._position: int = found or 0

    def close(self) -> None:
        """Checkpoint and close."""
        self._store.close()

    # --- what is known ---

    def known(self, source: Path, identity: Identity) -> bool:
        """Whether this very file was queued before, whatever became of it."""
        return bool(
            self._store.rows(
                "SELECT 1 FROM jobs WHERE superseded = 0 AND source = ? AND inode = ? AND size = ? AND mtime_ns = ?",
                (os.fsencode(source), identity.inode, identity.size, identity.mtime_ns),
            )
        )

    def job(self, number: int) -> Job | None:
        """The job of that number."""
        return next(iter(self._jobs("WHERE id = ?", (number,))), None)

    def jobs(self, *states: str, limit: int = -1, newest_first: bool = False) -> list[Job]:
        """Jobs in any of `states`, in the order of the queue or the latest change first."""
        order = "changed DESC, id DESC" if newest_first else "position"
        marks = ", ".join("?" * len(states))
        return self._jobs(f"WHERE state IN ({marks}) ORDER BY {order} LIMIT ?", (*states, limit))

    def counts(self) -> dict[str, int]:
        """Jobs by state."""
        return dict(self._store.rows("SELECT state, count(*) FROM jobs GROUP BY state", ()))

    def next_queued(self, *, folders: Collection[Path], not_jobs: Collection[int] = ()) -> Job | None:
        """The first job of the queue that lies in one of `folders` and is none of `not_jobs`."""
        marks = ", ".join("?" * len(folders))
        numbers = ", ".join("?" * len(not_jobs))
        rows = self._jobs(
            f"WHERE state = 'queued' AND folder IN ({marks}) AND id NOT IN ({numbers}) ORDER BY position LIMIT 1",
            (*map(os.fsencode, folders), *not_jobs),
        )
        return next(iter(rows), None)

    def queued_by_folder(self) -> dict[Path, int]:
        """How many files of each folder are queued."""
        rows = self._store.rows("SELECT folder, count(*) FROM jobs WHERE state = 'queued' GROUP BY folder")
        return {Path(os.fsdecode(folder)): count for folder, count in rows}

    def delivered_twin(self, job: Job, *, sha256: str, fingerprint: str, wanted: Path) -> Job | None:
        """An earlier delivery of the same content with the same settings under the same name."""
        rows = self._jobs(
            "WHERE sha256 = ? AND fingerprint = ? AND state = 'delivered' AND id <> ? ORDER BY id DESC",
            (sha256, fingerprint, job.id),
        )
        return next(
            (
                twin
                for twin in rows
                if twin.wanted and twin.wanted.parent == wanted.parent and may_become(wanted.name, twin.wanted.name)
            ),
            None,
        )

    def same_content(self, job: Job, *, sha256: str, fingerprint: str) -> list[Job]:
        """Deliveries of the same content with the same settings, under whatever name, the latest first."""
        return self._jobs(
            "WHERE sha256 = ? AND fingerprint = ? AND state = 'delivered' AND part_sha256 IS NOT NULL "
            "AND kind = 'file' AND id <> ? ORDER BY id DESC LIMIT 10",
            (sha256, fingerprint, job.id),
        )

    def originals_pending(self) -> list[Job]:
        """Delivered jobs whose source is still to be moved or deleted."""
        return self._jobs("WHERE original = 'pending'", ())

    def leftover_parts(self) -> list[Job]:
        """Jobs that are not at work and still name a part file, which is to be removed."""
        return self._jobs("WHERE part IS NOT NULL AND state NOT IN ('running', 'verifying')", ())

    # --- transitions ---

    def queue(self, found: Iterable[Found]) -> list[Found]:
        """Queue files that are not known yet, all in one transaction; returns those that were new.

        An earlier failure under the same name is over with that: a better copy took its place.
        """
        new = []
        with self._store.transaction() as write:
            for file in found:
                identity = file.identity
                added = write(
                    "INSERT OR IGNORE INTO jobs (folder, source, kind, inode, device, size, mtime_ns, state, "
                    "position, created, changed) VALUES (?, ?, ?, ?, ?, ?, ?, 'queued', ?, ?, ?)",
                    (
                        os.fsencode(file.folder),
                        os.fsencode(file.path),
                        file.kind,
                        identity.inode,
                        identity.device,
                        identity.size,
                        identity.mtime_ns,
                        self._next_position(),
                        self._now(),
                        self._now(),
                    ),
                )
                if added:
                    new.append(file)
                    write(
                        "UPDATE jobs SET state = 'skipped', superseded = 1, reason = 'a newer file took its place', "
                        "remedy = NULL WHERE superseded = 0 AND source = ? AND state IN ('failed', 'incomplete')",
                        (os.fsencode(file.path),),
                    )
        return new

    def start(self, job: Job, *, profile: str) -> None:
        """queued → running."""
        with self._store.transaction() as write:
            self._move(job, "queued", "running", profile=profile, error=None, reason=None, remedy=None)
            write(
                "INSERT INTO attempts (job, number, started) VALUES "
                "(?, 1 + (SELECT coalesce(max(number), 0) FROM attempts WHERE job = ?), ?)",
                (job.id, job.id, self._now()),
            )

    def planned(self, job: Job, *, sha256: str, fingerprint: str, wanted: Path, part: Path) -> None:
        """Record content, wanted name and part file of a running job, before the part is made."""
        with self._store.transaction():
            self._move(
                job,
                "running",
                "running",
                sha256=sha256,
                fingerprint=fingerprint,
                wanted=os.fsencode(wanted),
                part=os.fsencode(part),
            )

    def outlived(self, job: Job) -> None:
        """A running job has worked for long: the deaths of the service before are not its fault."""
        with self._store.transaction():
            self._move(job, "running", "running", interruptions=0)

    def verifying(
        self, job: Job, *, output: Path, part_inode: int, part_size: int, part_sha256: str, report: str
    ) -> None:
        """running → verifying: the part is complete and durable; it is about to get the name `output`."""
        with self._store.transaction():
            self._move(
                job,
                "running",
                "verifying",
                wanted=os.fsencode(output),
                output=os.fsencode(output),
                part_inode=part_inode,
                part_size=part_size,
                part_sha256=part_sha256,
                report=report,
            )

    def rename_output(self, job: Job, output: Path) -> None:
        """Another name for a job in `verifying`, because the first was taken."""
        with self._store.transaction():
            self._move(job, "verifying", "verifying", output=os.fsencode(output))

    def delivered(self, job: Job, *, original: str) -> None:
        """verifying → delivered. `original` is `kept`, or `pending` when it is to be moved or deleted."""
        with self._store.transaction():
            self._move(job, "verifying", "delivered", part=None, original=original, interruptions=0)
            self._forget_segments(job)
            self._end_attempt(job, "delivered")

    def original_done(self, job: Job, outcome: str, *, note: str | None = None) -> None:
        """What became of a delivered job's source: `kept`, `moved` or `deleted`."""
        with self._store.transaction():
            self._move(job, "delivered", "delivered", original=outcome, reason=note)

    def skip(self, job: Job, reason: str, *, superseded: bool = False) -> None:
        """running or verifying → skipped. `superseded`: the file is another by now and may be queued anew."""
        with self._store.transaction():
            self._move(job, _AT_WORK, "skipped", reason=reason, remedy=None, superseded=int(superseded))
            self._end_attempt(job, "changed" if superseded else "skipped", reason)
            self._forget_segments(job)

    def fail(self, job: Job, *, error: str, reason: str, remedy: str, used: bool = True) -> None:
        """running or verifying → failed, for good (until `retry`)."""
        with self._store.transaction():
            self._move(
                job,
                _AT_WORK,
                "failed",
                error=error,
                reason=reason,
                remedy=remedy,
                failures=job.failures + used,
            )
            self._end_attempt(job, "failed", reason)

    def incomplete(self, job: Job, *, error: str, reason: str, remedy: str) -> None:
        """running → incomplete: it may become whole, and is looked at again."""
        with self._store.transaction():
            self._move(job, "running", "incomplete", error=error, reason=reason, remedy=remedy, interruptions=0)
            self._end_attempt(job, "failed", reason)

    def looks(self, job: Job) -> int:
        """How often a job was found incomplete."""
        rows = self._store.rows("SELECT count(*) FROM attempts WHERE job = ? AND outcome = 'failed'", (job.id,))
        return int(rows[0][0]) - job.failures

    def look_again(self, job: Job) -> None:
        """incomplete → queued, behind the others."""
        with self._store.transaction():
            self._move(job, "incomplete", "queued", position=self._next_position())

    def requeue(self, job: Job, *, outcome: str, reason: str | None = None, remedy: str | None = None) -> None:
        """running or verifying → queued. `failed` uses an attempt and goes behind the others; `paused` and `stopped`
        keep the place; `interrupted` goes behind the others and is counted apart.
        """
        changes: dict[str, object] = {"reason": reason, "remedy": remedy, "interruptions": 0}
        if outcome == "failed":
            changes["failures"] = job.failures + 1
        if outcome == "interrupted":
            changes["interruptions"] = job.interruptions + 1
        with self._store.transaction():
            if outcome in ("failed", "interrupted"):
                changes["position"] = self._next_position()
            self._move(job, _AT_WORK, "queued", **changes)
            self._end_attempt(job, outcome, reason)

    def forget_part(self, job: Job) -> None:
        """The leftover part of a job that is not at work is gone."""
        with self._store.transaction() as write:
            write(
                "UPDATE jobs SET part = NULL WHERE id = ? AND state NOT IN ('running', 'verifying')",
                (job.id,),
            )

    def retry(self, numbers: Collection[int] | None) -> tuple[list[int], dict[int, str]]:
        """Queue ended jobs again with fresh attempts: those given, or (None) every failed one.

        Returns the numbers queued, and why others were not.
        """
        wanted = [job.id for job in self.jobs("failed", "incomplete")] if numbers is None else list(numbers)
        queued: list[int] = []
        refused: dict[int, str] = {}
        with self._store.transaction():
            for number in wanted:
                job = self.job(number)
                if job is None:
                    refused[number] = "there is no such job"
                elif job.state not in ("failed", "incomplete", "skipped"):
                    refused[number] = f"it is {job.state}"
                elif job.superseded:
                    refused[number] = "the file has changed since, and was queued anew"
                else:
                    self._move(
                        job,
                        job.state,
                        "queued",
                        failures=0,
                        interruptions=0,
                        error=None,
                        reason=None,
                        remedy=None,
                        position=self._next_position(),
                    )
                    queued.append(number)
        return queued, refused

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

    def ended_before(self, moment: float, *, limit: int = 10_000) -> list[Job]:
        """Jobs that ended before `moment` (seconds since 1970), oldest first."""
        return self._jobs(
            "WHERE state IN ('delivered', 'failed', 'skipped') AND changed < ? AND original IS NOT 'pending' "
            "ORDER BY changed LIMIT ?",
            (moment, limit),
        )

    def place_seen(self, path: Path) -> bool:
        """Whether this folder was ever there."""
        return bool(self._store.rows("SELECT 1 FROM places WHERE path = ?", (os.fsencode(path),)))

    def see_place(self, path: Path) -> None:
        """This folder is there."""
        with self._store.transaction() as write:
            write("INSERT OR IGNORE INTO places (path) VALUES (?)", (os.fsencode(path),))

    # --- how ---

    def _move(self, job: Job, before: str | tuple[str, ...], after: str, **changes: object) -> None:
        states = (before,) if isinstance(before, str) else before
        columns = "".join(f", {column} = ?" for column in changes)
        moved = self._store.execute(
            f"UPDATE jobs SET state = ?, changed = ?{columns} "  # noqa: S608  (column names are ours)
            f"WHERE id = ? AND state IN ({', '.join('?' * len(states))})",
            (after, self._now(), *changes.values(), job.id, *states),
        )
        if moved != 1:
            raise ProcessingError(
                f"job {job.id} was to go from {' or '.join(states)} to {after}, but is in another state",
                remedy="this is a fault of Kakudai; please report it with the journal",
                path=self.path,
            )

    def _end_attempt(self, job: Job, outcome: str, reason: str | None = None) -> None:
        self._store.execute(
            "UPDATE attempts SET ended = ?, outcome = ?, reason = ? WHERE job = ? AND ended IS NULL",
            (self._now(), outcome, reason, job.id),
        )

    def _forget_segments(self, job: Job) -> None:
        self._store.execute("DELETE FROM segments WHERE job = ?", (job.id,))

    def _next_position(self) -> int:
        self._position += 1
        return self._position

    def _jobs(self, where: str, values: tuple[object, ...]) -> list[Job]:
        statement = f"SELECT {Job.COLUMNS} FROM jobs {where}"  # noqa: S608  (values go apart)
        return [Job.from_row(row) for row in self._store.rows(statement, values)]
