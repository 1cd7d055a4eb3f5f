"""Pictures of 1×1, 1×N and 3×5, with 16 bit, alpha and grey; an episode of yuv420p at 65×49."""

from __future__ import annotations

import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.faults.conftest import Seen
from tests.service_runner import ServiceRunner

_SHAPES: dict[str, tuple[tuple[int, ...], type[np.unsignedinteger]]] = {
    "one": ((1, 1, 3), np.uint8),
    "row": ((1, 40, 3), np.uint8),
    "column": ((40, 1, 3), np.uint8),
    "small": ((5, 3, 3), np.uint8),
    "deep": ((7, 9, 3), np.uint16),
    "alpha": ((7, 9, 4), np.uint8),
    "grey": ((7, 9), np.uint8),
}


@pytest.mark.slow
def test_each_comes_out_exactly_twice_as_large(tmp_path: Path, seen: Seen) -> None:
    with ServiceRunner(tmp_path) as service:
        for name, (shape, kind) in _SHAPES.items():
            pixels = np.random.default_rng(1).integers(0, np.iinfo(kind).max, shape, dtype=kind)
            assert cv2.imwrite(str(service.inbox / f"{name}.png"), pixels)
        subprocess.run(
            [
                "ffmpeg",
                "-v",
                "error",
                "-f",
                "lavfi",
                "-i",
                "testsrc2=size=66x50:rate=24,format=yuv444p,crop=65:49:0:0:exact=1",
                "-frames:v",
                "3",
            ]
            + ["-pix_fmt", "yuv420p", "-c:v", "ffv1", str(service.inbox / "odd.mkv")],
            check=True,
            stdin=subprocess.DEVNULL,
        )
        service.start().wait_for(delivered=len(_SHAPES) + 1)
        for name, (shape, kind) in _SHAPES.items():
            (path,) = service.outbox.glob(f"{name} *.png")
            made = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            assert made is not None
            assert made.shape == (2 * shape[0], 2 * shape[1], *shape[2:])
            assert made.dtype == kind
        (path,) = service.outbox.glob("odd *.mkv")
        told = subprocess.run(
            ["ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "stream=width,height"]
            + ["-of", "csv=p=0", str(path)],
            check=True,
            capture_output=True,
            text=True,
        )
        assert told.stdout.strip() == "130,98"
    seen("exact sizes, depths and channels", files=len(_SHAPES) + 1)
