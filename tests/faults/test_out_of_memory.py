"""The backend raises ResourceExhausted for whatever has more than a number of pixels.

TensorFlow raises it for a GPU that is full. Of a machine whose own memory runs out it does not live to tell (tried with
RLIMIT_AS: a segmentation fault): there the job's process dies, which tests/faults/test_poison.py is about.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.network import NETWORKS
from engine.upscaler import Upscaler
from engine.weights import Card, Weights, expected_shapes
from tests.faults.conftest import Seen

_Refusal = type("ResourceExhaustedError", (Exception,), {})  # as TensorFlow calls it


@pytest.mark.parametrize("largest", [2 * 64 * 64, 64 * 64, 40 * 40])
def test_batch_then_tile_are_halved_and_the_frame_is_the_same(
    caplog: pytest.LogCaptureFixture, seen: Seen, largest: int
) -> None:
    network = NETWORKS["msrcnn"]
    rng = np.random.default_rng(0)
    arrays = {
        name: (rng.standard_normal(shape) * 0.05).astype(np.float32) for name, shape in expected_shapes(network).items()
    }
    upscaler = Upscaler(Weights(network, arrays, Card("msrcnn"), ""), largest_window=64, largest_batch=4)
    luma = np.random.default_rng(1).random((150, 130), dtype=np.float32)
    wanted = upscaler(luma)
    forward = upscaler._forward
    tried: list[tuple[int, ...]] = []

    def refusing(windows: NDArray[np.float32]) -> NDArray[np.float32]:
        tried.append(windows.shape)
        if windows.size > largest:
            raise _Refusal
        return forward(windows)

    upscaler._forward = refusing
    assert np.abs(upscaler(luma) - wanted).max() <= 1e-5
    assert tried[0][0] > tried[-1][0]
    assert int(np.prod(tried[-1])) <= largest
    assert "out of memory" in caplog.text
    seen(f"down to {' × '.join(str(side) for side in tried[-1][:3])}: the same frame again, equal to 1e-5")
