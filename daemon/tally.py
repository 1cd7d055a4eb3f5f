"""What was done since the service began: outcomes, frames, busy seconds. In memory, for figures that only grow."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from typing import Any

from daemon.outcome import Changed, Done, Failed, Outcome, Skipped, Stopped

OUTCOMES = tuple(kind.__name__.lower() for kind in (Done, Failed, Skipped, Changed, Stopped))


class Tally:
    """Counted by the worker."""

    def __init__(self) -> None:
        self._outcomes: Counter[str] = Counter()
        self._frames = 0
        self._seconds: defaultdict[str, float] = defaultdict(float)

    def note(self, outcome: Outcome) -> None:
        """An attempt at a job ended so."""
        self._outcomes[type(outcome).__name__.lower()] += 1
        if isinstance(outcome, Done):
            report = json.loads(outcome.report)
            self._frames += int(report["frames"])
            details = report["details"]
            for stage, seconds in (details.get("stage_seconds") or details.get("seconds") or {}).items():
                self._seconds[str(stage)] += float(seconds)

    def plain(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "frames": self._frames,
            "outcomes": {name: self._outcomes[name] for name in OUTCOMES},
            "stage_seconds": {stage: round(seconds, 3) for stage, seconds in sorted(self._seconds.items())},
        }
