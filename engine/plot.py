"""Line plots as PNG, drawn with OpenCV: loss over epochs and PSNR over frames need no plotting library."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.files import write_durably
from engine.lettering import width_of, write

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 960, 540, 90, 30, 56, 60
_INK, _GRID, _FRAME = (60, 60, 60), (228, 228, 228), (150, 150, 150)
_COLOURS = ((180, 100, 30), (40, 80, 220), (60, 150, 60), (150, 60, 150))
_MANY = 400
"""Points from which a line is drawn thin."""

Label = Callable[[float], str]


def plot(
    path: Path, lines: Mapping[str, Sequence[float]], *, title: str, across: str, logarithmic: bool = False
) -> None:
    """Write a PNG with one line for each entry over 1, 2, 3, …; `logarithmic`: the vertical axis in powers of ten."""
    drawn = draw(lines, title=title, across=across, logarithmic=logarithmic)
    if drawn is not None:
        write_durably(path, cv2.imencode(".png", drawn)[1].tobytes())


def draw(
    lines: Mapping[str, Sequence[float]],
    *,
    title: str,
    across: str,
    logarithmic: bool = False,
    places: Sequence[float] | None = None,
    place_label: Label = "{:g}".format,
    height: int = _HEIGHT,
) -> NDArray[np.uint8] | None:
    """The plot, (height, 960, 3) BGR; None where no line has a point.

    `places`: where the points of every line stand on the horizontal axis (default: 1, 2, 3, …), and `place_label` how
    such a place is written.
    """
    values = {name: np.asarray(line, np.float64) for name, line in lines.items() if len(line)}
    if not values:
        return None
    shown = {name: np.log10(np.maximum(line, 1e-12)) if logarithmic else line for name, line in values.items()}
    low = min(float(line.min()) for line in shown.values())
    high = max(float(line.max()) for line in shown.values())
    margin = 0.05 * (high - low) or 0.5
    low, high = low - margin, high + margin
    longest = max(len(line) for line in shown.values())
    where = np.arange(1, longest + 1, dtype=np.float64) if places is None else np.asarray(places, np.float64)
    first, last = float(where[0]), float(where[-1])
    canvas: NDArray[np.uint8] = np.full((height, _WIDTH, 3), 255, np.uint8)

    def across_at(place: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (place - first) / ((last - first) or 1)

    def down_at(value: float) -> float:
        return height - _BOTTOM - (height - _TOP - _BOTTOM) * (value - low) / (high - low)

    fine = ".4f" if high - low < 0.5 else ".2f"
    for value in np.linspace(low + margin, high - margin, max(2, height // 90)):
        y = round(down_at(float(value)))
        cv2.line(canvas, (_LEFT, y), (_WIDTH - _RIGHT, y), _GRID, 1)
        _right(canvas, f"{10**value:.2e}" if logarithmic else format(value, fine), _LEFT - 10, y - 9)
    for place in _ticks(where, whole=places is None):
        x = round(across_at(place))
        cv2.line(canvas, (x, height - _BOTTOM), (x, height - _BOTTOM + 4), _FRAME, 1)
        _middle(canvas, place_label(place), x, height - _BOTTOM + 8)
    cv2.rectangle(canvas, (_LEFT, _TOP), (_WIDTH - _RIGHT, height - _BOTTOM), _FRAME, 1)
    write(canvas, title, (_LEFT, 12), colour=_INK, size=15, bold=True)
    _middle(canvas, across, (_LEFT + _WIDTH - _RIGHT) // 2, height - 28)
    x = _LEFT
    for number, (name, line) in enumerate(shown.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        points = np.array([[across_at(at), down_at(value)] for at, value in zip(where, line, strict=False)])
        thick = 1 if longest > _MANY else 2
        cv2.polylines(canvas, [np.rint(points * 16).astype(np.int32)], False, colour, thick, cv2.LINE_AA, shift=4)
        cv2.line(canvas, (x, _TOP - 12), (x + 22, _TOP - 12), colour, 3)
        x += 30 + write(canvas, name, (x + 28, _TOP - 22), colour=_INK) + 20
    return canvas


def _ticks(where: NDArray[np.float64], *, whole: bool) -> list[float]:
    count = min(len(where), 11)
    if whole:
        return [float(at) for at in np.unique(np.linspace(where[0], where[-1], count).round())]
    return [float(at) for at in np.linspace(where[0], where[-1], count)]


def _right(canvas: NDArray[np.uint8], text: str, x: int, y: int) -> None:
    write(canvas, text, (max(0, x - width_of(text, size=12)), y), colour=_INK, size=12)


def _middle(canvas: NDArray[np.uint8], text: str, x: int, y: int) -> None:
    write(canvas, text, (max(0, x - width_of(text, size=12) // 2), y), colour=_INK, size=12)
