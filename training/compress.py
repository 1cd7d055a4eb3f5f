"""Pictures through a lossy codec and back, as files from the real world have been."""

from __future__ import annotations

import tempfile
from pathlib import Path

import cv2
import numpy as np

from engine.process import run
from training.degrade import Levels
from training.recipe import Compression

MILD = {Compression.JPEG: (75, 95), Compression.X264: (16, 26), Compression.X265: (18, 28)}
"""Qualities that still look well: JPEG's from coarse to fine, CRF from fine to coarse."""
SMALLEST = 32
"""Pixels a side below which a picture stays as it is: x265 takes none."""

_ENCODERS = {Compression.X264: "libx264", Compression.X265: "libx265"}
_SILENCE_S = 120.0


def compress(picture: Levels, how: Compression, quality: int) -> Levels:
    """(height, width) luma or (height, width, 3) BGR, 8 bit, after compression; the same shape.

    Luma goes alone and in full range. Colour is what a broadcast or a release has: 4:2:0, BT.709, limited range.
    Raises `ProcessingError` (ffmpeg failed), `ToolError` (it is missing), `EnvironmentFault` (disk full).
    """
    if how is Compression.NONE or min(picture.shape[:2]) < SMALLEST:
        return picture
    if how is Compression.JPEG:
        encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        flag = cv2.IMREAD_GRAYSCALE if picture.ndim == 2 else cv2.IMREAD_COLOR
        return np.asarray(cv2.imdecode(encoded, flag), np.uint8)
    return _as_video(picture, _ENCODERS[how], quality)


def drawn_quality(how: Compression, rng: np.random.Generator) -> int:
    """A mild one."""
    lowest, highest = MILD.get(how, (0, 0))
    return int(rng.integers(lowest, highest + 1))


def _as_video(picture: Levels, encoder: str, crf: int) -> Levels:
    height, width = picture.shape[:2]
    even = cv2.copyMakeBorder(picture, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    colour = picture.ndim == 3
    raw = ["-f", "rawvideo", "-pix_fmt", "bgr24" if colour else "gray"]
    to_video = (
        "scale=out_color_matrix=bt709:out_range=tv:flags=bicubic+accurate_rnd+full_chroma_inp,format=yuv420p"
        if colour
        else "scale=in_range=pc:out_range=pc,format=gray"
    )
    to_pixels = "scale=in_color_matrix=bt709:in_range=tv:flags=bicubic+accurate_rnd+full_chroma_int,format=bgr24"
    with tempfile.TemporaryDirectory(prefix="kakudai-") as folder:
        source, video = Path(folder, "source"), Path(folder, "video.mkv")
        source.write_bytes(even.tobytes())
        _ffmpeg(
            [*raw, "-s", f"{even.shape[1]}x{even.shape[0]}", "-i", f"file:{source}", "-vf", to_video],
            [
                "-c:v",
                encoder,
                *([] if colour else ["-color_range", "pc"]),
                "-crf",
                str(crf),
                "-preset",
                "veryfast",
                "-threads",
                "1",
                str(video),
            ],
        )
        made = _ffmpeg(
            ["-i", f"file:{video}", "-vf", to_pixels if colour else "scale=in_range=pc:out_range=pc,format=gray"],
            [*raw, "pipe:1"],
        )
    return np.frombuffer(made, np.uint8).reshape(even.shape)[:height, :width].copy()


def _ffmpeg(before: list[str], after: list[str]) -> bytes:
    argv = ["ffmpeg", "-nostdin", "-v", "error", *before, *after]
    made, child = run(argv, silence_s=_SILENCE_S, subject=Path("picture"), max_bytes=1 << 30)
    if child.status:
        raise child.failed("could not compress a picture")
    return made
