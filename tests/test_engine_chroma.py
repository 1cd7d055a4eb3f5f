"""Chroma guided by luma: grey stays grey and flat stays flat whatever the weights, no tile shows, and it pays."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as tries
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine import job, weights
from engine.chroma import JointChroma, most_change
from engine.image import Picture
from engine.models import Model, load_model
from engine.network import NETWORKS
from engine.parse_settings import SettingError, check_chroma
from engine.picture import enlarge_picture
from engine.settings import Chroma, Device, ImageFormat, Interpolation, Mode, Settings, Size
from engine.source import open_source
from engine.upscaler import Upscaler
from tests.networks import random_weights
from training.scene import draw_picture


class _Sharp:
    """A network that enlarges by itself: nearest neighbour, which has detail wherever there is an edge."""

    scale = 2

    def __call__(self, luma: NDArray[np.float32]) -> NDArray[np.float32]:
        return luma.repeat(2, axis=0).repeat(2, axis=1)


class _Wild:
    """One that learnt nothing: what holds with it holds with any."""

    scale = 2

    def __call__(self, luma: NDArray[np.float32]) -> NDArray[np.float32]:
        larger = luma.repeat(2, axis=0).repeat(2, axis=1)
        return np.asarray((larger + np.sin(37 * larger + np.arange(larger.shape[1]))) % 1, np.float32)


def _model(chroma: JointChroma | None) -> Model:
    return Model(Interpolation.BICUBIC, _Sharp(), None, "cpu", chroma)  # type: ignore[arg-type]


WILD = JointChroma(lambda: Model(Interpolation.BICUBIC, _Wild(), None, "cpu"))  # type: ignore[arg-type]


def _enlarged(colour: NDArray[np.generic], scale: float, chroma: JointChroma | None) -> NDArray[np.generic]:
    size = Size(round(colour.shape[1] * scale), round(colour.shape[0] * scale))
    return enlarge_picture(Picture(colour, None, ImageFormat.PNG), size, Settings(), _model(chroma)).colour


def _noise(height: int, width: int, planes: int = 3, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).random((height, width, planes), dtype=np.float32)


@given(height=st.integers(1, 70), width=st.integers(1, 70), scale=st.sampled_from([1.5, 2, 2.25, 3]))
@tries(deadline=None, max_examples=15)
def test_tiles_do_not_show_at_any_size(height: int, width: int, scale: float) -> None:
    source, luma = _noise(height, width) - 0.5, _noise(round(height * scale), round(width * scale), 1)[..., 0]
    loaded = random_weights(NETWORKS["fast"])
    tiled, whole = (
        JointChroma(lambda: Model(Interpolation.BICUBIC, upscaler, None, "cpu"))(source, luma)  # noqa: B023
        for upscaler in (Upscaler(loaded, largest_window=40, largest_batch=1), Upscaler(loaded, largest_window=1 << 12))
    )
    assert whole.shape == (*luma.shape, 2)
    np.testing.assert_allclose(tiled, whole, atol=1e-5)


def test_chroma_moves_by_no_more_than_it_varies_nearby() -> None:
    source = _noise(40, 50) - 0.5
    source[:, 25:, 1:] = 0.2  # of one colour, with all the detail in luma that there can be
    luma = _noise(80, 100, 1)[..., 0]
    made, plain = WILD(source, luma), cv2.resize(source[..., 1:], (100, 80), interpolation=cv2.INTER_CUBIC)
    moved = np.abs(made - plain)
    assert moved[:, :40].max() > 0.1
    for index in (0, 1):
        most = most_change(np.ascontiguousarray(source[..., 1 + index]), Size(100, 80))
        assert (moved[..., index] <= most + 1e-6).all()
    np.testing.assert_allclose(made[:, 56:], 0.2, atol=1e-6)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("scale", [1.5, 2, 3])
def test_grey_stays_grey_and_flat_stays_flat(kind: type[np.uint8 | np.uint16], scale: float) -> None:
    white = np.iinfo(kind).max
    grey = np.repeat((_noise(30, 40, 1) * white).astype(kind), 3, axis=2)
    made = _enlarged(grey, scale, WILD)
    assert made.dtype == kind
    assert (made == made[..., :1]).all()
    for colour in ((0, 0, white), (white, white // 3, 7), (1, 2, 3), (white, white, white)):
        flat = np.full((13, 17, 3), colour, kind)
        made = _enlarged(flat, scale, WILD)
        assert (made == _enlarged(flat, scale, None)).all()
        # there and back by OpenCV's rounded coefficients costs up to 9 levels of 65,535, and none of 255
        assert np.abs(made.astype(int) - colour).max() <= (0 if kind is np.uint8 else 9)


def test_alpha_and_grey_pictures_do_not_depend_on_it() -> None:
    colour = (_noise(30, 40) * 255).astype(np.uint8)
    picture = Picture(colour, colour[..., 0], ImageFormat.PNG)
    size = Size(80, 60)
    joint, plain = (enlarge_picture(picture, size, Settings(), _model(chroma)) for chroma in (WILD, None))
    assert joint.alpha is not None
    assert plain.alpha is not None
    np.testing.assert_array_equal(joint.alpha, plain.alpha)
    assert (joint.colour != plain.colour).any()
    one_band = colour[..., 0]
    np.testing.assert_array_equal(_enlarged(one_band, 2, WILD), _enlarged(one_band, 2, None))


@pytest.mark.parametrize("mode", list(Mode))
def test_every_mode_can_have_it(mode: Mode) -> None:
    colour = cv2.GaussianBlur((_noise(24, 36) * 255).astype(np.uint8), (0, 0), 2)
    scale = 1 if mode is Mode.ENHANCE else 2
    size = Size(36 * scale, 24 * scale)
    made, plain = (
        enlarge_picture(Picture(colour, None, ImageFormat.PNG), size, Settings(mode=mode), _model(chroma)).colour
        for chroma in (WILD, None)
    )
    assert made.dtype == np.uint8
    assert made.shape == (size.height, size.width, 3)
    assert np.array_equal(made, plain) == (scale == 1)  # at its own size chroma is as sharp as it will be


@pytest.mark.parametrize(("model", "scale"), [("fine", 2), ("fast", 2), ("fine", 3), ("msrcnn", 2)])
def test_the_shipped_weights_are_worth_it(model: str, scale: int) -> None:
    original = np.ascontiguousarray(draw_picture(Size(360, 240), seed=77)[..., ::-1])
    small = cv2.resize(original, (360 // scale, 240 // scale), interpolation=cv2.INTER_AREA)
    settings = Settings(model=model, scale=Fraction(scale), chroma=Chroma.JOINT, device=Device.CPU)
    joint = load_model(settings, Fraction(scale))
    wrong = []
    for each in (joint, replace(joint, chroma=None)):
        made = enlarge_picture(Picture(small, None, ImageFormat.PNG), Size(360, 240), settings, each).colour
        planes = [cv2.cvtColor(picture, cv2.COLOR_BGR2YCrCb).astype(float) for picture in (made, original)]
        wrong.append(np.square(planes[0] - planes[1]).mean(axis=(0, 1)))
    joint_error, plain_error = wrong
    # what is left of the squared error of Cr and Cb
    assert (joint_error[1:] < {2: 0.75, 3: 0.87}[scale] * plain_error[1:]).all()
    assert joint_error[0] < 1.05 * plain_error[0]


def test_it_stands_beside_networks_that_enlarge_by_themselves_unless_told_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), (_noise(24, 32) * 255).astype(np.uint8))
    small = weights.load(weights.choose("fast", Fraction(2)))
    told = {}
    for name, settings in {
        "fast": Settings(model="fast"),
        "fast bicubic": Settings(model="fast", chroma=Chroma.BICUBIC),
        "bicubic": Settings(model="bicubic"),
    }.items():
        with open_source(path) as source:
            planned = job.plan(source, settings)
            report = job.enlarge(
                source, tmp_path / name, settings, planned=planned, work_dir=tmp_path, progress=lambda _: None
            )
        told[name] = report.details["chroma"], report.details["chroma_sha256"]
    assert told == {
        "fast": ("joint", small.sha256),
        "fast bicubic": ("bicubic", None),
        "bicubic": ("bicubic", None),
    }
    assert load_model(Settings(model="msrcnn"), Fraction(2)).chroma is None


def test_a_setting_that_changes_the_result_and_one_that_means_nothing() -> None:
    assert Settings(chroma=Chroma.JOINT).fingerprint() != Settings(chroma=Chroma.BICUBIC).fingerprint()
    with pytest.raises(SettingError, match="bicubic is none"):
        check_chroma(Settings(model="bicubic", chroma=Chroma.JOINT))
