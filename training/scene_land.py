"""What stands close by, with ink lines: houses, signs and wires, or meadows, trees and a gate."""

from __future__ import annotations

import numpy as np

from training.scene_background import HORIZON, Hour
from training.scene_canvas import Canvas, Color, Place, Points, box, mix, points, rgb, smooth, times
from training.scene_lettering import paint_text, text_extent


def paint_near(
    canvas: Canvas, hour: Hour, rng: np.random.Generator, land: str, *, ink: Color, weight: float, word: str
) -> None:
    """What stands close by, with ink lines: houses, a sign, wires; or meadows, trees and a gate."""
    if land == "town":
        _paint_houses(canvas, hour, rng, ink, weight)
        _paint_wires(canvas, hour, rng, ink, weight)
        if word:
            _paint_sign(canvas, hour, rng, word, ink, weight)
        return
    _paint_meadow(canvas, hour, rng, ink, weight)
    if land == "shrine":
        _paint_gate(canvas, hour, canvas.left + (canvas.right - canvas.left) * rng.uniform(0.12, 0.25), ink, weight)
    width = canvas.right - canvas.left
    for side in (rng.uniform(0.0, 0.08), rng.uniform(0.86, 1.0), rng.uniform(0.3, 0.8)):
        _paint_tree(canvas, hour, rng, canvas.left + width * side, ink, weight)


def _paint_houses(canvas: Canvas, hour: Hour, rng: np.random.Generator, ink: Color, weight: float) -> None:
    x = canvas.left - 0.15
    while x < canvas.right + 0.1:
        width, top = rng.uniform(0.22, 0.42), rng.uniform(0.72, 0.86)
        wall = mix(hour.near, hour.middle, rng.uniform(0.05, 0.55))
        canvas.fill(box(x, top, x + width, 3.0), wall)
        canvas.fill(box(x + width * 0.72, top, x + width, 3.0), times(wall, (0.72, 0.68, 0.82)))
        if rng.random() < 0.6:
            roof = points(
                (x - 0.02, top), (x + width * 0.12, top - 0.07), (x + width * 0.88, top - 0.07), (x + width + 0.02, top)
            )
            canvas.fill(roof, times(mix(hour.near, hour.far, 0.25), (1.0, 0.8, 0.85)))
            canvas.ink(np.concatenate([roof, roof[:1]]), weight, ink, taper=(0.02, 0.02))
            for i in range(1, 8):
                foot = x + width * i / 8
                canvas.ink(
                    points((foot, top), (foot * 0.76 + (x + width / 2) * 0.24, top - 0.07)),
                    weight * 0.5,
                    ink,
                    opacity=0.6,
                )
        else:
            canvas.fill(box(x - 0.008, top - 0.018, x + width + 0.008, top + 0.006), mix(wall, hour.far, 0.5))
            canvas.ink(
                points((x - 0.008, top - 0.018), (x + width + 0.008, top - 0.018)), weight, ink, taper=(0.02, 0.02)
            )
        for row in range(3):
            for column in range(3):
                left, upper = x + width * (0.08 + column * 0.22), top + 0.04 + row * 0.11
                lit = rng.random() < 0.45
                pane = mix(wall, hour.window, 0.9 if lit else 0.18)
                frame = box(left, upper, left + width * 0.14, upper + 0.06)
                canvas.fill(frame, pane)
                if lit:
                    canvas.fill(box(left, upper, left + width * 0.05, upper + 0.06), mix(pane, (1, 1, 1), 0.4))
                canvas.ink(np.concatenate([frame, frame[:1]]), weight * 0.7, ink, taper=(0.0, 0.0))
        canvas.ink(points((x, top), (x, 3.0)), weight, ink, taper=(0.02, 0.0))
        canvas.ink(points((x + width, top), (x + width, 3.0)), weight, ink, taper=(0.02, 0.0))
        x += width + rng.uniform(0.0, 0.05)


def _paint_sign(canvas: Canvas, hour: Hour, rng: np.random.Generator, word: str, ink: Color, weight: float) -> None:
    """A shop sign that hangs upright (Japanese) or lies on a roof (Latin)."""
    vertical = not word.isascii()
    letter = 0.085 if vertical else 0.06
    wide, high = (extent * letter for extent in text_extent(word, vertical=vertical))
    x = canvas.left + 0.06 + rng.uniform(0.0, 0.05)
    y = 0.80 - high
    margin = letter * 0.32
    board = box(x - margin, y - margin, x + wide + margin, y + high + margin)
    face, script = (
        ((0.93, 0.27, 0.30), (1.0, 0.97, 0.90)) if rng.random() < 0.5 else ((1.0, 0.96, 0.86), (0.20, 0.22, 0.48))
    )
    light = mix(hour.light, (1, 1, 1), 0.5)
    canvas.fill(board + (0.008, 0.008), times(hour.near, (0.7, 0.7, 0.7)))
    canvas.fill(board, times(face, light))
    canvas.ink(np.concatenate([board, board[:2]]), weight * 1.4, ink, taper=(0.0, 0.0))
    inner = box(x - margin * 0.6, y - margin * 0.6, x + wide + margin * 0.6, y + high + margin * 0.6)
    canvas.ink(np.concatenate([inner, inner[:2]]), weight * 0.8, times(script, light), taper=(0.0, 0.0))
    paint_text(canvas, word, Place(x, y, letter), times(script, light), 0.13, vertical=vertical)
    for foot in (0.25, 0.75):
        post = x + wide * foot
        canvas.ink(
            points((post, y + high + margin), (post, y + high + margin + 0.08)), weight * 2.5, ink, taper=(0.0, 0.0)
        )


def _paint_wires(canvas: Canvas, hour: Hour, rng: np.random.Generator, ink: Color, weight: float) -> None:
    dark = mix(ink, hour.near, 0.5)
    poles = list(np.arange(canvas.left + rng.uniform(0.25, 0.5), canvas.right + 1.2, 0.95))
    top = 0.20
    for height in (0.25, 0.30, 0.37, 0.41):
        for left, right in zip([poles[0] - 0.95, *poles[:-1]], poles, strict=True):
            sag = smooth(points((left, height), ((left + right) / 2, height + 0.055), (right, height)), steps=14)
            canvas.ink(sag, weight * 0.8, dark, taper=(0.0, 0.0))
    for x in poles:
        canvas.fill(points((x - 0.009, top), (x + 0.009, top), (x + 0.013, 3.0), (x - 0.013, 3.0)), dark)
        canvas.fill(
            points((x + 0.003, top), (x + 0.009, top), (x + 0.013, 3.0), (x + 0.005, 3.0)), mix(dark, hour.middle, 0.5)
        )
        for y in (0.25, 0.30):
            canvas.fill(box(x - 0.085, y - 0.006, x + 0.085, y + 0.006), dark)
            for side in (-0.075, -0.04, 0.04, 0.075):
                canvas.fill(box(x + side - 0.005, y - 0.024, x + side + 0.005, y - 0.006), mix(dark, hour.sky[4], 0.4))
        canvas.fill(box(x + 0.014, 0.40, x + 0.052, 0.49), mix(dark, hour.middle, 0.35))
        outline = box(x + 0.014, 0.40, x + 0.052, 0.49)
        canvas.ink(np.concatenate([outline, outline[:1]]), weight * 0.8, ink, taper=(0.0, 0.0))


def _paint_meadow(canvas: Canvas, hour: Hour, rng: np.random.Generator, ink: Color, weight: float) -> None:
    green = times(rgb("7fb35e"), mix(hour.light, hour.sky[3], 0.35))
    for level in range(3):
        y = HORIZON + 0.05 + 0.085 * level
        color = mix(mix(green, hour.middle, 0.55), green, level / 2)
        xs = np.arange(canvas.left - 0.3, canvas.right + 0.6, 0.35)
        edge = smooth(np.stack([xs, y + 0.035 * (rng.random(len(xs)) - 0.5)], axis=1))
        canvas.fill(np.concatenate([edge, points((canvas.right + 1, 3), (canvas.left - 1, 3))]), color)
        canvas.ink(edge, weight, ink, taper=(0.0, 0.0), opacity=0.8)
        for _ in range(int(26 * (canvas.right - canvas.left))):
            x, foot = canvas.left + rng.random() * (canvas.right - canvas.left), y + 0.03 + rng.random() * 0.3
            blade = points((x, foot), (x + 0.004, foot - 0.014), (x + 0.010, foot - 0.024))
            canvas.ink(blade, weight * 1.4, mix(color, (1.0, 1.0, 0.75), rng.uniform(-0.2, 0.35)), taper=(0.0, 1.0))


def _foliage(rng: np.random.Generator, x: float, y: float, radius: float) -> Points:
    angle = np.linspace(0, 2 * np.pi, 26, endpoint=False)
    bumps = radius * (1 + 0.13 * np.abs(np.sin(angle * 4.5 + rng.random() * 6)) + 0.05 * rng.random(26))
    return smooth(np.stack([x + bumps * np.cos(angle), y + 0.85 * bumps * np.sin(angle)], axis=1), closed=True, steps=4)


def _paint_tree(canvas: Canvas, hour: Hour, rng: np.random.Generator, x: float, ink: Color, weight: float) -> None:
    blossom = rng.random() < 0.4
    leaf = times(rgb("f4a9c0") if blossom else rgb("4f8f5a"), mix(hour.light, hour.sky[3], 0.3))
    dark = times(leaf, (0.66, 0.62, 0.80))
    base, height = rng.uniform(0.86, 0.98), rng.uniform(0.30, 0.52)
    left = smooth(points((-0.035, base), (-0.018, base - height * 0.5), (-0.03, base - height)))
    trunk = np.concatenate([left, (left * (-1, 1))[::-1]]) + (x, 0.0)
    canvas.fill(trunk, times(rgb("6b4a42"), hour.light))
    canvas.ink(trunk, weight, ink)
    for dx, dy, radius in (
        (-0.10, 0.05, 0.11),
        (0.11, 0.04, 0.12),
        (0.0, -0.06, 0.15),
        (-0.05, 0.06, 0.10),
        (0.06, 0.07, 0.10),
    ):
        crown = _foliage(rng, x + dx, base - height + dy, radius)
        canvas.fill(crown, dark)
        lit = (crown - (x + dx, base - height + dy)) * (0.82, 0.74) + (
            x + dx + 0.012,
            base - height + dy - radius * 0.16,
        )
        canvas.fill(lit, leaf, clip=canvas.clip(crown))
        canvas.ink(np.concatenate([crown, crown[:1]]), weight, ink, taper=(0.1, 0.4), opacity=0.85)


def _paint_gate(canvas: Canvas, hour: Hour, x: float, ink: Color, weight: float) -> None:
    """A torii: two posts, a tie beam, a curved lintel."""
    red = times(rgb("d8452f"), mix(hour.light, hour.sky[3], 0.2))
    dark = times(red, (0.66, 0.55, 0.72))
    for side in (-1, 1):
        post = points(
            (x + side * 0.115 - 0.014, 0.47),
            (x + side * 0.115 + 0.014, 0.47),
            (x + side * 0.135 + 0.017, 0.92),
            (x + side * 0.135 - 0.017, 0.92),
        )
        canvas.fill(post, red)
        canvas.fill(post * (0.45, 1.0) + (0.55 * post[3, 0], 0.0), dark, clip=canvas.clip(post))
        canvas.ink(np.concatenate([post, post[:1]]), weight, ink, taper=(0.0, 0.0))
    beam = box(x - 0.175, 0.53, x + 0.175, 0.555)
    lintel = np.concatenate([smooth(points((x - 0.23, 0.415), (x, 0.432), (x + 0.23, 0.415))),
                             smooth(points((x + 0.215, 0.462), (x, 0.472), (x - 0.215, 0.462)))])  # fmt: skip
    for part, color in ((beam, red), (lintel, red), (lintel * (1.0, 0.4) + (0.0, 0.247), rgb("2f2a3c"))):
        canvas.fill(part, color)
        canvas.ink(np.concatenate([part, part[:1]]), weight, ink, taper=(0.0, 0.0))
    canvas.fill(box(x - 0.016, 0.472, x + 0.016, 0.53), dark)
