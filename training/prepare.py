"""`prepare`: a folder of pictures (or a pack of them) → HDF5 patches, and a manifest of the split beside them.

One picture is in memory at a time. Broken and too small pictures are listed and skipped.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from engine import measure
from engine.errors import InputError, OutputError
from engine.files import storing
from training import degrade
from training.patches import Plane, write_patches
from training.pictures import pictures_below, read_each
from training.recipe import Recipe, plain
from training.split import Sides, split_by_manifest, split_pictures, write_manifest

UNTOLD = "not in manifest.csv"
"""The source of pictures that no manifest tells of: nobody can know their licence from the card."""


def prepare(images: Path, out: Path, recipe: Recipe, *, manifest: Path | None = None) -> dict[str, int]:
    """Write the patches of the pictures below `images` to `out`, and the split to `<out>.split.csv` beside it.

    The split is drawn by the recipe's seed, or read from `manifest` (CSV `file,split`). Returns how many patches
    `train` and `validation` got. Raises `InputError` (too few or too small pictures), `MissingInputError` (none),
    `OutputError` (`out` exists), `EnvironmentFault` (disk full).
    """
    if out.exists():
        raise OutputError("exists already", remedy="remove it, or choose another --out", path=out)
    sides = sides_of(images, recipe, manifest=manifest)
    manifest_path = out.with_suffix(".split.csv")
    with storing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    facts = {
        "prepare": plain(recipe)["prepare"],
        "pictures": {side: len(getattr(sides, side)) for side in ("training", "validation", "test", "left_out")},
        "manifest_sha256": write_manifest(sides, images, manifest_path),
        "sources": sources(images, [*sides.training, *sides.validation]),
    }
    planes: dict[str, Iterable[Plane]] = {
        "train": read_planes(sides.training, recipe, told="training patches"),
        "validation": read_planes(sides.validation, recipe, told="validation patches"),
    }
    return write_patches(out, planes, recipe, facts)


def sides_of(images: Path, recipe: Recipe, *, manifest: Path | None = None) -> Sides:
    """The split that the recipe or the manifest asks for."""
    files = pictures_below(images)
    distance = recipe.prepare.duplicate_distance
    if manifest is not None:
        return split_by_manifest(files, images, manifest, distance=distance)
    return split_pictures(files, recipe.prepare.split, seed=recipe.prepare.seed, distance=distance)


def read_planes(files: Iterable[Path], recipe: Recipe, *, told: str) -> Iterator[Plane]:
    """The preprocessed luma of each file that can be read."""
    for file, picture in read_each(files, told=told):
        yield Plane(str(file), measure.luma(degrade.preprocess(picture, recipe.prepare.preprocessing)))


def sources(images: Path, files: list[Path]) -> list[dict[str, Any]]:
    """Pictures per source, artist and licence, as `manifest.csv` in the folder and the one above tell (file, source,
    licence, artist). Those that neither tells of are counted too, as `UNTOLD`: a card names all that went in.

    Raises `InputError` for a manifest.csv that is another kind of file.
    """
    told: dict[Path, tuple[str, str, str]] = {}
    for manifest in (images / "manifest.csv", images.parent / "manifest.csv"):
        if not manifest.is_file():
            continue
        try:
            with manifest.open(encoding="utf-8", newline="") as rows:
                for row in csv.DictReader(rows):
                    key = (row.get("source") or "", row.get("artist") or "", row.get("licence") or "")
                    told[manifest.parent / row["file"]] = key
        except (OSError, KeyError, ValueError) as error:
            raise InputError(
                f"does not tell where pictures are from ({error!r})",
                remedy="a CSV with the columns file, source, licence and artist; or give it another name",
                path=manifest,
            ) from error
    counted = Counter(told.get(file, (UNTOLD, "", "")) for file in files)
    return [
        {"source": source, "artist": artist, "licence": licence, "pictures": count}
        for (source, artist, licence), count in sorted(counted.items())
    ]
