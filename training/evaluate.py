"""`evaluate`: the paper's Tables III and IV for any folder, any weights and any whole scale.

Each picture is cropped to a multiple of the scale, so that sizes align, reduced by bilinear interpolation as the paper
does, enlarged by each method, and compared on 8-bit BGR (PSNR and SSIM, as the authors score), on luma, and where the
lines are. `authors_alignment` repeats the paper's habit instead: nothing is cropped, and where the sizes differ all
pictures are shrunk to the smallest by nearest neighbour, which misaligns them.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import cv2
import numpy as np

from engine import measure
from engine.errors import InputError
from engine.files import storing, write_durably
from engine.measure import Score
from training import degrade
from training.degrade import Levels
from training.methods import Method
from training.pictures import read_each
from training.sheet import Sheet

SMALLEST = 16
"""Pictures with a shorter side (after reduction) are left out: no window of SSIM says anything there."""


@dataclass(frozen=True)
class Row:
    """One picture, one scale, one method."""

    picture: str
    scale: int
    method: str
    score: Score


@dataclass(frozen=True)
class Table:
    """Every row of an evaluation."""

    rows: tuple[Row, ...]

    def means(self, scale: int) -> dict[str, Score]:
        """Mean scores of each method at one scale, in the order they were given."""
        found: dict[str, list[Score]] = {}
        for row in self.rows:
            if row.scale == scale:
                found.setdefault(row.method, []).append(row.score)
        return {method: measure.mean(scores) for method, scores in found.items()}

    def markdown(self) -> str:
        """A table for each scale; PSNR in dB."""
        parts = []
        for scale in dict.fromkeys(row.scale for row in self.rows):
            pictures = len({row.picture for row in self.rows if row.scale == scale})
            parts.append(
                f"{scale}×, {pictures} pictures\n\n"
                "| method | PSNR BGR | SSIM BGR | PSNR Y | PSNR edges |\n|---|---|---|---|---|\n"
                + "".join(
                    f"| {name} | {s.psnr_bgr:.2f} | {s.ssim_bgr:.4f} | {s.psnr_luma:.2f} | {s.psnr_edges:.2f} |\n"
                    for name, s in self.means(scale).items()
                )
            )
        return "\n".join(parts)

    def csv(self) -> str:
        """One line for each picture, scale and method."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["picture", "scale", "method", *(each.name for each in fields(Score))])
        for row in self.rows:
            figures = (f"{value:.4f}" for value in asdict(row.score).values())
            writer.writerow([row.picture, row.scale, row.method, *figures])
        return text.getvalue()


def evaluate(
    files: Iterable[Path],
    methods: Mapping[str, Method],
    *,
    scales: Sequence[int] = (2,),
    authors_alignment: bool = False,
    sheet: Sheet | None = None,
) -> Table:
    """Score every method on every file and scale; crops go to `sheet`.

    Files that cannot be read or are too small are listed and left out. Raises `InputError` when none is left.
    """
    rows = []
    first: Path | None = None
    for file, picture in read_each(files, told="evaluate"):
        first = first or file
        for scale in scales:
            if min(picture.shape[:2]) < SMALLEST * scale:
                continue
            reduced, original = _reduced(picture, scale, authors_alignment)
            results: dict[str, tuple[Levels, Score]] = {}
            for name, method in methods.items():
                made, wanted = _aligned(method(reduced, scale), original)
                results[name] = made, measure.score(made, wanted)
                rows.append(Row(file.name, scale, name, results[name][1]))
            if sheet is not None:
                sheet.add(f"{file.stem} {scale}x", wanted, results)
    if not rows:
        raise InputError(
            f"no picture can be scored: none can be read and is {SMALLEST * min(scales)} pixels wide and high",
            remedy="give larger pictures, or a smaller --scale",
            path=first.parent if first else None,
        )
    return Table(tuple(rows))


def write_results(folder: Path, table: Table, sheet: Sheet | None) -> None:
    """`table.md`, `scores.csv` and `crops.png` in `folder`, each complete under its name."""
    with storing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_durably(folder / "table.md", table.markdown().encode())
    write_durably(folder / "scores.csv", table.csv().encode())
    if sheet is not None:
        write_durably(folder / "crops.png", sheet.png())


def _reduced(picture: Levels, scale: int, authors_alignment: bool) -> tuple[Levels, Levels]:
    """The small picture, and the original to compare with."""
    if not authors_alignment:
        original = degrade.crop_to_multiple(picture, scale)
        return degrade.reduce(original, scale), original
    size = (picture.shape[1] // scale, picture.shape[0] // scale)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR), np.uint8), picture


def _aligned(made: Levels, original: Levels) -> tuple[Levels, Levels]:
    """Both as they are when the sizes agree, else both at the smaller sides by nearest neighbour (authors' habit)."""
    if made.shape == original.shape:
        return made, original
    size = (min(made.shape[1], original.shape[1]), min(made.shape[0], original.shape[0]))
    one, other = (
        np.asarray(cv2.resize(each, size, interpolation=cv2.INTER_NEAREST), np.uint8) for each in (made, original)
    )
    return one, other
