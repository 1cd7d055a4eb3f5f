"""The clips and frames that are measured: a real animation where it lies beside the checkout, else a drawn one."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.settings import Size
from training.sample import write_episode

_FILM = Path("../shared/data/video/pepper_run_720p24.mkv")
FILM_SIZE = Size(960, 540)


def _ffmpeg(*words: str | Path) -> bytes:
    argv = ["ffmpeg", "-nostdin", "-v", "error", "-y", *map(str, words)]
    return subprocess.run(argv, check=True, capture_output=True).stdout


def _broadcast(size: Size) -> str:
    """ffmpeg's filters to that size and to what is broadcast: 4:2:0, BT.709, limited range. The film itself is RGB."""
    return f"scale={size.width}:{size.height}:flags=area:out_color_matrix=bt709:out_range=tv,setsar=1,format=yuv420p"


def film(folder: Path, *, frames: int | None = None, size: Size = FILM_SIZE) -> Path:
    """An animation on twos as x264 leaves it at crf 18."""
    made = folder / f"film-{size}-{frames or 'all'}.mkv"
    if not made.exists():
        scale = _broadcast(size)
        count = ["-frames:v", str(frames)] if frames else []
        _ffmpeg("-i", _source(folder), "-an", "-vf", scale, *count, "-c:v", "libx264", "-crf", "18", made)
    return made


def repeated(folder: Path, *, frames: int, size: Size) -> Path:
    """The same, as often as it takes, to measure what length does."""
    made = folder / f"loop-{size}-{frames}.mkv"
    if not made.exists():
        scale = _broadcast(size)
        loop: list[str | Path] = [
            "-stream_loop",
            "-1",
            "-i",
            _source(folder),
            "-an",
            "-vf",
            scale,
            "-frames:v",
            str(frames),
        ]
        _ffmpeg(*loop, "-c:v", "libx264", "-crf", "18", made)
    return made


def drawn(folder: Path, *, size: Size, frames: int) -> Path:
    """The first frames of our own drawn episode, without its sound."""
    made = folder / f"drawn-{size}-{frames}.mkv"
    if not made.exists():
        whole = folder / "drawn-whole.mkv"
        write_episode(whole, size=size, seconds=frames / 24 + 1)
        count = ["-frames:v", str(frames)]
        _ffmpeg("-i", whole, "-map", "0:v:0", "-map_chapters", "-1", "-c", "copy", *count, made)
    return made


def moving(folder: Path, *, size: Size, frames: int) -> Path:
    """Every pixel of every frame moves: a slow zoom with film grain. Nothing can be reused."""
    made = folder / f"moving-{size}.mkv"
    if not made.exists():
        scale = _broadcast(size)
        grain = f"{scale},noise=alls=12:allf=t"
        _ffmpeg(
            "-i", _source(folder), "-an", "-vf", grain, "-frames:v", str(frames), "-c:v", "libx264", "-crf", "14", made
        )
    return made


def picture(folder: Path, size: Size = FILM_SIZE) -> NDArray[np.uint8]:
    """(height, width, 3) BGR: one frame from the middle."""
    raw = _ffmpeg(
        *("-i", film(folder, size=size), "-vf", "select=gte(n\\,40)", "-frames:v", "1"),
        *("-pix_fmt", "bgr24", "-f", "rawvideo", "-"),
    )
    return np.frombuffer(raw, np.uint8).reshape(size.height, size.width, 3)


def _source(folder: Path) -> Path:
    return _FILM if _FILM.is_file() else drawn(folder, size=FILM_SIZE, frames=144)


def name() -> str:
    """Which film it is."""
    return "pepper_run" if _FILM.is_file() else "the drawn episode"
