"""An anime character by code: who they are (`Look`), what they do (`Pose`), and the drawing of both.

Drawn in head units: the face is 2 wide, its middle at (0, 0), y points down. Hair lives in `scene_hair`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from training.scene_canvas import Canvas, Color, Mask, Place, Points, ellipse, mix, points, smooth, times
from training.scene_clothes import SHADE, Outfit, paint_body
from training.scene_hair import Hair, paint_back_hair, paint_front_hair


@dataclass(frozen=True)
class Look:
    """Everything that stays the same about a character from drawing to drawing."""

    hair: Hair
    eyes: Color
    skin: Color
    outfit: Outfit
    blush: float
    eye_size: float
    """1 is usual; 0.85 to 1.15."""
    ink: Color
    ink_weight: float
    """Width of the main lines in head units."""


@dataclass(frozen=True)
class Pose:
    """What changes between two drawings of the same character."""

    mouth: int = 0
    """0 closed, 1 half open, 2 wide open, 3 a smile."""
    lids: int = 0
    """0 open, 1 half closed, 2 closed."""
    sway: int = 0
    """Phase of hair and cloth in the wind, 0 to 7."""
    turn: float = 0.0
    """Degrees that the head looks to its left (to the right of the picture)."""
    tilt: float = 0.0
    """Degrees that the head leans."""


class Head:
    """The head's own coordinates: `front(points)` puts what lies on the face onto the turned head."""

    def __init__(self, place: Place, turn: float) -> None:
        self._place = place
        self._sine = float(np.sin(np.radians(turn)))
        self._cosine = float(np.cos(np.radians(turn)))

    def at(self, local: Points, depth: float = 0.0) -> Points:
        """Points `depth` in front of the turning axis, bent around the head."""
        local = np.asarray(local, dtype=np.float64)
        bend = depth * np.sqrt(np.clip(1 - (local[:, 0] / 1.35) ** 2, 0.05, 1))
        x = local[:, 0] * self._cosine + bend * self._sine
        return self._place(np.stack([x, local[:, 1]], axis=1))

    def front(self, local: Points) -> Points:
        return self.at(local, 0.85)

    @property
    def scale(self) -> float:
        return self._place.scale


_FACE = points(
    (-0.93, -0.55), (-0.97, -0.10), (-0.93, 0.28), (-0.80, 0.58), (-0.55, 0.83), (-0.25, 1.02), (0.0, 1.09),
    (0.25, 1.02), (0.55, 0.83), (0.80, 0.58), (0.93, 0.28), (0.97, -0.10), (0.93, -0.55), (0.55, -1.1), (-0.55, -1.1),
)  # fmt: skip


def paint_character(canvas: Canvas, look: Look, pose: Pose, place: Place, light: Color) -> None:
    """Paint head and shoulders; `place` is the middle of the face, its scale half the face's width in units."""
    sway = float(np.sin(2 * np.pi * pose.sway / 8))
    head = Head(Place(place.x, place.y, place.scale, place.angle + pose.tilt), pose.turn)
    body = Place(place.x, place.y, place.scale, place.angle)
    skin, ink = times(look.skin, light), look.ink
    weight = look.ink_weight * place.scale

    paint_back_hair(canvas, look.hair, head.at, weight, ink, light, sway)
    paint_body(canvas, look.outfit, body, skin, ink, light, weight, sway)
    face = head.at(_FACE, 0.25)
    outline = smooth(face, closed=True)
    clip = canvas.clip(outline)
    _paint_ears(canvas, look, head, skin, weight)
    canvas.fill(outline, skin)
    canvas.fill(_jaw_shadow(head, pose.turn), times(skin, SHADE), clip=clip, opacity=0.55)
    _paint_blush(canvas, look, head, light, weight)
    _paint_mouth_and_nose(canvas, look, head, skin, pose.mouth, weight)
    bangs = look.hair.bangs(sway)
    canvas.fill(head.at(bangs + (0.03, 0.11), 0.6), times(skin, SHADE), clip=clip)
    for side in (-1, 1):
        _paint_eye(canvas, look, head, side, pose.lids, weight, light)
    line = smooth(face[1:12])
    canvas.ink(line, weight * 1.15, ink, taper=(0.25, 0.25))
    paint_front_hair(canvas, look.hair, head.at, weight, ink, light, sway)
    for side in (-1, 1):
        brow = smooth(points((-0.20, -0.35), (0.02, -0.41), (0.27, -0.31)) * (side, 1) + (side * 0.45, 0.09))
        if side < 0:
            brow = brow[::-1]
        canvas.ink(head.front(brow), weight * 1.3, mix(ink, look.hair.color, 0.35), taper=(0.4, 0.5))


def _jaw_shadow(head: Head, turn: float) -> Points:
    """The face's shadow side: a flat tone along one cheek."""
    side = -1 if turn >= 0 else 1
    edge = smooth(points((0.80, -0.5), (0.74, 0.1), (0.68, 0.50), (0.40, 0.84), (0.05, 1.06)) * (side, 1))
    outer = points((0.1, 1.4), (1.5, 1.2), (1.5, -0.5)) * (side, 1)
    return head.at(np.concatenate([edge, outer]), 0.3)


def _paint_ears(canvas: Canvas, look: Look, head: Head, skin: Color, weight: float) -> None:
    for side in (-1, 1):
        ear = smooth(
            points((0.88, -0.02), (1.02, -0.10), (1.10, 0.05), (1.04, 0.30), (0.93, 0.42)) * (side, 1), steps=8
        )
        canvas.fill(head.at(ear), skin)
        canvas.ink(head.at(ear), weight, look.ink)
        inner = smooth(points((0.96, 0.05), (1.03, 0.06), (0.99, 0.25)) * (side, 1))
        canvas.fill(head.at(inner), times(skin, SHADE))


def _paint_blush(canvas: Canvas, look: Look, head: Head, light: Color, weight: float) -> None:
    pink = times((0.98, 0.52, 0.50), light)
    for side in (-1, 1):
        for size, opacity in ((1.0, 0.30), (0.62, 0.30)):
            cheek = ellipse(side * 0.58, 0.62, 0.20 * size, 0.085 * size)
            canvas.fill(head.front(cheek), pink, opacity=opacity * look.blush)
        if look.blush > 0.7:
            for step in (-1, 0, 1):
                x = side * 0.58 + step * 0.07
                hatch = points((x + 0.025, 0.58), (x - 0.025, 0.665))
                canvas.ink(head.front(hatch), weight * 0.5, mix(pink, look.ink, 0.3), opacity=look.blush)


def _paint_mouth_and_nose(canvas: Canvas, look: Look, head: Head, skin: Color, mouth: int, weight: float) -> None:
    nose = points((0.015, 0.50), (0.05, 0.565), (0.0, 0.585))
    canvas.fill(head.at(nose, 1.0), times(skin, SHADE))
    canvas.ink(head.at(nose[1:], 1.0), weight * 0.7, look.ink)
    if mouth in (0, 3):
        depth = 0.035 if mouth == 0 else 0.075
        width = 0.15 if mouth == 0 else 0.21
        line = smooth(points((-width, 0.775), (-0.05, 0.775 + depth), (0.05, 0.775 + depth), (width, 0.77)))
        canvas.ink(head.at(line, 0.9), weight, look.ink, taper=(0.25, 0.25))
        canvas.ink(head.at(points((-0.05, 0.885), (0.05, 0.885)), 0.9), weight * 0.5, times(skin, SHADE))
        return
    width, depth = (0.13, 0.10) if mouth == 1 else (0.19, 0.20)
    upper = smooth(points((-width, 0.755), (0.0, 0.775), (width, 0.75)))
    lower = smooth(points((width, 0.75), (width * 0.7, 0.75 + depth * 0.8), (0.0, 0.76 + depth),
                          (-width * 0.7, 0.755 + depth * 0.8), (-width, 0.755)))  # fmt: skip
    opening = head.at(np.concatenate([upper, lower]), 0.9)
    clip = canvas.clip(opening)
    canvas.fill(opening, (0.52, 0.16, 0.20))
    canvas.fill(head.at(ellipse(0.0, 0.79 + depth, width * 0.8, depth * 0.5), 0.9), (0.90, 0.42, 0.42), clip=clip)
    if mouth == 2:
        teeth = np.concatenate([upper, points((width, 0.79), (-width, 0.79))])
        canvas.fill(head.at(teeth, 0.9), (0.98, 0.97, 0.96), clip=clip)
    canvas.ink(head.at(upper, 0.9), weight * 1.1, look.ink, taper=(0.2, 0.2))
    canvas.ink(head.at(lower, 0.9), weight * 0.7, look.ink)


def _paint_eye(canvas: Canvas, look: Look, head: Head, side: int, lids: int, weight: float, light: Color) -> None:
    """One eye. Its own coordinates: outwards is +x, its middle (0, 0)."""
    size = look.eye_size

    def place(local: Points) -> Points:
        return head.front(local * (side * size, size) + (side * 0.46, 0.29))

    ink = look.ink
    if lids == 2:
        lid = smooth(points((-0.25, 0.10), (-0.10, 0.19), (0.10, 0.20), (0.28, 0.10)))
        canvas.ink(place(lid), weight * 2.4, ink, taper=(0.4, 0.25))
        for x, y in ((0.20, 0.17), (0.27, 0.11)):
            canvas.ink(place(points((x, y), (x + 0.09, y + 0.05))), weight * 1.3, ink, taper=(0.0, 0.9))
        return
    drop = 0.0 if lids == 0 else 0.20
    upper = smooth(
        points((-0.25, 0.06), (-0.17, -0.15 + drop), (0.02, -0.27 + drop), (0.20, -0.19 + drop), (0.29, 0.05))
    )
    lower = smooth(points((0.29, 0.05), (0.22, 0.22), (0.08, 0.29), (-0.08, 0.28), (-0.20, 0.17), (-0.25, 0.06)))
    opening = place(np.concatenate([upper, lower]))
    clip = canvas.clip(opening)
    white = times((0.985, 0.98, 0.99), light)
    canvas.fill(opening, white)
    _paint_iris(canvas, look, place, clip, light, -side)
    canvas.fill(
        place(np.concatenate([upper, (upper + (0.0, 0.085))[::-1]])), times(white, SHADE), clip=clip, opacity=0.6
    )
    thick = np.interp(np.linspace(0, 1, len(upper)), [0, 0.25, 0.7, 1], [0.03, 0.10, 0.115, 0.07])
    above = upper - np.stack([np.zeros_like(thick), thick], axis=1)
    wing = points((0.39, -0.06), (0.32, 0.03), (0.30, 0.10))
    canvas.fill(place(np.concatenate([upper, wing[::-1], above[::-1]])), ink)
    flick = smooth(points((0.27, -0.12), (0.36, -0.15), (0.42, -0.22)))
    canvas.ink(place(flick), weight * 1.6, ink, taper=(0.0, 0.9))
    canvas.ink(place(lower[4:-24]), weight * 1.0, ink, taper=(0.3, 0.7))
    crease = smooth(points((-0.16, -0.28 + drop), (0.03, -0.385 + drop), (0.24, -0.30 + drop)))
    canvas.ink(place(crease), weight * 0.6, mix(ink, look.skin, 0.25))


def _paint_iris(
    canvas: Canvas, look: Look, place: Callable[[Points], Points], clip: Mask, light: Color, lit: int
) -> None:
    """Iris, pupil and reflections; `lit` is the side, in the eye's own coordinates, that the light comes from."""
    eyes = times(look.eyes, mix(light, (1, 1, 1), 0.5))
    dark, pale = mix(eyes, (0.06, 0.02, 0.16), 0.72), mix(eyes, (1.0, 1.0, 0.92), 0.45)
    canvas.fill(place(ellipse(0.0, 0.0, 0.205, 0.30)), mix(dark, look.ink, 0.5), clip=clip)
    iris = place(ellipse(0.0, 0.01, 0.180, 0.270))
    top, bottom = place(points((0.0, -0.2), (0.0, 0.28)))
    canvas.gradient(
        iris,
        [(0.0, dark), (0.42, mix(dark, eyes, 0.55)), (0.75, eyes), (1.0, pale)],
        start=(float(top[0]), float(top[1])),
        end=(float(bottom[0]), float(bottom[1])),
        clip=clip,
    )
    canvas.fill(place(ellipse(0.0, 0.195, 0.120, 0.058)), pale, clip=clip, opacity=0.75)
    canvas.fill(place(ellipse(0.0, 0.02, 0.080, 0.125)), mix(dark, (0, 0, 0), 0.45), clip=clip)
    canvas.fill(place(ellipse(lit * 0.085, -0.085, 0.070, 0.082)), (1.0, 1.0, 1.0))
    canvas.fill(place(ellipse(-lit * 0.085, 0.145, 0.036, 0.042)), (1.0, 1.0, 1.0), opacity=0.95)
    canvas.fill(place(ellipse(-lit * 0.035, 0.215, 0.016, 0.018)), (1.0, 1.0, 1.0), opacity=0.8)
