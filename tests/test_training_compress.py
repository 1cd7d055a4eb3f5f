"""Pictures through lossy codecs: changed a little, more at a worse quality, the size and the colours kept."""

from __future__ import annotations

import numpy as np
import pytest

from engine.measure import psnr
from tests.training_data import blobs, tiny_recipe
from training.compress import MILD, compress, drawn_quality
from training.degradations import Degradation
from training.patches import seen_and_wanted
from training.recipe import Compression

LOSSY = [each for each in Compression if each is not Compression.NONE]


@pytest.mark.parametrize("how", LOSSY)
@pytest.mark.parametrize("colour", [False, True])
def test_worse_qualities_change_more_and_none_moves_the_levels(how: Compression, colour: bool) -> None:
    picture = blobs(1, width=75, height=61) // 2 + 64  # no colour so strong that chroma of its neighbour clips it
    picture = picture if colour else picture[..., 1].copy()
    lowest, highest = MILD[how]
    fine, coarse = (highest, lowest) if how is Compression.JPEG else (lowest, highest)
    made = {quality: compress(picture, how, quality) for quality in (fine, coarse)}
    assert all(each.shape == picture.shape for each in made.values())
    assert 20 < psnr(made[coarse], picture) < psnr(made[fine], picture) < 60
    assert np.abs(made[fine].mean(axis=(0, 1)) - picture.mean(axis=(0, 1))).max() < 0.7


@pytest.mark.parametrize("how", [Degradation.X264, Degradation.JPEG])
def test_scored_pictures_are_reduced_and_then_compressed(how: Degradation) -> None:
    picture = blobs(1, 160, 120)
    made, reduced = how.apply(picture, 2), Degradation.BICUBIC.apply(picture, 2)
    assert made.shape == reduced.shape == (60, 80, 3)
    assert 20 < psnr(made, reduced) < 45


def test_none_changes_nothing_and_tiny_pictures_stay_as_they_are() -> None:
    picture = blobs(1)
    assert compress(picture, Compression.NONE, 0) is picture
    assert compress(picture[:20, :20], Compression.X265, 20).shape == (20, 20, 3)


def test_every_reduction_meets_every_compression(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = tiny_recipe("restore")
    met = set()

    def noting(picture: object, how: Compression, quality: int) -> object:
        assert drawn_quality(how, np.random.default_rng(0)) >= 0
        met.add(how)
        return picture

    monkeypatch.setattr("training.patches.compress", noting)
    count = len(recipe.prepare.reductions)
    for index in range(len(LOSSY) + 1):
        seen_and_wanted(blobs(0)[..., 1], recipe, index * count)
    assert met == set(Compression)
    assert recipe.restores
    assert not tiny_recipe("subpixel").restores
