"""A look at the work: the same piece of a frame before and after, in its own colours, and never in the job's way."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.glimpse import EVERY_S, PIECE, Glimpse
from engine.planes import PlaneFormat, Planes, plane_format
from engine.settings import Size

SOURCE, OUTPUT = Size(720, 480), Size(1440, 960)


def _format(pix_fmt: str, *, full_range: bool = False) -> PlaneFormat:
    found = plane_format(pix_fmt, full_range=full_range)
    assert found is not None
    return found


def _frame(format_: PlaneFormat, size: Size) -> Planes:
    """Orange (Y 143, U 73, V 173 at 8 bit), with a white square low on the right."""
    factor = 1 << (format_.depth - 8)
    planes = [
        np.full(shape, value * factor, format_.dtype)
        for shape, value in zip(format_.shapes(size), (143, 73, 173), strict=False)
    ]
    unit = size.width // 18
    planes[0][8 * unit : 10 * unit, 13 * unit : 15 * unit] = 235 * factor
    x, y = format_.chroma_shift or (0, 0)
    for plane in planes[1:]:
        plane[8 * unit >> y : 10 * unit >> y, 13 * unit >> x : 15 * unit >> x] = 128 * factor
    return tuple(planes)


def _take(path: Path, format_: PlaneFormat, matrix: str | None = "smpte170m") -> tuple[Glimpse, list[int]]:
    told: list[int] = []
    now = [100.0]
    glimpse = Glimpse(
        path, told.append, source=(format_, SOURCE), output=(format_, OUTPUT), matrix=matrix, clock=lambda: now[0]
    )
    for number in range(3):
        glimpse.before(number, _frame(format_, SOURCE))
        glimpse.after(number, _frame(format_, OUTPUT))
    now[0] += EVERY_S
    glimpse.before(7, _frame(format_, SOURCE))
    glimpse.after(6, _frame(format_, OUTPUT))
    glimpse.after(7, _frame(format_, OUTPUT))
    return glimpse, told


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le", "yuv444p", "yuv422p12le"])
def test_both_halves_show_the_same_piece_in_its_colours(tmp_path: Path, pix_fmt: str) -> None:
    _, told = _take(tmp_path / "look.jpg", _format(pix_fmt))
    assert told == [0, 7], "one at once, the next after its time"
    pair = cv2.imread(str(tmp_path / "look.jpg"))
    assert pair is not None
    assert pair.shape == (2 * PIECE.height, PIECE.width, 3)
    before, after = pair[: PIECE.height].astype(int), pair[PIECE.height :].astype(int)
    orange = np.array([37, 133, 220])  # of BT.601, blue first
    for half in (before, after):
        assert np.abs(np.median(half.reshape(-1, 3), axis=0) - orange).max() <= 2
        assert (half.min(axis=2) > 235).mean() == pytest.approx((160 * 160) / (640 * 360), rel=0.1), (
            "the square is in it"
        )
    assert np.abs(before - after).mean() < 3
    assert [path.name for path in tmp_path.iterdir()] == ["look.jpg"]


def test_grey_and_small_frames(tmp_path: Path) -> None:
    format_ = _format("gray")
    told: list[int] = []
    glimpse = Glimpse(tmp_path / "look.jpg", told.append, source=(format_, Size(5, 3)), output=(format_, Size(11, 7)))
    glimpse.before(0, (np.full((3, 5), 16, np.uint8),))
    glimpse.after(0, (np.full((7, 11), 235, np.uint8),))
    pair = cv2.imread(str(tmp_path / "look.jpg"))
    assert pair is not None
    assert pair.shape == (14, 11, 3)
    assert pair[:5].max() < 20
    assert pair[9:].min() > 235


def test_a_disk_that_refuses_costs_the_glimpse_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    _, told = _take(tmp_path / "gone" / "look.jpg", _format("yuv420p"))
    assert told == []
    assert caplog.text.count("the work cannot be shown") == 1
