"""How far a job is, told to whoever asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class ProgressEvent:
    """How far a job is. `total` is None where it cannot be known; `unit` names what is counted ("frames", …)."""

    stage: str
    done: int
    total: int | None
    unit: str


Progress = Callable[[ProgressEvent], None]
