"""Where finished segments are written down, so that a later attempt finds and checks them.

The service keeps them in its ledger (`daemon.segment_rows`); a command without a ledger keeps a JSON note beside each.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from engine.files import write_durably


@dataclass(frozen=True)
class SegmentRecord:
    """What proves a finished segment.

    `key` is the SHA-256 over everything that decides its bytes: source, settings, weights, versions. `first_frame` and
    `frames` are its place in the episode; `bytes` and `sha256` are of its file.
    """

    key: str
    index: int
    first_frame: int
    frames: int
    bytes: int
    sha256: str


class SegmentRecords(Protocol):
    """The records of one job."""

    def read(self) -> list[SegmentRecord]:
        """All that were kept, whatever their key. They are claims: the files are checked against them."""

    def keep(self, record: SegmentRecord) -> None:
        """Write one down, in place of an earlier one for the same index. Durable when this returns."""

    def forget(self, index: int) -> None:
        """The file of that segment is gone. A record that stays all the same does no harm."""


class SideCarRecords:
    """A JSON note beside each segment. Raises `EnvironmentFault` where the disk refuses."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self) -> list[SegmentRecord]:
        return list(self._notes())

    def keep(self, record: SegmentRecord) -> None:
        write_durably(self._path(record.index), json.dumps(asdict(record), indent=1).encode())

    def forget(self, index: int) -> None:
        self._path(index).unlink(missing_ok=True)

    def _path(self, index: int) -> Path:
        return self._folder / f"segment_{index:05}.json"

    def _notes(self) -> Iterator[SegmentRecord]:
        """Notes that can be read and lie under their own name; others are removed."""
        for path in sorted(self._folder.glob("segment_*.json")):
            record = _understood(path.read_bytes())
            if record is None or path != self._path(record.index):
                path.unlink(missing_ok=True)
            else:
                yield record


def _understood(note: bytes) -> SegmentRecord | None:
    try:
        said = json.loads(note)
        return SegmentRecord(
            key=str(said["key"]),
            index=int(said["index"]),
            first_frame=int(said["first_frame"]),
            frames=int(said["frames"]),
            bytes=int(said["bytes"]),
            sha256=str(said["sha256"]),
        )
    except (ValueError, KeyError, TypeError, OverflowError):
        return None
