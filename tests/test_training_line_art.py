"""Line art to train on: scenes by seed, vector drawings on paper, and a manifest that tells whose they are."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.errors import MissingInputError, OutputError
from training import line_art
from training.pictures import pictures_below, read_bgr
from training.prepare import UNTOLD, sources

pytestmark = pytest.mark.skipif(shutil.which("rsvg-convert") is None, reason="needs Debian's librsvg2-bin")

_DISC = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 20"><circle cx="20" cy="10" r="9"/></svg>'


def _drawings(folder: Path, count: int) -> Path:
    folder.mkdir(parents=True)
    for index in range(count):
        (folder / f"{'abcdefgh'[index % 8]}_{index}.svg").write_text(_DISC)
    return folder


def test_drawings_are_rasterised_on_paper_and_damaged_ones_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drawings = _drawings(tmp_path / "clips" / "svg", 12)
    (drawings / "broken.svg").write_text("<svg")
    out = tmp_path / "art"
    drawn = line_art.rasterise(drawings, out, count=20, seed=0, artist="Aoi", licence="CC0-1.0")
    assert drawn == 12
    assert "broken.svg" in capsys.readouterr().out
    files = pictures_below(out)
    assert len(files) == 12
    for file in files:
        picture = read_bgr(file)
        assert line_art.SHORTEST <= picture.shape[1] <= line_art.LONGEST
        assert picture.shape[0] == pytest.approx(picture.shape[1] / 2, abs=1)
        assert picture[picture.shape[0] // 2, picture.shape[1] // 2].tolist() == [0, 0, 0]
        assert picture[0, 0].min() > 0  # paper, not transparency
    assert sources(out, files) == [{"source": "clips", "artist": "Aoi", "licence": "CC0-1.0", "pictures": 12}]


def test_the_same_seed_draws_the_same_and_no_kind_prevails(tmp_path: Path) -> None:
    drawings = _drawings(tmp_path / "svg", 48)
    once, again, other = (
        line_art.rasterise(drawings, tmp_path / name, count=5, seed=seed, artist="", licence="")
        for name, seed in (("once", 0), ("again", 0), ("other", 1))
    )
    assert once == again == other == 5
    named = {name: {file.name for file in (tmp_path / name).rglob("*.png")} for name in ("once", "again", "other")}
    assert named["once"] == named["again"] != named["other"]
    drawn = line_art.rasterise(drawings, tmp_path / "all", count=48, seed=0, artist="", licence="")
    assert drawn == 8 * 4  # of those that begin with the same word, four


def test_scenes_add_to_the_manifest_and_replace_nothing(tmp_path: Path) -> None:
    assert line_art.draw_scenes(tmp_path, count=1, seed=3) == 1
    line_art.rasterise(
        _drawings(tmp_path / "a" / "more", 1), tmp_path, count=1, seed=0, artist="Aoi", licence="CC0-1.0"
    )
    found = sources(tmp_path, pictures_below(tmp_path))
    assert [(each["source"], each["pictures"]) for each in found] == [("more", 1), ("scenes", 1)]
    manifest = tmp_path / "manifest.csv"
    manifest.write_text(manifest.read_text() + "".join(manifest.read_text().splitlines(keepends=True)[1:]))
    cv2.imwrite(str(tmp_path / "mine.png"), np.zeros((8, 8, 3), np.uint8))
    found = sources(tmp_path, pictures_below(tmp_path))  # a row counts once; a picture without one is not left out
    assert [(each["source"], each["pictures"]) for each in found] == [("more", 1), (UNTOLD, 1), ("scenes", 1)]
    with pytest.raises(OutputError, match="holds files already"):
        line_art.draw_scenes(tmp_path, count=1, seed=3)


def test_a_folder_without_drawings_is_told(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match=r"no \.svg files"):
        line_art.rasterise(tmp_path, tmp_path / "out", count=1, seed=0, artist="", licence="")
