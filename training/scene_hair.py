"""Hair in cel style: locks with pointed tips, one shadow tone, a bright band where the light falls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from training.scene_canvas import Canvas, Color, Mask, Points, ellipse, mix, points, smooth, times

_SHADE: Color = (0.70, 0.60, 0.80)

Bend = Callable[[Points, float], Points]
"""Head coordinates and their depth in front of the turning axis → units."""

_CROWN = points((-1.06, 0.10), (-1.17, -0.25), (-1.10, -0.78), (-0.72, -1.26), (0.0, -1.46), (0.72, -1.26),
                (1.10, -0.78), (1.17, -0.25), (1.06, 0.10))  # fmt: skip


@dataclass(frozen=True)
class Hair:
    """A haircut. `tips` and `gaps` are the bangs' points and the notches between them, left to right."""

    color: Color
    style: str
    """long, bob, tails, ponytail or short"""
    tips: tuple[tuple[float, float], ...]
    gaps: tuple[tuple[float, float], ...]
    side_length: float
    """How far down the locks beside the face reach, in head units."""
    parting: float = 0.1
    ribbon: Color | None = None
    crown: Points = field(default_factory=lambda: _CROWN, compare=False, repr=False)

    def fringe(self, sway: float) -> list[Points]:
        """The lower edge of the bangs: two curves per lock, root to tip and back."""
        lean = 0.05 * sway
        curves = []
        for i, (x, y) in enumerate(self.tips):
            (left, top), (right, end) = self.gaps[i], self.gaps[i + 1]
            tip = (x + lean, y)
            bulge = 0.10 * (right - left) * (1 if x > self.parting else -1)
            outer = (left + (x - left) * 0.42 + bulge, top + (y - top) * 0.58)
            inner = (right + (x - right) * 0.42 + bulge, end + (y - end) * 0.58)
            curves.append(smooth(points((left, top), outer, tip), steps=8))
            curves.append(smooth(points(tip, inner, (right, end)), steps=8))
        return curves

    def bangs(self, sway: float) -> Points:
        """The outline of all hair in front of the forehead."""
        return np.concatenate([*self.fringe(sway), smooth(self.crown)[::-1]])


def paint_back_hair(canvas: Canvas, hair: Hair, at: Bend, weight: float, ink: Color, light: Color, sway: float) -> None:
    """What hangs behind the neck and shoulders."""
    color = times(times(hair.color, light), _SHADE)
    wind = 0.05 * sway
    if hair.style == "tails":
        for side in (-1, 1):
            _paint_tail(canvas, hair, at, weight, ink, light, side, wind)
    if hair.style == "ponytail":
        _paint_tail(canvas, hair, at, weight, ink, light, 1, wind)
    bottom = {"long": 3.3, "bob": 1.05, "tails": 0.85, "ponytail": 0.75, "short": 0.72}[hair.style]
    spread = {"long": 1.42, "bob": 1.24, "tails": 1.0, "ponytail": 0.96, "short": 1.02}[hair.style]
    left = smooth(points((-0.9, -1.0), (-1.18, -0.2), (-spread * 0.96, bottom * 0.45), (-spread + wind, bottom * 0.85),
                         (-spread * 0.82 + 2 * wind, bottom)))  # fmt: skip
    count = 7 if hair.style == "long" else 5
    hem = [left]
    xs = np.linspace(-spread * 0.82 + 2 * wind, spread * 0.82 + 2 * wind, count + 1)
    for i in range(count):
        drop = 0.22 if i % 2 else 0.12
        hem.append(points((xs[i], bottom), ((xs[i] + xs[i + 1]) / 2 + wind, bottom + drop), (xs[i + 1], bottom - 0.06)))
    right = smooth(points((spread * 0.82 + 2 * wind, bottom), (spread + wind, bottom * 0.85),
                          (spread * 0.96, bottom * 0.45), (1.18, -0.2), (0.9, -1.0)))  # fmt: skip
    outline = at(np.concatenate([*hem, right]), -0.3)
    canvas.fill(outline, color)
    if hair.style == "long":
        for side in (-1, 1):
            lit = smooth(
                points((1.10, 0.2), (1.25, 1.2), (1.33, 2.3), (1.20, 3.2), (1.05, 2.4), (1.02, 1.2)) * (side, 1)
            )
            canvas.fill(at(lit + (wind * 0.5, 0), -0.3), times(hair.color, light))
            for x in (0.75, 0.95):
                strand = smooth(points((x, 1.2), (x + 0.12, 2.0), (x + 0.05 + wind, 2.9)) * (side, 1))
                canvas.ink(at(strand, -0.3), weight * 0.7, ink)
    canvas.ink(np.concatenate([outline, outline[:1]]), weight * 1.2, ink, taper=(0.1, 0.1))


def _paint_tail(
    canvas: Canvas, hair: Hair, at: Bend, weight: float, ink: Color, light: Color, side: int, wind: float
) -> None:
    """A tied tail from the side of the crown, ending in three points."""
    color = times(hair.color, light)
    outer = smooth(
        points((0.95, -0.85), (1.55, -0.95), (1.95, -0.35), (2.02, 0.6), (1.80 + wind, 1.6), (1.55 + 2 * wind, 2.3))
    )
    tips = points((1.62 + 2 * wind, 1.85), (1.38 + 2 * wind, 2.2), (1.42 + 2 * wind, 1.65), (1.22 + 1.5 * wind, 1.8))
    inner = smooth(points((1.22 + 1.5 * wind, 1.8), (1.42 + wind, 0.9), (1.38, 0.1), (1.15, -0.45), (0.92, -0.6)))
    outline = at(np.concatenate([outer, tips, inner]) * (side, 1), -0.2)
    canvas.fill(outline, color)
    edge = smooth(points((1.15, -0.45), (1.58, -0.15), (1.66, 0.7), (1.52 + wind, 1.5), (1.40 + 2 * wind, 1.95)))
    shade = np.concatenate([edge, inner]) * (side, 1)
    clip = canvas.clip(outline)
    canvas.fill(at(shade, -0.2), times(color, _SHADE), clip=clip)
    knots = points(
        (1.60, -0.55), (1.80, -0.40), (1.92, -0.10), (1.78, -0.16), (1.72, 0.02), (1.66, -0.20), (1.56, -0.18)
    )
    shine = smooth(knots, closed=True, steps=5)
    canvas.fill(at(shine * (side, 1), -0.2), mix(color, (1, 1, 1), 0.5), clip=clip)
    for x in (1.5, 1.72):
        strand = smooth(points((x - 0.15, -0.5), (x + 0.12, 0.3), (x + wind, 1.4)) * (side, 1))
        canvas.ink(at(strand, -0.2), weight * 0.7, ink)
    canvas.ink(np.concatenate([outline, outline[:1]]), weight * 1.2, ink, taper=(0.05, 0.05))
    knot = hair.ribbon or mix(color, (1, 1, 1), 0.6)
    for angle in (-0.5, 0.5):
        loop = ellipse(0, 0, 0.24, 0.12) @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        loop = at((loop + (1.10, -0.78 + 0.22 * np.sin(angle * 2))) * (side, 1), 0.0)
        canvas.fill(loop, times(knot, light))
        canvas.ink(np.concatenate([loop, loop[:1]]), weight, ink, taper=(0.05, 0.05))


def paint_front_hair(
    canvas: Canvas, hair: Hair, at: Bend, weight: float, ink: Color, light: Color, sway: float
) -> None:
    """Bangs, the locks beside the face, the shine on the crown."""
    color = times(hair.color, light)
    shade = times(color, _SHADE)
    for side in (-1, 1):
        _paint_side_lock(canvas, hair, at, weight, ink, color, side, 0.06 * sway)
    bangs = at(hair.bangs(sway), 0.6)
    clip = canvas.clip(bangs)
    canvas.fill(bangs, color)
    fringe = hair.fringe(sway)
    for i in range(0, len(fringe), 2):
        tip = fringe[i][-1]
        root = hair.gaps[i // 2 + 1]
        inside = points((tip[0], tip[1]), (root[0] * 0.6 + tip[0] * 0.4 - 0.06, root[1] * 0.6 + tip[1] * 0.4),
                        (root[0] - 0.01, root[1] - 0.22))  # fmt: skip
        wedge = np.concatenate([smooth(inside, steps=6), points(root), fringe[i + 1][::-1]])
        canvas.fill(at(wedge, 0.6), shade, clip=clip)
    _paint_shine(canvas, hair, at, color, clip)
    top = (hair.parting, -1.30)
    for gap in hair.gaps[1:-1]:
        middle = (top[0] + (gap[0] - top[0]) * 0.80, top[1] + (gap[1] - top[1]) * 0.45)
        start = (top[0] + (gap[0] - top[0]) * 0.30, top[1] + (gap[1] - top[1]) * 0.12)
        canvas.ink(at(smooth(points(start, middle, gap)), 0.6), weight * 0.8, ink, taper=(0.8, 0.0))
    for curve in fringe:
        canvas.ink(at(curve, 0.6), weight, ink, taper=(0.15, 0.15))
    canvas.ink(at(smooth(hair.crown), 0.6), weight * 1.35, ink, taper=(0.3, 0.3))
    if hair.style != "short":
        crown, end = hair.parting, (hair.parting + 0.34, -1.78 + 0.05 * sway)
        there = smooth(points((crown - 0.05, -1.44), (crown + 0.10, -1.72), end))
        blade = np.concatenate([there, smooth(points(end, (crown + 0.18, -1.64), (crown + 0.09, -1.44)))])
        canvas.fill(at(blade, 0.5), color)
        canvas.ink(at(blade, 0.5), weight, ink, taper=(0.1, 0.1))


def _paint_side_lock(
    canvas: Canvas, hair: Hair, at: Bend, weight: float, ink: Color, color: Color, side: int, wind: float
) -> None:
    end = hair.side_length
    tip = (side * 0.84 + wind, end)
    outer = smooth(points((side * 1.10, -0.5), (side * 1.16, 0.1), (side * 1.10 + wind * 0.5, end * 0.6), tip))
    inner = smooth(points(tip, (side * 0.82 + wind * 0.5, end * 0.55), (side * 0.84, 0.12), (side * 0.74, -0.5)))
    outline = at(np.concatenate([outer, inner]), 0.35)
    canvas.fill(outline, color)
    dark = np.concatenate([inner, points((side * 0.95, -0.4), (side * 0.96, end * 0.4))])
    canvas.fill(at(dark, 0.35), times(color, _SHADE), clip=canvas.clip(outline))
    canvas.ink(at(outer, 0.35), weight * 1.2, ink, taper=(0.2, 0.3))
    canvas.ink(at(inner, 0.35), weight, ink, taper=(0.3, 0.2))
    strand = smooth(points((side * 1.0, -0.1), (side * 1.01, end * 0.4), (side * 0.93 + wind, end * 0.8)))
    canvas.ink(at(strand, 0.35), weight * 0.7, ink)


def _paint_shine(canvas: Canvas, hair: Hair, at: Bend, color: Color, clip: Mask) -> None:
    """The bright band around the crown: broken into strokes that follow the locks."""
    bright = mix(color, (0.93, 0.95, 1.0), 0.5)
    edges = np.array([-0.95, -0.74, -0.60, -0.36, -0.24, 0.02, 0.16, 0.40, 0.50, 0.72, 0.93])
    depths = np.array([0.16, 0.07, 0.24, 0.10, 0.30, 0.12, 0.26, 0.08, 0.20, 0.12])
    for left, right, depth in zip(edges[:-1], edges[1:], depths, strict=True):
        middle = left * 0.45 + right * 0.55
        tip = (middle + 0.4 * (middle - hair.parting) * depth, -0.92 + 0.34 * middle**2 + depth)
        top = smooth(
            points((left, -0.92 + 0.34 * left**2), (middle, -0.95 + 0.34 * middle**2), (right, -0.92 + 0.34 * right**2))
        )
        down = smooth(points((right, top[-1][1]), (middle * 0.35 + right * 0.65, top[-1][1] + depth * 0.55), tip))
        up = smooth(points(tip, (middle * 0.45 + left * 0.55, top[0][1] + depth * 0.5), (left, top[0][1])))
        canvas.fill(at(np.concatenate([top, down, up]), 0.6), bright, clip=clip)
