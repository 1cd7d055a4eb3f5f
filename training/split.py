"""Which pictures are trained on, which are validated on, which are kept for tests.

Pictures that belong together fall on one side: near-duplicates by perceptual hash, and those of one folder whose names
begin with the same letters and digits (pages of one episode, sprites of one figure).
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.errors import InputError, MissingInputError
from engine.files import write_durably
from training.pictures import Groups, near_duplicates, perceptual_hash, read_each
from training.recipe import Split

SIDES = ("training", "validation", "test")
_BEGINNING = re.compile(r"[A-Za-z]+\d*")


@dataclass(frozen=True)
class Sides:
    """Files of each side, sorted; `left_out` were readable but are on no side."""

    training: tuple[Path, ...]
    validation: tuple[Path, ...]
    test: tuple[Path, ...]
    left_out: tuple[Path, ...] = ()

    def manifest(self, folder: Path) -> bytes:
        """CSV `file,split`, paths relative to `folder`: given to `prepare --manifest` it makes the same split."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["file", "split"])
        for side in SIDES:
            writer.writerows([file.relative_to(folder).as_posix(), side] for file in getattr(self, side))
        return text.getvalue().encode()


def write_manifest(sides: Sides, folder: Path, path: Path) -> str:
    """Write the manifest and return its SHA-256."""
    content = sides.manifest(folder)
    write_durably(path, content)
    return hashlib.sha256(content).hexdigest()


def split_pictures(files: list[Path], split: Split, *, seed: int, distance: int) -> Sides:
    """Split by counts or by shares, whole groups at a time. Unreadable files are listed and left out.

    Counts are drawn from twice as many pictures as needed, so that a folder of 400,000 is not read whole; a group that
    does not fit is cut, and the rest of it stays unused. Raises `InputError` when there are too few pictures.
    """
    by_count = max(split.training, split.validation, split.test) > 1
    rng = np.random.default_rng(seed)
    order = [files[index] for index in rng.permutation(len(files))]
    if by_count:
        order = order[: 2 * int(split.training + split.validation + split.test) + 64]
    readable, groups = _groups(order, distance=distance)
    if not readable:
        raise InputError("no picture in this folder can be read", remedy="see the list above", path=files[0].parent)
    if by_count:
        wanted = {side: int(getattr(split, side)) for side in SIDES}
    else:
        wanted = {
            side: max(1, round(share * len(readable))) if (share := getattr(split, side)) else 0
            for side in ("validation", "test")
        }
        wanted["training"] = 1
    if sum(wanted.values()) > len(readable):
        raise InputError(
            f"at least {sum(wanted.values())} pictures are needed, and {len(readable)} can be used",
            remedy="add pictures, or split by shares: --split '{training: 0.8, validation: 0.1, test: 0.1}'",
            path=files[0].parent,
        )
    taken: dict[str, list[Path]] = {side: [] for side in SIDES}
    left_out: list[Path] = []
    for side in ("validation", "test"):
        for group in list(groups):
            room = wanted[side] - len(taken[side])
            if len(group) <= room:
                taken[side] += group
                groups.remove(group)
        if by_count and len(taken[side]) < wanted[side] and groups:
            group = min(groups, key=len)
            room = wanted[side] - len(taken[side])
            taken[side] += group[:room]
            left_out += group[room:]
            groups.remove(group)
        if len(taken[side]) < (wanted[side] if by_count else min(1, wanted[side])):
            raise InputError(
                f"{len(taken[side])} of {wanted[side]} pictures are left for {side}: all resemble each other, or there "
                "are too few",
                remedy="add different pictures, raise the share, or give the split as a --manifest",
                path=files[0].parent,
            )
    for group in groups:
        room = wanted["training"] - len(taken["training"]) if by_count else len(group)
        taken["training"] += group[:room]
        left_out += group[room:]
    if by_count and len(taken["training"]) < wanted["training"]:
        raise InputError(
            f"{len(taken['training'])} of {wanted['training']} training pictures are left once those that belong "
            "together with held-out ones are set aside (look-alikes, and names in one folder that begin alike)",
            remedy="add pictures, ask for fewer (--split), or say yourself which go where (--manifest)",
            path=files[0].parent,
        )
    training, validation, test = (tuple(sorted(taken[side])) for side in SIDES)
    return Sides(training, validation, test, tuple(sorted(left_out)))


def split_by_manifest(files: list[Path], folder: Path, manifest: Path, *, distance: int) -> Sides:
    """Split as a CSV with `file,split` says (training, validation or test; paths relative to `folder`).

    Training pictures that resemble a held-out one are left out, and told. Raises `MissingInputError`, `InputError`.
    """
    try:
        with manifest.open(encoding="utf-8", newline="") as rows:
            sides = {row["file"]: row["split"] for row in csv.DictReader(rows)}
    except FileNotFoundError as error:
        raise MissingInputError("no such manifest", remedy="check --manifest", path=manifest) from error
    except (OSError, KeyError, ValueError) as error:
        raise InputError(
            f"not a manifest ({error!r})", remedy="a CSV with the columns file and split", path=manifest
        ) from error
    unknown = sorted(set(sides.values()) - set(SIDES))
    known = {file.relative_to(folder).as_posix(): file for file in files}
    missing = sorted(set(sides) - set(known))
    if unknown or missing:
        raise InputError(
            f"names a split {unknown[0]!r}" if unknown else f"names {missing[0]}, which is not in {folder}",
            remedy=f"splits are {', '.join(SIDES)}; paths are relative to --images",
            path=manifest,
        )
    chosen = [known[name] for name in sorted(sides)]
    readable, groups = _groups(chosen, distance=distance, by_name=False)
    side_of = {known[name]: side for name, side in sides.items()}
    left_out = [
        file
        for group in groups
        if any(side_of[member] != "training" for member in group)
        for file in group
        if side_of[file] == "training"
    ]
    training, validation, test = (
        tuple(f for f in sorted(readable) if side_of[f] == side and f not in left_out) for side in SIDES
    )
    return Sides(training, validation, test, tuple(sorted(left_out)))


def _groups(files: list[Path], *, distance: int, by_name: bool = True) -> tuple[list[Path], list[list[Path]]]:
    """The readable files in their order, and groups of those that must stay together."""
    readable, hashes = [], []
    for file, picture in read_each(files, told="look for duplicates"):
        readable.append(file)
        hashes.append(perceptual_hash(picture))
    groups = Groups(len(readable))
    for one, other in near_duplicates(hashes, distance=distance):
        groups.join(one, other)
    first_of: dict[tuple[Path, str], int] = {}
    for index, file in enumerate(readable if by_name else ()):
        match = _BEGINNING.match(file.stem)
        groups.join(first_of.setdefault((file.parent, match.group() if match else file.stem), index), index)
    return readable, [[readable[index] for index in group] for group in groups.members()]
