"""Line art without end, to train on: scenes drawn by our own generator, and vector drawings rasterised.

What people enlarge is clean ink on flat fills; pools of pictures that may be used freely are mostly painterly. Each
source goes into a folder of its own below OUT, with a line in OUT/manifest.csv that tells artist and licence.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from engine.errors import MissingInputError, OutputError, ProcessingError
from engine.files import storing
from engine.process import run
from engine.settings import Size
from training.sample import write_picture

SHORTEST, LONGEST = 400, 1200
"""The longer side of what is drawn, in pixels, spread evenly in ratio: lines of every weight."""
FIRST_SCENE = 1000
"""Seeds of scenes begin here: those below belong to samples, demonstrations and tests."""
_SLOW_DRAWING_S = 20.0
_MOST_ALIKE = 4
"""Drawings whose names begin with the same word: collections hold hundreds of stars and flags."""
_WORD = re.compile(r"[A-Za-z]*")


def draw_scenes(out: Path, *, count: int, seed: int) -> int:
    """Draw `count` scenes (`training.scene`) into OUT/scenes; returns how many. Raises `OutputError` (exists)."""
    folder = _begin(out / "scenes")
    rng = np.random.default_rng(seed)
    for index in tqdm(range(count), desc="draw", unit="scene", disable=None):
        longer = _longer_side(rng)
        shorter = round(longer * rng.uniform(0.55, 0.8))
        upright = bool(rng.integers(2))
        size = Size(shorter, longer) if upright else Size(longer, shorter)
        number = FIRST_SCENE + 100_000 * seed + index
        write_picture(folder / f"scene{number}.png", size, seed=number)
    _note(out, folder, artist="Kakudai's scene generator", licence="CC0-1.0")
    return count


def rasterise(drawings: Path, out: Path, *, count: int, seed: int, artist: str, licence: str) -> int:
    """Rasterise `count` SVG files from below `drawings`, drawn by `seed`, into a folder of OUT; returns how many.

    Each on a paper of its own colour, white more often than not, and at its own size. Drawings that rsvg-convert cannot
    draw are listed and left out. Raises `MissingInputError` (no drawings), `OutputError`, `ToolError` (rsvg-convert).
    """
    files = sorted(drawings.rglob("*.svg"))
    if not files:
        raise MissingInputError(
            "no .svg files below this folder", remedy="apt-get install openclipart-svg, or give another", path=drawings
        )
    folder = _begin(out / drawings.parent.name if drawings.name == "svg" else out / drawings.name)
    rng = np.random.default_rng(seed)
    order = list(_varied([files[index] for index in rng.permutation(len(files))]))
    drawn = 0
    with tqdm(total=min(count, len(order)), desc="rasterise", unit="drawing", disable=None) as bar:
        for index, file in enumerate(order):
            side, paper = _longer_side(rng), _paper(rng)
            if drawn < count and _rasterise(file, folder / f"{index:05}-{file.stem}.png", side, paper, bar):
                drawn += 1
                bar.update()
    _note(out, folder, artist=artist, licence=licence)
    return drawn


def _varied(files: list[Path]) -> Iterator[Path]:
    """The files in their order, without those of which there were enough."""
    seen: Counter[str] = Counter()
    for file in files:
        word = match.group().lower() if (match := _WORD.match(file.stem)) else ""
        seen[word] += 1
        if not word or seen[word] <= _MOST_ALIKE:
            yield file


def _rasterise(file: Path, out: Path, side: int, paper: str, bar: tqdm[Any]) -> bool:
    argv = ["rsvg-convert", "--keep-aspect-ratio", f"--width={side}", f"--height={side}", f"--background-color={paper}"]
    try:
        drawn, child = run([*argv, str(file)], silence_s=_SLOW_DRAWING_S, subject=file)
    except ProcessingError as error:
        bar.write(f"left out: {error}")
        return False
    if child.status or not drawn:
        bar.write(f"left out: {file}: rsvg-convert cannot draw it")
        return False
    with storing(out):
        out.write_bytes(drawn)
    return True


def _longer_side(rng: np.random.Generator) -> int:
    return round(SHORTEST * (LONGEST / SHORTEST) ** rng.random())


def _paper(rng: np.random.Generator) -> str:
    """White, or a light or dark colour."""
    level = 255 if rng.random() < 0.6 else 0
    red, green, blue = (level or int(v) for v in rng.integers(20, 240, 3))
    return f"#{red:02x}{green:02x}{blue:02x}"


def _begin(folder: Path) -> Path:
    with storing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise OutputError("holds files already", remedy="remove it, or choose another --out", path=folder)
    return folder


def _note(out: Path, folder: Path, *, artist: str, licence: str) -> None:
    """Add the pictures of `folder` to the manifest, after what it holds of others."""
    path = out / "manifest.csv"
    with storing(path), path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if not file.tell():
            writer.writerow(["file", "source", "licence", "artist"])
        writer.writerows(_rows(out, folder, artist, licence))


def _rows(out: Path, folder: Path, artist: str, licence: str) -> Iterator[list[str]]:
    for picture in sorted(folder.glob("*.png")):
        yield [picture.relative_to(out).as_posix(), folder.name, licence, artist]
