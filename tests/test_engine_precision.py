"""`precision: bfloat16`: near float32, the same bits in any region, refused where it brings nothing."""

from __future__ import annotations

from fractions import Fraction

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from engine import backend
from engine.errors import ToolError
from engine.models import load_model
from engine.network import NETWORKS
from engine.parse_settings import SettingError, check_precision
from engine.reuse import FrameReuse
from engine.settings import Device, Precision, Settings, Size
from engine.upscaler import Upscaler
from tests.networks import random_weights
from training.scene import draw_picture

SHORT = "mixed_bfloat16"


def _has_bfloat16() -> bool:
    try:
        backend.check_bfloat16()
    except ToolError:
        return False
    return True


needs_instructions = pytest.mark.skipif(not _has_bfloat16(), reason="this processor has no bfloat16 instructions")


@pytest.fixture(scope="module", params=["fast", "fine"])
def upscaler(request: pytest.FixtureRequest) -> Upscaler:
    return Upscaler(random_weights(NETWORKS[request.param]), largest_window=1088, largest_batch=1, policy=SHORT)


@needs_instructions
@hypothesis_settings(max_examples=25, deadline=None)
@given(height=st.integers(1, 90), width=st.integers(1, 90), window=st.integers(40, 64), seed=st.integers(0, 99))
def test_tiles_have_the_bits_of_the_whole(upscaler: Upscaler, height: int, width: int, window: int, seed: int) -> None:
    luma = np.random.default_rng(seed).random((height, width), dtype=np.float32)
    tiled = Upscaler(upscaler.weights, largest_window=window, largest_batch=1, policy=SHORT)
    assert tiled(luma).tobytes() == upscaler(luma).tobytes()


@needs_instructions
@hypothesis_settings(max_examples=25, deadline=None)
@given(top=st.integers(0, 79), left=st.integers(0, 99), size=st.integers(1, 30), seed=st.integers(0, 99))
def test_reuse_has_the_bits_of_computing(upscaler: Upscaler, top: int, left: int, size: int, seed: int) -> None:
    first = np.random.default_rng(seed).random((80, 100), dtype=np.float32)
    second = first.copy()
    second[top : top + size, left : left + size] = 0.25
    reuse = FrameReuse(upscaler, cache_bytes=1 << 24)
    for frame in (first, second, first):
        reuse.begin_frame()
        assert reuse(frame).tobytes() == upscaler(frame).tobytes()


@needs_instructions
@pytest.mark.parametrize("model", ["fast", "fine"])
def test_it_is_a_level_or_two_apart_from_float32(model: str) -> None:
    picture = cv2.cvtColor(draw_picture(Size(320, 200)), cv2.COLOR_RGB2GRAY)
    luma = (picture / np.float32(255)).astype(np.float32)
    exact, short = (
        load_model(Settings(model=model, device=Device.CPU, precision=precision), Fraction(2)).upscaler
        for precision in (Precision.FLOAT32, Precision.BFLOAT16)
    )
    assert exact is not None
    assert short is not None
    apart = 255 * np.abs(short(luma) - exact(luma))
    assert 0 < apart.max() <= 3
    assert apart.mean() <= 0.1


def test_the_papers_network_stays_in_float32() -> None:
    """With `auto`, in the modes where it is m-SRCNN that works."""
    models = [
        load_model(Settings(model="msrcnn", device=Device.CPU, precision=precision), Fraction(2))
        for precision in (Precision.FLOAT32, Precision.BFLOAT16)
    ]
    luma = np.random.default_rng(0).random((50, 60), dtype=np.float32)
    made = [model.upscaler(luma).tobytes() for model in models if model.upscaler is not None]
    assert len(made) == 2
    assert made[0] == made[1]


def test_a_processor_without_the_instructions_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "_BFLOAT16_FLAGS", {"none_such"})
    with pytest.raises(ToolError, match="no instructions for bfloat16"):
        load_model(Settings(model="fast", device=Device.CPU, precision=Precision.BFLOAT16), Fraction(3))


@pytest.mark.parametrize("model", ["msrcnn", "srcnn", "bicubic"])
def test_it_is_refused_where_it_brings_nothing(model: str) -> None:
    check_precision(Settings(precision=Precision.BFLOAT16))
    check_precision(Settings(model=model))
    with pytest.raises(SettingError, match=f"bfloat16 is for fast and fine; {model} is no faster by it"):
        check_precision(Settings(model=model, precision=Precision.BFLOAT16))


def test_results_of_another_precision_are_other_results() -> None:
    assert Settings().fingerprint() != Settings(precision=Precision.BFLOAT16).fingerprint()
