"""Characters by chance: hair, eyes, clothes and line weight; the same numbers, the same character."""

from __future__ import annotations

import numpy as np

from training.scene_canvas import Color, mix, palette, rgb
from training.scene_character import Look
from training.scene_clothes import Outfit
from training.scene_hair import Hair

_HAIR = palette("2b2f55 3a3f6e 1f1d2b 5a3a34 8a5a3c b5533c d98a4a e8c56a f0e2b0 e88aa8 9a5fb0 5f8fc9 4fa39a c9c9d8")
_EYES = palette("3f8fd0 4fae6a a8553a c98a2f 7a55c0 c0455a 2fa39f 55606f e06a9a")
_SKIN = palette("fde3d0 fbd9c2 f3c8a6 d9a47c a8714f fdeadf")
_CLOTH = palette("2f3f78 394a5f 7a3040 34584a 4a3a5f 2a2a34 5f7fb0 b08a4a 88405f")
_ACCENT = palette("d8434e e8a03a 3f9fd0 54b07a f0d060 f4f0e6 c050a0")
_INK = palette("2a1a2e 1a1420 3a2418 101018 2a2a4a 44202a")
_STYLES = ("long", "bob", "tails", "ponytail", "short")

_GAPS = np.array(
    [(-1.04, 0.02), (-0.70, -0.42), (-0.34, -0.52), (0.06, -0.62), (0.26, -0.56), (0.66, -0.44), (1.04, 0.02)]
)
_TIPS = np.array([(-0.98, 0.42), (-0.66, 0.05), (-0.20, 0.02), (0.10, 0.14), (0.62, 0.02), (0.98, 0.42)])


def heroine() -> Look:
    """The character of the sample."""
    hair = Hair(rgb("3a3f6e"), "long", _pairs(_TIPS), _pairs(_GAPS), 1.5)
    return Look(
        hair, rgb("3f8fd0"), rgb("fde3d0"), Outfit("sailor", rgb("2f3f78"), rgb("d8434e"), scarf=False), blush=0.8,
        eye_size=1.0, ink=rgb("2a1a2e"), ink_weight=0.033,
    )  # fmt: skip


def anyone(rng: np.random.Generator) -> Look:
    """A character drawn by lot."""
    gaps, tips = _GAPS.copy(), _TIPS.copy()
    gaps[1:-1] += rng.uniform(-0.055, 0.055, (5, 2)) + (0, rng.uniform(-0.12, 0.08))
    tips[1:-1] += rng.uniform(-0.07, 0.07, (4, 2)) + (0, rng.uniform(-0.16, 0.06))
    tips[[0, -1], 1] += rng.uniform(-0.2, 0.35, 2)
    parting = 0.1
    if rng.random() < 0.5:
        gaps, tips, parting = gaps[::-1] * (-1, 1), tips[::-1] * (-1, 1), -0.1
    hair = Hair(
        _pick(rng, _HAIR),
        str(rng.choice(_STYLES)),
        _pairs(tips),
        _pairs(gaps),
        side_length=float(rng.uniform(0.75, 1.75)),
        parting=parting,
        ribbon=_pick(rng, _ACCENT),
    )
    return Look(
        hair,
        eyes=_pick(rng, _EYES),
        skin=_pick(rng, _SKIN),
        outfit=Outfit(
            str(rng.choice(("sailor", "hoodie", "blazer"))),
            cloth=_pick(rng, _CLOTH),
            accent=_pick(rng, _ACCENT),
            scarf=bool(rng.random() < 0.25),
        ),
        blush=float(rng.uniform(0.1, 1.0)),
        eye_size=float(rng.uniform(0.86, 1.08)),
        ink=_pick(rng, _INK),
        ink_weight=float(rng.uniform(0.018, 0.045)),
    )


def _pick(rng: np.random.Generator, colors: tuple[Color, ...]) -> Color:
    """One of the colours, slightly off."""
    color = colors[int(rng.integers(len(colors)))]
    other = colors[int(rng.integers(len(colors)))]
    return mix(color, other, float(rng.uniform(0.0, 0.15)))


def _pairs(array: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> tuple[tuple[float, float], ...]:
    return tuple((float(x), float(y)) for x, y in array)
