"""A cel to paint on: fills, ink and gradients in coordinates that know nothing of pixels.

One unit is the shorter side of the picture; (0, 0.5) is its middle, y points down. Everything is painted at a multiple
of the size with anti-aliased edges and reduced by area, so that lines keep their weight at any size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.settings import Size

Points = NDArray[np.float64]
"""(n, 2): x, y."""
Color = tuple[float, float, float]
"""Red, green, blue in 0..1, as displayed (not linear light)."""
Layer = NDArray[np.float32]
"""(height, width, 4): premultiplied red, green, blue and alpha in 0..1."""
Mask = NDArray[np.uint8]

_SHIFT = 4
"""Fractional bits of the coordinates handed to OpenCV."""


def rgb(text: str) -> Color:
    """The colour of "rrggbb"."""
    return (int(text[0:2], 16) / 255, int(text[2:4], 16) / 255, int(text[4:6], 16) / 255)


def palette(text: str) -> tuple[Color, ...]:
    """The colours of "rrggbb rrggbb …"."""
    return tuple(rgb(color) for color in text.split())


def mix(first: Color, second: Color, amount: float) -> Color:
    """`first` at 0, `second` at 1."""
    red, green, blue = (a + (b - a) * amount for a, b in zip(first, second, strict=True))
    return (red, green, blue)


def times(color: Color, tint: Color) -> Color:
    """`color` seen in the light `tint`."""
    red, green, blue = (min(a * b, 1.0) for a, b in zip(color, tint, strict=True))
    return (red, green, blue)


def points(*pairs: tuple[float, float]) -> Points:
    return np.array(pairs, dtype=np.float64)


def smooth(knots: Points, *, closed: bool = False, steps: int = 10) -> Points:
    """A centripetal Catmull-Rom curve through `knots`: no loops, no overshoot between uneven knots."""
    knots = np.asarray(knots, dtype=np.float64)
    if closed:
        padded = np.concatenate([knots[-1:], knots, knots[:2]])
    else:
        padded = np.concatenate([2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1]])
    gaps = np.sqrt(np.maximum(np.linalg.norm(np.diff(padded, axis=0), axis=1), 1e-9))
    times_at = np.concatenate([[0.0], np.cumsum(gaps)])
    pieces = []
    for i in range(1, len(padded) - 2):
        t0, t1, t2, t3 = times_at[i - 1 : i + 3]
        p0, p1, p2, p3 = padded[i - 1 : i + 3]
        t = np.linspace(t1, t2, steps, endpoint=False)[:, None]
        a1 = (t1 - t) / (t1 - t0) * p0 + (t - t0) / (t1 - t0) * p1
        a2 = (t2 - t) / (t2 - t1) * p1 + (t - t1) / (t2 - t1) * p2
        a3 = (t3 - t) / (t3 - t2) * p2 + (t - t2) / (t3 - t2) * p3
        b1 = (t2 - t) / (t2 - t0) * a1 + (t - t0) / (t2 - t0) * a2
        b2 = (t3 - t) / (t3 - t1) * a2 + (t - t1) / (t3 - t1) * a3
        pieces.append((t2 - t) / (t2 - t1) * b1 + (t - t1) / (t2 - t1) * b2)
    if not closed:
        pieces.append(knots[-1:])
    return np.concatenate(pieces)


def ellipse(x: float, y: float, width: float, height: float, *, steps: int = 48) -> Points:
    """The outline of an ellipse with the given half axes."""
    angle = np.linspace(0, 2 * np.pi, steps, endpoint=False)
    return np.stack([x + width * np.cos(angle), y + height * np.sin(angle)], axis=1)


def box(left: float, top: float, right: float, bottom: float) -> Points:
    return points((left, top), (right, top), (right, bottom), (left, bottom))


@dataclass(frozen=True)
class Place:
    """Where a drawing stands: scaled, turned by `angle` degrees, then moved to (x, y)."""

    x: float = 0.0
    y: float = 0.0
    scale: float = 1.0
    angle: float = 0.0

    def __call__(self, local: Points) -> Points:
        cosine, sine = math.cos(math.radians(self.angle)), math.sin(math.radians(self.angle))
        turned = np.asarray(local, dtype=np.float64) @ np.array([[cosine, sine], [-sine, cosine]])
        return np.asarray(turned * self.scale + (self.x, self.y))


class Canvas:
    """A transparent cel of `size` pixels. Colours lie over one another in the order painted."""

    def __init__(self, size: Size, *, wider: float = 0.0) -> None:
        """`wider` units are added on the right, to pan along (see `reduced`)."""
        self.size = size
        unit = min(size.width, size.height)
        self.oversampling = 4 if unit <= 400 else 2 if unit <= 1600 else 1
        self._unit = unit * self.oversampling
        self.left = -size.width / unit / 2
        self.right = -self.left + wider
        self.top = 0.5 - size.height / unit / 2
        self.bottom = 1.0 - self.top
        self._height = size.height * self.oversampling
        self._width = size.width * self.oversampling + round(wider * self._unit)
        self._cel: Layer = np.zeros((self._height, self._width, 4), np.float32)

    def fill(self, outline: Points, color: Color, *, clip: Mask | None = None, opacity: float = 1.0) -> None:
        """Cover the inside of a closed outline."""
        where = self._region([outline])
        if where is not None:
            self._cover(where, self._painted(where, [outline]), color, clip, opacity)

    def fill_each(self, outlines: Sequence[Points], color: Color, *, clip: Mask | None = None) -> None:
        """Cover many outlines that do not overlap, at once."""
        where = self._region(outlines)
        if where is not None:
            self._cover(where, self._painted(where, outlines), color, clip, 1.0)

    def ink(
        self,
        line: Points,
        weight: float,
        color: Color,
        *,
        taper: tuple[float, float] = (0.35, 0.35),
        clip: Mask | None = None,
        opacity: float = 1.0,
    ) -> None:
        """A pen stroke along `line`, `weight` units wide, thin at its ends over the fractions `taper` of its length."""
        line = np.asarray(line, dtype=np.float64)
        steps = np.linalg.norm(np.diff(line, axis=0), axis=1)
        line = np.concatenate([line[:1], line[1:][steps > 1e-9]])
        steps = steps[steps > 1e-9]
        if len(line) < 2:
            return
        along = np.concatenate([[0.0], np.cumsum(steps)]) / steps.sum()
        width = np.full(len(line), weight)
        for distance, fraction in ((along, taper[0]), (1 - along, taper[1])):
            if fraction > 0:
                width *= 0.12 + 0.88 * np.sin(np.clip(distance / fraction, 0, 1) * np.pi / 2) ** 0.8
        direction = np.gradient(line, axis=0)
        direction /= np.maximum(np.linalg.norm(direction, axis=1, keepdims=True), 1e-12)
        across = np.stack([-direction[:, 1], direction[:, 0]], axis=1) * width[:, None] / 2
        left, right = line + across, line - across
        quads = np.stack([left[:-1], left[1:], right[1:], right[:-1]], axis=1)
        where = self._region([left, right])
        if where is not None:
            mask = np.zeros((where[0].stop - where[0].start, where[1].stop - where[1].start), np.uint8)
            for quad in self._fixed(quads, where):
                cv2.fillConvexPoly(mask, quad, 255, cv2.LINE_AA, _SHIFT)
            self._cover(where, mask, color, clip, opacity)

    def gradient(
        self,
        outline: Points,
        stops: Sequence[tuple[float, Color]],
        *,
        start: tuple[float, float],
        end: tuple[float, float],
        clip: Mask | None = None,
        opacity: float = 1.0,
    ) -> None:
        """Cover an outline with colours that change from `start` (stop 0) to `end` (stop 1)."""
        where = self._region([outline])
        if where is None:
            return
        y, x = self._coordinates(where)
        dx, dy = end[0] - start[0], end[1] - start[1]
        at = ((x - start[0]) * dx + (y - start[1]) * dy) / (dx * dx + dy * dy)
        places = [place for place, _ in stops]
        colors = np.stack(
            [np.interp(at, places, [color[c] for _, color in stops]) for c in range(3)] + [np.ones_like(at)], axis=-1
        ).astype(np.float32)
        self._cover(where, self._painted(where, [outline]), colors, clip, opacity)

    def glow(self, x: float, y: float, radius: float, color: Color, strength: float) -> None:
        """Light that adds to what is there and fades out at `radius`."""
        where = self._region([box(x - radius, y - radius, x + radius, y + radius)])
        if where is None:
            return
        rows, columns = self._coordinates(where)
        fall = np.clip(1 - np.hypot(columns - x, rows - y) / radius, 0, 1) ** 2 * strength
        region = self._cel[where]
        light = fall[..., None].astype(np.float32) * np.array(color, np.float32) * region[..., 3:]
        region[..., :3] += light * (1 - region[..., :3])

    def tone(
        self, outline: Points, color: Color, *, pitch: float, dark: tuple[float, float], clip: Mask | None = None
    ) -> None:
        """Screentone: dots on a grid of `pitch` at 45°, covering `dark[0]` at the top to `dark[1]` at the bottom."""
        where = self._region([outline])
        if where is None:
            return
        y, x = self._coordinates(where)
        first, second = (x + y) / pitch / math.sqrt(2), (x - y) / pitch / math.sqrt(2)
        distance = np.hypot(first - np.round(first), second - np.round(second))
        top, bottom = outline[:, 1].min(), outline[:, 1].max()
        cover = dark[0] + (dark[1] - dark[0]) * (y - top) / max(bottom - top, 1e-9)
        radius = np.sqrt(np.clip(cover, 0, 1) / np.pi)
        edge = (radius - distance) * pitch * self._unit
        dots = (np.clip(edge + 0.5, 0, 1) * np.clip(2 * radius * pitch * self._unit, 0, 1) * 255).astype(np.uint8)
        self._cover(where, np.minimum(dots, self._painted(where, [outline])), color, clip, 1.0)

    def rim(self, dx: float, dy: float, color: Color, opacity: float) -> None:
        """Light along the edge of all that is painted, on the side that (dx, dy) points to."""
        painted = self._cel[..., 3] > 0
        rows, columns = (np.flatnonzero(painted.any(axis=axis)) for axis in (1, 0))
        if len(rows) == 0:
            return
        part = self._cel[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        alpha = np.ascontiguousarray(part[..., 3])
        shift = np.array([[1, 0, -dx * self._unit], [0, 1, -dy * self._unit]], np.float64)
        moved = cv2.warpAffine(alpha, shift, alpha.shape[::-1], flags=cv2.INTER_LINEAR)
        edge = alpha * (1 - moved) * np.float32(opacity)
        lit = edge > 0
        body = part[lit, :3]
        part[lit, :3] = body + edge[lit, None] * np.array(color, np.float32) * (0.4 + 0.6 * body) * (1 - body)

    def clip(self, *outlines: Points) -> Mask:
        """Where the outlines are, to keep later paint within."""
        mask: Mask = np.zeros((self._height, self._width), np.uint8)
        for outline in outlines:
            where = self._region([outline])
            if where is not None:
                mask[where] = np.maximum(mask[where], self._painted(where, [outline]))
        return mask

    def reduced(self, *, pan: float = 0.0) -> Layer:
        """The cel at its size, `pan` units along its extra width."""
        start = min(round(pan * self._unit), self._width - self.size.width * self.oversampling)
        part = self._cel[:, start : start + self.size.width * self.oversampling]
        if self.oversampling == 1:
            return part.copy()
        area: Any = cv2.resize(
            np.ascontiguousarray(part), (self.size.width, self.size.height), interpolation=cv2.INTER_AREA
        )
        return np.asarray(area, np.float32)

    def _pixels(self, outline: Points) -> Points:
        return (np.asarray(outline) - (self.left, self.top)) * self._unit - 0.5

    def _fixed(self, outline: Points, where: tuple[slice, slice]) -> NDArray[np.int32]:
        moved = self._pixels(outline) - (where[1].start, where[0].start)
        return np.round(moved * (1 << _SHIFT)).astype(np.int32)

    def _region(self, outlines: Sequence[Points]) -> tuple[slice, slice] | None:
        """Rows and columns that the outlines touch, or None when they lie outside."""
        if not outlines:
            return None
        pixels = self._pixels(np.concatenate(outlines))
        left, top = np.floor(pixels.min(axis=0)).astype(int) - 2
        right, bottom = np.ceil(pixels.max(axis=0)).astype(int) + 3
        left, top, right, bottom = max(left, 0), max(top, 0), min(right, self._width), min(bottom, self._height)
        return (slice(top, bottom), slice(left, right)) if left < right and top < bottom else None

    def _painted(self, where: tuple[slice, slice], outlines: Sequence[Points]) -> Mask:
        mask = np.zeros((where[0].stop - where[0].start, where[1].stop - where[1].start), np.uint8)
        cv2.fillPoly(mask, [self._fixed(outline, where) for outline in outlines], 255, cv2.LINE_AA, _SHIFT)
        return mask

    def _coordinates(self, where: tuple[slice, slice]) -> tuple[Points, Points]:
        """Rows and columns of a region in units, ready to broadcast."""
        y = (np.arange(where[0].start, where[0].stop) + 0.5) / self._unit + self.top
        x = (np.arange(where[1].start, where[1].stop) + 0.5) / self._unit + self.left
        return y[:, None], x[None, :]

    def _cover(
        self,
        where: tuple[slice, slice],
        mask: Mask,
        color: Color | Layer,
        clip: Mask | None,
        opacity: float,
    ) -> None:
        if clip is not None:
            mask = cv2.multiply(mask, clip[where], scale=1 / 255)
        weight = mask.astype(np.float32)[..., None] * np.float32(opacity / 255)
        paint = np.array((*color, 1.0), np.float32) if isinstance(color, tuple) else color
        region = self._cel[where]
        region += (paint - region) * weight
