"""What the ledger tells of jobs for people to read: by state, by name, in pages. Reports stay where they are.

A report holds stream tables and may be large; it is read for one job at a time.
"""

from __future__ import annotations

import heapq
import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from daemon.job import Job
from daemon.store import Store

ENDED = ("delivered", "failed", "incomplete", "skipped")
"""The states of history."""

MARK = r"^[0-9]{1,12}\.[0-9]{1,9}-[0-9]{1,18}$"
"""A `Mark` as text."""
LONGEST_S = 0.5
"""Seconds of a core that a page of history may take the service's loop."""
_COLUMNS = Job.COLUMNS.replace(" report,", " NULL,")


@dataclass(frozen=True)
class Mark:
    """A place in history: behind the job that changed then (seconds since 1970) and has this number."""

    changed: float
    job: int

    @classmethod
    def from_text(cls, text: str) -> Mark:
        """From `str`. Raises ValueError."""
        if not re.fullmatch(MARK, text):
            raise ValueError(text)
        changed, _, job = text.partition("-")
        return cls(float(changed), int(job))

    def __str__(self) -> str:
        return f"{self.changed!r}-{self.job}"


class History:
    """Reads the table `jobs`. Raises `EnvironmentFault` when the disk refuses."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def latest(self, states: Collection[str], *, limit: int, search: str = "", after: Mark | None = None) -> list[Job]:
        """Jobs in `states`, the latest change first, from `after` on; those with `search` in their path (ASCII letters
        in either case). Read state by state along an index: the cost is that of the page, not of the history. A search
        through a very long history is given up after `LONGEST_S`. Raises `UsageError` then.
        """
        pattern = "%" + "".join(f"\\{letter}" if letter in "\\%_" else letter for letter in search) + "%"
        with self._store.at_most(LONGEST_S):
            found = [self._of_state(state, limit, pattern if search else None, after) for state in states]
        merged = heapq.merge(*found, key=lambda job: (job.changed, job.id), reverse=True)
        return [job for job, _ in zip(merged, range(limit), strict=False)]

    def _of_state(self, state: str, limit: int, pattern: str | None, after: Mark | None) -> list[Job]:
        where = "state = ?"
        values: list[object] = [state]
        if after is not None:
            where += " AND (changed, id) < (?, ?)"
            values += [after.changed, after.job]
        if pattern is not None:
            where += " AND CAST(source AS TEXT) LIKE ? ESCAPE '\\'"
            values.append(pattern)
        statement = (
            f"SELECT {_COLUMNS} FROM jobs WHERE {where} "  # noqa: S608  (values go apart)
            "ORDER BY changed DESC, id DESC LIMIT ?"
        )
        return [Job.from_row(row) for row in self._store.rows(statement, (*values, limit))]

    def attempts(self, job: int) -> list[dict[str, Any]]:
        """Every attempt at a job, the first one first. Times are seconds since 1970."""
        rows = self._store.rows(
            "SELECT number, started, ended, outcome, reason FROM attempts WHERE job = ? ORDER BY number", (job,)
        )
        names = ("number", "started", "ended", "outcome", "reason")
        return [dict(zip(names, row, strict=True)) for row in rows]

    def report(self, job: int) -> dict[str, Any] | None:
        """The report of a job's result; None where there is none."""
        rows = self._store.rows("SELECT report FROM jobs WHERE id = ? AND state = 'delivered'", (job,))
        return dict(json.loads(rows[0][0])) if rows and rows[0][0] else None
