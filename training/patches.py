"""Patches: cut from planes, written as HDF5 in a stream, read back in an order that a seed decides.

A patch file holds the groups `train` and `validation`, each with `data` (what the network sees) and `label` (what it
should say): float32 (n, 1, size, size) luma in 0..1, as the authors store them, and attributes on how it was made. For
a network that enlarges by itself `data` is smaller than `label` by its scale.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import h5py
import numpy as np

from engine.errors import EnvironmentFault, InputError, UsageError
from engine.files import storing
from training import degrade
from training.compress import compress, drawn_quality
from training.degrade import Levels
from training.recipe import Draw, Recipe

if TYPE_CHECKING:
    from engine.network import Network

FORMAT = "kakudai-patches-1"
RUN = 32
"""Patches that lie together in the file and are read together."""


@dataclass(frozen=True)
class Plane:
    """One picture's luma (height, width), preprocessed, with its name for messages."""

    name: str
    luma: Levels


def corners(
    luma: Levels, how: Draw, *, size: int, step: int, most: int, rng: np.random.Generator
) -> list[tuple[int, int]]:
    """(top, left) of the patches to cut; none when the picture is smaller than one. `most` 0: no limit.

    `busy` draws with probability in proportion to the mean gradient, since flat backgrounds teach nothing.
    """
    height, width = luma.shape
    if min(height, width) < size:
        return []
    if how is Draw.BUSY:
        return _busy_corners(luma, size=size, step=step, most=most, rng=rng)
    if how is Draw.RANDOM:
        count = most or (height // size) * (width // size)
        tops = rng.integers(0, height - size + 1, count)
        return list(zip(tops.tolist(), rng.integers(0, width - size + 1, count).tolist(), strict=True))
    grid = [(top, left) for top in range(0, height - size + 1, step) for left in range(0, width - size + 1, step)]
    if not most or len(grid) <= most:
        return grid
    return [grid[index] for index in np.sort(rng.choice(len(grid), size=most, replace=False))]


def _busy_corners(luma: Levels, *, size: int, step: int, most: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    height, width = luma.shape
    gradient = np.abs(cv2.Laplacian(luma, cv2.CV_32F))
    energy = cv2.boxFilter(gradient, -1, (size, size), anchor=(0, 0), borderType=cv2.BORDER_ISOLATED)
    energy = energy[: height - size + 1 : step, : width - size + 1 : step]
    weight = np.minimum(energy, np.percentile(energy, 90)).astype(np.float64).ravel() + 1e-3
    weight[energy.ravel() < 0.5] *= 0.05
    count = min(most or weight.size, weight.size)
    chosen = rng.choice(weight.size, size=count, replace=False, p=weight / weight.sum())
    return [(step * int(i // energy.shape[1]), step * int(i % energy.shape[1])) for i in chosen]


_MARGIN = 4 << 20
"""Bytes that HDF5 may hold back until it closes a file."""


@contextmanager
def storing_hdf5(path: Path, *, needs: int = 0) -> Iterator[None]:
    """Like `engine.files.storing`, and asks for room first: HDF5 crashes when the disk is full as it closes a file.

    `needs`: bytes about to be written. Raises `EnvironmentFault`.
    """
    with storing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _ask_for_room(path, needs)
        yield


def _ask_for_room(path: Path, needs: int) -> None:
    free = shutil.disk_usage(path.parent).free
    if free < needs + _MARGIN:
        raise EnvironmentFault(
            f"no space left on the disk: {free >> 20} MiB are free and {(needs + _MARGIN) >> 20} are needed to go on",
            remedy="free space and run the same command again",
            path=path,
        )


class PatchWriter:
    """Writes one group. Patches are flushed in runs, so memory does not grow with their number."""

    def __init__(self, group: h5py.Group, size: int, own_scale: int) -> None:
        self._stored = [
            (
                group.create_dataset(
                    name,
                    dtype="f4",
                    compression="lzf",
                    shuffle=True,
                    shape=(0, 1, size // ratio, size // ratio),
                    maxshape=(None, 1, size // ratio, size // ratio),
                    chunks=(RUN, 1, size // ratio, size // ratio),
                ),
                ratio,
            )
            for name, ratio in (("data", own_scale), ("label", 1))
        ]
        self._size, self._own_scale = size, own_scale
        self._path = Path(group.file.filename)

    @property
    def count(self) -> int:
        return int(self._stored[0][0].shape[0])

    def add(self, seen: Levels, wanted: Levels, where: list[tuple[int, int]]) -> None:
        """Append the patches at `where` in `wanted`, moved to the pixels of `seen`, which is smaller by the scale."""
        own = self._own_scale
        for first in range(0, len(where), 512):
            part = [(top - top % own, left - left % own) for top, left in where[first : first + 512]]
            _ask_for_room(self._path, 2 * len(part) * 4 * self._size**2)
            for (dataset, ratio), plane in zip(self._stored, (seen, wanted), strict=True):
                side = self._size // ratio
                patches = np.stack(
                    [plane[y : y + side, x : x + side] for y, x in ((y // ratio, x // ratio) for y, x in part)]
                )
                dataset.resize(dataset.shape[0] + len(part), axis=0)
                dataset[-len(part) :] = patches[:, None].astype(np.float32) / np.float32(255)


def write_patches(
    out: Path, sides: dict[str, Iterable[Plane]], recipe: Recipe, facts: dict[str, Any]
) -> dict[str, int]:
    """Write `out` from the planes of `train` and `validation`; returns how many patches each got.

    Written under a hidden name and renamed when complete. Raises `InputError` when a side has no patches,
    `EnvironmentFault` (disk full).
    """
    part = out.with_name(f".{out.name}.part")
    knobs, own_scale = recipe.prepare, own_scale_of(recipe)
    counts: dict[str, int] = {}
    with storing_hdf5(out):
        try:
            with h5py.File(part, "w") as file:
                for name, planes in sides.items():
                    how, most = (
                        (knobs.training_patches, knobs.training_patches_per_picture)
                        if name == "train"
                        else (knobs.validation_patches, knobs.validation_patches_per_picture)
                    )
                    writer = PatchWriter(file.create_group(name), knobs.patch_size, own_scale)
                    rng = np.random.default_rng(knobs.seed)
                    for index, plane in enumerate(planes):
                        seen, wanted = seen_and_wanted(plane.luma, recipe, index)
                        where = corners(wanted, how, size=knobs.patch_size, step=knobs.step, most=most, rng=rng)
                        writer.add(seen, wanted, where)
                    counts[name] = writer.count
                file.attrs["format"] = FORMAT
                file.attrs["scale"] = recipe.scale
                file.attrs["upsampling"] = recipe.upsampling.value
                file.attrs["own_scale"] = own_scale
                file.attrs["facts"] = json.dumps(facts, ensure_ascii=False)
            empty = [name for name, count in counts.items() if not count]
            if empty:
                raise InputError(
                    f"no {' and no '.join(empty)} patches: every picture is smaller than {knobs.patch_size} pixels",
                    remedy="give larger pictures, or a smaller --patch-size",
                    path=out,
                )
            part.replace(out)
        finally:
            part.unlink(missing_ok=True)
    return counts


def seen_and_wanted(luma: Levels, recipe: Recipe, index: int) -> tuple[Levels, Levels]:
    """What the network sees and what it should say, cropped to a multiple of the scale.

    Both (height, width), but for a network that enlarges by itself: it sees the picture as it was reduced.
    """
    wanted = degrade.crop_to_multiple(luma, recipe.scale)
    if min(wanted.shape) < recipe.scale:
        return wanted, wanted
    how = recipe.prepare.reductions[index % len(recipe.prepare.reductions)]
    reduced = degrade.reduce(wanted, recipe.scale, how)
    # each reduction meets each compression
    compression = recipe.prepare.compressions[
        index // len(recipe.prepare.reductions) % len(recipe.prepare.compressions)
    ]
    quality = drawn_quality(compression, np.random.default_rng((recipe.prepare.seed, index)))
    reduced = compress(reduced, compression, quality)
    if own_scale_of(recipe) > 1:
        return reduced, wanted
    return degrade.enlarge(reduced, recipe.scale, recipe.upsampling), wanted


def own_scale_of(recipe: Recipe) -> int:
    """By how much the recipe's network enlarges by itself; 1: it is fed with an enlarged picture.

    Raises `UsageError` when there is no such network, or it cannot learn the recipe's scale.
    """
    own = network_of(recipe).scale
    if recipe.prepare.patch_size % own:
        raise UsageError(
            f"patches of {recipe.prepare.patch_size} pixels cannot be reduced {own}x", remedy="another --patch-size"
        )
    return own


def network_of(recipe: Recipe) -> Network:
    """The recipe's network at its scale. Raises `UsageError` when there is no such network, or not for that scale."""
    from engine.network import NETWORKS, at_scale, scales_of

    if recipe.network not in NETWORKS:
        raise UsageError(f"no network {recipe.network!r}", remedy=f"choose one of {', '.join(sorted(NETWORKS))}")
    network = at_scale(recipe.network, recipe.scale)
    if network is None:
        scales = " or ".join(str(scale) for scale in scales_of(recipe.network))
        raise UsageError(
            f"{recipe.network} enlarges by itself and cannot be trained for {recipe.scale}x",
            remedy=f"--scale {scales}; other scales are made of these",
        )
    return network
