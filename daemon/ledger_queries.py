"""What the ledger knows: queries alone, nothing here writes."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from daemon.job import Identity, Job
from daemon.store import Store
from engine.naming import may_become


@dataclass(frozen=True)
class Paused:
    """Since when, in seconds since 1970, all work is paused, and why."""

    reason: str
    since: float


class Queries:
    """The reading half of `daemon.ledger.Ledger`. Raises `EnvironmentFault` when the disk refuses."""

    _store: Store

    def known(self, source: Path, identity: Identity) -> bool:
        """Whether this very file was queued before, whatever became of it."""
        return bool(
            self._store.rows(
                "SELECT 1 FROM jobs WHERE superseded = 0 AND source = ? AND size = ? AND mtime_ns = ? "
                "AND (? IN (inode, 0) OR inode = 0)",
                (os.fsencode(source), identity.size, identity.mtime_ns, identity.inode),
            )
        )

    def job(self, number: int) -> Job | None:
        """The job of that number."""
        return next(iter(self._jobs("WHERE id = ?", (number,))), None)

    def jobs(self, *states: str, limit: int = -1, first: int = 0, newest_first: bool = False) -> list[Job]:
        """Jobs in any of `states`, in the order of the queue or the latest change first; `first` are passed over."""
        order = "changed DESC, id DESC" if newest_first else "priority DESC, position"
        marks = ", ".join("?" * len(states))
        return self._jobs(f"WHERE state IN ({marks}) ORDER BY {order} LIMIT ? OFFSET ?", (*states, limit, first))

    def counts(self) -> dict[str, int]:
        """Jobs by state."""
        return dict(self._store.rows("SELECT state, sum(jobs) FROM counts GROUP BY state HAVING sum(jobs) > 0", ()))

    def next_queued(
        self, *, folders: Iterable[Path], not_jobs: Collection[int] = (), not_below: Collection[Path] = ()
    ) -> Job | None:
        """The first job of the queue that lies in one of `folders`, is none of `not_jobs`, and neither is nor lies in
        one of `not_below`.
        """
        firsts = [
            job for folder in folders for job in self._first_queued(folder, not_jobs=not_jobs, not_below=not_below)
        ]
        return min(firsts, key=lambda job: (-job.priority, job.position), default=None)

    def _first_queued(self, folder: Path, *, not_jobs: Collection[int], not_below: Collection[Path]) -> list[Job]:
        held = [os.fsencode(place) for place in not_below if place.is_relative_to(folder)]
        # itself, and what begins with it and a slash, which "0" follows; a table of its own knows no limit of depth
        ranges = [(place, place + b"\0") for place in held] + [(place + b"/", place + b"0") for place in held]
        values = "(VALUES " + ", ".join(["(?, ?)"] * len(ranges)) + ")"
        within = "SELECT 1 FROM " + values + " WHERE source >= column1 AND source < column2"  # noqa: S608  (marks only)
        outside = f" AND NOT EXISTS ({within})"
        first = "WHERE state = 'queued' AND folder = ? AND id NOT IN (SELECT value FROM json_each(?))"
        return self._jobs(
            first + (outside if held else "") + " ORDER BY priority DESC, position LIMIT 1",
            (
                os.fsencode(folder),
                json.dumps(list(not_jobs)),
                *(bound for bounds in ranges for bound in bounds),
            ),
        )

    def paused(self) -> Paused | None:
        """Whether all work is paused because somebody asked for it."""
        rows = self._store.rows("SELECT reason, since FROM pause")
        return Paused(*rows[0]) if rows else None

    @property
    def version(self) -> int:
        """Another number after each change."""
        return self._store.changes

    def queued_by_folder(self) -> dict[Path, int]:
        """How many files of each folder are queued."""
        rows = self._store.rows("SELECT folder, jobs FROM counts WHERE state = 'queued' AND jobs > 0")
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

    def undelivered(self) -> dict[tuple[Path, int], list[str]]:
        """Paths of what failed or was skipped and may come back as a new job, by folder and device."""
        rows = self._store.rows(
            "SELECT folder, device, source FROM jobs "
            "WHERE +superseded = 0 AND state IN ('failed', 'incomplete', 'skipped')"  # +: by state, which are few
        )
        found: dict[tuple[bytes, int], list[str]] = {}
        for folder, device, source in rows:
            found.setdefault((folder, device), []).append(os.fsdecode(source))
        return {(Path(os.fsdecode(folder)), device): sources for (folder, device), sources in found.items()}

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

    def _jobs(self, where: str, values: tuple[object, ...]) -> list[Job]:
        statement = f"SELECT {Job.COLUMNS} FROM jobs {where}"  # noqa: S608  (values go apart)
        return [Job.from_row(row) for row in self._store.rows(statement, values)]
