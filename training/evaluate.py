"""`evaluate`: the paper's Tables III and IV for any folder, any weights and any whole scale.

Each picture is cropped to a multiple of the scale, so that sizes align, reduced by bilinear interpolation as the paper
does (or in other ways as well, so that nobody wins by fitting one kernel), enlarged by each method, and compared on
8-bit BGR (PSNR and SSIM, as the authors score), on luma, and where the lines are. `authors_alignment` repeats the
paper's habit instead: nothing is cropped, and where the sizes differ all pictures are shrunk to the smallest by nearest
neighbour, which misaligns them.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from engine import measure
from engine.errors import InputError
from engine.files import storing, write_durably
from engine.measure import Score
from engine.settings import Size
from training import degrade
from training.degradations import Degradation
from training.degrade import Levels
from training.methods import Method
from training.pictures import read_each
from training.remember import Remembered
from training.scene import draw_picture
from training.sheet import Sheet
from training.table import Row, Table, Work

SMALLEST = 16
"""Pictures with a shorter side (after reduction) are left out: no window of SSIM says anything there."""
_TIMED = Size(480, 270)


def evaluate(
    files: Iterable[Path],
    methods: Mapping[str, Method],
    *,
    scales: Sequence[int] = (2,),
    degradations: Sequence[Degradation] = (Degradation.BILINEAR,),
    authors_alignment: bool = False,
    sheet: Sheet | None = None,
    remembered: Remembered | None = None,
    timed: bool = False,
) -> Table:
    """Score every method on every file, scale and degradation; crops of the first degradation go to `sheet`.

    What `remembered` holds is not done again, unless a sheet wants to show it. `timed`: what each method costs as well.

    Files that cannot be read or are too small are listed and left out. Raises `InputError` when none is left.
    """
    rows = []
    first: Path | None = None
    for file, picture in read_each(files, told="evaluate"):
        first = first or file
        for scale in scales:
            if min(picture.shape[:2]) < SMALLEST * scale:
                continue
            for degradation in degradations:
                reduced, original = _reduced(picture, scale, degradation, authors_alignment)
                results: dict[str, tuple[Levels, Score]] = {}
                shown = sheet if degradation is degradations[0] else None
                for name, method in methods.items():
                    key = (remembered.key(method, scale, reduced, original)) if remembered else ""
                    score = remembered.get(key) if remembered and not (shown and shown.has_room) else None
                    if score is None:
                        made, wanted = _aligned(method(reduced, scale), original)
                        score = measure.score(made, wanted)
                        results[name] = made, score
                        if remembered:
                            remembered.put(key, score)
                    rows.append(Row(file.name, scale, degradation, name, score))
                if shown is not None and results:
                    shown.add(f"{file.stem} {scale}x", original, results)
    if not rows:
        raise InputError(
            f"no picture can be scored: none can be read and is {SMALLEST * min(scales)} pixels wide and high",
            remedy="give larger pictures, or a smaller --scale",
            path=first.parent if first else None,
        )
    return Table(tuple(rows), _work(methods, scales, timed=timed))


def write_results(folder: Path, table: Table, sheet: Sheet | None) -> None:
    """`table.md`, `scores.csv` and `crops.png` in `folder`, each complete under its name."""
    with storing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_durably(folder / "table.md", table.markdown().encode())
    write_durably(folder / "scores.csv", table.csv().encode())
    if sheet is not None:
        write_durably(folder / "crops.png", sheet.png())


def _reduced(picture: Levels, scale: int, degradation: Degradation, authors_alignment: bool) -> tuple[Levels, Levels]:
    """The small picture, and the original to compare with."""
    if authors_alignment:
        size = (picture.shape[1] // scale, picture.shape[0] // scale)
        return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR), np.uint8), picture
    original = degrade.crop_to_multiple(picture, scale)
    return degradation.apply(original, scale), original


def _work(methods: Mapping[str, Method], scales: Sequence[int], *, timed: bool) -> dict[tuple[str, int], Work]:
    return {
        (name, scale): Work(
            method.multiply_adds(scale) if method.multiply_adds else None,
            _cpu_seconds(method, scale) if timed else None,
        )
        for name, method in methods.items()
        for scale in scales
    }


def _cpu_seconds(method: Method, scale: int) -> float:
    """Processor seconds for a million pixels of the result: the least of three, after one to warm up.

    Of all cores together, so that it hardly depends on what else the machine is doing.
    """
    picture = np.ascontiguousarray(draw_picture(_TIMED, seed=0)[..., ::-1])
    spent = []
    for _ in range(4):
        begun = time.process_time()
        method(picture, scale)
        spent.append(time.process_time() - begun)
    return min(spent[1:]) / (_TIMED.pixels * scale**2 / 1e6)


def _aligned(made: Levels, original: Levels) -> tuple[Levels, Levels]:
    """Both as they are when the sizes agree, else both at the smaller sides by nearest neighbour (authors' habit)."""
    if made.shape == original.shape:
        return made, original
    size = (min(made.shape[1], original.shape[1]), min(made.shape[0], original.shape[0]))
    one, other = (
        np.asarray(cv2.resize(each, size, interpolation=cv2.INTER_NEAREST), np.uint8) for each in (made, original)
    )
    return one, other
