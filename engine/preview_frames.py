"""Which frames of an episode tell most: of different scenes, with much to see; decoded one by one where they lie."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray

from engine import measure
from engine.display import Bgr, to_bgr
from engine.errors import ProcessingError
from engine.ffmpeg import command, source_input
from engine.frame_facts import exact_options
from engine.planes import Planes
from engine.probe import EpisodeInfo
from engine.process import run
from engine.progress import Progress, ProgressEvent
from engine.settings import Limits
from engine.source import Source

_MOST_PLACES, _PLACE_S = 32, 20
"""How many places of an episode are looked at: one in so many seconds, but at least three for each frame wanted."""
_THUMBNAIL = (64, 36)
_LIKE, _UNLIKE = 1.5, 60.0
"""Mean difference of two thumbnails, in levels: below the first they show the same; above the second they are as unlike
as can be."""


@dataclass(frozen=True)
class EpisodeFrame:
    """One decoded frame of an episode."""

    at_s: float
    """When it is shown."""
    planes: Planes
    bgr: Bgr
    """As people see it."""


@dataclass(frozen=True)
class _Candidate:
    sought_s: float
    on_key_frame: bool
    at_s: float
    detail: float
    """The part of the frame that lies at an edge."""
    thumbnail: NDArray[np.float32]


def telling_frames(
    source: Source,
    info: EpisodeInfo,
    *,
    count: int,
    limits: Limits,
    deinterlaced_as: str | None,
    progress: Progress,
) -> list[EpisodeFrame]:
    """At most `count` frames in the order of their times: rich in lines, each unlike the others.

    Looks at the key frames nearest to places spread over the episode (encoders put them where scenes change); of an
    episode with few key frames, at frames between them. Raises `ProcessingError` when none can be decoded.
    """
    duration_s = float(info.duration_s or 0)
    most = min(_MOST_PLACES, max(3 * count, int(duration_s / _PLACE_S)))
    places = [duration_s * (place + 0.5) / most for place in range(most)]
    found: dict[float, _Candidate] = {}
    for on_key_frame in (True, False):
        if len(found) >= 2 * count:
            break
        for number, place in enumerate(places):
            progress(ProgressEvent("look", number, most, "places"))
            frame = frame_near(source, info, place, on_key_frame, limits=limits, deinterlaced_as=deinterlaced_as)
            if frame is not None and frame.at_s not in found:
                found[frame.at_s] = _candidate(frame, place, on_key_frame)
    chosen = choose(list(found.values()), count)
    frames = [
        frame_near(source, info, c.sought_s, c.on_key_frame, limits=limits, deinterlaced_as=deinterlaced_as)
        for c in sorted(chosen, key=lambda candidate: candidate.at_s)
    ]
    decoded = [frame for frame in frames if frame is not None]
    if not decoded:
        raise ProcessingError(
            "no frame could be decoded", remedy="the file is damaged; copy it again", path=source.path
        )
    return decoded


def choose(candidates: Sequence[_Candidate], count: int) -> list[_Candidate]:
    """Greedy: the one with the most detail, then always the one with much detail that is least like those chosen.

    Fewer than `count` where the others look like one that is chosen.
    """
    chosen: list[_Candidate] = []
    left = list(candidates)
    while left and len(chosen) < count:
        worth = [candidate.detail * min(_difference(candidate, chosen), _UNLIKE) for candidate in left]
        best = left.pop(int(np.argmax(worth)))
        if chosen and _difference(best, chosen) < _LIKE:
            break
        chosen.append(best)
    return chosen


def _difference(candidate: _Candidate, chosen: Iterable[_Candidate]) -> float:
    """Mean difference from the most similar one, in levels; infinite from none."""
    return min((float(np.abs(candidate.thumbnail - other.thumbnail).mean()) for other in chosen), default=float("inf"))


def _candidate(frame: EpisodeFrame, place: float, on_key_frame: bool) -> _Candidate:
    small = cv2.resize(cv2.cvtColor(frame.bgr, cv2.COLOR_BGR2GRAY), _THUMBNAIL, interpolation=cv2.INTER_AREA)
    detail = float(measure.edges(frame.bgr).mean())
    return _Candidate(place, on_key_frame, frame.at_s, detail, small.astype(np.float32))


def frame_near(
    source: Source,
    info: EpisodeInfo,
    at_s: float,
    on_key_frame: bool,
    *,
    limits: Limits,
    deinterlaced_as: str | None = None,
) -> EpisodeFrame | None:
    """The frame shown `at_s` seconds after the beginning, or the key frame before it; None where there is none.

    `deinterlaced_as`: bwdif's name of the field order where the job would deinterlace.
    """
    seek = {} if not on_key_frame else {"noaccurate_seek": None}
    stream = source_input(source, limits, copyts=None, noautorotate=None, ss=f"{at_s:.6f}", **seek)[
        str(info.video_index)
    ]
    exact = {**exact_options(), "frames:v": 1}
    wanted = {"vf": f"bwdif=send_frame:{deinterlaced_as}:all"} if deinterlaced_as else {}
    size = info.format.frame_bytes(info.size)
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as times:
        try:
            argv = command(
                stream.output("pipe:1", f="rawvideo", pix_fmt=info.format.pix_fmt, **exact, **wanted),
                stream.output(f"pipe:{writing}", f="framecrc", **exact),
            )
            said, _ = run(
                argv,
                silence_s=limits.silence_s,
                subject=source.path,
                pass_fds=(source.fd, writing),
                max_bytes=2 * size,
            )
        finally:
            os.close(writing)
        lines = [line for line in times.read().decode("ascii", "replace").splitlines() if not line.startswith("#")]
    if len(said) < size or not lines:
        return None
    pts = int(lines[0].split(",")[2])
    planes = info.format.split(said[:size], info.size)
    shown = to_bgr(planes, info.format, matrix=info.colors.matrix, lines=info.size.height)
    return EpisodeFrame(float(Fraction(pts) * info.time_base), planes, shown)
