"""The hour and what lies far off: palettes, sky, clouds, ridges and skylines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.scene_canvas import Canvas, Color, box, ellipse, mix, palette, points, rgb, smooth, times

HORIZON = 0.74
"""Where the sky meets the land, in units from the top of a square picture."""


@dataclass(frozen=True)
class Hour:
    """The colours of a time of day, top to bottom and far to near."""

    sky: tuple[Color, ...]
    cloud: tuple[Color, Color]
    """Lit side and shadow side."""
    far: Color
    middle: Color
    near: Color
    window: Color
    sun: Color
    light: Color
    """What colours of characters are multiplied with."""
    rim: Color
    """Light along the edge that faces the sun."""
    stars: bool = False


HOURS = {
    "dusk": Hour(
        palette("2b2a6b 5a4193 b0528f f0796f ffc489"), (rgb("ffb99a"), rgb("a9609c")), rgb("a2618f"), rgb("5f437f"),
        rgb("33295a"), rgb("ffd88a"), rgb("fff0c4"), (1.0, 0.93, 0.90), rgb("ffb070"),
    ),
    "noon": Hour(
        palette("1f6fc9 3f93e0 79bcee b5dcf4 e4f3f6"), (rgb("ffffff"), rgb("b9cfe8")), rgb("9cc3dd"), rgb("5d93a8"),
        rgb("3c6f74"), rgb("d9f0ff"), rgb("ffffff"), (1.0, 1.0, 1.0), rgb("ffffff"),
    ),
    "dawn": Hour(
        palette("3f5fa8 7f93cf c8b4dc f5c9c9 fff0c9"), (rgb("ffe9dc"), rgb("b7a3cf")), rgb("b5a3cc"), rgb("7d7fb0"),
        rgb("4d5488"), rgb("fff3c0"), rgb("fffbe6"), (1.0, 0.97, 0.96), rgb("ffe0c0"),
    ),
    "night": Hour(
        palette("0b1033 141d52 243577 3a5399 6878b8"), (rgb("6d7fbf"), rgb("35457f")), rgb("34477f"), rgb("1d2857"),
        rgb("10163a"), rgb("ffdf8e"), rgb("f4f6ff"), (0.74, 0.80, 0.98), rgb("9fc0ff"), stars=True,
    ),
}  # fmt: skip


def paint_sky(canvas: Canvas, hour: Hour, rng: np.random.Generator, *, clouds: float, tone: bool) -> None:
    """Gradient, sun or moon, stars, towering clouds and streaks. `clouds` is how much of the sky they take, 0 to 1."""
    everywhere = box(canvas.left - 1, canvas.top - 1, canvas.right + 1, canvas.bottom + 1)
    stops = list(zip((0.0, 0.30, 0.58, 0.82, 1.0), hour.sky, strict=True))
    canvas.gradient(everywhere, stops, start=(0.0, canvas.top), end=(0.0, HORIZON + 0.04))
    width = canvas.right - canvas.left
    if hour.stars:
        for _ in range(int(90 * width)):
            x, y = canvas.left + rng.random() * width, canvas.top + rng.random() ** 1.5 * (HORIZON - canvas.top)
            size = 0.0012 + 0.0028 * rng.random() ** 3
            canvas.fill(ellipse(x, y, size, size, steps=8), (1.0, 1.0, 0.95), opacity=0.4 + 0.6 * rng.random())
    sun_x = canvas.left + width * rng.uniform(0.62, 0.88)
    sun_y = rng.uniform(0.12, 0.3) if hour.stars else rng.uniform(0.46, 0.62)
    canvas.glow(sun_x, sun_y, 0.75, hour.sun, 0.55)
    canvas.glow(sun_x, sun_y, 0.22, hour.sun, 0.6)
    canvas.fill(ellipse(sun_x, sun_y, 0.062, 0.062), hour.sun)
    if hour.stars:
        canvas.fill(ellipse(sun_x - 0.016, sun_y - 0.010, 0.012, 0.012), mix(hour.sun, hour.sky[3], 0.3))
        canvas.fill(ellipse(sun_x + 0.020, sun_y + 0.018, 0.017, 0.017), mix(hour.sun, hour.sky[3], 0.3))
    for _ in range(int(1 + 7 * clouds * width)):
        x, y = canvas.left + rng.random() * width, rng.uniform(canvas.top + 0.05, HORIZON - 0.18)
        length = rng.uniform(0.2, 0.7)
        line = smooth(points((x, y), (x + length * 0.5, y - 0.012), (x + length, y + 0.004)))
        canvas.ink(line, rng.uniform(0.006, 0.022), mix(*hour.cloud, 0.3), taper=(0.5, 0.5), opacity=0.75)
    count = round(clouds * 3.2 * width)
    for i in range(count):
        x = canvas.left + (i + rng.uniform(0.1, 0.9)) * width / count
        _paint_cloud(canvas, hour, rng, x, rng.uniform(0.38, 0.68), rng.uniform(0.16, 0.42), tone=tone)
    haze = box(canvas.left - 1, HORIZON - 0.16, canvas.right + 1, HORIZON + 0.1)
    for step in range(3):
        lower = haze + np.array([(0, 0.045 * step), (0, 0.045 * step), (0, 0), (0, 0)])
        canvas.fill(lower, hour.sky[4], opacity=0.16)


def _paint_cloud(
    canvas: Canvas, hour: Hour, rng: np.random.Generator, x: float, base: float, width: float, *, tone: bool
) -> None:
    """A cumulus: a flat foot, round heads, its shadow side painted as one flat tone with the same heads."""
    puffs = []
    for _ in range(14):
        along = rng.uniform(-1, 1)
        radius = width * (0.13 + 0.24 * (1 - along**2)) * rng.uniform(0.7, 1.15)
        rise = rng.uniform(0.0, 0.75) * (1 - along**2) * width
        puffs.append((x + along * width * 0.9, base - rise - radius * 0.35, radius))
    floor = box(x - 2 * width, base - 2, x + 2 * width, base)
    above = canvas.clip(floor)
    outlines = [ellipse(px, py, radius, radius, steps=40) for px, py, radius in puffs]
    lit, shaded = hour.cloud
    for outline in outlines:
        canvas.fill(outline, lit, clip=above)
    inside = canvas.clip(*outlines)
    inside = np.minimum(inside, above)
    for px, py, radius in puffs:
        canvas.fill(
            ellipse(px - radius * 0.22, py + radius * 0.42, radius * 0.86, radius * 0.80),
            mix(lit, shaded, 0.5),
            clip=inside,
        )
    foot = [ellipse(px, base + width * 0.02, radius * 0.95, radius * 0.62) for px, _, radius in puffs]
    for outline in foot:
        canvas.fill(outline, shaded, clip=inside)
    if tone:
        canvas.tone(box(x - 1.6 * width, base - width * 0.55, x + 1.6 * width, base), times(shaded, (0.8, 0.75, 0.9)),
                    pitch=0.011, dark=(0.0, 0.34), clip=inside)  # fmt: skip


def paint_far(canvas: Canvas, hour: Hour, rng: np.random.Generator, land: str) -> None:
    """What stands at the horizon: ridges, or a skyline in front of them."""
    for level in range(2):
        color = mix(hour.far, hour.sky[4], 0.55 - 0.3 * level)
        _paint_ridge(canvas, rng, HORIZON - 0.07 + 0.05 * level, 0.07, color)
    if land == "town":
        for level in range(2):
            color = mix(hour.far, hour.middle, 0.45 * level + 0.2)
            _paint_skyline(canvas, rng, HORIZON - 0.02 + 0.06 * level, color, hour.window)
    else:
        _paint_ridge(canvas, rng, HORIZON + 0.02, 0.05, mix(hour.far, hour.middle, 0.5))


def _paint_ridge(canvas: Canvas, rng: np.random.Generator, y: float, height: float, color: Color) -> None:
    xs = np.arange(canvas.left - 0.2, canvas.right + 0.4, 0.16)
    ys = y - height * (rng.random(len(xs)) - 0.3)
    ridge = smooth(np.stack([xs, ys], axis=1), steps=8)
    canvas.fill(np.concatenate([ridge, points((canvas.right + 1, 3), (canvas.left - 1, 3))]), color)


def _paint_skyline(canvas: Canvas, rng: np.random.Generator, base: float, color: Color, window: Color) -> None:
    x = canvas.left - 0.1
    blocks, lights = [], []
    while x < canvas.right + 0.1:
        width, height = rng.uniform(0.035, 0.11), rng.uniform(0.05, 0.22) * (1.0 if rng.random() < 0.7 else 1.5)
        blocks.append(box(x, base - height, x + width, 3.0))
        if rng.random() < 0.35:
            canvas.ink(points((x + width / 2, base - height), (x + width / 2, base - height - 0.05)), 0.003, color)
        rows, columns = int(height / 0.022), int(width / 0.016)
        for row in range(rows):
            for column in range(columns):
                if rng.random() < 0.25:
                    left, top = x + 0.006 + column * 0.016, base - height + 0.010 + row * 0.022
                    lights.append(box(left, top, left + 0.007, top + 0.010))
        x += width + rng.choice([0.0, 0.0, 0.012])
    for block in blocks:
        canvas.fill(block, color)
    canvas.fill_each(lights, mix(color, window, 0.75))
