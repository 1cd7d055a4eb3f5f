"""Why no job at all is to be started now, though nothing is wrong: somebody paused the work."""

from __future__ import annotations

from dataclasses import dataclass

from daemon.ledger import Ledger


@dataclass(frozen=True)
class Halt:
    """`by`: user. Times are seconds since 1970, None where there is none."""

    by: str
    reason: str
    remedy: str
    since: float | None = None
    until: float | None = None


def halt(ledger: Ledger) -> Halt | None:
    """None while work may go on. Raises `EnvironmentFault` of the ledger."""
    if paused := ledger.paused():
        return Halt("user", paused.reason, "kakudai resume lets it go on", since=paused.since)
    return None
