"""Tiles never show (promise 9): tiled output equals whole-frame output, for any size, window and batch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.tiles import smallest_window, tile_grid
from engine.upscaler import Upscaler
from engine.weights import Weights
from tests.networks import TRIED, random_weights

sizes = st.integers(1, 70)


@given(
    height=sizes,
    width=sizes,
    radius=st.integers(0, 9),
    extra=st.integers(0, 60),
    scale=st.integers(1, 3),
    grain=st.sampled_from([1, 2, 4]),
)
def test_every_pixel_is_kept_once_and_with_its_surroundings(
    height: int, width: int, radius: int, extra: int, scale: int, grain: int
) -> None:
    largest = smallest_window(radius, grain) + extra
    grid = tile_grid((height, width), largest_window=largest, radius=radius, scale=scale, grain=grain)
    assert max(grid.window_shape) <= largest
    owners = np.zeros(grid.output_shape, int)
    for window in grid.windows:
        owners[window.target] += 1
        for source, inner, length in zip(window.source, window.inner, (height, width), strict=True):
            assert 0 <= source.start < source.stop <= length
            # an inner edge of the window is at least the radius away from what is kept; the image's border need not be
            assert source.start % grain == 0
            assert source.start == 0 or (inner.start >= radius * scale and inner.start % (grain * scale) == 0)
            assert source.stop == length or inner.stop <= (source.stop - source.start - radius) * scale
    assert (owners == 1).all()


def test_a_window_that_holds_no_pixel_with_its_surroundings_is_refused() -> None:
    with pytest.raises(ValueError, match="holds no pixel"):
        tile_grid((100, 100), largest_window=14, radius=7)
    with pytest.raises(ValueError, match="holds no pixel"):
        tile_grid((100, 100), largest_window=19, radius=2, grain=4)


@pytest.fixture(scope="module", params=sorted(TRIED))
def weights(request: pytest.FixtureRequest) -> Weights:
    return random_weights(TRIED[request.param])


def _levels(plane: NDArray[np.float32]) -> NDArray[np.int64]:
    return np.rint(plane * 255).astype(np.int64)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    window=st.integers(15, 64),
    batch=st.integers(1, 5),
    seed=st.integers(0, 99),
)
def test_tiled_output_equals_whole_frame_output(
    weights: Weights, height: int, width: int, window: int, batch: int, seed: int
) -> None:
    luma = np.random.default_rng(seed).random((height, width), dtype=np.float32)
    whole = Upscaler(weights, largest_window=max(height, width, 15))(luma)
    assert whole.shape == (height * weights.network.scale, width * weights.network.scale)
    tiled = Upscaler(weights, largest_window=window, largest_batch=batch)(luma)
    largest = max(1, np.abs(whole).max())  # without a last sigmoid, random weights make values far above 1
    whole, tiled = whole / largest, tiled / largest
    assert np.abs(tiled - whole).max() <= 1e-5
    apart = np.abs(_levels(tiled) - _levels(whole))
    assert apart.max() <= 1
    # a value at the edge between two levels falls to either side: about one in 20,000, so that three in one of 15 small
    # planes are no surprise, and six would be
    assert (apart > 0).sum() <= 5 + apart.size / 10_000


def test_differences_do_not_follow_the_seams(weights: Weights) -> None:
    luma = np.random.default_rng(1).random((160, 160), dtype=np.float32)
    whole = Upscaler(weights, largest_window=160)(luma)
    tiled = Upscaler(weights, largest_window=48)(luma)
    error = np.abs(tiled.astype(np.float64) - whole)
    grid = tile_grid((160, 160), largest_window=48, radius=weights.network.radius)
    seams = sorted({w.target[0].start * weights.network.scale for w in grid.windows if w.target[0].start})
    near = np.concatenate([error[seam - 1 : seam + 1].ravel() for seam in seams])
    # the mean error along the seams is that of any other row, not larger by an order
    assert near.mean() <= 4 * error.mean() + 1e-9


def test_the_bits_of_a_window_do_not_depend_on_its_batch(weights: Weights) -> None:
    rng = np.random.default_rng(3)
    upscaler = Upscaler(weights)
    window = rng.random((32, 32), dtype=np.float32)
    alone = np.zeros((4, 32, 32), np.float32)
    alone[1] = window
    crowded = rng.random((4, 32, 32), dtype=np.float32)
    crowded[1] = window
    assert upscaler._forward(alone)[1].tobytes() == upscaler._forward(crowded)[1].tobytes()


def test_radius_is_the_reach_of_the_network(weights: Weights) -> None:
    """One pixel changed: beyond the radius nothing changes but float noise, and beyond the margin no bit; the corner at
    the radius does change.
    """
    reach = weights.network.radius
    luma = np.full((6 * reach, 6 * reach), 0.5, np.float32)
    changed = luma.copy()
    at = 3 * reach
    changed[at, at] = 1
    upscaler = Upscaler(weights)
    apart = np.abs(upscaler(luma) - upscaler(changed))
    rows, columns = (index // weights.network.scale for index in np.nonzero(apart > 1e-6))
    assert max(abs(rows - at).max(), abs(columns - at).max()) == reach
    first = at // upscaler.grain * upscaler.grain
    for index in np.nonzero(apart):
        assert (index // weights.network.scale >= first - upscaler.margin).all()
        assert (index // weights.network.scale < first + upscaler.grain + upscaler.margin).all()
