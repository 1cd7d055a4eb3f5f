"""What jobs took, kept in the ledger by settings and kind: from it `kakudai plan` tells times and sizes.

Sums in which an earlier job counts half of a later one: a new machine is soon believed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from daemon.store import Store
from engine.estimate import Rate

_EARLIER_COUNTS = 0.5


@dataclass(frozen=True)
class Measured:
    """What one job took: output pixels, seconds of enlarging, bytes that were encoded."""

    kind: str
    pixels: float
    seconds: float
    bytes: float


@dataclass(frozen=True)
class KnownRate:
    """A rate, and of how many jobs it is."""

    rate: Rate
    jobs: int


class Rates:
    """The table `rates`. Raises `EnvironmentFault` when the disk refuses."""

    def __init__(self, store: Store, *, now: Callable[[], float] = time.time) -> None:
        self._store = store
        self._now = now

    def all(self) -> dict[tuple[str, str], KnownRate]:
        """By the settings' fingerprint and the kind."""
        rows = self._store.rows("SELECT fingerprint, kind, pixels, seconds, bytes, jobs FROM rates")
        return {
            (fingerprint, kind): KnownRate(Rate(pixels / seconds, encoded / pixels), jobs)
            for fingerprint, kind, pixels, seconds, encoded, jobs in rows
        }

    def learn(self, fingerprint: str, measured: Measured) -> None:
        """Add what a job took."""
        with self._store.transaction() as write:
            write(
                "INSERT INTO rates (fingerprint, kind, pixels, seconds, bytes, jobs, changed) "
                "VALUES (?1, ?2, ?3, ?4, ?5, 1, ?6) ON CONFLICT (fingerprint, kind) DO UPDATE SET "
                "pixels = pixels * ?7 + ?3, seconds = seconds * ?7 + ?4, bytes = bytes * ?7 + ?5, "
                "jobs = jobs + 1, changed = ?6",
                (
                    fingerprint,
                    measured.kind,
                    measured.pixels,
                    measured.seconds,
                    measured.bytes,
                    self._now(),
                    _EARLIER_COUNTS,
                ),
            )


def measured_from(report: Mapping[str, Any]) -> Measured | None:
    """What a report tells of its job; None where it tells nothing that others can be judged by."""
    try:
        kind, details = str(report["kind"]), report["details"]
        if details.get("segments_reused") or report.get("copied_from"):
            return None  # the seconds are of a part of it, or of none
        width, _, height = str(report["output_size"]).partition("x")
        pixels = float(int(width) * int(height) * int(report["frames"]))
        seconds = float(details["seconds"]["enlarge"] if kind == "episode" else report["seconds"])
        encoded = float(details["video_bytes"] if kind == "episode" else report["output"]["size"])
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return None
    if not (0 < pixels < 1e18 and 0 < seconds < 1e9 and 0 < encoded < 1e18) or len(kind) > 20:
        return None
    return Measured(kind, pixels, seconds, encoded)
