"""With the authors' weights and rounding, each of their published pictures comes out through the command line."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from daemon.cli import main
from tests.paths import PAPER, needs_paper

CASES = {
    "enhance": "--mode enhance",
    "enhance-denoised": "--mode enhance --denoise standard",
    "bicubic-2x": "--model bicubic",
    "enlarge-2x": "--mode enlarge --scale 2",
    "enlarge-2x-denoised": "--mode enlarge --denoise standard",
    "double-enhance-2x": "--mode double-enhance --denoise none",
    "double-enhance-2x-denoised": "--mode double-enhance --denoise standard",
    "double-enhance-2x-final": "--mode double-enhance",
    "double-enlarge-2x": "--mode double-enlarge --denoise none",
    "double-enlarge-2x-denoised": "--mode double-enlarge",
}


@needs_paper
@pytest.mark.parametrize("name", CASES)
def test_the_published_picture_comes_out(name: str, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    weights = PAPER / "weights" / "msrcnn-up-bilinear.h5"
    words = ["upscale", str(PAPER / "golden" / "input.png"), "-o", str(out), "--rounding", "paper", "--device", "cpu"]
    network = [] if "--model" in CASES[name] else ["--weights", str(weights)]
    assert main([*words, *network, *CASES[name].split()]) == 0
    ours = np.asarray(cv2.imread(str(out)), np.float64)
    theirs = np.asarray(cv2.imread(str(PAPER / "golden" / f"{name}.png")), np.float64)
    error = float(np.mean((ours - theirs) ** 2))
    assert 10 * np.log10(255**2 / max(error, 1e-9)) >= 80
