"""One PNG of crops side by side: the original and every method, with the scores of the whole picture under each."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from engine import measure
from engine.measure import Score
from training.degrade import Levels

_CROP = 80
"""Side of a crop in pixels of the picture."""
_ZOOM = 3
_CAPTION, _GAP = 36, 6
_PAPER, _INK = 255, (40, 40, 40)


class Sheet:
    """Collects one row for each picture and scale, up to `most` rows."""

    def __init__(self, *, most: int = 12) -> None:
        self._most = most
        self._rows: list[NDArray[np.uint8]] = []

    @property
    def has_room(self) -> bool:
        return len(self._rows) < self._most

    def add(self, title: str, original: Levels, results: Mapping[str, tuple[Levels, Score]]) -> None:
        """A row with the crop that has the most edges; nothing once the sheet is full."""
        if not self.has_room:
            return
        top, left = _busiest(original)

        def crop(picture: Levels) -> Levels:
            return picture[top : top + _CROP, left : left + _CROP]

        tiles = [_tile(crop(original), title, "original")]
        tiles += [
            _tile(crop(made), name, f"{score.psnr_bgr:.2f} dB  {score.ssim_bgr:.4f}")
            for name, (made, score) in results.items()
        ]
        self._rows.append(np.hstack(tiles))

    def png(self) -> bytes:
        """The sheet, encoded."""
        width = max((row.shape[1] for row in self._rows), default=_CROP)
        rows = [
            cv2.copyMakeBorder(row, 0, 0, 0, width - row.shape[1], cv2.BORDER_CONSTANT, value=(_PAPER,) * 3)
            for row in self._rows
        ] or [np.full((_CROP, _CROP, 3), _PAPER, np.uint8)]
        return cv2.imencode(".png", np.vstack(rows))[1].tobytes()


def _busiest(picture: Levels) -> tuple[int, int]:
    height, width = picture.shape[:2]
    density = cv2.boxFilter(
        measure.edges(picture).astype(np.float32), -1, (_CROP, _CROP), anchor=(0, 0), borderType=cv2.BORDER_ISOLATED
    )
    inside = density[: max(1, height - _CROP + 1), : max(1, width - _CROP + 1)]
    top, left = np.unravel_index(int(inside.argmax()), inside.shape)
    return int(top), int(left)


def _tile(crop: Levels, *captions: str) -> NDArray[np.uint8]:
    side = _CROP * _ZOOM
    tile = np.full((side + _CAPTION + _GAP, side + _GAP, 3), _PAPER, np.uint8)
    large = cv2.resize(crop, None, fx=_ZOOM, fy=_ZOOM, interpolation=cv2.INTER_NEAREST)
    tile[: large.shape[0], : large.shape[1]] = large
    for line, caption in enumerate(captions):
        # OpenCV's drawn letters are ASCII only.
        text = caption.encode("ascii", "replace").decode()[:40]
        cv2.putText(tile, text, (2, side + 14 + 16 * line), cv2.FONT_HERSHEY_SIMPLEX, 0.42, _INK, 1, cv2.LINE_AA)
    return tile
