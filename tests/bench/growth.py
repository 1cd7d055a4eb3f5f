"""How time grows: with the pixels of a frame and with the length of a clip, as slopes on a log-log plot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from engine import plot, weights
from engine.settings import Size
from engine.upscaler import Upscaler
from tests.bench import films
from tests.bench.commands import upscale
from tests.bench.measure import best, table

_SIDES = ((360, 288), (640, 400), (1024, 768), (1920, 1080), (3840, 2160))
_FRAMES = (10, 30, 100, 300, 1000)


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def drawing(page: Path, name: str, lines: dict[str, Sequence[float]], x: Sequence[float], *, across: str) -> str:
    """A log-log plot beside the page, with a line of slope 1; how the page shows it."""
    first = next(iter(lines.values()))
    proportional = [first[-1] * at / x[-1] for at in x]
    drawn = plot.draw(
        {**lines, "proportional": proportional},
        title="seconds",
        across=across,
        logarithmic=True,
        places=[float(np.log10(at)) for at in x],
        place_label=lambda at: f"{10**at:.3g}",
    )
    assert drawn is not None
    picture = page.with_name(f"{page.stem}-{name}.png")
    picture.write_bytes(cv2.imencode(".png", drawn)[1].tobytes())
    return f"![{across}, log-log]({picture.name})"


def pixels(page: Path | None, *, quick: bool) -> str:
    """The network on one plane of 0.1 to 8 megapixels of output."""
    sides = _SIDES[: 3 if quick else None]
    sizes = [width * height / 1e6 for width, height in sides]
    rows = [[f"{size:.2f}"] for size in sizes]
    lines: dict[str, Sequence[float]] = {}
    for model in ("msrcnn-2x.h5", "fine-2x.h5"):
        loaded = weights.load(next(path for path in weights.shipped() if path.name == model))
        upscaler = Upscaler(loaded, largest_window=1088, largest_batch=1)
        costs = []
        for width, height in sides:
            shape = height // upscaler.scale, width // upscaler.scale
            luma = np.random.default_rng(0).random(shape, dtype=np.float32)
            costs.append(best(lambda luma=luma, upscaler=upscaler: upscaler(luma), times=1))  # type: ignore[misc]
        lines[model.removesuffix("-2x.h5")] = [cost.cpu_s for cost in costs]
        for row, cost, size in zip(rows, costs, sizes, strict=True):
            row += [f"{cost.wall_s:.2f}", f"{cost.cpu_s:.2f}", f"{cost.cpu_s / size:.2f}"]
    text = table(
        ["megapixels out", *(f"{name} {unit}" for name in lines for unit in ("s", "CPU s", "CPU µs a pixel"))], rows
    )
    slopes = ", ".join(f"{name} {slope(sizes, seconds):.2f}" for name, seconds in lines.items())
    shown = (
        ""
        if page is None
        else "\n\n" + drawing(page, "pixels", lines, sizes, across="megapixels of output; CPU seconds")
    )
    return f"{text}\n\nSlope of CPU seconds against pixels: {slopes} (1 is proportional).{shown}"


def length(page: Path | None, folder: Path, *, quick: bool) -> str:
    """The whole command on 10 to 1,000 frames."""
    counts, rows = _FRAMES[: 3 if quick else None], []
    whole, enlarging = [], []
    for frames in counts:
        clip = films.repeated(folder, frames=frames, size=Size(96, 64))
        cost, details, _ = upscale(clip, folder, "--reuse", "off", "--model", "msrcnn")
        whole.append(cost.wall_s)
        enlarging.append(float(details["seconds"]["enlarge"]))
        rows.append([str(frames), f"{cost.wall_s:.1f}", f"{cost.cpu_s:.1f}", f"{enlarging[-1]:.2f}"])
    text = table(["frames of 96x64, 2×", "s", "CPU s", "of it decode to encode, s"], rows)
    lines: dict[str, Sequence[float]] = {"decode to encode": enlarging, "the whole command": whole}
    shown = (
        "" if page is None else "\n\n" + drawing(page, "length", lines, counts, across="frames; seconds by the clock")
    )
    found = slope(counts[1:], enlarging[1:])
    return f"{text}\n\nSlope of decode-to-encode seconds against frames from 30 on: {found:.2f}.{shown}"
