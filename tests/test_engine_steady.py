"""`reuse: near`: never farther from the source than the tolerance, however it drifts; a segment stands for itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.color import plane_enlarger
from engine.models import Model, reusing
from engine.network import NETWORKS
from engine.planes import PlaneFormat
from engine.settings import Interpolation, Reuse, Settings, Size
from engine.steady import Steady
from engine.upscaler import Upscaler
from tests.networks import random_weights


@given(
    height=st.integers(1, 30),
    width=st.integers(1, 30),
    tolerance=st.integers(0, 4),
    steps=st.lists(st.integers(-3, 3), max_size=12),
    seed=st.integers(0, 99),
)
def test_no_pixel_is_farther_than_the_tolerance(
    height: int, width: int, tolerance: int, steps: list[int], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    plane = rng.integers(100, 900, (height, width), np.uint16)
    steady = Steady(tolerance)
    largest = 0
    for step in [0, *steps]:
        plane = (plane + step * rng.integers(0, 2, plane.shape)).astype(np.uint16)
        apart = np.abs(steady(plane).astype(int) - plane)
        largest = max(largest, int(apart.max()))
    assert steady.largest_error == largest <= tolerance


def test_a_drift_of_one_level_a_frame_is_followed() -> None:
    steady = Steady(2)
    shown = [int(steady(np.full((8, 8), level, np.uint8))[0, 0]) for level in range(100, 109)]
    assert shown == [100, 100, 100, 103, 103, 103, 106, 106, 106]


def _frames() -> list[tuple[NDArray[Any], ...]]:
    """A still picture under noise of one level."""
    rng = np.random.default_rng(5)
    still = rng.integers(40, 200, (48, 64), np.uint8)
    return [((still + rng.integers(0, 2, still.shape)).astype(np.uint8),) for _ in range(4)]


@pytest.mark.parametrize("reuse", [Reuse.EXACT, Reuse.NEAR])
def test_noise_is_computed_once(reuse: Reuse) -> None:
    model = Model(Interpolation.BICUBIC, Upscaler(random_weights(NETWORKS["msrcnn"]), largest_batch=1), None, "cpu")
    grey = PlaneFormat("gray", 8, None, full_range=True)
    run = plane_enlarger(
        grey,
        source_size=Size(64, 48),
        output=grey,
        output_size=Size(128, 96),
        settings=Settings(reuse=reuse),
        model=reusing(model),
    )
    made = [run(planes)[0].tobytes() for planes in _frames()]
    if reuse is Reuse.NEAR:
        assert len(set(made)) == 1
        assert run.reused_share == 0.75
        assert run.near_error == {"tolerance": 1.0, "largest": 1.0}
        run.restart()
        again = [run(planes)[0].tobytes() for planes in _frames()[1:]]
        assert again[0] != made[0]
    else:
        assert len(set(made)) == 4
        assert run.near_error is None


def test_only_near_and_its_tolerance_are_part_of_the_result() -> None:
    exact = Settings().fingerprint()
    assert exact == Settings(reuse=Reuse.OFF, reuse_tolerance=3, reuse_cache_bytes=5).fingerprint()
    near = Settings(reuse=Reuse.NEAR).fingerprint()
    assert len({exact, near, Settings(reuse=Reuse.NEAR, reuse_tolerance=2).fingerprint()}) == 3
