"""What a profile stands for: which model `auto` is, and which results are the same."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from engine.parse_settings import SettingError, check_restore, parse_scale
from engine.settings import RESTORING, Interpolation, Mode, Settings, Size


@pytest.mark.parametrize(
    ("value", "factor"), [(2, 2), (2.25, Fraction(9, 4)), ("9/4", Fraction(9, 4)), (" 8. ", 8), (Fraction(3, 2), 1.5)]
)
def test_a_factor_is_exact(value: object, factor: object) -> None:
    assert parse_scale(value) == factor


@pytest.mark.parametrize(
    "value", ["", "x", "-2", "2/0", "1e0", "٢", "1e999999999", "1_0", True, None, [2], "8.001", 1e300]
)
def test_what_is_no_factor_is_refused_at_once(value: object) -> None:
    with pytest.raises(SettingError, match="a factor"):
        parse_scale(value)


@pytest.mark.parametrize(
    ("given", "model", "name"),
    [
        ({}, "fine", "fine"),
        ({"scale": Fraction(9, 4)}, "fine", "fine"),
        ({"scale": None, "target": Size(1920, 1080)}, "fine", "fine"),
        ({"restore": True}, RESTORING[0], f"{RESTORING[0]}-restore"),
        ({"model": "fast", "restore": True}, "fast", "fast-restore"),
        ({"model": "fast", "mode": Mode.DOUBLE_ENHANCE}, "fast", "fast"),
        ({"mode": Mode.DOUBLE_ENHANCE}, "msrcnn", "msrcnn"),
        ({"mode": Mode.DOUBLE_ENLARGE}, "msrcnn", "msrcnn"),
        ({"mode": Mode.ENHANCE, "scale": Fraction(1)}, "msrcnn", "msrcnn"),
        ({"mode": Mode.ENHANCE, "scale": Fraction(1), "restore": True}, RESTORING[0], f"{RESTORING[0]}-restore"),
        ({"scale": Fraction(1)}, "msrcnn", "msrcnn"),
        ({"upsampling": Interpolation.BILINEAR}, "msrcnn", "msrcnn"),
        ({"weights": Path("models/mine.h5")}, "fine", "mine"),
    ],
)
def test_the_model_that_is_left_to_kakudai(given: dict[str, Any], model: str, name: str) -> None:
    settings = Settings(**given)
    assert (settings.chosen_model, settings.model_name) == (model, name)
    if settings.weights is None:
        assert settings.fingerprint() == dataclasses.replace(settings, model=model).fingerprint()


def test_a_profile_of_an_earlier_version_makes_the_results_it_made() -> None:
    """Known from version 0.1.0, before there was `restore`: else everything would be enlarged again."""
    earlier = "b38d88670f1597a56c90706d351b1018cf2b3107f4e0f3a1d5a4243d2b97ef9e"
    assert Settings(model="msrcnn").fingerprint() == earlier
    fast = Settings(model="fast")
    assert len({fast.fingerprint(), dataclasses.replace(fast, restore=True).fingerprint(), earlier}) == 3


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"model": "msrcnn"}, "msrcnn has no weights that restore; drop it, or use the model fine, fast or auto"),
        ({"model": "bicubic"}, "bicubic has no weights that restore"),
        ({"weights": Path("a.h5")}, "chooses among the weights that come with Kakudai; drop it, or weights"),
        ({"upsampling": Interpolation.BICUBIC}, "upsampling does nothing there"),
    ],
)
def test_nothing_restores_where_there_are_no_weights_for_it(given: dict[str, Any], told: str) -> None:
    check_restore(Settings(**given))
    check_restore(Settings(restore=True))
    with pytest.raises(SettingError, match=told):
        check_restore(Settings(**given, restore=True))
