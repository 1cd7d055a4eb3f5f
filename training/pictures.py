"""The pictures to train on: found, read, told apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from engine import image
from engine.errors import InputError, MissingInputError, NothingToDo
from engine.settings import PICTURE_EXTENSIONS, Limits
from engine.source import open_source
from training.degrade import Levels

HASH_BITS = 63


def pictures_below(folder: Path) -> list[Path]:
    """Every picture file below `folder`, sorted. Raises `MissingInputError` when there is none."""
    if not folder.is_dir():
        raise MissingInputError("no such folder", remedy="give the folder that holds the pictures", path=folder)
    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in PICTURE_EXTENSIONS and p.is_file())
    if not found:
        raise MissingInputError(
            "no pictures in this folder",
            remedy=f"give a folder with {', '.join(sorted(PICTURE_EXTENSIONS))}",
            path=folder,
        )
    return found


def read_bgr(path: Path) -> Levels:
    """(height, width, 3) BGR, 8 bit: grey spread, 16 bit rounded, transparency ignored as the authors do.

    Raises `InputError`, `MissingInputError` or `NothingToDo` with the reason why it cannot be used.
    """
    with open_source(path) as source:
        colour = image.read(source, limits=Limits()).colour
    if colour.dtype == np.uint16:
        colour = np.rint(colour / 257).astype(np.uint8)
    if colour.ndim == 2:
        colour = cv2.cvtColor(colour, cv2.COLOR_GRAY2BGR)
    return np.ascontiguousarray(colour, np.uint8)


def read_each(files: Iterable[Path], *, told: str) -> Iterator[tuple[Path, Levels]]:
    """Every file that can be read, one at a time, with a bar; the others are listed on it and left out."""
    with tqdm(list(files), desc=told, unit="picture", disable=None) as bar:
        for file in bar:
            try:
                picture = read_bgr(file)
            except (InputError, MissingInputError, NothingToDo) as error:
                bar.write(f"skipped: {error}")
                continue
            yield file, picture


def perceptual_hash(picture_bgr: Levels) -> int:
    """63 bits that stay nearly the same when a picture is scaled, compressed or slightly changed.

    The signs of the lowest 8x8 coefficients of the cosine transform of a 32x32 grey copy, against their median
    (Zauner 2010, "pHash"), without the mean. A picture of one colour gives 0.
    """
    grey = cv2.cvtColor(picture_bgr, cv2.COLOR_BGR2GRAY)
    small = cv2.resize(grey, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = cv2.dct(small)[:8, :8].ravel()[1:]
    if np.abs(low).max() < 1:
        return 0
    return int("".join("1" if value else "0" for value in low > np.median(low)), 2)


def near_duplicates(hashes: Sequence[int], *, distance: int) -> Iterator[tuple[int, int]]:
    """Index pairs whose hashes differ in at most `distance` bits; each cluster is connected by the pairs.

    Two hashes that differ in d bits agree in at least one of d + 1 bands, so only members of the same band are
    compared: a hundred thousand pictures take seconds.
    """
    values = np.array(hashes, np.uint64)
    edges = [round(i * HASH_BITS / (distance + 1)) for i in range(distance + 2)]
    for first, last in pairwise(edges):
        band = (values >> np.uint64(first)) & np.uint64((1 << (last - first)) - 1)
        order = np.argsort(band, kind="stable")
        borders = np.flatnonzero(np.diff(band[order])) + 1
        for members in np.split(order, borders):
            yield from _pairs_within(members, values, distance)


def _pairs_within(members: NDArray[np.intp], values: NDArray[np.uint64], distance: int) -> Iterator[tuple[int, int]]:
    for position, member in enumerate(members[:-1]):
        others = members[position + 1 :]
        differing = np.bitwise_count(values[others] ^ values[member])
        for other in others[differing <= distance]:
            yield int(member), int(other)


class Groups:
    """Files that must stay on one side of a split: union-find over their indices."""

    def __init__(self, count: int) -> None:
        self._parents = list(range(count))

    def root(self, index: int) -> int:
        while self._parents[index] != index:
            self._parents[index] = self._parents[self._parents[index]]
            index = self._parents[index]
        return index

    def join(self, one: int, other: int) -> None:
        first, second = sorted((self.root(one), self.root(other)))
        self._parents[second] = first

    def members(self) -> list[list[int]]:
        """Every group, each sorted, in the order of their first members."""
        found: dict[int, list[int]] = {}
        for index in range(len(self._parents)):
            found.setdefault(self.root(index), []).append(index)
        return list(found.values())
