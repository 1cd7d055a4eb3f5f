"""Winograd's filtering gives the sums of the direct way, and the same bits for a tile wherever it lies."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.convolutions import chain_of
from engine.network import NETWORKS
from engine.winograd import TILE, Convolution, transforms, worth_it
from tests.networks import DOUBLING, random_weights

CHANNELS = (32, 48)


def _kernel(taps: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    rng = np.random.default_rng(taps)
    kernel = rng.standard_normal((taps, taps, *CHANNELS)) / (taps * np.sqrt(CHANNELS[0]))
    return kernel.astype(np.float32), rng.standard_normal(CHANNELS[1]).astype(np.float32)


@pytest.mark.parametrize("taps", [3, 5])
def test_the_transforms_are_exact(taps: int) -> None:
    """In fractions, for every product of a sample and a tap: A [(G g) * (B d)] is their correlation."""
    a, g, b = transforms(TILE, taps)
    for sample in range(TILE + taps - 1):
        for tap in range(taps):
            products = [g_row[tap] * b_row[sample] for g_row, b_row in zip(g, b, strict=True)]
            made = [sum(x * y for x, y in zip(row, products, strict=True)) for row in a]
            assert made == [int(sample - tap == place) for place in range(TILE)]


@pytest.mark.parametrize("taps", [3, 5])
@settings(max_examples=15, deadline=None)
@given(height=st.integers(1, 40), width=st.integers(1, 150), seed=st.integers(0, 99), threads=st.integers(1, 3))
def test_the_result_is_the_direct_sum(taps: int, height: int, width: int, seed: int, threads: int) -> None:
    kernel, bias = _kernel(taps)
    features = np.random.default_rng(seed).standard_normal((height, width, CHANNELS[0])).astype(np.float32)
    reach = taps // 2
    padded = np.pad(features.astype(np.float64), ((reach, reach), (reach, reach), (0, 0)))
    direct = bias.astype(np.float64) + sum(
        padded[i : i + height, j : j + width] @ kernel[i, j].astype(np.float64)
        for i in range(taps)
        for j in range(taps)
    )
    direct = np.maximum(direct, 0.1 * direct)
    made = Convolution(kernel, bias, slope=0.1, threads=threads)(features)
    assert made.shape == direct.shape
    assert np.abs(made - direct).max() <= 1e-5 * max(1, np.abs(direct).max())


@settings(max_examples=20, deadline=None)
@given(top=st.integers(0, 5), left=st.integers(0, 20), height=st.integers(3, 12), width=st.integers(3, 30))
def test_a_tile_has_the_same_bits_in_any_window(top: int, left: int, height: int, width: int) -> None:
    kernel, bias = _kernel(5)
    convolution = Convolution(kernel, bias, slope=None)
    features = np.random.default_rng(1).standard_normal((70, 210, CHANNELS[0])).astype(np.float32)
    whole = convolution(features).copy()
    top, left, height, width = (TILE * tiles for tiles in (top, left, height, width))
    window = features[top : top + height, left : left + width]
    made = convolution(np.ascontiguousarray(window))
    inner = slice(TILE, -TILE)  # a tile sees two pixels more on each side
    assert made[inner, inner].tobytes() == whole[top : top + height, left : left + width][inner, inner].tobytes()


def test_a_failing_block_is_an_error_of_the_caller() -> None:
    kernel, bias = _kernel(5)
    with pytest.raises(ValueError, match="could not broadcast"):
        Convolution(kernel, bias, slope=None, threads=2)(np.zeros((60, 60, 5), np.float32))


def test_which_networks_are_convolutions_in_a_row() -> None:
    chain = chain_of(random_weights(NETWORKS["msrcnn"]).model())
    assert chain is not None
    assert chain.ends_in_sigmoid
    assert [worth_it(layer.kernel.shape) for layer in chain.layers] == [False, True, False, False, False, False]
    assert (chain.grain, chain.margin) == (4, 8)
    assert chain.layers[-1].kernel.shape == (1, 1, 32, 1)
    assert chain_of(random_weights(DOUBLING).model()) is None
