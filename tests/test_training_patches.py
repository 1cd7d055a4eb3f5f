"""Patch files: cut where asked, read back in an order that a seed decides, refused when damaged."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from engine.errors import EnvironmentFault, InputError, MissingInputError, UsageError
from tests.training_data import blobs, tiny_patches, tiny_recipe
from training import degrade
from training.patch_file import Order, opened
from training.patches import Plane, corners, write_patches
from training.recipe import Draw


def test_a_grid_covers_the_picture_at_its_step() -> None:
    luma = np.zeros((40, 50), np.uint8)
    where = corners(luma, Draw.GRID, size=16, step=8, most=0, rng=np.random.default_rng(0))
    assert where == [(top, left) for top in (0, 8, 16, 24) for left in (0, 8, 16, 24, 32)]
    fewer = corners(luma, Draw.GRID, size=16, step=8, most=7, rng=np.random.default_rng(0))
    assert len(set(fewer)) == 7
    assert set(fewer) <= set(where)


@pytest.mark.parametrize("how", list(Draw))
def test_patches_lie_inside_and_small_pictures_have_none(how: Draw) -> None:
    luma = blobs(1)[..., 1]
    for top, left in corners(luma, how, size=20, step=2, most=30, rng=np.random.default_rng(0)):
        assert 0 <= top <= luma.shape[0] - 20
        assert 0 <= left <= luma.shape[1] - 20
    assert corners(luma[:19], how, size=20, step=2, most=30, rng=np.random.default_rng(0)) == []


def test_busy_patches_are_drawn_where_something_happens() -> None:
    luma = np.full((200, 200), 90, np.uint8)
    luma[20:60, 140:180] = np.random.default_rng(0).integers(0, 256, (40, 40))
    where = corners(luma, Draw.BUSY, size=24, step=4, most=20, rng=np.random.default_rng(1))
    near = [top < 60 and left > 116 for top, left in where]
    assert sum(near) >= 18


@pytest.fixture
def numbered(tmp_path: Path) -> Iterator[h5py.Group]:
    """250 patches of 8x8, each filled with its own number."""
    with h5py.File(tmp_path / "numbered.h5", "w") as file:
        values = np.broadcast_to(np.arange(250, dtype=np.float32)[:, None, None, None], (250, 1, 8, 8))
        file["data"], file["label"] = values, -values
        yield file


def _numbers(order: Order, batch: int) -> list[int]:
    data, label = order.batch(batch)
    assert np.array_equal(data, -label)
    return [int(value) for value in data[:, 0, 0, 0]]


def test_a_pass_shows_every_patch_at_most_once_and_hardly_misses_any(numbered: h5py.Group) -> None:
    order = Order(numbered, batch=10, seed=1, block_bytes=32 * 64 * 8)
    shown = [number for batch in range(order.batches_in_pass) for number in _numbers(order, batch)]
    assert len(shown) == len(set(shown))
    assert len(shown) >= 200
    second = [
        number for batch in range(order.batches_in_pass) for number in _numbers(order, batch + order.batches_in_pass)
    ]
    assert shown != second


def test_a_batch_depends_on_its_number_alone(numbered: h5py.Group) -> None:
    """So that a resumed run sees what an uninterrupted one would."""
    forward, jumping = (Order(numbered, batch=10, seed=3, block_bytes=32 * 64 * 8) for _ in range(2))
    wanted = {number: _numbers(forward, number) for number in range(60)}
    for number in (59, 3, 41, 0, 22):
        assert _numbers(jumping, number) == wanted[number]
    assert _numbers(Order(numbered, batch=10, seed=4), 0) != wanted[0]


def test_fewer_patches_than_a_batch_are_refused(numbered: h5py.Group) -> None:
    with pytest.raises(InputError, match="250 patches are fewer than a batch of 300"):
        Order(numbered, batch=300, seed=0)


def test_a_network_that_enlarges_by_itself_sees_the_reduced_picture(tmp_path: Path) -> None:
    recipe = tiny_recipe("subpixel", prepare__step=3)
    with opened(tiny_patches(tmp_path / "own.h5", recipe)) as file:
        seen, wanted = (np.rint(file["train"][name][()] * 255).astype(np.uint8)[:, 0] for name in ("data", "label"))
    assert seen.shape[0] == wanted.shape[0] >= 12
    assert (seen.shape[1:], wanted.shape[1:]) == ((8, 8), (16, 16))
    # the first picture's are reduced by bilinear interpolation, which for 2 looks at each 2x2 block alone
    for small, large in zip(seen[:12], wanted[:12], strict=True):
        assert np.array_equal(small, degrade.reduce(large, 2))
    with pytest.raises(UsageError, match="enlarges by itself and cannot be trained for 5x"):
        tiny_patches(tmp_path / "5x.h5", tiny_recipe("subpixel", scale=5))
    with pytest.raises(UsageError, match="patches of 15 pixels"):
        tiny_patches(tmp_path / "odd.h5", tiny_recipe("subpixel", prepare__patch_size=15))


def test_damaged_patch_files_are_refused(tmp_path: Path) -> None:
    path = tiny_patches(tmp_path / "p.h5", tiny_recipe())
    with opened(path) as file:
        assert file["train"]["data"].shape[0] == 48
    whole = path.read_bytes()
    for name, content in {"cut": whole[: len(whole) // 2], "text": b"not HDF5", "empty": b""}.items():
        bad = tmp_path / f"{name}.h5"
        bad.write_bytes(content)
        with pytest.raises(InputError, match="not a whole patch file"), opened(bad):
            pass
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["data"] = np.zeros(3)
    with pytest.raises(InputError, match="not a whole patch file"), opened(tmp_path / "other.h5"):
        pass
    with pytest.raises(MissingInputError), opened(tmp_path / "none.h5"):
        pass


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 12 MB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a tmpfs needs root")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_fills_up_leaves_nothing_half_written(tiny_disk: Path) -> None:
    recipe = tiny_recipe(prepare__training_patches="random", prepare__training_patches_per_picture=4000)
    noise = np.random.default_rng(0).integers(0, 256, (200, 200), np.uint8)
    planes = [Plane(str(index), noise) for index in range(4)]
    with pytest.raises(EnvironmentFault, match="no space left"):
        write_patches(tiny_disk / "p.h5", {"train": planes, "validation": planes}, recipe, {})
    assert list(tiny_disk.iterdir()) == []
