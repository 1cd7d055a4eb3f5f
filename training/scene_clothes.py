"""Neck, shoulders and clothes of a character, in head units (see `scene_character`)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.scene_canvas import Canvas, Color, Place, box, ellipse, mix, points, smooth, times

SHADE: Color = (0.80, 0.70, 0.83)
"""What a cel painter multiplies a colour by for its one shadow tone."""


@dataclass(frozen=True)
class Outfit:
    """What a character wears. `clothes` is sailor, hoodie or blazer."""

    clothes: str
    cloth: Color
    accent: Color
    scarf: bool


def paint_body(
    canvas: Canvas, outfit: Outfit, place: Place, skin: Color, ink: Color, light: Color, weight: float, sway: float
) -> None:
    """Neck, shoulders and what they wear, from the same place as the head but never turned with it."""
    cloth, accent = times(outfit.cloth, light), times(outfit.accent, light)
    neck = np.concatenate(
        [
            smooth(points((-0.34, 0.6), (-0.33, 1.15), (-0.42, 1.42), (-0.75, 1.6))),
            smooth(points((0.75, 1.6), (0.42, 1.42), (0.33, 1.15), (0.34, 0.6))),
        ]
    )
    canvas.fill(place(np.concatenate([neck[:31], points((0.0, 2.4)), neck[31:]])), skin)
    under = np.concatenate(
        [smooth(points((-0.36, 1.22), (-0.05, 1.38), (0.36, 1.16))), points((0.4, 0.7), (-0.4, 0.7))]
    )
    canvas.fill(place(under), times(skin, SHADE), clip=canvas.clip(place(neck)))
    canvas.ink(place(neck[4:31]), weight, ink)
    canvas.ink(place(neck[31:-4]), weight, ink)
    left = smooth(points((-0.52, 1.50), (-1.05, 1.68), (-1.50, 1.92), (-1.72, 2.35), (-1.86, 3.2), (-1.9, 14.0)))
    right = (left * (-1, 1))[::-1]
    torso = np.concatenate(
        [left, right, smooth(points((0.52, 1.50), (0.30, 1.85), (0.0, 2.12), (-0.30, 1.85), (-0.52, 1.50)))]
    )
    clip = canvas.clip(place(torso))
    base = times((0.97, 0.97, 0.99), light) if outfit.clothes == "sailor" else cloth
    canvas.fill(place(torso), base)
    shadow = np.concatenate(
        [
            smooth(points((-1.35, 1.80), (-1.28, 2.3), (-1.42, 2.7), (-1.20, 3.4), (-1.3, 14.0))),
            points((-2.5, 14.0), (-2.5, 1.7)),
        ]
    )
    canvas.fill(place(shadow), times(base, SHADE), clip=clip)
    fold = smooth(points((0.55, 2.3), (0.75, 2.9), (0.62, 3.6), (0.95, 3.0), (0.78, 2.5)))
    canvas.fill(place(fold), times(base, SHADE), clip=clip)
    for arm in (points((-1.22, 2.35), (-1.18, 2.9), (-1.25, 3.6)), points((1.22, 2.35), (1.18, 2.9), (1.25, 3.6))):
        canvas.ink(place(smooth(arm)), weight, ink, clip=clip)
    _CLOTHES[outfit.clothes](canvas, place, cloth, accent, ink, weight)
    canvas.ink(place(left), weight * 1.3, ink, taper=(0.2, 0.0))
    canvas.ink(place(right), weight * 1.3, ink, taper=(0.0, 0.2))
    if outfit.scarf:
        _paint_scarf(canvas, place, accent, ink, weight, sway)


def _paint_sailor(canvas: Canvas, place: Place, cloth: Color, accent: Color, ink: Color, weight: float) -> None:
    for side in (-1, 1):
        flap = np.concatenate(
            [
                smooth(points((0.50, 1.48), (1.02, 1.66), (1.16, 1.80))),
                smooth(points((1.10, 2.15), (0.62, 2.42), (0.02, 2.52))),
                smooth(points((0.0, 2.36), (0.32, 1.95), (0.50, 1.48))),
            ]
        ) * (side, 1)
        canvas.fill(place(flap), cloth)
        canvas.fill(place(flap * (1, 0.35) + (0, 1.62)), times(cloth, SHADE), clip=canvas.clip(place(flap)))
        band = smooth(points((1.03, 1.82), (0.99, 2.07), (0.56, 2.30), (0.06, 2.41)) * (side, 1))
        canvas.ink(place(band), weight * 1.3, (0.96, 0.96, 0.98), taper=(0.0, 0.0))
        canvas.ink(place(np.concatenate([flap, flap[:1]])), weight, ink, taper=(0.05, 0.05))
    _paint_bow(canvas, place, accent, ink, weight)


def _paint_bow(canvas: Canvas, place: Place, accent: Color, ink: Color, weight: float) -> None:
    for side in (-1, 1):
        tail = smooth(points((0.03, 2.46), (0.20, 2.85), (0.38, 3.15), (0.12, 3.05), (-0.02, 2.55)) * (side, 1))
        canvas.fill(place(tail), times(accent, SHADE))
        canvas.ink(place(tail), weight, ink)
        loop = smooth(
            points((0.0, 2.44), (0.28, 2.26), (0.52, 2.30), (0.50, 2.58), (0.26, 2.60)) * (side, 1), closed=True
        )
        canvas.fill(place(loop), accent)
        inner = smooth(points((0.06, 2.46), (0.30, 2.42), (0.40, 2.52), (0.26, 2.56)) * (side, 1), closed=True)
        canvas.fill(place(inner), times(accent, SHADE))
        canvas.ink(place(np.concatenate([loop, loop[:1]])), weight, ink)
    canvas.fill(place(ellipse(0.0, 2.46, 0.10, 0.115)), accent)
    canvas.ink(place(np.concatenate([ellipse(0.0, 2.46, 0.10, 0.115)] * 2)[:50]), weight, ink, taper=(0.1, 0.1))


def _paint_hoodie(canvas: Canvas, place: Place, cloth: Color, accent: Color, ink: Color, weight: float) -> None:
    for side in (-1, 1):
        hood = np.concatenate(
            [
                smooth(points((0.38, 1.30), (0.80, 1.36), (1.10, 1.62), (0.98, 1.98))),
                smooth(points((0.98, 1.98), (0.55, 2.28), (0.02, 2.36))),
                smooth(points((0.0, 2.16), (0.30, 1.86), (0.46, 1.55), (0.38, 1.30))),
            ]
        ) * (side, 1)
        canvas.fill(place(hood), cloth)
        canvas.fill(place(hood * (0.92, 0.6) + (0, 0.93)), times(cloth, SHADE), clip=canvas.clip(place(hood)))
        canvas.ink(place(np.concatenate([hood, hood[:1]])), weight, ink, taper=(0.05, 0.05))
        cord = smooth(points((0.20, 2.24), (0.24, 2.6), (0.19, 2.98)) * (side, 1))
        canvas.ink(place(cord), weight * 3.2, ink, taper=(0.0, 0.0))
        canvas.ink(place(cord), weight * 1.9, accent, taper=(0.0, 0.0))
    canvas.fill(place(box(-0.7, 3.0, 0.7, 3.16)), accent)


def _paint_blazer(canvas: Canvas, place: Place, cloth: Color, accent: Color, ink: Color, weight: float) -> None:
    shirt = points((-0.46, 1.52), (0.46, 1.52), (0.34, 2.4), (0.0, 3.3), (-0.34, 2.4))
    canvas.fill(place(shirt), (0.95, 0.95, 0.98))
    tie = points((-0.13, 2.02), (0.13, 2.02), (0.09, 2.2), (0.17, 3.0), (0.0, 3.3), (-0.17, 3.0), (-0.09, 2.2))
    canvas.fill(place(tie), accent)
    canvas.fill(place(tie * (0.5, 1) + (-0.06, 0)), times(accent, SHADE), clip=canvas.clip(place(tie)))
    canvas.ink(place(np.concatenate([tie, tie[:1]])), weight * 0.9, ink, taper=(0.05, 0.05))
    for side in (-1, 1):
        collar = points((0.40, 1.38), (0.60, 1.56), (0.36, 2.10), (0.04, 2.0)) * (side, 1)
        canvas.fill(place(collar), (0.97, 0.97, 1.0))
        canvas.ink(place(np.concatenate([collar, collar[:1]])), weight * 0.9, ink, taper=(0.1, 0.1))
        lapel = points((0.56, 1.54), (0.86, 1.66), (0.96, 2.10), (0.76, 2.16), (0.84, 2.34), (0.06, 3.4)) * (side, 1)
        canvas.fill(place(lapel), mix(cloth, (1, 1, 1), 0.08))
        canvas.ink(place(np.concatenate([lapel, lapel[:1]])), weight, ink, taper=(0.05, 0.05))


def _paint_scarf(canvas: Canvas, place: Place, accent: Color, ink: Color, weight: float, sway: float) -> None:
    upper = points((0.45, 1.75), (1.0, 1.95 - 0.1 * sway), (1.7, 1.75 + 0.15 * sway), (2.4, 1.95 - 0.2 * sway))
    end = smooth(np.concatenate([upper, (upper + (0.02, 0.48))[::-1]]))
    canvas.fill(place(end), times(accent, SHADE))
    canvas.ink(place(end), weight, ink)
    wrap = smooth(points((-0.72, 1.30), (-0.30, 1.46), (0.25, 1.46), (0.70, 1.28), (0.86, 1.62), (0.55, 1.98),
                         (0.0, 2.10), (-0.58, 1.98), (-0.88, 1.62)), closed=True)  # fmt: skip
    canvas.fill(place(wrap), accent)
    shade = smooth(
        points((-0.86, 1.62), (-0.3, 1.86), (0.3, 1.86), (0.84, 1.60), (0.6, 2.1), (0.0, 2.2), (-0.6, 2.1)), closed=True
    )
    canvas.fill(place(shade), times(accent, SHADE), clip=canvas.clip(place(wrap)))
    canvas.ink(place(np.concatenate([wrap, wrap[:1]])), weight * 1.1, ink, taper=(0.05, 0.05))
    for fold in (points((-0.70, 1.50), (-0.2, 1.68), (0.2, 1.68)), points((0.74, 1.46), (0.45, 1.70), (0.05, 1.78))):
        canvas.ink(place(smooth(fold)), weight * 0.9, ink, taper=(0.1, 0.9))


_CLOTHES = {"sailor": _paint_sailor, "hoodie": _paint_hoodie, "blazer": _paint_blazer}
