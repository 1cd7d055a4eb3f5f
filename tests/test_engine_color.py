"""Colours unmoved: chroma keeps its siting, luma its range and depth, whatever the size."""

from __future__ import annotations

from fractions import Fraction

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.color import plane_enlarger
from engine.levels import luma_range
from engine.models import Model
from engine.planes import PlaneFormat, Planes, plane_format
from engine.resample import ChromaResampler
from engine.settings import Denoise, Interpolation, Mode, Rounding, Settings, Size

OFF = Model(Interpolation.BICUBIC, None, None, "cpu")


def format_of(pix_fmt: str, *, full_range: bool = False, siting: str = "left") -> PlaneFormat:
    found = plane_format(pix_fmt, full_range=full_range, chroma_location=siting)
    assert found is not None
    return found


def enlarge(
    planes: Planes,
    source: PlaneFormat,
    size: Size,
    out: Size,
    output: PlaneFormat | None = None,
    how: Settings | None = None,
) -> Planes:
    how = how or Settings(model="bicubic")
    run = plane_enlarger(source, source_size=size, output=output or source, output_size=out, settings=how, model=OFF)
    return run(planes)


def field(
    size: Size, shift: tuple[int, int], offset: tuple[float, float], slope: tuple[float, float]
) -> NDArray[np.float64]:
    """A plane of a linear ramp over the picture, sampled where the chroma of that siting lies; picture is 0..1 wide."""
    width, height = -(-size.width >> shift[0]), -(-size.height >> shift[1])
    x = ((np.arange(width) * (1 << shift[0]) + offset[0]) + 0.5) / size.width
    y = ((np.arange(height) * (1 << shift[1]) + offset[1]) + 0.5) / size.height
    return slope[0] * x[None, :] + slope[1] * y[:, None]


SITINGS = {"left": (True, False), "topleft": (True, True), "center": (False, False), "top": (False, True)}


@pytest.mark.parametrize("siting", SITINGS)
@pytest.mark.parametrize("shift", [(1, 1), (1, 0), (2, 0), (0, 1)])
@pytest.mark.parametrize("size", [Size(64, 48), Size(63, 47)])
@pytest.mark.parametrize("factor", ["2", "9/4", "3"])
def test_a_ramp_stays_where_it_is(siting: str, shift: tuple[int, int], size: Size, factor: str) -> None:
    """A shift of the chroma shows as an offset of a linear ramp.

    OpenCV's kernel (a = -0.75) bends a ramp by up to 0.049 of a sample; a wrong siting moves it by 0.125 or more.
    """
    left, top = SITINGS[siting]
    offset = (0.0 if left else ((1 << shift[0]) - 1) / 2, 0.0 if top else ((1 << shift[1]) - 1) / 2)
    out = Size(round(size.width * Fraction(factor)), round(size.height * Fraction(factor)))
    resample = ChromaResampler(luma=size, out_luma=out, shift=shift, sited_left=left, sited_top=top)
    got = resample(field(size, shift, offset, (1.0, 0.7)))
    wanted = field(out, shift, offset, (1.0, 0.7))
    assert got.shape == wanted.shape
    inner = (slice(12, -12), slice(12, -12))
    for axis, slope, length in ((1, 1.0, size.width >> shift[0]), (0, 0.7, size.height >> shift[1])):
        # the mean over the other axis leaves the ramp along this one
        along = (got - wanted)[inner].mean(axis=1 - axis)
        bent_across = 0.05 * (0.7 / (size.height >> shift[1]) if axis == 1 else 1.0 / (size.width >> shift[0]))
        assert np.abs(along).max() < 0.05 * slope / length + bent_across


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([2, 3]), st.integers(0, 9))
@settings(deadline=None)
def test_at_centre_siting_it_is_opencv_s_bicubic(height: int, width: int, factor: int, seed: int) -> None:
    plane = np.random.default_rng(seed).random((height, width), dtype=np.float32)
    size, out = Size(width, height), Size(width * factor, height * factor)
    ours = ChromaResampler(luma=size, out_luma=out, shift=(0, 0), sited_left=False, sited_top=False)(plane)
    theirs = cv2.resize(plane, (out.width, out.height), interpolation=cv2.INTER_CUBIC)
    assert np.abs(ours - theirs).max() < 1e-5


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize(("pix_fmt", "deeper"), [("yuv420p", "yuv420p10le"), ("yuv444p10le", "yuv444p12le")])
def test_a_flat_colour_stays_the_same_colour_at_any_depth(pix_fmt: str, deeper: str, full_range: bool) -> None:
    source, output = format_of(pix_fmt, full_range=full_range), format_of(deeper, full_range=full_range)
    size, out = Size(16, 12), Size(32, 24)
    for level in (0.0, 0.25, 1.0):
        black, white = luma_range(source.depth, full_range=full_range)
        luma, chroma = round(black + level * (white - black)), round((1 << source.depth) * (0.1 + 0.8 * level))
        planes = tuple(
            np.full(shape, value, source.dtype)
            for shape, value in zip(source.shapes(size), (luma, chroma, chroma), strict=True)
        )
        got = enlarge(planes, source, size, out, output)
        if full_range:
            gain = ((1 << output.depth) - 1) / ((1 << source.depth) - 1)
            middle = 1 << (source.depth - 1)
            wanted = (luma * gain, (chroma - middle) * gain + (1 << (output.depth - 1)))
        else:
            gain = 2 ** (output.depth - source.depth)
            wanted = (luma * gain, chroma * gain)
        assert [plane.shape for plane in got] == list(output.shapes(out))
        assert all(plane.dtype == output.dtype for plane in got)
        assert np.abs(got[0] - wanted[0]).max() <= 0.5
        assert np.abs(got[1] - wanted[1]).max() <= 0.5


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p10le", "yuv444p12le", "gray", "gray10le"])
def test_network_off_is_an_exact_resize(pix_fmt: str) -> None:
    source = format_of(pix_fmt, siting="center")
    size, out = Size(34, 26), Size(68, 52)
    rng = np.random.default_rng(0)
    planes = tuple(rng.integers(0, 1 << source.depth, shape).astype(source.dtype) for shape in source.shapes(size))
    got = enlarge(planes, source, size, out)
    for plane, ours, shape in zip(planes, got, source.shapes(out), strict=True):
        exact = cv2.resize(plane.astype(np.float64), shape[::-1], interpolation=cv2.INTER_CUBIC)
        exact = exact.clip(0, (1 << source.depth) - 1)
        # sub-black and super-white (noise over all codes) survive as well
        assert np.abs(ours - exact).max() <= 0.51


def test_what_a_sigmoid_cannot_say_keeps_its_interpolated_value() -> None:
    class Grey:
        scale = 1

        def __call__(self, luma: NDArray[np.float32]) -> NDArray[np.float32]:
            assert luma.min() >= 0
            assert luma.max() <= 1
            return np.full_like(luma, 0.5)

    source = format_of("gray")
    plane = np.full((8, 8), 100, np.uint8)
    plane[:, 4:] = 250  # above white (235)
    model = Model(Interpolation.BICUBIC, Grey(), None, "cpu")  # type: ignore[arg-type]
    run = plane_enlarger(
        source, source_size=Size(8, 8), output=source, output_size=Size(16, 16), settings=Settings(), model=model
    )
    (got,) = run((plane,))
    assert (got[:, 12:] == 250).all()
    assert (got[:, :4] == round(16 + 219 * 0.5 + 1e-6)).all()


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le"])
def test_every_mode_runs_on_planes_and_calms_noise(mode: Mode, pix_fmt: str) -> None:
    source = format_of(pix_fmt)
    size = Size(48, 40)
    out = size if mode is Mode.ENHANCE else Size(96, 80)
    rng = np.random.default_rng(0)
    unit = 1 << (source.depth - 8)
    planes = tuple((128 * unit + rng.integers(-3, 4, s) * unit).astype(source.dtype) for s in source.shapes(size))
    calm = enlarge(planes, source, size, out, how=Settings(model="bicubic", mode=mode, denoise=Denoise.STANDARD))
    plain = enlarge(planes, source, size, out, how=Settings(model="bicubic", mode=Mode.ENLARGE))
    assert calm[0].shape == (out.height, out.width)
    assert abs(calm[0].mean() / unit - 128) < 1
    assert calm[0].std() < 0.7 * plain[0].std()


def test_paper_rounding_truncates() -> None:
    source = format_of("gray", full_range=True)
    plane = np.array([[10, 11]], np.uint8)
    size, out = Size(2, 1), Size(3, 1)
    near = enlarge((plane,), source, size, out)[0]
    cut = enlarge((plane,), source, size, out, how=Settings(model="bicubic", rounding=Rounding.PAPER))[0]
    assert (cut <= near).all()
    assert (cut < near).any()
