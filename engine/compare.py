"""How near a file is to another: PSNR and SSIM of every frame, streamed; the worst frames are kept as crops.

Episodes are compared plane by plane at the deeper of their depths, as they are decoded: the luma plane, and all planes
together, each sample of chroma counting as much as one of luma. Pictures: BT.601 luma, and BGR as the training scores.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

import numpy as np

from engine import measure
from engine.display import Bgr
from engine.errors import InputError, UsageError
from engine.measure import Levels
from engine.progress import Progress, ProgressEvent
from engine.reel import Frame, Reel, open_reel
from engine.settings import Limits, Size

CROP = 160
"""Largest side of the crop of a bad frame, in pixels."""


@dataclass(frozen=True)
class FrameScore:
    """One frame. PSNR in dB, 100 where the two are equal."""

    number: int
    """Counted from 0."""
    psnr_luma: float
    ssim_luma: float
    psnr: float
    """Over all samples of all planes."""
    ssim: float
    """Of all planes, each by its share of the samples."""


@dataclass(frozen=True)
class WorstFrame:
    """A frame of low PSNR, and the place in it that is farthest off."""

    score: FrameScore
    left: int
    top: int
    made: Bgr
    wanted: Bgr


@dataclass(frozen=True)
class Comparison:
    """Every frame of one file against the same frame of another."""

    kind: str
    size: Size
    scores: tuple[FrameScore, ...]
    times_s: tuple[float, ...]
    """When each frame is shown; empty where nothing tells."""
    worst: tuple[WorstFrame, ...]
    """The worst first."""
    notes: tuple[str, ...]
    """What was found on the way and is no refusal."""


def compare(
    made: Path,
    wanted: Path,
    *,
    limits: Limits,
    worst: int = 4,
    progress: Progress,
) -> Comparison:
    """Compare two pictures, two episodes or two folders of numbered frames, which must be of one size.

    Memory holds a few frames of each, whatever their length. Raises `UsageError` (kinds or sizes differ), `InputError`
    (damaged, or of another number of frames), `MissingInputError`.
    """
    with ExitStack() as stack:
        one, other = (stack.enter_context(open_reel(path, limits=limits)) for path in (made, wanted))
        _refuse_unlike(one, other)
        pairs = _pairs(one, other)
        gallery = _Gallery(worst, apart=max(1, round(one.frame_rate)))
        scores = []
        for score, pair in _scored(pairs, one, other):
            scores.append(score)
            gallery.consider(score, pair, one, other)
            progress(ProgressEvent("compare", len(scores), one.frames or other.frames, "frames"))
        notes = [*_notes(one, other), *_time_notes(one, other)]
        return Comparison(one.kind, one.size, tuple(scores), one.times_s(), gallery.pictures(), tuple(notes))


def _refuse_unlike(one: Reel, other: Reel) -> None:
    if one.kind != other.kind:
        raise UsageError(
            f"is of the kind {one.kind}, and {other.path} of the kind {other.kind}: they cannot be compared",
            remedy="give two pictures, two episodes or two folders of frames",
            path=one.path,
        )
    if one.size != other.size:
        raise UsageError(
            f"is {one.size}, and {other.path} is {other.size}: only equal sizes can be compared",
            remedy="compare with what has the same size: another enlargement, or the original it was reduced from",
            path=one.path,
        )
    if one.full_range != other.full_range:
        raise UsageError(
            f"has full range where {other.path} has limited range, or the reverse",
            remedy="convert one of them (ffmpeg -vf scale=out_range=…)",
            path=one.path,
        )
    if min(one.size.width, one.size.height) < measure.WINDOW:
        raise InputError(
            f"is smaller than the {measure.WINDOW}x{measure.WINDOW} pixels that SSIM looks at",
            remedy="give larger ones",
            path=one.path,
        )


def _pairs(one: Reel, other: Reel) -> Iterator[tuple[Frame, Frame]]:
    for number, (made, wanted) in enumerate(zip_longest(one, other)):
        if made is None or wanted is None:
            short, long = (one, other) if made is None else (other, one)
            raise InputError(
                f"ends after {number} frames, and {long.path} goes on",
                remedy="compare files of the same frames (`kakudai verify` tells what was lost)",
                path=short.path,
            )
        yield made, wanted


def _scored(
    pairs: Iterable[tuple[Frame, Frame]], one: Reel, other: Reel
) -> Iterator[tuple[FrameScore, tuple[Frame, Frame]]]:
    """Scores in order; several frames are worked on at a time, and no more are held."""
    workers = os.cpu_count() or 1
    depths = one.depth, other.depth
    waiting: deque[tuple[Future[FrameScore], tuple[Frame, Frame]]] = deque()
    with ThreadPoolExecutor(workers, "score") as pool:
        for number, pair in enumerate(pairs):
            future = pool.submit(score_frame, number, *pair, depths=depths, full_range=one.full_range)
            waiting.append((future, pair))
            if len(waiting) > workers:
                first, done = waiting.popleft()
                yield first.result(), done
        for first, done in waiting:
            yield first.result(), done


def score_frame(number: int, made: Frame, wanted: Frame, *, depths: tuple[int, int], full_range: bool) -> FrameScore:
    """Compare one frame at the deeper of two depths, of which the peak is the largest code value."""
    depth = max(depths)
    peak = (1 << depth) - 1

    def pair(one: Levels, other: Levels) -> tuple[Levels, Levels]:
        return _at_depth(one, depths[0], depth, full_range), _at_depth(other, depths[1], depth, full_range)

    luma = pair(made.luma, wanted.luma)
    ssim_luma = measure.ssim(*luma, peak=peak)
    parts = [pair(*both) for both in zip(made.parts, wanted.parts, strict=False)]
    parts = [(one, other) for one, other in parts if one.shape == other.shape]
    sizes = [one.size for one, _ in parts]
    error = float(np.average([measure.squared_error(one, other) for one, other in parts], weights=sizes))
    similar = [
        (ssim_luma if one is made.luma else measure.ssim(one, other, peak=peak), one.size)
        for one, other in parts
        if min(one.shape[:2]) >= measure.WINDOW
    ]
    values, weights = zip(*similar, strict=True)
    return FrameScore(
        number,
        measure.psnr(*luma, peak=peak),
        ssim_luma,
        measure.decibels(error, peak=peak),
        float(np.average(values, weights=weights)),
    )


def _at_depth(plane: Levels, depth: int, wanted: int, full_range: bool) -> Levels:
    if depth == wanted:
        return plane
    if full_range:
        return np.rint(plane.astype(np.float64) * ((1 << wanted) - 1) / ((1 << depth) - 1)).astype(np.uint16)
    return plane.astype(np.uint16) << (wanted - depth)


@dataclass
class _Gallery:
    """The worst frames so far. Of frames less than `apart` from each other only the worst is kept: they look alike."""

    most: int
    apart: int
    _kept: list[WorstFrame] = field(default_factory=list)

    def consider(self, score: FrameScore, pair: tuple[Frame, Frame], one: Reel, other: Reel) -> None:
        if self.most < 1 or score.psnr_luma >= measure.EQUAL_DB:
            return
        near = [kept for kept in self._kept if score.number - kept.score.number < self.apart]
        rivals = near or (self._kept if len(self._kept) >= self.most else [])
        if rivals:
            best = max(rivals, key=lambda kept: kept.score.psnr_luma)
            if score.psnr_luma >= best.score.psnr_luma:
                return
            self._kept.remove(best)
        self._kept.append(_crop(score, pair, one, other))

    def pictures(self) -> tuple[WorstFrame, ...]:
        return tuple(sorted(self._kept, key=lambda kept: kept.score.psnr_luma))


def _crop(score: FrameScore, pair: tuple[Frame, Frame], one: Reel, other: Reel) -> WorstFrame:
    """The window with the largest squared error of luma."""
    import cv2

    made, wanted = pair
    unit = float(2 ** (one.depth - other.depth))
    errors = (made.luma.astype(np.float32) - wanted.luma.astype(np.float32) * unit) ** 2
    width, height = min(CROP, one.size.width), min(CROP, one.size.height)
    sums = cv2.boxFilter(errors, -1, (width, height), anchor=(0, 0), borderType=cv2.BORDER_ISOLATED)
    inside = sums[: one.size.height - height + 1, : one.size.width - width + 1]
    top, left = (int(at) for at in np.unravel_index(int(inside.argmax()), inside.shape))
    cut = (slice(top, top + height), slice(left, left + width))
    return WorstFrame(score, left, top, one.shown(made)[cut].copy(), other.shown(wanted)[cut].copy())


def _notes(one: Reel, other: Reel) -> Iterator[str]:
    if one.depth != other.depth:
        yield f"{one.depth} bit against {other.depth} bit: compared at {max(one.depth, other.depth)} bit"
    if one.layout != other.layout:
        yield f"{one.layout} against {other.layout}: planes of unequal size are left out"


def _time_notes(one: Reel, other: Reel) -> Iterator[str]:
    pairs = list(zip(one.times_s(), other.times_s(), strict=False))
    most = max((abs(a - b) for a, b in pairs), default=0.0)
    if most > 0.001:
        yield f"frames are shown at other times, up to {most:.3f} s apart; they are compared one by one all the same"
