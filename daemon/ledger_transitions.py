"""What becomes of a job: each transition is one transaction that names the state it starts from.

queued → running → verifying → delivered
             ↘ queued (again) | failed | incomplete (→ queued, later) | skipped
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from daemon.job import Found, Job
from daemon.ledger_queries import Queries
from engine.errors import ProcessingError

_AT_WORK = ("running", "verifying")


class Transitions(Queries):
    """The writing half of `daemon.ledger.Ledger`. Raises `EnvironmentFault` when the disk refuses: nothing is done."""

    path: Path
    _now: Callable[[], float]
    _position: int

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
                    "position, priority, created, changed) VALUES (?, ?, ?, ?, ?, ?, ?, 'queued', ?, ?, ?, ?)",
                    (
                        os.fsencode(file.folder),
                        os.fsencode(file.path),
                        file.kind,
                        identity.inode,
                        identity.device,
                        identity.size,
                        identity.mtime_ns,
                        self._next_position(),
                        file.priority,
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
        """What became of a delivered job's source: `kept`, `moved` or `deleted`; `pending`: to be tried again."""
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
            self._move(
                job,
                "running",
                "incomplete",
                error=error,
                reason=reason,
                remedy=remedy,
                interruptions=0,
                looks=job.looks + 1,
            )
            self._end_attempt(job, "failed", reason)

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

    def let_go(self, sources: Iterable[Path]) -> None:
        """These have left, with all that was below: what failed or was skipped of them is over, and a new job if it
        comes back. What is delivered stays so.
        """
        with self._store.transaction() as write:
            for source in map(os.fsencode, sources):
                for first, last in ((source, source + b"\0"), (source + b"/", source + b"0")):
                    write(
                        "UPDATE jobs SET superseded = 1, state = 'skipped', remedy = NULL, changed = ?, "
                        "reason = CASE state WHEN 'skipped' THEN reason ELSE ? END "
                        "WHERE superseded = 0 AND source >= ? AND source < ? "
                        "AND state IN ('failed', 'incomplete', 'skipped')",
                        (self._now(), "its file was taken out of the folder", first, last),
                    )

    def forget_part(self, job: Job) -> None:
        """The leftover part of a job that is not at work is gone."""
        with self._store.transaction() as write:
            write(
                "UPDATE jobs SET part = NULL WHERE id = ? AND state NOT IN ('running', 'verifying')",
                (job.id,),
            )

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
