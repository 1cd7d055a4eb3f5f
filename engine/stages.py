"""How busy the stages of a job are: which one holds it back.

Stages work at the same time, each in a thread of its own, and hand frames on. One is busy while it works or waits for
its own child process; it is not while it waits for the stage before or after it. The busiest is what all others wait
for.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


class Stages:
    """Busy seconds by stage, counted by any thread. Costs a few microseconds for each piece of work."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._began = time.monotonic()
        self._whole_s: float | None = None

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """What runs inside is work of `stage`."""
        began = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                self._seconds[stage] += time.monotonic() - began

    def add(self, seconds: Mapping[str, float], *, whole_s: float) -> None:
        """Count work that was done elsewhere, in `whole_s` seconds: the clock is that of all who worked together."""
        with self._lock:
            for stage, busy in seconds.items():
                self._seconds[stage] += busy
            self._whole_s = (self._whole_s or 0.0) + whole_s

    def end(self) -> None:
        """Stop the clock: what follows belongs to no stage."""
        self._whole_s = time.monotonic() - self._began

    @property
    def seconds(self) -> dict[str, float]:
        """Busy seconds of each stage."""
        with self._lock:
            return dict(self._seconds)

    @property
    def shares(self) -> dict[str, float]:
        """The part of the time, 0..1, that each stage was busy."""
        whole_s = self._whole_s if self._whole_s is not None else time.monotonic() - self._began
        return {stage: round(min(1.0, busy / max(whole_s, 1e-9)), 3) for stage, busy in self.seconds.items()}

    @property
    def bottleneck(self) -> str | None:
        """The busiest stage; None before any has worked."""
        seconds = self.seconds
        return max(seconds, key=seconds.__getitem__) if seconds else None
