"""A pack: all pictures that a training needs in one small file, to carry to a machine that has a GPU and no pictures.

It holds luma tiles, losslessly compressed, drawn where something happens from every picture of the split in turn until
the size is reached; preprocessed as each recipe asks. `training.unpack` makes patches for any scale of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

import cv2
import h5py
import numpy as np
from numpy.typing import NDArray

from engine.errors import InputError, OutputError
from training.patches import Plane, corners, storing_hdf5
from training.prepare import read_planes, sides_of, sources
from training.recipe import Draw, Recipe, plain
from training.unpack import FORMAT, TILE

_MOST_TILES = 24
"""Of one picture."""
_SMALL_TILE = 3000
"""Bytes of an easy tile; decides how many are drawn of each picture, so that few are encoded in vain."""
_VALIDATION_SHARE = 0.05


def pack(images: Path, out: Path, recipes: list[Recipe], *, limit_bytes: int) -> dict[str, int]:
    """Write the pack for `recipes` (one for each preprocessing they use); returns tiles for each `<kind>/<side>`.

    Raises `InputError` (too few pictures), `OutputError` (`out` exists), `EnvironmentFault` (disk full).
    """
    if out.exists():
        raise OutputError("exists already", remedy="remove it, or choose another --out", path=out)
    by_kind = {recipe.prepare.preprocessing: recipe for recipe in recipes}
    budget = limit_bytes // len(by_kind)
    counts: dict[str, int] = {}
    part = out.with_name(f".{out.name}.part")
    with storing_hdf5(out, needs=limit_bytes):
        try:
            with h5py.File(part, "w") as file:
                file.attrs["format"] = FORMAT
                for kind, recipe in by_kind.items():
                    sides = sides_of(images, recipe)
                    group = file.create_group(kind.value)
                    facts = {
                        "prepare": plain(recipe)["prepare"],
                        "pictures": {"training": len(sides.training), "validation": len(sides.validation)},
                        "manifest_sha256": hashlib.sha256(sides.manifest(images)).hexdigest(),
                        "sources": sources(images, [*sides.training, *sides.validation]),
                        "tiles_of": "a pack",
                    }
                    group.attrs["facts"] = json.dumps(facts, ensure_ascii=False)
                    for side, files, share in (
                        ("validation", sides.validation, _VALIDATION_SHARE),
                        ("train", sides.training, 1 - _VALIDATION_SHARE),
                    ):
                        planes = read_planes(files, recipe, told=f"{kind} {side}")
                        room = int(budget * share)
                        most = min(_MOST_TILES, -(-room // (_SMALL_TILE * max(1, len(files)))))
                        tiles = _tiles(planes, room=room, most=most, seed=recipe.prepare.seed)
                        counts[f"{kind}/{side}"] = _write_tiles(group, side, tiles)
            if part.stat().st_size > limit_bytes or not all(counts.values()):
                raise InputError(
                    f"no pack of {limit_bytes} bytes can be made: {counts}",
                    remedy="give larger pictures, or a larger --limit-mb",
                    path=images,
                )
            part.replace(out)
        finally:
            part.unlink(missing_ok=True)
    return counts


def _tiles(planes: Iterable[Plane], *, room: int, most: int, seed: int) -> list[NDArray[np.uint8]]:
    """Encoded tiles, the first of every picture, then the second of every picture, … while there is room."""
    rng = np.random.default_rng(seed)
    of_picture: list[list[NDArray[np.uint8]]] = []
    for plane in planes:
        luma = plane.luma
        missing = [max(0, TILE - side) for side in luma.shape]
        if any(missing):
            luma = np.pad(
                luma, [(0, pixels) for pixels in missing], mode="symmetric" if min(luma.shape) > 1 else "edge"
            )
        where = corners(luma, Draw.BUSY, size=TILE, step=8, most=most, rng=rng)
        of_picture.append([_encode(luma[y : y + TILE, x : x + TILE]) for y, x in where])
    chosen: list[NDArray[np.uint8]] = []
    for turn in range(most):
        for tiles in of_picture:
            if turn < len(tiles):
                if len(tiles[turn]) + 64 > room:
                    return chosen
                room -= len(tiles[turn]) + 64
                chosen.append(tiles[turn])
    return chosen


def _write_tiles(group: h5py.Group, side: str, tiles: list[NDArray[np.uint8]]) -> int:
    """All tiles behind one another in one array, and where each ends."""
    ends = np.cumsum([len(tile) for tile in tiles], dtype=np.int64)
    stored = group.create_group(side)
    stored.create_dataset("bytes", data=np.concatenate(tiles) if tiles else np.empty(0, np.uint8))
    stored.create_dataset("ends", data=ends)
    return len(tiles)


def _encode(tile: NDArray[np.uint8]) -> NDArray[np.uint8]:
    lossless = 101  # a quality above 100 means lossless WebP, a sixth smaller than PNG here
    return np.asarray(cv2.imencode(".webp", tile, [cv2.IMWRITE_WEBP_QUALITY, lossless])[1], np.uint8).ravel()
