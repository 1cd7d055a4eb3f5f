"""An episode's segments made on other machines: what they are told, what they answer, and how both are held to account.

One sequential decode here (`engine.timeline`) says what every frame is; each segment is ordered as soon as its frames
are known, wherever there is room, and what comes back is checked before it counts. Who the others are and how they are
reached is not the engine's business: it sees a `Crew`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from engine.completeness import Damage, check_all_decoded
from engine.encode import EncodedSegment
from engine.errors import ProcessingError
from engine.frame_facts import FrameFacts
from engine.mux import Timing, timing_of
from engine.open_gop import opening_complaints
from engine.packets import PacketScan
from engine.probe import EpisodeInfo
from engine.progress import Progress, ProgressEvent
from engine.segment_check import count_packets, file_sha256
from engine.segments import Segment, SegmentStore
from engine.settings import Container, Limits, Settings, Size
from engine.source import Source
from engine.stages import Stages
from engine.timeline import Timeline

_WAIT_S = 0.25
_LEAD_FRAMES = 4
"""Frames before the first one that a deinterlacer is given to look at."""


@dataclass(frozen=True)
class EpisodeOrder:
    """What all segments of an episode share. Plain data, to be sent."""

    source_sha256: str
    settings: Settings
    output_size: Size
    container: Container
    fields: str | None
    """bwdif's name of the field order where frames are deinterlaced."""
    weights_sha256: str | None


@dataclass(frozen=True)
class SegmentOrder:
    """One segment: which frames it holds, by what they are when the whole episode is decoded from its beginning."""

    index: int
    frames: tuple[FrameFacts, ...]
    start_pts: int | None
    """From where decoding may be tried; None: from the beginning of the episode."""


@dataclass(frozen=True)
class MadeSegment:
    """A segment that came back. Its file lies where the order said, flushed, and was decoded again by its maker."""

    index: int
    frames: int
    bytes: int
    sha256: str
    seconds: float
    """Of its turn at the network. Before and after it others had theirs: of these the speed of a maker is reckoned."""
    shift: Mapping[str, object] = field(default_factory=dict)
    """`engine.color.PlaneEnlarger.mean_shift` of its frames."""
    asked_pixels: int = 0
    computed_pixels: int = 0
    stage_seconds: Mapping[str, float] = field(default_factory=dict)


class Crew(Protocol):
    """Those who make segments of one episode."""

    def submit(self, order: SegmentOrder, target: Path) -> None:
        """Have a segment made and put at `target`. Returns at once; waits in line as long as everybody is busy."""

    def finished(self, *, wait_s: float) -> list[MadeSegment]:
        """What came back since the last call; waits so long for the first. Raises what nobody could do."""

    def facts(self) -> dict[str, object]:
        """Who did what, JSON-ready, for the report."""


Elsewhere = Callable[[EpisodeOrder, Source], AbstractContextManager[Crew]]
"""Gathers a crew for an episode. Leaving the context ends what is still under way."""


class CrewGoneError(ProcessingError):
    """Nobody is there who could make segments, and it was asked to go on here then."""


@dataclass(frozen=True)
class MadeElsewhere:
    """All segments, and what came with them. `details` is JSON-ready."""

    timing: Timing
    segments: list[Segment]
    stages: Stages
    details: dict[str, object]


def make_elsewhere(
    source: Source,
    info: EpisodeInfo,
    packets: PacketScan,
    *,
    elsewhere: Elsewhere,
    order: EpisodeOrder,
    store: SegmentStore,
    damage: Damage,
    progress: Progress,
) -> MadeElsewhere:
    """Have every segment made that the store has not, as the frames become known; returns when all are recorded.

    Raises what the timeline finds wrong with the source, what the crew could not do, and `ProcessingError` for a
    segment that is not what was ordered.
    """
    limits = order.settings.limits
    with (
        Timeline(
            source,
            info,
            limits=limits,
            excused=opening_complaints(source, info, packets, limits),
            deinterlaced_as=order.fields,
            accept_damage=damage.accept,
        ) as timeline,
        elsewhere(order, source) as crew,
    ):
        gains = _collect(timeline, crew, packets, order=order, store=store, progress=progress)
        details = {"elsewhere": crew.facts(), **gains.details()}
    damage.found += timeline.damage
    timestamps = timeline.timestamps
    check_all_decoded(source, packets, timestamps, damage)
    return MadeElsewhere(timing_of(info, packets, timestamps), store.all(frames=len(timestamps)), gains.stages, details)


def _collect(
    timeline: Timeline,
    crew: Crew,
    packets: PacketScan,
    *,
    order: EpisodeOrder,
    store: SegmentStore,
    progress: Progress,
) -> _Gains:
    there = store.indexes()
    wanted: dict[int, SegmentOrder] = {}
    gains = _Gains()
    ordered = 0
    while True:
        ended = timeline.ended  # asked before the facts: none is missed
        known = len(timeline.facts)
        whole = -(-known // store.frames_each) if ended else known // store.frames_each
        for index in range(ordered, whole):
            if index not in there:
                wanted[index] = segment_order(timeline, index, store.frames_each, fields=order.fields)
                crew.submit(wanted[index], store.part(index))
        ordered = whole
        if ended and not wanted:
            return gains
        for made in crew.finished(wait_s=_WAIT_S):
            check_made(made, wanted.pop(made.index), store.part(made.index), limits=order.settings.limits)
            store.record(made.index, EncodedSegment(made.frames, made.bytes, made.sha256))
            gains.add(made)
        open_frames = (
            sum(len(segment.frames) for segment in wanted.values()) + known - min(known, whole * store.frames_each)
        )
        progress(
            ProgressEvent(
                "enlarge",
                known - open_frames,
                max(known, len(packets.timestamps)),
                "frames",
                stages=gains.stages.shares,
                bottleneck=gains.stages.bottleneck,
                reused_share=gains.reused_share,
            )
        )


def segment_order(timeline: Timeline, index: int, frames_each: int, *, fields: str | None) -> SegmentOrder:
    """The order for a segment whose frames are known."""
    first = index * frames_each
    start = first - _LEAD_FRAMES if fields else first
    start_pts = timeline.facts[start].pts if start > 0 else None
    return SegmentOrder(index, tuple(timeline.facts[first : first + frames_each]), start_pts)


def check_made(made: MadeSegment, order: SegmentOrder, path: Path, *, limits: Limits) -> None:
    """Refuse a segment that is not what was ordered, or not what its maker sent. Raises `ProcessingError`."""
    problem = None
    if made.frames != len(order.frames):
        problem = f"has {made.frames} frames, not {len(order.frames)}"
    elif path.stat().st_size != made.bytes or file_sha256(path) != made.sha256:
        problem = "is not what its maker sent"
    elif (found := count_packets(path, limits=limits)) != made.frames:
        problem = f"holds {found} frames, not {made.frames}"
    if problem is not None:
        raise ProcessingError(
            f"segment {made.index}, made elsewhere, {problem}", remedy="try again: it will be made anew"
        )


class _Gains:
    """What the makers measured, summed up as one pass would have."""

    def __init__(self) -> None:
        self._asked = self._computed = self._measured = 0
        self._sums: dict[str, float] = {}
        self.stages = Stages()

    def add(self, made: MadeSegment) -> None:
        self._asked += made.asked_pixels
        self._computed += made.computed_pixels
        self.stages.add(made.stage_seconds, whole_s=made.seconds)
        frames = int(str(made.shift.get("frames", 0)))
        self._measured += frames
        for plane in ("luma", "u", "v"):
            if plane in made.shift:
                self._sums[plane] = self._sums.get(plane, 0.0) + frames * float(str(made.shift[plane]))

    def details(self) -> dict[str, object]:
        means = {plane: round(total / self._measured, 4) for plane, total in self._sums.items()}
        return {"mean_shift": {"frames": self._measured, **means}, "reused_share": self.reused_share}

    @property
    def reused_share(self) -> float | None:
        return round(1 - self._computed / self._asked, 4) if self._asked else None
