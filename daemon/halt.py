"""Why no job is to be started now, though nothing is wrong: somebody paused the work, or it is outside its hours."""

from __future__ import annotations

import time
from dataclasses import dataclass

from daemon.config_model import Config
from daemon.ledger import Ledger
from daemon.schedule import opens_at


@dataclass(frozen=True)
class Halt:
    """`by`: user or hours. Times are seconds since 1970, None where there is none."""

    by: str
    reason: str
    remedy: str
    since: float | None = None
    until: float | None = None


def halt(config: Config, ledger: Ledger, *, now: float) -> Halt | None:
    """None while work may go on. Raises `EnvironmentFault` of the ledger."""
    if paused := ledger.paused():
        return Halt("user", paused.reason, "kakudai resume lets it go on", since=paused.since)
    until = opens_at(config.hours, now)
    if until is not None:
        spans = ", ".join(map(str, config.hours))
        opens = time.strftime("%H:%M", time.localtime(until))
        return Halt("hours", f"it is outside the hours of work ({spans})", f"it goes on at {opens}", until=until)
    return None
