"""What a comparison looks like: scores over time, and the worst frames side by side with what they should be."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from daemon.text import clock_time, printable
from engine.compare import Comparison, WorstFrame
from engine.lettering import write
from engine.plot import draw

_ZOOM, _GAP, _CAPTION = 2, 12, 46
_PAPER, _INK, _FAINT = 255, (40, 40, 40), (120, 120, 120)
_PANEL = 360
_AMPLIFIED = 8
"""How many times differences are shown larger than they are."""

Curve = tuple[str, Comparison, Sequence[float]]
"""Name, comparison, VMAF of each frame (or none)."""


def plot_png(curves: Sequence[Curve]) -> bytes:
    """PSNR, SSIM and, where there is any, VMAF over time, one below the other."""
    first = curves[0][1]
    timed = len(first.times_s) == len(first.scores)
    places = first.times_s if timed else [float(score.number) for score in first.scores]
    panels: list[tuple[str, dict[str, Sequence[float]]]] = [
        ("PSNR of luma in dB (higher is nearer)", {n: [s.psnr_luma for s in c.scores] for n, c, _ in curves}),
        ("SSIM of luma", {n: [s.ssim_luma for s in c.scores] for n, c, _ in curves}),
        ("VMAF", {n: vmaf for n, _, vmaf in curves}),
    ]
    drawn = [
        draw(
            {printable(name): line for name, line in lines.items()},
            title=title,
            across="time" if timed else "frame",
            places=places,
            place_label=(lambda at: clock_time(at, decimals=1)) if timed else "{:.0f}".format,
            height=_PANEL,
        )
        for title, lines in panels
    ]
    return _png(np.vstack([panel for panel in drawn if panel is not None]))


def worst_png(made: str, wanted: str, comparison: Comparison) -> bytes:
    """A row for each bad frame: as it is, as it should be, and the difference, amplified."""
    rows = [_row(printable(made), printable(wanted), comparison, worst) for worst in comparison.worst]
    width = max(row.shape[1] for row in rows)
    return _png(np.vstack([_widened(row, width) for row in rows]))


def _row(made: str, wanted: str, comparison: Comparison, worst: WorstFrame) -> NDArray[np.uint8]:
    difference = np.abs(worst.made.astype(np.int16) - worst.wanted) * _AMPLIFIED
    tiles = [
        (made, worst.made),
        (wanted, worst.wanted),
        (f"difference × {_AMPLIFIED}", difference.clip(0, 255).astype(np.uint8)),
    ]
    height, width = (_ZOOM * side for side in worst.made.shape[:2])
    cell = max(width, 280) + _GAP
    row = np.full((height + _CAPTION + 2 * _GAP, _GAP + 3 * cell, 3), _PAPER, np.uint8)
    when = f" at {clock_time(comparison.times_s[worst.score.number])}" if comparison.times_s else ""
    title = f"frame {worst.score.number}{when}" if comparison.kind != "picture" else f"around {worst.left}, {worst.top}"
    figures = f"{worst.score.psnr_luma:.2f} dB, SSIM {worst.score.ssim_luma:.4f}"
    x = _GAP + write(row, title, (_GAP, 8), colour=_INK, size=14, bold=True)
    write(row, figures, (x + _GAP, 8), colour=_FAINT, size=14)
    for number, (name, crop) in enumerate(tiles):
        left = _GAP + number * cell
        write(row[:, : left + cell - _GAP], name, (left, 31), colour=_FAINT, size=12)
        large = cv2.resize(crop, (width, height), interpolation=cv2.INTER_NEAREST)
        row[_CAPTION + 8 : _CAPTION + 8 + height, left : left + width] = large
    return row


def _widened(row: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    missing = width - row.shape[1]
    return np.asarray(cv2.copyMakeBorder(row, 0, 0, 0, missing, cv2.BORDER_CONSTANT, value=(_PAPER,) * 3), np.uint8)


def _png(sheet: NDArray[np.uint8]) -> bytes:
    return cv2.imencode(".png", sheet)[1].tobytes()
