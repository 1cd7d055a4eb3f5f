"""How time grows: with the pixels of a frame and with the length of a clip, as slopes on a log-log plot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from engine import weights
from engine.settings import Size
from engine.upscaler import Upscaler
from tests.bench import films
from tests.bench.commands import upscale
from tests.bench.measure import best, table

_SIDES = ((360, 288), (640, 400), (1024, 768), (1920, 1080), (3840, 2160))
_FRAMES = (10, 30, 100, 300, 1000)


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def pixels(*, quick: bool) -> str:
    """The network on one plane of 0.1 to 8 megapixels."""
    path = next(path for path in weights.shipped() if path.name == "msrcnn-2x.h5")
    upscaler = Upscaler(weights.load(path), largest_window=640, largest_batch=1)
    rows, sizes, seconds = [], [], []
    for width, height in _SIDES[: 3 if quick else None]:
        luma = np.random.default_rng(0).random((height, width), dtype=np.float32)
        cost = best(lambda luma=luma: upscaler(luma), times=1)  # type: ignore[misc]
        sizes.append(width * height)
        seconds.append(cost.cpu_s)
        each = 1e6 * cost.cpu_s / (width * height)
        rows.append([f"{width * height / 1e6:.2f}", f"{cost.wall_s:.2f}", f"{cost.cpu_s:.2f}", f"{each:.2f}"])
    text = table(["megapixels out", "s", "CPU s", "CPU µs a pixel"], rows)
    return f"{text}\n\nSlope of CPU seconds against pixels: {slope(sizes, seconds):.2f} (1 is proportional)."


def length(folder: Path, *, quick: bool) -> str:
    """The whole command on 10 to 1,000 frames."""
    rows, counts, seconds = [], [], []
    for frames in _FRAMES[: 3 if quick else None]:
        clip = films.repeated(folder, frames=frames, size=Size(96, 64))
        cost, details, _ = upscale(clip, folder, "--reuse", "off")
        enlarge = float(details["seconds"]["enlarge"])
        counts.append(frames)
        seconds.append(enlarge)
        rows.append([str(frames), f"{cost.wall_s:.1f}", f"{cost.cpu_s:.1f}", f"{enlarge:.2f}"])
    text = table(["frames of 96x64, 2×", "s", "CPU s", "of it decode to encode, s"], rows)
    long = slice(1, None)
    found = slope(counts[long], seconds[long])
    return f"{text}\n\nSlope of decode-to-encode seconds against frames from 30 on: {found:.2f}."
