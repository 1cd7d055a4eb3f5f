"""Pictures to patches: the paper's preprocessing value by value, splits without look-alikes, bad input."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from engine.errors import InputError, MissingInputError, OutputError
from tests.peak_memory import measured
from tests.training_data import blobs, tiny_recipe, write_blobs
from training import degrade
from training.pictures import near_duplicates, perceptual_hash, pictures_below
from training.prepare import prepare
from training.recipe import Reduction, Split, read_recipe
from training.split import split_by_manifest, split_pictures


def _luma(bgr: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Full-range BT.601 in the 14-bit fixed point that OpenCV documents."""
    b, g, r = (bgr[..., i].astype(np.int64) for i in range(3))
    return ((4899 * r + 9617 * g + 1868 * b + (1 << 13)) >> 14).astype(np.float64)


def _doubled(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bilinear 2x, centre siting, borders repeated: 3/4 of the near and 1/4 of the far sample along each axis."""
    for axis in (0, 1):
        padded = np.pad(plane, [(1, 1) if a == axis else (0, 0) for a in (0, 1)], mode="edge")
        n = plane.shape[axis]
        before, here, after = (np.take(padded, range(i, i + n), axis) for i in range(3))
        pairs = np.stack([0.25 * before + 0.75 * here, 0.75 * here + 0.25 * after], axis + 1)
        plane = pairs.reshape([2 * n if a == axis else plane.shape[a] for a in (0, 1)])
    return plane


def test_the_papers_patches_value_by_value(tmp_path: Path) -> None:
    """Every number of `data` and `label` against a computation of its own, for one picture."""
    write_blobs(tmp_path / "in", 5, width=97, height=65)
    knobs = {"prepare.split": {"training": 1, "validation": 2, "test": 2}}
    counts = prepare(tmp_path / "in", tmp_path / "out.h5", read_recipe("paper", knobs))
    lines = (tmp_path / "out.split.csv").read_text().splitlines()
    rows = {row["split"]: row["file"] for row in csv.DictReader(lines)}
    picture = cv2.imread(str(tmp_path / "in" / rows["training"]))
    assert picture is not None
    sharp = cv2.addWeighted(picture, 1.5, cv2.GaussianBlur(picture, (0, 0), sigmaX=5, sigmaY=5), -0.5, 0)
    calm = cv2.fastNlMeansDenoisingColored(sharp, None, 10, 10, 3, 9)
    wanted = _luma(np.asarray(calm, np.uint8))[:64, :96]
    luma = cv2.cvtColor(calm, cv2.COLOR_BGR2YCrCb)[:64, :96, 0]
    halved = cv2.resize(luma, (48, 32), interpolation=cv2.INTER_LINEAR)
    seen = cv2.resize(halved, (96, 64), interpolation=cv2.INTER_LINEAR)
    # OpenCV's bilinear is in fixed point: within 0.7 levels of the real mean and the real interpolation.
    assert np.abs(halved - wanted.reshape(32, 2, 48, 2).mean(axis=(1, 3))).max() <= 0.5
    assert np.abs(seen - _doubled(halved.astype(np.float64))).max() < 0.7
    corners = [(top, left) for top in range(0, 64 - 31, 16) for left in range(0, 96 - 31, 16)]
    with h5py.File(tmp_path / "out.h5") as file:
        for name, plane in (("data", seen), ("label", wanted)):
            patches = file["train"][name]
            assert patches.dtype == np.float32
            assert patches.shape == (len(corners), 1, 32, 32)
            expected = np.stack([plane[y : y + 32, x : x + 32] for y, x in corners])[:, None] / 255
            assert np.abs(patches[()] - expected).max() < 1e-7
        assert file["validation"]["data"].shape == (2000, 1, 32, 32)
    assert counts == {"train": len(corners), "validation": 2000}


@pytest.mark.parametrize("reduction", list(Reduction))
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_reductions_keep_place_and_brightness(reduction: Reduction, scale: int) -> None:
    ramp = np.repeat(np.arange(0, 240, 2).astype(np.uint8)[None], 24, 0)
    small = degrade.reduce(ramp, scale, reduction)
    middle = slice(4, -4)
    expected = ramp[0].astype(float).reshape(-1, scale).mean(axis=1)
    assert small.shape == (24 // scale, 120 // scale)
    assert np.abs(small[2][middle] - expected[middle]).max() <= 1


def test_near_duplicates_are_found_and_others_are_not() -> None:
    one, other = blobs(1, 200, 160), blobs(2, 200, 160)
    smaller = cv2.resize(one, (120, 96), interpolation=cv2.INTER_AREA)
    worse = cv2.imdecode(cv2.imencode(".jpg", one, [cv2.IMWRITE_JPEG_QUALITY, 30])[1], cv2.IMREAD_COLOR)
    hashes = [perceptual_hash(np.asarray(each, np.uint8)) for each in (one, other, smaller, worse)]
    assert set(near_duplicates(hashes, distance=8)) == {(0, 2), (0, 3), (2, 3)}


def test_every_pair_within_the_distance_is_found() -> None:
    """The bands against comparing all with all."""
    rng = np.random.default_rng(3)
    hashes = [int(rng.integers(1 << 62))]
    for _ in range(60):
        flips = sum(1 << int(bit) for bit in rng.choice(63, size=int(rng.integers(0, 7)), replace=False))
        hashes.append(hashes[int(rng.integers(len(hashes)))] ^ flips)
    every = {(i, j) for i in range(61) for j in range(i + 1, 61) if (hashes[i] ^ hashes[j]).bit_count() <= 5}
    found = {(min(pair), max(pair)) for pair in near_duplicates(hashes, distance=5)}
    assert found == every
    assert every


def test_look_alikes_and_pages_of_one_episode_stay_on_one_side(tmp_path: Path) -> None:
    files = write_blobs(tmp_path, 12)
    copies = []
    for index, file in enumerate(files[:4]):
        picture = cv2.imread(str(file))
        assert picture is not None
        copies.append(tmp_path / f"zz{index}_copy.jpg")
        cv2.imwrite(str(copies[-1]), picture)
    pages = [tmp_path / f"ep01_page{page}.png" for page in range(3)]
    for seed, page in enumerate(pages):
        cv2.imwrite(str(page), blobs(50 + seed))
    sides = split_pictures(pictures_below(tmp_path), Split(0.5, 0.3, 0.2), seed=1, distance=8)
    side_of = {file: name for name in ("training", "validation", "test") for file in getattr(sides, name)}
    assert len(side_of) == 19
    assert all(side_of[file] == side_of[copy] for file, copy in zip(files, copies, strict=False))
    assert len({side_of[page] for page in pages}) == 1
    assert sides.validation
    assert sides.test
    again = split_pictures(pictures_below(tmp_path), Split(0.5, 0.3, 0.2), seed=1, distance=8)
    assert again == sides
    assert split_pictures(pictures_below(tmp_path), Split(0.5, 0.3, 0.2), seed=2, distance=8) != sides


def test_a_split_by_counts_is_exact(tmp_path: Path) -> None:
    write_blobs(tmp_path, 12)
    sides = split_pictures(pictures_below(tmp_path), Split(6, 2, 2), seed=0, distance=8)
    assert [len(side) for side in (sides.training, sides.validation, sides.test)] == [6, 2, 2]
    with pytest.raises(InputError, match="at least 20 pictures are needed, and 12 can be used"):
        split_pictures(pictures_below(tmp_path), Split(16, 2, 2), seed=0, distance=8)


def test_look_alikes_that_leave_too_few_for_a_side_are_told(tmp_path: Path) -> None:
    (picture,) = write_blobs(tmp_path, 1)
    for number in range(5):
        (tmp_path / f"{number}.png").write_bytes(picture.read_bytes())
    for split in (Split(1, 2, 2), Split(0.4, 0.3, 0.3)):
        with pytest.raises(InputError, match=r"pictures are left for .*: all resemble each other"):
            split_pictures(pictures_below(tmp_path), split, seed=0, distance=8)


def test_a_manifest_decides_and_look_alikes_leave_the_training_side(tmp_path: Path) -> None:
    files = write_blobs(tmp_path, 4)
    copy = tmp_path / "copy.png"
    copy.write_bytes(files[1].read_bytes())
    manifest = tmp_path / "mine.csv"
    rows = [(files[0], "training"), (files[1], "validation"), (files[2], "test"), (copy, "training")]
    manifest.write_text("file,split\n" + "".join(f"{file.name},{side}\n" for file, side in rows))
    sides = split_by_manifest(pictures_below(tmp_path), tmp_path, manifest, distance=8)
    assert (sides.training, sides.validation, sides.test) == ((files[0],), (files[1],), (files[2],))
    assert sides.left_out == (copy,)
    manifest.write_text("file,split\nelsewhere.png,training\n")
    with pytest.raises(InputError, match=r"names elsewhere\.png"):
        split_by_manifest(pictures_below(tmp_path), tmp_path, manifest, distance=8)
    manifest.write_text(f"file,split\n{files[0].name},trian\n")
    with pytest.raises(InputError, match="names a split 'trian'"):
        split_by_manifest(pictures_below(tmp_path), tmp_path, manifest, distance=8)


def test_the_written_manifest_makes_the_same_patches(tmp_path: Path) -> None:
    write_blobs(tmp_path / "in", 10)
    prepare(tmp_path / "in", tmp_path / "a.h5", tiny_recipe())
    prepare(tmp_path / "in", tmp_path / "b.h5", tiny_recipe(), manifest=tmp_path / "a.split.csv")
    assert (tmp_path / "a.split.csv").read_bytes() == (tmp_path / "b.split.csv").read_bytes()
    with h5py.File(tmp_path / "a.h5") as a, h5py.File(tmp_path / "b.h5") as b:
        assert np.array_equal(a["train"]["data"][()], b["train"]["data"][()])
        facts = json.loads(a.attrs["facts"])
    assert facts["pictures"] == {"training": 6, "validation": 2, "test": 2, "left_out": 0}


def test_broken_pictures_are_listed_and_skipped(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    files = write_blobs(tmp_path / "in", 10)
    (tmp_path / "in" / "text.png").write_text("not a picture")
    (tmp_path / "in" / "cut.png").write_bytes(files[0].read_bytes()[:200])
    (tmp_path / "in" / "empty.jpg").touch()
    prepare(tmp_path / "in", tmp_path / "out.h5", tiny_recipe())
    told = "".join(capfd.readouterr())
    for name in ("text.png", "cut.png", "empty.jpg"):
        assert f"skipped: {tmp_path / 'in' / name}" in told


def test_bad_folders_are_refused_and_nothing_is_left(tmp_path: Path) -> None:
    out = tmp_path / "out" / "patches.h5"
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingInputError, match="no pictures"):
        prepare(tmp_path / "empty", out, tiny_recipe())
    with pytest.raises(MissingInputError, match="no such folder"):
        prepare(tmp_path / "nowhere", out, tiny_recipe())
    write_blobs(tmp_path / "one", 1)
    with pytest.raises(InputError, match="at least 3 pictures are needed, and 1 can be used"):
        prepare(tmp_path / "one", out, tiny_recipe())
    write_blobs(tmp_path / "small", 8, width=12, height=9)
    with pytest.raises(InputError, match="every picture is smaller than 16 pixels"):
        prepare(tmp_path / "small", out, tiny_recipe(prepare__duplicate_distance=0))
    assert not list(out.parent.glob("*.h5"))
    assert not list(out.parent.glob(".*"))


def test_an_existing_patch_file_is_not_replaced(tmp_path: Path) -> None:
    write_blobs(tmp_path / "in", 8)
    (tmp_path / "out.h5").write_text("precious")
    with pytest.raises(OutputError, match="exists already"):
        prepare(tmp_path / "in", tmp_path / "out.h5", tiny_recipe())


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    write_blobs(tmp_path / "in", 8)
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written: Not a directory"):
        prepare(tmp_path / "in", tmp_path / "file" / "below" / "out.h5", tiny_recipe())


def test_a_manifest_of_another_kind_is_told(tmp_path: Path) -> None:
    write_blobs(tmp_path / "in", 8)
    (tmp_path / "in" / "manifest.csv").write_text("title,year\nNico,2021\n")
    with pytest.raises(
        InputError, match=r"manifest\.csv: does not tell where pictures are from \(KeyError\('file'\)\)"
    ):
        prepare(tmp_path / "in", tmp_path / "out.h5", tiny_recipe())


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_patches(tmp_path: Path) -> None:
    """Patches that would fill 1.1 GB as numbers go through in a fraction of it."""
    write_blobs(tmp_path / "in", 12, width=1400, height=1200)
    program = (
        "from pathlib import Path; from training.prepare import prepare;"
        "from training.recipe import read_recipe;"
        "knobs = {'prepare.preprocessing': 'none', 'prepare.split': {'training': 10, 'validation': 1, 'test': 1},"
        "'prepare.step': 8, 'prepare.duplicate_distance': 0};"
        f"folder = Path({str(tmp_path)!r});"
        "counts = prepare(folder / 'in', folder / 'out.h5', read_recipe('paper', knobs));"
        "print('patches:', counts['train'])"
    )
    done = measured(sys.executable, "-c", program)
    assert done.code == 0, done.output
    assert int(done.output.rpartition("patches:")[2]) * 32 * 32 * 8 > 1.0e9
    assert done.kib < 500_000
