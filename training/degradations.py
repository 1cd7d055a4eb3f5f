"""How a picture was made smaller before it is scored: more ways than one, so that nobody wins by fitting one kernel."""

from __future__ import annotations

import enum

from training import degrade
from training.compress import compress
from training.degrade import Levels
from training.recipe import Compression, Reduction

_CRF = 20


class Degradation(enum.StrEnum):
    """How a picture was made smaller. `x264`: antialiased bicubic, then 4:2:0 BT.709 at CRF 20."""

    BILINEAR = "bilinear"
    AREA = "area"
    BICUBIC = "bicubic"
    LANCZOS = "lanczos"
    X264 = "x264"

    def apply(self, picture: Levels, scale: int) -> Levels:
        """1/scale of the size, which the scale must divide."""
        if self is Degradation.X264:
            return compress(degrade.reduce(picture, scale, Reduction.BICUBIC), Compression.X264, _CRF)
        return degrade.reduce(picture, scale, Reduction(self.value))
