"""Tiny pictures and recipes for the tests of training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from training.degrade import Levels
from training.patches import Plane, write_patches
from training.recipe import Recipe, read_recipe

TINY = {
    "prepare.patch_size": 16,
    "prepare.training_patches_per_picture": 12,
    "prepare.validation_patches_per_picture": 4,
    "prepare.split": {"training": 0.6, "validation": 0.2, "test": 0.2},
    "fit.phases": [{"loss": "charbonnier", "epochs": 2}, {"loss": "mse", "epochs": 1}],
    "fit.steps_per_epoch": 3,
    "fit.batch": 4,
    "fit.warm_up_steps": 2,
    "fit.precision": "float32",
}


def tiny_recipe(name: str = "kakudai", **knobs: Any) -> Recipe:
    """A recipe that trains in seconds; `fit__batch=8` overrides the knob `fit.batch`."""
    return read_recipe(name, TINY | {key.replace("__", "."): value for key, value in knobs.items()})


def blobs(seed: int, width: int = 64, height: int = 48) -> Levels:
    """(height, width, 3) BGR: flat discs with hard edges on a gradient; no two seeds resemble each other."""
    rng = np.random.default_rng(seed)
    ramp = np.linspace(rng.integers(80), 255 - rng.integers(80), width)
    picture = np.repeat(np.repeat(ramp[None, :, None], height, 0), 3, 2).astype(np.uint8).copy()
    for _ in range(9):
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        cv2.circle(picture, centre, int(rng.integers(4, 14)), [int(v) for v in rng.integers(0, 256, 3)], -1)
    return picture


def write_blobs(folder: Path, count: int, *, width: int = 64, height: int = 48, first: int = 0) -> list[Path]:
    """`count` PNGs whose names belong together with nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{'abcdefghijklmnopqrstuvwxyz'[index % 26]}{index}_.png" for index in range(count)]
    for index, path in enumerate(paths):
        assert cv2.imwrite(str(path), blobs(first + index, width, height))
    return paths


def tiny_patches(path: Path, recipe: Recipe, pictures: int = 4, facts: dict[str, Any] | None = None) -> Path:
    """A patch file from blobs."""

    def planes(first: int, count: int) -> list[Plane]:
        return [Plane(str(seed), blobs(seed)[..., 1]) for seed in range(first, first + count)]

    write_patches(path, {"train": planes(0, pictures), "validation": planes(100, 2)}, recipe, facts or {})
    return path
