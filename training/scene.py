"""Original anime scenes drawn by code, at any size, the same for the same seed: stills and a short animation.

The animation is made the way an episode is: the character on threes (three equal frames per drawing) with mouth flaps
and blinks over a still background, a hold, a hard cut, a pan in which near and far move at their own speeds, a hold.
Frames between two drawings are equal byte for byte.

    picture = draw_picture(Size(1280, 720), seed=7)
    for frame in draw_frames(Size(320, 180), frames=144): …
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.settings import Size
from training.scene_background import HOURS, Hour, paint_far, paint_sky
from training.scene_canvas import Canvas, Color, Layer, Place
from training.scene_cast import anyone, heroine
from training.scene_character import Look, Pose, paint_character
from training.scene_land import paint_near
from training.scene_lettering import WORDS

Picture = NDArray[Any]
"""(height, width, 3) red, green, blue, or 4 with alpha (not premultiplied); uint8, or uint16 when drawn deep."""

_PAN = 0.6
"""How far the camera travels in the second shot, in units (shorter sides of the picture)."""
_SPEEDS = (0.25, 0.5, 1.0)
"""How fast sky, distance and foreground pass while it does."""


@dataclass(frozen=True)
class Stage:
    """A place and an hour, with the seed that its details are drawn from."""

    seed: int
    hour: str
    land: str
    """town, hills or shrine"""
    clouds: float
    tone: bool
    word: str
    ink: Color
    ink_weight: float


@dataclass(frozen=True)
class Actor:
    """A character in its place."""

    look: Look
    pose: Pose
    place: Place


@dataclass(frozen=True)
class Drawing:
    """All that decides one frame of the animation: equal drawings, equal frames."""

    shot: int
    pose: Pose
    pan: float = 0.0
    """0 at the start of the camera's way, 1 at its end."""


def draw_picture(size: Size, *, seed: int = 0) -> Picture:
    """A still: (height, width, 3) uint8 RGB. Seed 0 is the sample; every other seed another cast, place and hour."""
    stage, actors = _composition(size, seed)
    scene = _background(stage, size)
    for actor in actors:
        scene = _over(_cel(actor, stage, size).reduced(), scene)
    return _levels(scene[..., :3], deep=False)


def draw_cel(size: Size, *, seed: int = 0) -> Picture:
    """The characters of that still alone on a transparent sheet: (height, width, 4) uint8 RGBA."""
    stage, actors = _composition(size, seed)
    scene = np.zeros((size.height, size.width, 4), np.float32)
    for actor in actors:
        scene = _over(_cel(actor, stage, size).reduced(), scene)
    alpha = scene[..., 3:]
    color = np.divide(scene[..., :3], alpha, out=np.zeros_like(scene[..., :3]), where=alpha > 0)
    return _levels(np.concatenate([color, alpha], axis=-1), deep=False)


def drawing_at(index: int, *, frames: int) -> Drawing:
    """What frame `index` of an animation of `frames` frames shows."""
    cut = max(round(frames * 0.5), 1)
    if index < cut:
        step = index // 3
        if index >= cut * 0.78:
            return Drawing(0, Pose(mouth=3, turn=8.0, tilt=4.0))
        lids = {5: 1, 6: 2, 7: 1}.get(step % 12, 0)
        mouth = (0, 1, 2, 1, 2, 0, 2, 1)[step % 8]
        return Drawing(0, Pose(mouth=mouth, lids=lids, sway=step // 2 % 8, turn=8.0, tilt=4.0))
    at = (index - cut) / max(frames - cut - 1, 1)
    way = float(np.clip((at - 0.12) / 0.62, 0, 1))
    sway = (index - cut) // 3 % 8 if 0 < way < 1 else 0
    return Drawing(1, Pose(mouth=3 if way == 1 else 0, sway=sway, turn=-14.0, tilt=-3.0), way * way * (3 - 2 * way))


def draw_frame(index: int, size: Size, *, frames: int, seed: int = 0, deep: bool = False) -> Picture:
    """Frame `index` of an animation of `frames` frames: (height, width, 3) RGB, read-only.

    uint8, or uint16 over its whole range when `deep` (for 10-bit video, so that gradients do not band).
    """
    return _developed(drawing_at(index, frames=frames), size, seed, deep)


def draw_frames(size: Size, *, frames: int, seed: int = 0, deep: bool = False) -> Iterator[Picture]:
    """All frames of the animation, in order (see `draw_frame`)."""
    for index in range(frames):
        yield draw_frame(index, size, frames=frames, seed=seed, deep=deep)


@lru_cache(maxsize=4)
def _developed(drawing: Drawing, size: Size, seed: int, deep: bool) -> Picture:
    stage, actors = _shots(seed)[drawing.shot]
    if drawing.shot == 0:
        scene = _background(stage, size)
        cel = _cel(Actor(actors.look, drawing.pose, actors.place), stage, size)
        scene = _over(cel.reduced(), scene)
    else:
        scene = np.zeros((size.height, size.width, 4), np.float32)
        for canvas, speed in zip(_sheets(stage, size, _PAN), _SPEEDS, strict=True):
            scene = _over(canvas.reduced(pan=drawing.pan * _PAN * speed), scene)
        cel = _cel(Actor(actors.look, drawing.pose, actors.place), stage, size, wider=_PAN)
        scene = _over(cel.reduced(pan=drawing.pan * _PAN), scene)
    picture = _levels(scene[..., :3], deep=deep)
    picture.flags.writeable = False
    return picture


def _shots(seed: int) -> tuple[tuple[Stage, Actor], tuple[Stage, Actor]]:
    """The two shots of the animation: a talk in close-up, and a view that the camera pans along."""
    rng = np.random.default_rng([seed, 2])
    look = heroine() if seed == 0 else anyone(rng)
    hour = "dusk" if seed == 0 else str(rng.choice(list(HOURS)))
    first = Stage(seed, hour, "town", 0.7, True, "拡大", look.ink, look.ink_weight * 0.10)
    second = Stage(seed + 1, hour, "shrine", 0.8, False, "", look.ink, look.ink_weight * 0.10)
    return (first, Actor(look, Pose(), Place(0.12, 0.50, 0.225))), (
        second,
        Actor(look, Pose(), Place(0.62, 0.60, 0.13)),
    )


def _composition(size: Size, seed: int) -> tuple[Stage, list[Actor]]:
    if seed == 0:
        look = heroine()
        stage = Stage(0, "dusk", "town", 0.8, True, "拡大", look.ink, 0.0033)
        return stage, [Actor(look, Pose(mouth=2, sway=1, turn=9.0, tilt=2.0), Place(0.16, 0.47, 0.195))]
    rng = np.random.default_rng([seed, 1])
    aspect = size.width / min(size.width, size.height)
    count = int(rng.choice([0, 1, 2], p=[0.08, 0.70, 0.22]))
    actors = []
    for i in range(count):
        scale = float(rng.choice([0.10, 0.15, 0.20, 0.26, 0.34], p=[0.1, 0.25, 0.35, 0.2, 0.1])) * rng.uniform(0.9, 1.1)
        reach = max(aspect / 2 - 1.2 * scale, 0.0)
        x = rng.uniform(-reach, reach) if count == 1 else rng.uniform(0.3, 0.9) * reach * (1 if i else -1)
        pose = Pose(
            mouth=int(rng.integers(4)),
            lids=int(rng.choice([0, 1, 2], p=[0.8, 0.1, 0.1])),
            sway=int(rng.integers(8)),
            turn=float(rng.uniform(-18, 18)),
            tilt=float(rng.uniform(-8, 8)),
        )
        place = Place(
            float(x), float(rng.uniform(0.44, 0.60) + 0.1 * (0.2 - scale)), float(scale), float(rng.uniform(-4, 4))
        )
        actors.append(Actor(anyone(rng), pose, place))
    ink = actors[0].look.ink if actors else anyone(rng).ink
    stage = Stage(
        seed,
        str(rng.choice(list(HOURS))),
        str(rng.choice(["town", "town", "hills", "shrine"])),
        clouds=float(rng.uniform(0.1, 1.0)),
        tone=bool(rng.random() < 0.4),
        word=str(rng.choice(WORDS)),
        ink=ink,
        ink_weight=float(rng.uniform(0.0018, 0.0045)),
    )
    return stage, sorted(actors, key=lambda actor: actor.place.scale)


@lru_cache(maxsize=1)
def _sheets(stage: Stage, size: Size, wider: float) -> tuple[Canvas, Canvas, Canvas]:
    """Sky, distance and foreground, each `wider` units wider than the picture at its speed."""
    hour: Hour = HOURS[stage.hour]
    sky, far, near = (Canvas(size, wider=wider * speed) for speed in _SPEEDS)
    paint_sky(sky, hour, np.random.default_rng([stage.seed, 3]), clouds=stage.clouds, tone=stage.tone)
    paint_far(far, hour, np.random.default_rng([stage.seed, 4]), stage.land)
    paint_near(
        near, hour, np.random.default_rng([stage.seed, 5]), stage.land,
        ink=stage.ink, weight=stage.ink_weight, word=stage.word,
    )  # fmt: skip
    return sky, far, near


@lru_cache(maxsize=1)
def _background(stage: Stage, size: Size) -> Layer:
    sky, far, near = _sheets(stage, size, 0.0)
    return _over(near.reduced(), _over(far.reduced(), sky.reduced()))


@lru_cache(maxsize=8)
def _cel(actor: Actor, stage: Stage, size: Size, *, wider: float = 0.0) -> Canvas:
    hour = HOURS[stage.hour]
    canvas = Canvas(size, wider=wider)
    paint_character(canvas, actor.look, actor.pose, actor.place, hour.light)
    canvas.rim(0.045 * actor.place.scale, -0.012 * actor.place.scale, hour.rim, 0.9)
    return canvas


def _over(upper: Layer, lower: Layer) -> Layer:
    return upper + lower * (1 - upper[..., 3:])


def _levels(colors: NDArray[np.float32], *, deep: bool) -> Picture:
    top = 65535 if deep else 255
    return np.asarray(np.clip(colors, 0, 1) * top + 0.5).astype(np.uint16 if deep else np.uint8)
