"""Reuse never shows (promise 9): reused output is byte for byte the computed one, and the work is less."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine import weights
from engine.color import plane_enlarger
from engine.models import Model, reusing
from engine.network import NETWORKS
from engine.pipeline import Pipeline
from engine.planes import PlaneFormat
from engine.regions import Region, bands, cover
from engine.reuse import BLOCK, FrameReuse
from engine.settings import Interpolation, Mode, Settings, Size
from engine.stages import Stages
from engine.upscaler import Upscaler
from tests.networks import DOUBLING, TRIED, random_weights

Luma = NDArray[np.float32]


@pytest.fixture(scope="module", params=sorted(TRIED))
def upscaler(request: pytest.FixtureRequest) -> Upscaler:
    return Upscaler(random_weights(TRIED[request.param]), largest_window=64, largest_batch=1)


@given(st.integers(1, 24), st.integers(1, 24), st.floats(0, 1), st.integers(0, 99), st.sampled_from([0.0, 1.0, 4.0]))
def test_regions_hold_every_change_once(height: int, width: int, share: float, seed: int, margin: float) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < share
    for regions in (cover(mask, margin=margin), bands(mask, height=1 + int(2 * margin))):
        held = np.zeros((height, width), int)
        for region in regions:
            assert region.pixels > 0
            held[region.slices] += 1
        assert held.max(initial=0) <= 1
        assert (held[mask] == 1).all()


def test_far_changes_are_apart_and_near_ones_together() -> None:
    mask = np.zeros((100, 100), bool)
    mask[3:6, 4:9] = mask[80:90, 70:95] = True
    assert cover(mask, margin=1) == [Region(3, 4, 3, 5), Region(80, 70, 10, 25)]
    mask[:] = False
    mask[10, 10] = mask[11, 12] = True
    assert cover(mask, margin=1) == [Region(10, 10, 2, 3)]


@st.composite
def animations(draw: st.DrawFn) -> list[Luma]:
    """Frames with held parts, moving rectangles, cuts, returns to earlier drawings, and single changed pixels."""
    height, width = draw(st.integers(1, 100)), draw(st.integers(1, 100))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    frames = [rng.random((height, width), dtype=np.float32)]
    for _ in range(draw(st.integers(1, 5))):
        kind = draw(st.sampled_from(["hold", "part", "pixel", "cut", "return", "flat"]))
        frame = frames[-1].copy()
        top, left = int(rng.integers(height)), int(rng.integers(width))
        if kind == "part":
            part = frame[top : top + int(rng.integers(1, 30)), left : left + int(rng.integers(1, 30))]
            part[:] = rng.random(part.shape, dtype=np.float32)
        elif kind == "pixel":
            frame[top, left] = np.nextafter(frame[top, left], np.float32(2))
        elif kind == "cut":
            frame = rng.random(frame.shape, dtype=np.float32)
        elif kind == "return":
            frame = frames[int(rng.integers(len(frames)))].copy()
        elif kind == "flat":
            frame[top:] = 0.5
        frames.append(frame)
    return frames


@hypothesis_settings(max_examples=15, deadline=None)
@given(frames=animations(), cache_bytes=st.sampled_from([0, 5000, 1 << 24]))
def test_reused_output_is_the_computed_one_to_the_bit(upscaler: Upscaler, frames: list[Luma], cache_bytes: int) -> None:
    reuse = FrameReuse(upscaler, cache_bytes=cache_bytes)
    for frame in frames:
        reuse.begin_frame()
        assert reuse(frame).tobytes() == upscaler(frame).tobytes()


@pytest.mark.parametrize("mode", [Mode.ENLARGE, Mode.DOUBLE_ENHANCE])
def test_planes_that_are_held_come_out_as_they_were(mode: Mode) -> None:
    """Frames of which some planes change and others are held, through the steps side by side, as without reuse."""
    model = Model(Interpolation.BICUBIC, Upscaler(random_weights(NETWORKS["msrcnn"]), largest_batch=1), None, "cpu")
    format_, size, out = PlaneFormat("yuv420p10le", 10, (1, 1)), Size(40, 32), Size(80, 64)
    to = replace(format_, pix_fmt="yuv420p", depth=8)
    rng = np.random.default_rng(2)
    frame = tuple(rng.integers(0, 1024, shape, np.uint16) for shape in format_.shapes(size))
    frames = []
    for changing in ("", "0", "", "1", "02", "", "", "2") + 30 * ("",):
        frame = tuple(plane.copy() for plane in frame)
        for index in map(int, changing):
            frame[index][3:9, 4:7] += 7
        frames.append(frame)
    how = Settings(mode=mode)
    plain = plane_enlarger(format_, source_size=size, output=to, output_size=out, settings=how, model=model)
    model = reusing(model)
    reused = plane_enlarger(format_, source_size=size, output=to, output_size=out, settings=how, model=model)
    wanted = [[plane.tobytes() for plane in plain(frame)] for frame in frames]
    with Pipeline(frames, reused.steps, stages=Stages(), stop=lambda: None) as pipeline:
        assert [[plane.tobytes() for plane in planes] for planes in pipeline] == wanted
    assert reused.mean_shift == plain.mean_shift
    assert reused.reused_share is not None
    assert reused.reused_share > 0.8
    assert isinstance(model.upscaler, FrameReuse)
    assert model.upscaler._foreseen == {}, "what was foreseen was used"


@pytest.mark.parametrize("scale", [1, 2])
def test_flat_areas_are_computed_once(scale: int) -> None:
    """At a cut to a drawing that is mostly flat, as it comes from interpolation: less is computed, to the same bits."""
    upscaler = Upscaler(random_weights(NETWORKS["msrcnn"] if scale == 1 else DOUBLING), largest_batch=1)
    rng = np.random.default_rng(4)
    small = np.full((150, 200), 0.5137, np.float32)
    small[100:] = 0.831
    small[20:40, 30:40] = rng.random((20, 10), dtype=np.float32)
    drawing: Luma = np.asarray(cv2.resize(small, (400, 300), interpolation=cv2.INTER_CUBIC), np.float32)
    reuse = FrameReuse(upscaler, cache_bytes=0)
    reuse(rng.random(drawing.shape, dtype=np.float32))
    before = reuse.computed_pixels
    reuse.begin_frame()
    assert reuse(drawing).tobytes() == upscaler(drawing).tobytes()
    assert reuse.computed_pixels - before < 0.5 * drawing.size


def test_two_uses_in_a_frame_do_not_mix(upscaler: Upscaler) -> None:
    rng = np.random.default_rng(0)
    reuse = FrameReuse(upscaler)
    small, large = rng.random((30, 40), dtype=np.float32), rng.random((60, 80), dtype=np.float32)
    for _ in range(3):
        small, large = small.copy(), large.copy()
        small[3, 4] += 0.01
        large[50, 70] += 0.01
        reuse.begin_frame()
        assert reuse(small).tobytes() == upscaler(small).tobytes()
        assert reuse(large).tobytes() == upscaler(large).tobytes()


def test_only_what_changed_is_computed(upscaler: Upscaler) -> None:
    rng = np.random.default_rng(0)
    frame = rng.random((300, 300), dtype=np.float32)
    reuse = FrameReuse(upscaler)
    if not upscaler.network.same_bits_in_any_region:
        pytest.skip("this network is reused by whole planes only")
    assert reuse._by_region
    reuse(frame)
    assert reuse.computed_pixels == 300 * 300
    reuse.begin_frame()
    reuse(frame.copy())
    assert reuse.computed_pixels == 300 * 300
    flap = frame.copy()
    flap[90:100, 90:110] = 0.3
    for changed in (flap, frame.copy(), flap.copy(), frame.copy()):
        reuse.begin_frame()
        reuse(changed)
    # the flap and its opposite were computed once each, at their own size and what the network sees around it
    around = 2 * BLOCK * -(-upscaler.network.radius // BLOCK)
    assert reuse.computed_pixels - 300 * 300 <= 2 * (3 * BLOCK + around) * (4 * BLOCK + around)
    assert reuse.reused_share > 0.8


def test_the_cache_is_bounded(upscaler: Upscaler) -> None:
    rng = np.random.default_rng(0)
    reuse = FrameReuse(upscaler, cache_bytes=100_000)
    for _ in range(6):
        reuse.begin_frame()
        reuse(rng.random((100, 100), dtype=np.float32))
    assert reuse._cache.held_bytes <= 100_000
    assert reuse._cache.held_bytes == sum(result.nbytes for result in reuse._cache.results.values())


def test_the_shipped_weights_allow_reuse_by_region() -> None:
    path = next(iter(weights.shipped()), Path("none"))
    assert FrameReuse(Upscaler(weights.load(path), largest_batch=1))._by_region


def test_pieces_for_the_cores_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plane and a region that are cut, because they are large, give the bits that they give at once."""
    rng = np.random.default_rng(3)
    upscaler = Upscaler(random_weights(NETWORKS["msrcnn"]), largest_window=1088, largest_batch=1)
    frame = rng.random((150, 210), dtype=np.float32)
    changed = frame.copy()
    changed[30:90, 50:140] = rng.random((60, 90), dtype=np.float32)
    changed[95:99, 10:120] = 0.5
    wanted = upscaler(frame), upscaler(changed)
    monkeypatch.setattr("engine.backend_chain._LARGEST_PIECE", 64)
    monkeypatch.setattr("engine.reuse._LARGEST_PIECE", 32)
    assert upscaler(changed).tobytes() == wanted[1].tobytes()
    reuse = FrameReuse(upscaler)
    for plane, expected in ((frame, wanted[0]), (changed, wanted[1]), (frame, wanted[0]), (changed, wanted[1])):
        reuse.begin_frame()
        assert reuse(plane).tobytes() == expected.tobytes()
    assert 0 < reuse.computed_pixels < 3 * frame.size
