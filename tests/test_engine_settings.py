"""What a profile stands for: which model `auto` is, and which results are the same."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from engine.settings import Interpolation, Mode, Settings, Size


@pytest.mark.parametrize(
    ("given", "model", "name"),
    [
        ({}, "fine", "fine"),
        ({"scale": Fraction(9, 4)}, "fine", "fine"),
        ({"scale": None, "target": Size(1920, 1080)}, "fine", "fine"),
        ({"model": "fast", "mode": Mode.DOUBLE_ENHANCE}, "fast", "fast"),
        ({"mode": Mode.DOUBLE_ENHANCE}, "msrcnn", "msrcnn"),
        ({"mode": Mode.DOUBLE_ENLARGE}, "msrcnn", "msrcnn"),
        ({"mode": Mode.ENHANCE, "scale": Fraction(1)}, "msrcnn", "msrcnn"),
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
    """Known from before there was `auto`: else everything would be enlarged again."""
    earlier = "b38d88670f1597a56c90706d351b1018cf2b3107f4e0f3a1d5a4243d2b97ef9e"
    assert Settings(model="msrcnn").fingerprint() == earlier
    assert Settings(model="fast").fingerprint() != earlier
