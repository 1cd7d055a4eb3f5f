"""How far a job is, told to whoever asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ProgressEvent:
    """How far a job is. `total` is None where it cannot be known; `unit` names what is counted ("frames", …)."""

    stage: str
    done: int
    total: int | None
    unit: str
    stages: Mapping[str, float] = field(default_factory=dict)
    """Of work that runs in stages side by side: the part of the time, 0..1, that each was busy."""
    bottleneck: str | None = None
    """The stage that the others wait for."""
    reused_share: float | None = None
    """The part of the pixels, 0..1, that the network did not have to compute again; None where nothing is reused."""


Progress = Callable[[ProgressEvent], None]
