"""A network that enlarges by itself, at every scale and in every mode; with these weights it is bilinear."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engine import weights
from engine.color import plane_enlarger
from engine.enlarge import enlarge_luma
from engine.image import Picture
from engine.models import Model, load_model, reusing
from engine.network import at_scale
from engine.picture import enlarge_picture
from engine.planes import PlaneFormat
from engine.settings import Denoise, Device, ImageFormat, Mode, Settings, Size
from training.sample import write_picture

SOURCE = Size(48, 36)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return _model(tmp_path_factory.mktemp("weights") / "zeros.h5", 2)


def _model(path: Path, own_scale: int) -> Model:
    """`fast` with nothing but zeros in its last convolution, read from a file as any weights are."""
    network = at_scale("fast", own_scale)
    assert network is not None
    rng = np.random.default_rng(0)
    arrays = {
        name: (0.1 * rng.standard_normal(shape)).astype(np.float32) * ("convolution_last" not in name)
        for name, shape in weights.expected_shapes(network).items()
    }
    weights.save(path, network, list(arrays.values()), {"scale": own_scale, "upsampling": "bicubic"})
    return load_model(Settings(model="fast", weights=path, device=Device.CPU), Fraction(own_scale))


def _luma() -> NDArray[np.float32]:
    """Steps and ramps in 0..1."""
    rng = np.random.default_rng(1)
    coarse = rng.random((SOURCE.height // 6, SOURCE.width // 6), dtype=np.float32)
    return cv2.resize(coarse, (SOURCE.width, SOURCE.height), interpolation=cv2.INTER_NEAREST)


def _bilinear(luma: NDArray[np.float32], scale: int = 2) -> NDArray[np.float32]:
    return cv2.resize(luma, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)


def _area(luma: NDArray[np.float32], size: Size) -> NDArray[np.float32]:
    return cv2.resize(luma, (size.width, size.height), interpolation=cv2.INTER_AREA)


@pytest.mark.parametrize(("scale", "runs"), [(1, 1), (1.5, 1), (2, 1), (2.25, 2), (3, 2), (4, 2), (5, 3)])
def test_it_runs_as_often_as_the_size_takes_and_is_reduced_by_area(model: Model, scale: float, runs: int) -> None:
    luma = wanted = _luma()
    size = Size(round(SOURCE.width * scale), round(SOURCE.height * scale))
    for _ in range(runs):
        wanted = _bilinear(wanted)
    made = enlarge_luma(luma, size, model)
    assert made.dtype == np.float32
    np.testing.assert_allclose(made, _area(wanted, size), atol=2e-6)


def test_a_size_of_another_shape_is_reached_in_both_directions(model: Model) -> None:
    size = Size(3 * SOURCE.width, 2 * SOURCE.height)
    np.testing.assert_allclose(
        enlarge_luma(_luma(), size, model), _area(_bilinear(_bilinear(_luma())), size), atol=2e-6
    )


@pytest.mark.parametrize("own_scale", [3, 4])
def test_at_other_scales_of_its_own_a_pixel_of_rounding_is_no_reason_to_run_again(
    own_scale: int, tmp_path: Path
) -> None:
    model = _model(tmp_path / "zeros.h5", own_scale)
    luma = cv2.resize(_luma(), (321, 240), interpolation=cv2.INTER_CUBIC).clip(0, 1)
    wanted = _bilinear(luma, own_scale)
    exact = Size(321 * own_scale, 240 * own_scale)
    np.testing.assert_allclose(enlarge_luma(luma, exact, model), wanted, atol=2e-6)
    one_more = Size(exact.width + 1, exact.height)
    made = enlarge_luma(luma, one_more, model)
    assert made.shape == (one_more.height, one_more.width)
    # stretched by bicubic interpolation: a column near the left border moves by nearly nothing
    np.testing.assert_allclose(made[:, 1:20], wanted[:, 1:20], atol=0.02)
    smaller = Size(SOURCE.width * 2, SOURCE.height * 2)
    np.testing.assert_allclose(
        enlarge_luma(_luma(), smaller, model), _area(_bilinear(_luma(), own_scale), smaller), atol=2e-6
    )


def test_sub_black_and_super_white_stay_what_they_are(model: Model) -> None:
    luma = _luma()
    luma[:12], luma[24:] = -0.05, 1.07
    made = enlarge_luma(luma, Size(2 * SOURCE.width, 2 * SOURCE.height), model)
    np.testing.assert_allclose(made[:16], -0.05, atol=1e-6)
    np.testing.assert_allclose(made[56:], 1.07, atol=1e-6)


def test_what_overshoots_is_clipped(model: Model) -> None:
    assert model.upscaler is not None
    overshooting = Model(model.interpolation, _Overshooting(), None, "cpu")  # type: ignore[arg-type]
    made = enlarge_luma(_luma(), Size(2 * SOURCE.width, 2 * SOURCE.height), overshooting)
    assert (made.min(), made.max()) == (0, 1)


class _Overshooting:
    scale = 2

    def __call__(self, luma: NDArray[np.float32]) -> NDArray[np.float32]:
        return 3 * _bilinear(luma) - 1


@pytest.mark.parametrize(
    ("mode", "denoise", "scale"),
    [
        (Mode.ENLARGE, None, 2),
        (Mode.ENLARGE, Denoise.STRONG, 3),
        (Mode.ENHANCE, Denoise.STANDARD, 1),
        (Mode.DOUBLE_ENHANCE, None, 2),
        (Mode.DOUBLE_ENLARGE, None, 2),
    ],
)
def test_every_mode_keeps_the_colours_of_stills_and_frames(
    model: Model, mode: Mode, denoise: Denoise | None, scale: int
) -> None:
    size = Size(scale * SOURCE.width, scale * SOURCE.height)
    settings = Settings(mode=mode, denoise=denoise, scale=Fraction(scale))
    ramp = cv2.GaussianBlur((_luma() * 200 + 20).astype(np.uint8), (0, 0), 4)
    colour = np.dstack([ramp, ramp[::-1], ramp[:, ::-1]])
    for picture in (colour, (colour.astype(np.uint16) * 257), ramp):
        made = enlarge_picture(Picture(picture, None, ImageFormat.PNG), size, settings, model).colour
        assert (made.dtype, made.shape[:2]) == (picture.dtype, (size.height, size.width))
        white = 255 if made.dtype == np.uint8 else 65535
        plain = cv2.resize(picture, (size.width, size.height), interpolation=cv2.INTER_CUBIC)
        assert np.abs(made.astype(float) - plain).mean() < 0.02 * white
    format_ = PlaneFormat("yuv420p", 8, (1, 1), full_range=False, chroma_location="left")
    enlarger = plane_enlarger(
        format_, source_size=SOURCE, output=format_, output_size=size, settings=settings, model=reusing(model)
    )
    planes = (ramp, ramp[::2, ::2].copy(), ramp[1::2, ::2].copy())
    for _ in range(2):  # the second is taken from the first
        made_planes = enlarger(planes)
        shapes = [plane.shape for plane in made_planes]
        assert shapes == [(size.height, size.width), *[(size.height // 2, size.width // 2)] * 2]
    shift = enlarger.mean_shift
    assert all(abs(float(str(shift[plane]))) < 1.5 for plane in ("luma", "u", "v"))


def test_what_enhances_is_the_papers_network(tmp_path: Path) -> None:
    """Why `auto` is another model there: what `fine` makes of a soft picture is what reduces to it."""
    write_picture(tmp_path / "sharp.png", Size(320, 240), seed=5)
    sharp = cv2.imread(str(tmp_path / "sharp.png"))
    small = cv2.resize(sharp, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_LINEAR)
    soft = cv2.resize(small, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    gained = {}
    for name in ("msrcnn", "fine"):
        settings = Settings(model=name, mode=Mode.ENHANCE, scale=Fraction(1), device=Device.CPU)
        model = load_model(settings, Fraction(1))
        made = enlarge_picture(Picture(soft, None, ImageFormat.PNG), Size(320, 240), settings, model).colour
        gained[name] = cv2.PSNR(made, sharp) - cv2.PSNR(soft, sharp)
    assert gained["msrcnn"] > 1
    assert abs(gained["fine"]) < 0.25
