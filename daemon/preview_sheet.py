"""A preview as one PNG: for each frame the crops by every variant, with what each would take."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from daemon.preview_pictures import CROP, Pictures
from engine.lettering import Colour, write

_ACROSS = 5
_ZOOM = 2
_GAP, _EDGE, _CAPTION, _HEAD = 16, 28, 64, 92
_PAPER, _CARD = (248, 250, 251), (255, 255, 255)
_INK: Colour = (29, 32, 34)
_FAINT: Colour = (110, 112, 116)


class Sheet(Pictures):
    """Collects the crops as they are made; the sheet at the end."""

    def __init__(self) -> None:
        self._crops: dict[tuple[int, int], NDArray[np.uint8]] = {}

    def add(self, frame: int, row: int, whole: NDArray[np.uint8], crop: NDArray[np.uint8]) -> None:  # noqa: ARG002
        self._crops[frame, row] = crop

    def png(self, *, title: str, facts: list[str], rows: list[dict[str, Any]], titles: list[str]) -> bytes:
        """The sheet, encoded. `rows` and `titles` as for the page."""
        side = CROP * _ZOOM
        across = min(_ACROSS, len(rows))
        width = 2 * _EDGE + across * (side + _GAP) - _GAP
        blocks = [_head(title, facts, width)]
        for frame, name in enumerate(titles):
            block = np.full((_block_height(len(rows), across, side), width, 3), _PAPER, np.uint8)
            write(block, name, (_EDGE, 6), colour=_INK, size=17, bold=True)
            for number, row in enumerate(rows):
                x = _EDGE + number % across * (side + _GAP)
                y = 36 + number // across * (side + _CAPTION)
                block[y : y + side, x : x + side] = cv2.resize(
                    self._crops[frame, number], (side, side), interpolation=cv2.INTER_NEAREST
                )
                column = block[:, : x + side]
                write(column, row["name"], (x, y + side + 5), colour=_INK, size=13, bold=True)
                write(column, row["times"], (x, y + side + 24), colour=_FAINT, size=13)
            blocks.append(block)
        return cv2.imencode(".png", np.vstack(blocks))[1].tobytes()


def _block_height(rows: int, across: int, side: int) -> int:
    return 36 + -(-rows // across) * (side + _CAPTION)


def _head(title: str, facts: list[str], width: int) -> NDArray[np.uint8]:
    head = np.full((_HEAD + 20 * max(0, len(facts) - 1), width, 3), _PAPER, np.uint8)
    write(head, title, (_EDGE, 22), colour=_INK, size=24, bold=True)
    for number, line in enumerate(facts):
        write(head, line, (_EDGE, 58 + 20 * number), colour=_FAINT, size=14)
    return head
