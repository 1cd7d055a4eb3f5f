"""The paper's four modes as recipes of passes over one image (section III-D).

`recipe` says which passes; `run_recipe` applies them to anything that knows how to enlarge, shrink and denoise itself:
stills in 8 or 16 bit colour (`engine.picture`), luma planes of video (`engine.color`).
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Protocol, TypeVar

from engine import denoise
from engine.errors import UsageError
from engine.settings import Denoise, Mode, Size


class Pass(enum.Enum):
    """One step of a recipe. Sizes are relative to the output size of the whole recipe."""

    ENLARGE = "resize to the output size, then the network"
    ENHANCE = "the network at the size as it is"
    ENLARGE_TWICE = "resize to twice the output size, then the network"
    SHRINK = "bicubic back to the output size"
    DENOISE = "the paper's denoise"
    FINAL_DENOISE = "the paper's final denoise"


_ENDINGS = {
    Denoise.NONE: (),
    Denoise.STANDARD: (Pass.DENOISE,),
    Denoise.STRONG: (Pass.DENOISE, Pass.FINAL_DENOISE),
}

_MODES: dict[Mode, tuple[tuple[Pass, ...], Denoise, frozenset[Denoise]]] = {
    Mode.ENHANCE: ((Pass.ENHANCE,), Denoise.NONE, frozenset(Denoise)),
    Mode.ENLARGE: ((Pass.ENLARGE,), Denoise.NONE, frozenset(Denoise)),
    Mode.DOUBLE_ENHANCE: ((Pass.ENLARGE, Pass.DENOISE, Pass.ENHANCE), Denoise.STRONG, frozenset(Denoise)),
    Mode.DOUBLE_ENLARGE: (
        (Pass.ENLARGE, Pass.DENOISE, Pass.ENLARGE_TWICE, Pass.SHRINK),
        Denoise.STANDARD,
        frozenset({Denoise.NONE, Denoise.STANDARD}),
    ),
}
"""Mode → passes, the last stage that the paper has, the last stages that can be asked for."""


def recipe(mode: Mode, last_stage: Denoise | None) -> tuple[Pass, ...]:
    """The passes of `mode`, then `last_stage` (None: the paper's own). Raises `UsageError` if it has none such."""
    passes, default, allowed = _MODES[mode]
    ending = default if last_stage is None else last_stage
    if ending not in allowed:
        choices = ", ".join(sorted(allowed))
        raise UsageError(f"mode {mode} has no {ending} denoise", remedy=f"choose one of {choices}")
    return passes + _ENDINGS[ending]


def endings(mode: Mode) -> tuple[Denoise, frozenset[Denoise]]:
    """The last stage that the paper gives `mode`, and all that can be asked for."""
    _, default, allowed = _MODES[mode]
    return default, allowed


ImageT = TypeVar("ImageT")


class Passes(Protocol[ImageT]):
    """What a kind of image must be able to do."""

    def enlarge(self, image: ImageT, size: Size) -> ImageT:
        """Resize to `size`, then the network; a network that enlarges by itself does both."""

    def shrink(self, image: ImageT, size: Size) -> ImageT:
        """Bicubic to `size`."""

    def denoise(self, image: ImageT, strength: denoise.Strength) -> ImageT:
        """The paper's denoise."""


def run_recipe(passes: tuple[Pass, ...], image: ImageT, output_size: Size, kind: Passes[ImageT]) -> ImageT:
    """Apply `passes` to `image`, which may have any size; what comes out has `output_size`."""
    twice = Size(2 * output_size.width, 2 * output_size.height)
    steps: dict[Pass, Callable[[ImageT], ImageT]] = {
        Pass.ENLARGE: lambda image: kind.enlarge(image, output_size),
        Pass.ENHANCE: lambda image: kind.enlarge(image, output_size),
        Pass.ENLARGE_TWICE: lambda image: kind.enlarge(image, twice),
        Pass.SHRINK: lambda image: kind.shrink(image, output_size),
        Pass.DENOISE: lambda image: kind.denoise(image, denoise.STANDARD),
        Pass.FINAL_DENOISE: lambda image: kind.denoise(image, denoise.FINAL),
    }
    for step in passes:
        image = steps[step](image)
    return image
