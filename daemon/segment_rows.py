"""Finished segments as rows of the ledger: written by the service, told by the process of the job.

    process: segment encoded → fsync → rename → fsync of the folder → {"event": "segment", …}
    service: row committed → {"segment": index}
    process: goes on with the next one

So a row stands for a segment that is on the disk, and no more than one segment is ever on the disk without its row.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from typing import Any

from daemon.job import Job
from daemon.store import Store
from engine.errors import ProcessingError
from engine.segment_records import SegmentRecord

MOST_SEGMENTS = 100_000
"""Of one episode: far more than any has. What says more is not believed."""


class SegmentRows:
    """The table `segments`. Raises `EnvironmentFault` when the disk refuses; nothing is half done."""

    def __init__(self, store: Store, *, now: Callable[[], float] = time.time) -> None:
        self._store = store
        self._now = now

    def of(self, job: Job) -> list[SegmentRecord]:
        """The segments that earlier attempts at a job finished."""
        rows = self._store.rows(
            "SELECT key, number, first_frame, frames, bytes, sha256 FROM segments WHERE job = ? ORDER BY number",
            (job.id,),
        )
        return [SegmentRecord(*row) for row in rows]

    def keep(self, job: Job, record: SegmentRecord) -> None:
        """Commit one, in place of an earlier one of that number. It is progress: earlier deaths are forgotten."""
        with self._store.transaction() as write:
            write("UPDATE jobs SET interruptions = 0 WHERE id = ?", (job.id,))
            write(
                "INSERT OR REPLACE INTO segments (job, number, key, first_frame, frames, bytes, sha256, finished) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    job.id,
                    record.index,
                    record.key,
                    record.first_frame,
                    record.frames,
                    record.bytes,
                    record.sha256,
                    self._now(),
                ),
            )

    def forget(self, number: int) -> None:
        """Its work files are gone: drop the segments of the job of that number."""
        with self._store.transaction() as write:
            write("DELETE FROM segments WHERE job = ?", (number,))


def record_from(event: Mapping[str, Any]) -> SegmentRecord:
    """What a job's process says of a segment. Raises `ValueError` for what cannot be one, `KeyError`, `TypeError`."""
    record = SegmentRecord(
        str(event["key"]),
        int(event["index"]),
        int(event["first_frame"]),
        int(event["frames"]),
        int(event["bytes"]),
        str(event["sha256"]),
    )
    if not 0 <= record.index < MOST_SEGMENTS or max(map(len, (record.key, record.sha256))) > 64:
        raise ValueError(record)
    if not all(0 <= number < 1 << 62 for number in (record.first_frame, record.frames, record.bytes)):
        raise ValueError(record)
    return record


class PipedRecords:
    """In the process of a job: `known` is what the service knew at the start; new ones are told, and waited for."""

    def __init__(
        self, known: Iterable[Mapping[str, Any]], *, send: Callable[..., None], hear: Callable[[], str]
    ) -> None:
        self._known = [SegmentRecord(**row) for row in known]
        self._send = send
        self._hear = hear

    def read(self) -> list[SegmentRecord]:
        return self._known

    def keep(self, record: SegmentRecord) -> None:
        """Raises `ProcessingError` when the service is gone."""
        self._send("segment", **asdict(record))
        answer = self._hear()
        if not answer or json.loads(answer) != {"segment": record.index}:
            raise ProcessingError("the service does not answer any more", remedy="start it again; the job goes on")

    def forget(self, index: int) -> None:
        """The row stays: without its file it is not believed, and the next one takes its place."""
