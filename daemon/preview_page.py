"""A preview as one HTML page that needs nothing else: sliders, lossless crops, times."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray

from daemon.preview_pictures import CROP, Pictures
from engine import __version__

WIDEST = 1920
"""Pixels; larger pictures are reduced for the sliders."""
_QUALITY, _LOSSLESS = 92, 101


class Page(Pictures):
    """Collects encoded pictures as they are made; the page at the end."""

    def __init__(self) -> None:
        self._large: dict[tuple[int, int], str] = {}
        self._crops: dict[tuple[int, int], str] = {}
        self._sizes: dict[int, tuple[int, int]] = {}
        self._shrunk = False

    def add(self, frame: int, row: int, whole: NDArray[np.uint8], crop: NDArray[np.uint8]) -> None:
        width = whole.shape[1]
        if width > WIDEST:
            size = (WIDEST, round(whole.shape[0] * WIDEST / width))
            whole = np.asarray(cv2.resize(whole, size, interpolation=cv2.INTER_AREA), np.uint8)
            self._shrunk = True
        self._sizes[frame] = max(self._sizes.get(frame, (0, 0)), (whole.shape[1], whole.shape[0]))
        self._large[frame, row] = _data_url(whole, _QUALITY if row else _LOSSLESS)
        self._crops[frame, row] = _data_url(crop, _LOSSLESS)

    def html(
        self, *, rows: list[dict[str, Any]], titles: list[str], left: int, right: int, aspect: float, **words: Any
    ) -> str:
        """The page. `rows`: of the table, the source first; `titles`: of the frames; `aspect`: of a pixel."""
        template = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=False).from_string(
            Path(__file__).with_name("preview.html").read_text(encoding="utf-8")
        )
        numbers = range(len(rows))
        large = [[self._large[frame, row] for row in numbers] for frame in range(len(titles))]
        return template.render(
            version=__version__,
            rows=rows,
            frames=[
                {
                    "title": title,
                    "width": round(self._sizes[frame][0] * aspect),
                    "height": self._sizes[frame][1],
                    "crops": [self._crops[frame, row] for row in numbers],
                }
                for frame, title in enumerate(titles)
            ],
            images=Markup(json.dumps(large)),  # noqa: S704  (base64 alone)
            left=left,
            right=right,
            crop_side=CROP,
            widest=WIDEST,
            shrunk=self._shrunk,
            **words,
        )


def _data_url(picture: NDArray[np.uint8], quality: int) -> str:
    encoded = cv2.imencode(".webp", picture, [cv2.IMWRITE_WEBP_QUALITY, quality])[1].tobytes()
    return f"data:image/webp;base64,{base64.b64encode(encoded).decode()}"
