"""Out of memory: what happens when nothing fits, and what is none. The rest: tests/faults/test_out_of_memory.py."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.errors import EnvironmentFault
from engine.network import NETWORKS
from engine.upscaler import Upscaler
from engine.weights import Card, Weights, expected_shapes


class _ResourceExhaustedError(Exception):
    pass


_ResourceExhaustedError.__name__ = "ResourceExhaustedError"  # as TensorFlow calls it


@pytest.fixture
def upscaler() -> Upscaler:
    network = NETWORKS["msrcnn"]
    rng = np.random.default_rng(0)
    arrays = {
        name: (rng.standard_normal(shape) * 0.05).astype(np.float32) for name, shape in expected_shapes(network).items()
    }
    return Upscaler(Weights(network, arrays, Card("msrcnn"), ""), largest_window=64, largest_batch=4)


def _limited(upscaler: Upscaler, largest: int) -> list[tuple[int, ...]]:
    """Let the device refuse whatever has more than `largest` pixels; returns the shapes that were tried."""
    forward = upscaler._forward
    tried: list[tuple[int, ...]] = []

    def refusing(luma: NDArray[np.float32]) -> NDArray[np.float32]:
        tried.append(luma.shape)
        if luma.size > largest:
            raise _ResourceExhaustedError
        return forward(luma)

    upscaler._forward = refusing
    return tried


def test_gives_up_with_a_remedy_when_nothing_fits(upscaler: Upscaler) -> None:
    _limited(upscaler, largest=0)
    with pytest.raises(EnvironmentFault, match="out of memory") as caught:
        upscaler(np.zeros((100, 100), np.float32))
    assert "device: cpu" in caught.value.remedy


def test_other_errors_are_not_taken_for_out_of_memory(upscaler: Upscaler) -> None:
    def broken(luma: NDArray[np.float32]) -> NDArray[np.float32]:
        raise RuntimeError("another fault")

    upscaler._forward = broken
    with pytest.raises(RuntimeError, match="another fault"):
        upscaler(np.zeros((20, 20), np.float32))
