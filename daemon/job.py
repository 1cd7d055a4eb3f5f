"""What the service knows of one file: its identity, and the job made of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from daemon.mounts import keeps_inodes

JobKind = Literal["file", "sequence"]


@dataclass(frozen=True)
class Identity:
    """What tells one state of a file from the next: numbers of 64 bits, signed, as SQLite's are. `inode` is 0 where the
    file system does not keep it (`daemon.mounts`).

    Of a sequence: the folder's inode and device, the sum of its frames' sizes and their latest change.
    """

    inode: int
    device: int
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> Identity:
        """From lstat or fstat."""
        inode = signed(status.st_ino) if keeps_inodes(status.st_dev) else 0
        return cls(inode, signed(status.st_dev), status.st_size, signed(status.st_mtime_ns))

    def same_file(self, other: Identity) -> bool:
        """Equal but for the device, whose number may change with a reboot, and for an inode that is not kept."""
        same_inode = self.inode == other.inode or 0 in (self.inode, other.inode)
        return same_inode and (self.size, self.mtime_ns) == (other.size, other.mtime_ns)


def signed(number: int) -> int:
    """The signed number with the same lowest 64 bits: inodes of some file systems exceed 2^63, times of change do after
    the year 2262.
    """
    return (number + (1 << 63)) % (1 << 64) - (1 << 63)


@dataclass(frozen=True)
class Found:
    """A finished file (or folder of frames) below a watched folder."""

    folder: Path
    path: Path
    kind: JobKind
    identity: Identity
    priority: int = 0


@dataclass(frozen=True)
class Delivery:
    """What a report tells of a delivery that no ledger knows any more."""

    folder: Path
    source: Path
    profile: str
    sha256: str
    fingerprint: str
    wanted: Path
    output: Path


@dataclass(frozen=True)
class Job:
    """One row of the ledger."""

    id: int
    folder: Path
    source: Path
    kind: JobKind
    identity: Identity
    superseded: bool
    state: str
    failures: int
    interruptions: int
    profile: str | None
    wanted: Path | None
    """The name it asked for in the output folder; `output` is the one it got."""
    part: Path | None
    part_inode: int | None
    part_size: int | None
    part_sha256: str | None
    output: Path | None
    original: str | None
    error: str | None
    reason: str | None
    remedy: str | None
    report: str | None
    created: float
    changed: float
    priority: int = 0
    """Of the queued, the highest comes first."""
    position: int = 0
    """In the queue, among those of one priority: the smallest comes first."""
    looks: int = 0
    """How often it was found incomplete."""

    COLUMNS: ClassVar[str] = (
        "id, folder, source, kind, inode, device, size, mtime_ns, superseded, state, failures, interruptions, "
        "profile, wanted, part, part_inode, part_size, part_sha256, output, original, error, reason, remedy, "
        "report, created, changed, priority, position, looks"
    )

    @classmethod
    def from_row(cls, row: Sequence[Any]) -> Job:
        """From a row of `COLUMNS`."""
        (
            number,
            folder,
            source,
            kind,
            inode,
            device,
            size,
            mtime_ns,
            superseded,
            state,
            failures,
            interruptions,
        ) = row[:12]
        (profile, wanted, part, part_inode, part_size, part_sha256, output) = row[12:19]
        return cls(
            number,
            _path(folder),
            _path(source),
            kind,
            Identity(inode, device, size, mtime_ns),
            bool(superseded),
            state,
            failures,
            interruptions,
            profile,
            _path(wanted) if wanted is not None else None,
            _path(part) if part is not None else None,
            part_inode,
            part_size,
            part_sha256,
            _path(output) if output is not None else None,
            *row[19:],
        )

    @property
    def relative(self) -> Path:
        """The source's path below its folder."""
        return self.source.relative_to(self.folder)


def _path(value: bytes) -> Path:
    return Path(os.fsdecode(value))
