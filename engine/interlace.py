"""Is an episode interlaced or telecined? Its flags may say so; a sample of its frames tells where they do not.

ffmpeg's idet says which field of each frame seems the earlier one. Detail that moves up or down by a line a frame fools
it, so where it finds fields, the frames are looked at once more for combs: lines that go two and two together where
something moves.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import InputError
from engine.ffmpeg import command, source_input
from engine.probe import EpisodeInfo
from engine.process import Child, run
from engine.settings import Deinterlace, Limits
from engine.source import Source

SAMPLE_FRAMES = 60
SAMPLE_PLACES = (Fraction(1, 8), Fraction(1, 2), Fraction(7, 8))
"""Where in the episode it is looked at, as parts of its duration."""

_ONE_SIDED_FRAMES, _ONE_SIDED_PART = 10, 0.25
"""idet finds fields where so many frames more, and such a part of those it can tell, have the one order."""
_STEP = 12
"""Levels of 255 by which neighbouring lines of a comb differ, and by less than which the lines of one field do."""
_COMBED_PART = 0.012
"""A frame is combed where such a part of its moving pixels lies in combs. Progressive: ≤ 0.006, telecined: ≥ 0.04."""
_COMBED_FRAMES = 0.2
"""An episode has fields where such a part of its moving frames is combed. 3:2 pulldown combs two of five."""

_FOUND = re.compile(r"Single frame detection: TFF:\s*(\d+) BFF:\s*(\d+) Progressive:\s*(\d+)")
_FIRST_FIELD = {"tt": "tff", "tb": "tff", "bb": "bff", "bt": "bff"}


def check_interlacing(source: Source, info: EpisodeInfo, *, deinterlace: Deinterlace, limits: Limits) -> str | None:
    """The field order by which the episode is to be deinterlaced, None where it is not.

    Raises `InputError` where it is interlaced or telecined and that is to be refused.
    """
    if deinterlace is Deinterlace.NEVER:
        return None
    order = field_order(source, info, limits=limits)
    if order is not None and deinterlace is Deinterlace.REFUSE:
        raise InputError(
            "is interlaced or telecined by the look of its frames, though its header does not say so",
            remedy="set `deinterlace: bwdif` in the profile, or `deinterlace: never` if it is progressive after all",
            path=source.path,
        )
    return order


def field_order(source: Source, info: EpisodeInfo, *, limits: Limits) -> str | None:
    """`tff` or `bff` (bwdif's names) where the flags or a sample of the frames show fields; None for progressive."""
    if info.field_order in _FIRST_FIELD:
        return _FIRST_FIELD[info.field_order]
    top = bottom = progressive = 0
    samples = list(_samples(source, info, limits))
    for sample, frames in samples:
        argv = command(
            sample.output("pipe:1", f="null", vf="idet", fps_mode="passthrough", **{"frames:v": frames}),
            leading=["-loglevel", "repeat+level+info", "-progress", "pipe:1"],
        )
        _, child = run(argv, silence_s=limits.silence_s, subject=source.path, pass_fds=(source.fd,))
        if found := _FOUND.search(child.messages):
            counts = [int(count) for count in found.groups()]
            top, bottom, progressive = top + counts[0], bottom + counts[1], progressive + counts[2]
    one_sided = abs(top - bottom)
    if one_sided < _ONE_SIDED_FRAMES or one_sided < _ONE_SIDED_PART * (top + bottom + progressive):
        return None
    parts = [part for sample in samples for part in _combed_parts(source, info, *sample, limits)]
    if sum(part > _COMBED_PART for part in parts) < max(2, _COMBED_FRAMES * len(parts)):
        return None
    return "tff" if top > bottom else "bff"


def _samples(source: Source, info: EpisodeInfo, limits: Limits) -> Iterator[tuple[Any, int]]:
    """ffmpeg-python's stream and how many of its frames, for each place; a short episode is one place."""
    duration = info.duration_s or Fraction(0)
    if duration * info.frame_rate < SAMPLE_FRAMES * len(SAMPLE_PLACES):
        yield source_input(source, limits, noautorotate=None)[str(info.video_index)], SAMPLE_FRAMES * len(SAMPLE_PLACES)
        return
    for part in SAMPLE_PLACES:
        place = f"{float(duration * part):.3f}"
        yield source_input(source, limits, noautorotate=None, ss=place)[str(info.video_index)], SAMPLE_FRAMES


def _combed_parts(source: Source, info: EpisodeInfo, sample: Any, frames: int, limits: Limits) -> list[float]:
    """For each frame in which something moves: the part of its moving pixels that lies in combs."""
    argv = command(
        sample.output(
            "pipe:1", f="rawvideo", pix_fmt="gray", fps_mode="passthrough", noautoscale=None, **{"frames:v": frames}
        )
    )
    size, parts = info.size, []
    with Child(argv, silence_s=limits.silence_s, subject=source.path, pass_fds=(source.fd,)) as child:
        before: NDArray[np.int16] | None = None
        while True:
            buffer = np.empty(size.pixels, np.uint8)
            if child.read_into(child.stdout_fd, buffer.data) < size.pixels:
                break
            now = buffer.reshape(size.height, size.width).astype(np.int16)
            if before is not None and size.height >= 5 and (part := combed_part(before, now)) is not None:
                parts.append(part)
            before = now
        child.finish(check=False)
    return parts


def combed_part(before: NDArray[np.int16], now: NDArray[np.int16]) -> float | None:
    """The part of the moving pixels of a frame (grey, 0..255) that lies in combs; None where hardly anything moves."""
    moving = (np.abs(now - before) > _STEP)[2:-2]
    count = int(moving.sum())
    if count < 20:
        return None
    up2, up, here, down, down2 = (now[i : now.shape[0] - 4 + i] for i in range(5))
    combs = ((up - here > _STEP) & (down - here > _STEP)) | ((up - here < -_STEP) & (down - here < -_STEP))
    for one, other in ((up2, here), (down2, here), (up, down)):
        combs &= np.abs(one - other) < _STEP
    return int((combs & moving).sum()) / count
