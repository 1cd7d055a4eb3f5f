"""How large the output is."""

from __future__ import annotations

from fractions import Fraction

from engine.errors import InputError, NothingToDo
from engine.settings import Settings, Size

_ROUNDING = Fraction(1, 200)
"""By how much a size may exceed a factor because its sides are whole, or even: no reason to run a network again."""


def output_size(
    source: Size,
    settings: Settings,
    *,
    sample_aspect: Fraction = Fraction(1),
    multiple: tuple[int, int] = (1, 1),
) -> Size:
    """The size in stored pixels that `source` is enlarged to.

    A target is fitted inside its width and height as displayed (`sample_aspect` is the width of a pixel by its height,
    and is kept). `multiple` is what width and height must be divisible by: subsampled chroma wants even ones.
    Raises `NothingToDo` when the source fills the target already, `InputError` when the result exceeds the limits.
    """
    if settings.target is not None:
        factor = min(
            Fraction(settings.target.width) / (source.width * sample_aspect),
            Fraction(settings.target.height, source.height),
        )
        if factor <= 1:
            raise NothingToDo(
                f"is {source} already, at least as large as the target {settings.target}",
                remedy="choose a larger target if it should be enlarged all the same",
            )
    else:
        factor = settings.scale if settings.scale is not None else Fraction(1)
    size = Size(_rounded(source.width * factor, multiple[0]), _rounded(source.height * factor, multiple[1]))
    if size.pixels > settings.limits.max_output_pixels:
        raise InputError(
            f"would become {size}, more than limits.max_output_pixels ({settings.limits.max_output_pixels})",
            remedy="choose a smaller scale or target, or raise the limit",
        )
    return size


def runs_to(scale: Fraction, own_scale: int) -> int:
    """How often a network that enlarges `own_scale` times by itself runs to reach `scale`; once at least."""
    runs = 1
    while own_scale**runs * (1 + _ROUNDING) < scale:
        runs += 1
    return runs


def _rounded(length: Fraction, multiple: int) -> int:
    """To the nearest multiple; halves go up, and nothing vanishes."""
    return max(multiple, int(length / multiple + Fraction(1, 2)) * multiple)
