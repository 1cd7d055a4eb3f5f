"""Frames as people see them: the colours that ffmpeg shows, whatever the matrix, range and depth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.display import picture_bgr, to_bgr
from engine.reel import open_reel
from engine.settings import Limits
from tests import media


@pytest.mark.parametrize(
    ("pix_fmt", "matrix", "range_"),
    [
        ("yuv444p", "bt709", "tv"),
        ("yuv444p", "smpte170m", "pc"),
        ("yuv444p10le", "bt2020nc", "tv"),
        ("yuv420p", "bt709", "tv"),
    ],
)
def test_colours_are_those_that_ffmpeg_shows(tmp_path: Path, pix_fmt: str, matrix: str, range_: str) -> None:
    tags = ("-colorspace", matrix, "-color_range", range_, "-color_primaries", "bt709", "-color_trc", "bt709")
    path = media.video(tmp_path / "a.mkv", frames=1, pix_fmt=pix_fmt, codec=("-c:v", "ffv1"), more=tags)
    with open_reel(path, limits=Limits()) as reel:
        (shown,) = [reel.shown(frame) for frame in reel]
    names = {"smpte170m": "bt601", "bt2020nc": "bt2020"}
    scale = (
        f"scale=in_color_matrix={names.get(matrix, matrix)}:in_range={range_}:out_range=pc:flags=accurate_rnd+bicubic"
    )
    said = media.ffmpeg("-i", path, "-vf", f"{scale},format=bgr24", "-f", "rawvideo", "-")
    wanted = np.frombuffer(said, np.uint8).reshape(64, 96, 3).astype(int)
    error = np.abs(shown.astype(int) - wanted)
    if pix_fmt.startswith("yuv444"):
        assert error.max() <= 3
    assert error.mean() < (1 if pix_fmt.startswith("yuv444") else 6)


def test_grey_deep_and_transparent() -> None:
    from engine.planes import PlaneFormat

    grey = PlaneFormat("gray", 8, None, full_range=True)
    assert (to_bgr((np.full((4, 4), 77, np.uint8),), grey, matrix=None, lines=4) == 77).all()
    deep = np.full((2, 2, 3), 65535, np.uint16)
    assert (picture_bgr(deep) == 255).all()
    half = np.full((2, 2), 32768, np.uint16)
    assert (picture_bgr(np.zeros((2, 2, 3), np.uint16), half, paper=200) == 100).all()
