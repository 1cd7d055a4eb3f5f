"""How a picture was made smaller before it is scored: more ways than one, so that nobody wins by fitting one kernel."""

from __future__ import annotations

import enum

from training import degrade
from training.compress import compress
from training.degrade import Levels
from training.recipe import Compression, Reduction

_QUALITY = {"x264": (Compression.X264, 20), "jpeg": (Compression.JPEG, 85)}


class Degradation(enum.StrEnum):
    """How a picture was made smaller.

    `x264`: antialiased bicubic, then 4:2:0 BT.709 at CRF 20. `jpeg`: the same reduction, then 4:2:0 at quality 85.
    """

    BILINEAR = "bilinear"
    AREA = "area"
    BICUBIC = "bicubic"
    LANCZOS = "lanczos"
    X264 = "x264"
    JPEG = "jpeg"

    def apply(self, picture: Levels, scale: int) -> Levels:
        """1/scale of the size, which the scale must divide."""
        if self.value in _QUALITY:
            how, quality = _QUALITY[self.value]
            return compress(degrade.reduce(picture, scale, Reduction.BICUBIC), how, quality)
        return degrade.reduce(picture, scale, Reduction(self.value))
