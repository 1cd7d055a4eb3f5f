"""The one entrance to the engine: plan a source, then enlarge it into a part file.

`plan` is cheap (headers only, no TensorFlow) and says what will come out; `enlarge` does it. Neither touches the final
name: delivery belongs to the caller. A folder of numbered frames goes through `engine.sequence` instead.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from engine import __version__
from engine.color import plane_enlarger
from engine.elsewhere import CrewGoneError, Elsewhere
from engine.episode import enlarge_episode
from engine.glimpse import GLIMPSE, Glimpse
from engine.models import Model, load_model, reusing, weights_hash
from engine.naming import CHECKSUM_FIELD, check_checksum, crc32, output_name
from engine.picture import enlarge_file
from engine.plan import Kind, Plan, container_for, episode_format, plan
from engine.probe import probe_episode
from engine.progress import Progress, ProgressEvent
from engine.segment_records import SegmentRecords
from engine.settings import Reuse, Settings, Size
from engine.source import Source, open_source

__all__ = ["Kind", "Plan", "Progress", "ProgressEvent", "Report", "enlarge", "plan"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Report:
    """What was done. `details` is JSON-ready: stream tables, versions, hashes."""

    kind: Kind
    frames: int
    source_size: Size
    output_size: Size
    seconds: float
    details: dict[str, object]
    output_name: str
    """The plan's, with the output's own CRC-32 in it where the template asks for it."""


def enlarge(
    source: Source,
    part: Path,
    settings: Settings,
    *,
    planned: Plan,
    work_dir: Path,
    progress: Progress,
    records: SegmentRecords | None = None,
    elsewhere: Elsewhere | None = None,
    glimpsed: Callable[[int], None] | None = None,
) -> Report:
    """Enlarge `source` into `part` (a file, or a folder when the plan says so), which must not exist yet.

    `elsewhere`: who makes the segments of an episode in place of this machine; should they all be gone, and their
    absence not be waited for, the rest is done here. `glimpsed` is told the number of a frame of an episode, now and
    then, after a piece of it before and after was written to `GLIMPSE` in `work_dir`.

    `part` is complete, checked (frames out = frames in) and fsynced when this returns. `work_dir` is a folder of this
    job alone for intermediate files (segments); what is found there from an earlier attempt at the same job is used
    after verification, against `records` (None: notes in `work_dir`). On any exception `part` may be left behind; the
    caller removes it.
    Raises any `KakudaiError`.
    """
    started = time.monotonic()
    if planned.kind == "episode":
        check_checksum(source)
    frames, details = None, dict[str, object]()
    if elsewhere is not None and planned.kind == "episode":
        try:
            frames, details = _enlarge_elsewhere(
                source, part, settings, planned, work_dir, progress, records, elsewhere
            )
        except CrewGoneError as gone:
            log.warning("%s; the rest is done here", gone.reason)
    if frames is None:
        frames, details = _enlarge_here(source, part, settings, planned, work_dir, progress, records, glimpsed)
    details |= {"kakudai": __version__, "settings": settings.fingerprint()}
    return Report(
        planned.kind,
        frames,
        planned.source_size,
        planned.output_size,
        time.monotonic() - started,
        details,
        _final_name(source, part, settings, planned),
    )


def _enlarge_here(
    source: Source,
    part: Path,
    settings: Settings,
    planned: Plan,
    work_dir: Path,
    progress: Progress,
    records: SegmentRecords | None,
    glimpsed: Callable[[int], None] | None,
) -> tuple[int, dict[str, object]]:
    model = load_model(settings, _scale(planned))
    if planned.kind == "picture":
        progress(ProgressEvent("enlarge", 0, 1, "pictures"))
        enlarge_file(source, part, planned.output_size, settings, model)
        progress(ProgressEvent("enlarge", 1, 1, "pictures"))
        frames, details = 1, model.told()
    else:
        frames, details = _enlarge_episode(
            source, part, settings, model, planned, work_dir, progress, records, glimpsed
        )
    return frames, details | {"weights_sha256": model.weights_sha256, "device": model.device}


def _scale(planned: Plan) -> Fraction:
    return Fraction(planned.output_size.height, planned.source_size.height)


def _final_name(source: Source, part: Path, settings: Settings, planned: Plan) -> str:
    if CHECKSUM_FIELD not in settings.name or planned.output_is_folder:
        return planned.output_name
    with open_source(part) as finished:
        checksum = crc32(finished.fd)
    return output_name(
        source.path.stem,
        Path(planned.output_name).suffix,
        output=planned.output_size,
        source=planned.source_size,
        settings=settings,
        checksum=checksum,
        of_episode=planned.kind == "episode",
    )


def _enlarge_episode(
    source: Source,
    part: Path,
    settings: Settings,
    model: Model,
    planned: Plan,
    work_dir: Path,
    progress: Progress,
    records: SegmentRecords | None,
    glimpsed: Callable[[int], None] | None,
) -> tuple[int, dict[str, object]]:
    info = probe_episode(source, limits=settings.limits, settings=settings)
    container = container_for(info, settings)
    if settings.reuse is not Reuse.OFF:
        model = reusing(model, cache_bytes=settings.reuse_cache_bytes)
    leaving = episode_format(info, settings, container)
    enlarge_planes = plane_enlarger(
        info.format,
        source_size=info.size,
        output=leaving,
        output_size=planned.output_size,
        settings=settings,
        model=model,
    )
    report = enlarge_episode(
        source,
        part,
        info=info,
        output_size=planned.output_size,
        output_format=leaving,
        enlarge=enlarge_planes,
        settings=settings,
        container=container,
        weights_sha256=model.weights_sha256,
        work_dir=work_dir,
        progress=progress,
        records=records,
        glimpse=None
        if glimpsed is None
        else Glimpse(
            work_dir / GLIMPSE,
            glimpsed,
            source=(info.format, info.size),
            output=(leaving, planned.output_size),
            matrix=info.colors.matrix,
        ),
    )
    return report.frames, report.details | {
        "mean_shift": enlarge_planes.mean_shift,
        "reused_share": enlarge_planes.reused_share,
        "near_error": enlarge_planes.near_error,
    }


def _enlarge_elsewhere(
    source: Source,
    part: Path,
    settings: Settings,
    planned: Plan,
    work_dir: Path,
    progress: Progress,
    records: SegmentRecords | None,
    elsewhere: Elsewhere,
) -> tuple[int, dict[str, object]]:
    """Neither loads a network nor looks for a GPU: this machine may have none."""
    info = probe_episode(source, limits=settings.limits, settings=settings)
    container = container_for(info, settings)
    weights_sha256 = weights_hash(settings, _scale(planned))
    report = enlarge_episode(
        source,
        part,
        info=info,
        output_size=planned.output_size,
        output_format=episode_format(info, settings, container),
        enlarge=None,
        settings=settings,
        container=container,
        weights_sha256=weights_sha256,
        work_dir=work_dir,
        progress=progress,
        records=records,
        elsewhere=elsewhere,
    )
    return report.frames, report.details | {"weights_sha256": weights_sha256, "device": "cluster"}
