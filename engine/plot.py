"""Small line plots as PNG, drawn with OpenCV: loss and PSNR over epochs need no plotting library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.files import write_durably

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 960, 540, 110, 30, 50, 60
_INK, _GRID = (60, 60, 60), (225, 225, 225)
_COLOURS = ((180, 100, 30), (40, 80, 220), (60, 150, 60), (150, 60, 150))


def plot(
    path: Path, lines: Mapping[str, Sequence[float]], *, title: str, across: str, logarithmic: bool = False
) -> None:
    """Write a PNG with one line for each entry over 1, 2, 3, …; `logarithmic`: the vertical axis in powers of ten."""
    values = {name: np.asarray(line, np.float64) for name, line in lines.items() if len(line)}
    if not values:
        return
    shown = {name: np.log10(np.maximum(line, 1e-12)) if logarithmic else line for name, line in values.items()}
    low = min(float(line.min()) for line in shown.values())
    high = max(float(line.max()) for line in shown.values())
    margin = 0.05 * (high - low) or 0.5
    low, high = low - margin, high + margin
    longest = max(len(line) for line in shown.values())
    canvas: NDArray[np.uint8] = np.full((_HEIGHT, _WIDTH, 3), 255, np.uint8)

    def across_at(index: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (index - 1) / max(1, longest - 1)

    def down_at(value: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * (value - low) / (high - low)

    for value in np.linspace(low + margin, high - margin, 6):
        y = round(down_at(float(value)))
        cv2.line(canvas, (_LEFT, y), (_WIDTH - _RIGHT, y), _GRID, 1)
        _write(canvas, f"{10**value:.2e}" if logarithmic else f"{value:.2f}", (8, y + 5))
    for index in np.unique(np.linspace(1, longest, min(longest, 11)).round().astype(int)):
        _write(canvas, str(index), (round(across_at(float(index))) - 8, _HEIGHT - _BOTTOM + 22))
    cv2.rectangle(canvas, (_LEFT, _TOP), (_WIDTH - _RIGHT, _HEIGHT - _BOTTOM), _INK, 1)
    _write(canvas, title, (_LEFT, 30), scale=0.6)
    _write(canvas, across, (_WIDTH // 2, _HEIGHT - 12))
    for place, (name, line) in enumerate(shown.items()):
        colour = _COLOURS[place % len(_COLOURS)]
        points = np.array([[across_at(index + 1), down_at(value)] for index, value in enumerate(line)])
        cv2.polylines(canvas, [np.rint(points * 16).astype(np.int32)], False, colour, 2, cv2.LINE_AA, shift=4)
        cv2.line(canvas, (_LEFT + 20 + 200 * place, _TOP + 15), (_LEFT + 45 + 200 * place, _TOP + 15), colour, 2)
        _write(canvas, name, (_LEFT + 52 + 200 * place, _TOP + 20))
    write_durably(path, cv2.imencode(".png", canvas)[1].tobytes())


def _write(canvas: NDArray[np.uint8], text: str, where: tuple[int, int], scale: float = 0.45) -> None:
    cv2.putText(canvas, text, where, cv2.FONT_HERSHEY_SIMPLEX, scale, _INK, 1, cv2.LINE_AA)
