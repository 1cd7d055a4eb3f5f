"""PSNR and SSIM, against figures of scikit-image; where the edges are."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine import measure
from engine.measure import Score
from tests.training_data import blobs
from training.degrade import Levels


def _pair() -> tuple[Levels, Levels]:
    y, x = np.mgrid[:40, :56]
    one = np.stack([(x * 4) % 256, (y * 5 + x) % 256, (x * y) % 256], 2).astype(np.uint8)
    noise = np.random.default_rng(7).integers(-20, 21, one.shape)
    return one, np.clip(one.astype(int) + noise, 0, 255).astype(np.uint8)


def test_figures_equal_those_of_scikit_image() -> None:
    """scikit-image 0.26: structural_similarity(a, b, channel_axis=2, data_range=255), peak_signal_noise_ratio."""
    one, other = _pair()
    assert measure.ssim(one, other) == pytest.approx(0.7421634450587833, abs=1e-12)
    assert measure.psnr(one, other) == pytest.approx(26.85406348599694, abs=1e-12)


def test_deeper_levels_equal_scikit_image_too() -> None:
    """The same at 10 bit: data_range=1023."""
    one, other = _pair()
    deep, deep_other = one[..., 1].astype(np.uint16) * 4 + 1, other[..., 1].astype(np.uint16) * 4
    assert measure.ssim(deep, deep_other, peak=1023) == pytest.approx(0.6676209787575264, abs=1e-12)
    assert measure.psnr(deep, deep_other, peak=1023) == pytest.approx(26.90887685217283, abs=1e-12)


def test_equal_pictures() -> None:
    one = blobs(1)
    assert measure.psnr(one, one) == 100
    assert measure.ssim(one, one) == pytest.approx(1)


def test_pictures_smaller_than_a_window_have_no_ssim() -> None:
    with pytest.raises(ValueError, match="7x7"):
        measure.ssim(blobs(1)[:6], blobs(1)[:6])


def test_edges_are_where_the_lines_are() -> None:
    picture = np.full((30, 40, 3), 200, np.uint8)
    picture[:, 20:] = 60
    mask = measure.edges(picture)
    assert mask[:, 18:22].all()
    assert not mask[:, :16].any()
    assert not mask[:, 24:].any()


def test_an_error_in_the_flat_does_not_count_at_the_edges() -> None:
    picture = np.full((30, 40, 3), 200, np.uint8)
    picture[:, 20:] = 60
    worse = picture.copy()
    worse[:, :10] += 9
    score = measure.score(worse, picture)
    assert score.psnr_edges == 100
    assert score.psnr_bgr < 40


def test_a_picture_without_edges_does_not_spoil_the_mean() -> None:
    flat = np.full((30, 40, 3), 200, np.uint8)
    assert math.isnan(measure.score(flat, flat).psnr_edges)
    mean = measure.mean([measure.score(flat, flat), Score(30, 0.9, 31, 25)])
    assert mean.psnr_edges == 25
    assert mean.psnr_bgr == 65
