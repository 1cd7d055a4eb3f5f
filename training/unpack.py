"""A pack on the machine it was carried to: patches for any scale and upsampling; no picture files are read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np

from engine.errors import InputError, MissingInputError
from training.patches import Plane, write_patches
from training.recipe import Recipe, plain

FORMAT = "kakudai-pack-1"
TILE = 192
"""Side of a tile; the scales 2, 3 and 4 divide it."""


def patches_from_pack(pack_path: Path, out: Path, recipe: Recipe) -> dict[str, int]:
    """Make the patch file `out` for `recipe` from a pack. Raises `InputError` when the pack is not meant for it."""
    if not pack_path.is_file():
        raise MissingInputError("no such pack", remedy="make it with `kakudai-train pack`", path=pack_path)
    try:
        with h5py.File(pack_path, "r") as file:
            group = file[recipe.prepare.preprocessing.value]
            sides: dict[str, Iterable[Plane]] = {side: planes_of(group[side]) for side in ("train", "validation")}
            facts: dict[str, Any] = json.loads(group.attrs["facts"])
            facts["prepare"] = plain(recipe)["prepare"]  # the pack was made for several recipes
            return write_patches(out, sides, recipe, facts)
    except (KeyError, OSError) as error:
        raise InputError(
            f"not a pack for the preprocessing '{recipe.prepare.preprocessing}' ({error})",
            remedy="make it again with `kakudai-train pack`",
            path=pack_path,
        ) from error


def planes_of(side: h5py.Group) -> Iterator[Plane]:
    """The luma tiles of one side of a pack, decoded one at a time."""
    ends = side["ends"][()]
    for index, end in enumerate(ends):
        encoded = side["bytes"][int(ends[index - 1]) if index else 0 : int(end)]
        decoded = cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE)
        yield Plane(f"tile {index}", np.asarray(decoded, np.uint8))
