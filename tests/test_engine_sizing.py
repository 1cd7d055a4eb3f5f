"""Output sizes."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InputError, NothingToDo
from engine.settings import Limits, Settings, Size
from engine.sizing import output_size


def sized(source: Size, *, target: Size | None = None, scale: str = "2", **more: object) -> Size:
    settings = Settings(scale=None if target else Fraction(scale), target=target, limits=Limits())
    return output_size(source, settings, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("source", "target", "aspect", "wanted"),
    [
        (Size(1280, 720), Size(1920, 1080), "1", Size(1920, 1080)),
        (Size(640, 480), Size(1920, 1080), "1", Size(1440, 1080)),
        (Size(1920, 800), Size(3840, 2160), "1", Size(3840, 1600)),
        (Size(720, 480), Size(1920, 1080), "8/9", Size(1620, 1080)),  # 4:3 NTSC: shown as 1440x1080
        (Size(720, 576), Size(1920, 1080), "64/45", Size(1350, 1080)),  # 16:9 PAL: shown as 1920x1080
    ],
)
def test_a_target_is_fitted_as_displayed(source: Size, target: Size, aspect: str, wanted: Size) -> None:
    assert sized(source, target=target, sample_aspect=Fraction(aspect), multiple=(2, 2)) == wanted


def test_large_enough_already_is_a_skip_with_a_reason() -> None:
    with pytest.raises(NothingToDo, match="1920x1080 already"):
        sized(Size(1920, 1080), target=Size(1920, 1080))


@pytest.mark.parametrize(
    ("scale", "multiple", "wanted"),
    [
        ("2", (2, 2), Size(202, 114)),
        ("2.25", (2, 2), Size(228, 128)),
        ("2.25", (1, 1), Size(227, 128)),
        ("1", (1, 1), Size(101, 57)),
    ],
)
def test_a_factor_rounds_to_what_chroma_allows(scale: str, multiple: tuple[int, int], wanted: Size) -> None:
    assert sized(Size(101, 57), scale=scale, multiple=multiple) == wanted


def test_absurd_results_are_refused() -> None:
    with pytest.raises(InputError, match="max_output_pixels"):
        sized(Size(9000, 9000), scale="8")


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_a_target_is_never_exceeded_and_one_side_is_reached(width: int, height: int) -> None:
    target = Size(3840, 2160)
    try:
        size = sized(Size(width, height), target=target)
    except NothingToDo:
        assert width >= target.width or height >= target.height
        return
    assert size.width <= target.width
    assert size.height <= target.height
    assert size.width == target.width or size.height == target.height
