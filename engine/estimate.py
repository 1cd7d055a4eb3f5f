"""What a job will take, before anything is spent: disk and time, from rates that were measured or are usual."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.settings import Container, Settings

if TYPE_CHECKING:
    from engine.plan import Plan
    from engine.probe import EpisodeInfo

_VIDEO_SHARE = 0.8
"""Of an episode's file, where its tags tell nothing."""

_USUAL_BITS = {"x265": 0.08, "x264": 0.12, "svtav1": 0.06, "ffv1": 7.0}
"""Bits for each pixel of enlarged anime at the encoders' default settings."""
_USUAL_CRF = {"x265": 16, "x264": 16, "svtav1": 20}
_CRF_FOR_HALF = {"x265": 6, "x264": 6, "svtav1": 8}
"""How much more CRF halves the size."""
_PICTURE_BYTES = {".png": 1.8, ".jpg": 0.5, ".jpeg": 0.5, ".webp": 0.3, ".tif": 2.5, ".tiff": 2.5, ".bmp": 3.0}
_FRAME_BYTES = 1.8


@dataclass(frozen=True)
class Rate:
    """What jobs of one kind with some settings take: output pixels a second, and bytes for each output pixel."""

    pixels_per_second: float
    bytes_per_pixel: float
    startup_s: float = 0.0


@dataclass(frozen=True)
class Space:
    """Bytes on the disk at the peak: in the job's work folder, and in the output folder."""

    work_bytes: int
    output_bytes: int


def pixels_of(planned: Plan) -> int | None:
    """Pixels of all output frames; None where the number of frames is unknown."""
    return None if planned.frames is None else planned.output_size.pixels * planned.frames


def expected_space(planned: Plan, settings: Settings, *, bytes_per_pixel: float | None = None) -> Space:
    """`bytes_per_pixel`: as measured; None: what is usual. Zero where nothing can be known."""
    pixels = pixels_of(planned) or 0
    if planned.kind != "episode":
        each = bytes_per_pixel or _usual_picture_bytes(planned, settings)
        return Space(0, round(pixels * each))
    video = round(pixels * (bytes_per_pixel or usual_bytes_per_pixel(planned, settings)))
    if planned.container is Container.PNG:
        return Space(video, round(pixels * _FRAME_BYTES))
    joined = 2 if planned.container is Container.MP4 else 1  # mkvmerge writes the video once before ffmpeg does
    return Space(video * joined, video + planned.other_bytes)


def expected_seconds(planned: Plan, rate: Rate) -> float | None:
    """From the start to the delivery; None where the number of frames is unknown."""
    pixels = pixels_of(planned)
    return None if pixels is None else rate.startup_s + pixels / rate.pixels_per_second


def usual_bytes_per_pixel(planned: Plan, settings: Settings) -> float:
    """Of the encoded video."""
    name = "ffv1" if planned.container is Container.PNG else settings.encoder.name
    bits = _USUAL_BITS.get(name, max(_USUAL_BITS["x264"], 0.1))
    crf = dict(settings.encoder.options).get("crf")
    if crf is not None and name in _USUAL_CRF:
        bits *= 2 ** ((_USUAL_CRF[name] - float(crf)) / _CRF_FOR_HALF[name])
    return bits / 8


def other_bytes(info: EpisodeInfo, source_bytes: int) -> int:
    """Bytes of everything but the video: by mkvmerge's statistics where the source has them, else a usual share."""
    for name, value in info.video.tags.items():
        if re.fullmatch(r"NUMBER_OF_BYTES(-\w+)?", name) and value.isdigit() and int(value) <= source_bytes:
            return source_bytes - int(value)
    return round(source_bytes * (1 - _VIDEO_SHARE))


def _usual_picture_bytes(planned: Plan, settings: Settings) -> float:
    suffix = Path(planned.output_name).suffix.lower()
    if planned.kind == "sequence":
        suffix = f".{settings.image_format.value}"
    return _PICTURE_BYTES.get(suffix, _FRAME_BYTES)
