"""The one entrance to the engine: plan a source, then enlarge it into a part file.

`plan` is cheap (headers only, no TensorFlow) and says what will come out; `enlarge` does it. Neither touches the final
name: delivery belongs to the caller.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.settings import Settings, Size
from engine.source import Source

Kind = Literal["picture", "episode", "sequence"]


@dataclass(frozen=True)
class ProgressEvent:
    """How far a job is. `total` is None where it cannot be known; `unit` names what is counted ("frames", …)."""

    stage: str
    done: int
    total: int | None
    unit: str


Progress = Callable[[ProgressEvent], None]


@dataclass(frozen=True)
class Plan:
    """What will come out of a source. `output_name` is a plain file name (a folder's for frames), never a path."""

    kind: Kind
    source_size: Size
    output_size: Size
    output_name: str
    output_is_folder: bool
    frames: int | None
    """Frames as far as headers tell; None when only decoding can tell."""


@dataclass(frozen=True)
class Report:
    """What was done. `details` is JSON-ready: stream tables, versions, hashes."""

    kind: Kind
    frames: int
    source_size: Size
    output_size: Size
    seconds: float
    details: dict[str, object]


def plan(source: Source, settings: Settings) -> Plan:
    """Read the headers of `source` and decide what comes out.

    Raises `InputError` (damaged or refused), `NothingToDo` (large enough already, or made by Kakudai), `ToolError`.
    """
    raise NotImplementedError


def enlarge(
    source: Source,
    part: Path,
    settings: Settings,
    *,
    planned: Plan,
    work_dir: Path,
    progress: Progress,
) -> Report:
    """Enlarge `source` into `part` (a file, or a folder when the plan says so), which must not exist yet.

    `part` is complete, checked (frames out = frames in) and fsynced when this returns. `work_dir` is a folder of this
    job alone for intermediate files (segments); what is found there from an earlier attempt at the same job may be
    used after verification. On any exception `part` may be left behind; the caller removes it.
    Raises any `KakudaiError`.
    """
    raise NotImplementedError
