"""300 seeded truncations and bit flips of pictures and episodes, empty files and wrong extensions."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import cv2
import pytest

from tests.faults.conftest import Seen
from tests.service_runner import ServiceRunner, eventually, write_episode, write_picture

_FILES = 300
_FRAMES = 12


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_no_crash_and_nothing_short_is_delivered(tmp_path: Path, seen: Seen) -> None:
    chance = random.Random(1)
    whole = tmp_path / "whole"
    for extension in ("png", "jpg", "webp", "tiff", "bmp"):
        write_picture(whole / f"a.{extension}", width=48, height=32)
    for extension in ("mkv", "mp4"):
        write_episode(whole / f"a.{extension}", frames=_FRAMES, size="64x48")
    sources = sorted(whole.iterdir())
    with ServiceRunner(tmp_path) as service:
        for number in range(_FILES):
            source = sources[number % len(sources)]
            (service.inbox / f"{number:03}{source.suffix}").write_bytes(_damaged(source.read_bytes(), chance))
        service.start()
        eventually(
            lambda: service.count("failed") + service.count("delivered") + service.count("skipped") == _FILES,
            patience_s=2000,
        )
        assert service.process is not None
        assert service.process.poll() is None
        names = service.delivered()
        for name in names:
            path = service.outbox / name
            if path.suffix in (".mkv", ".mp4"):
                assert _frames(path) == _FRAMES, name
            else:
                picture = cv2.imread(str(path))
                assert picture is not None
                assert picture.shape[:2] == (64, 96), name
        failed = service.count("failed")
        assert all(job["reason"] and job["remedy"] for job in service.status()["failed"])
        service.stop()
    seen(
        f"no crash; {failed} refused, {len(names)} delivered at full size and with every frame",
        corrupt_files=_FILES,
        partial=0,
    )


def _damaged(content: bytes, chance: random.Random) -> bytes:
    kind = chance.choice(("cut", "cut", "flip", "flip", "flip", "empty", "other"))
    if kind == "cut":
        return content[: chance.randrange(1, len(content))]
    if kind == "empty":
        return b""
    if kind == "other":
        return b"\x00\x01text" * 50
    flipped = bytearray(content)
    for _ in range(chance.randrange(1, 6)):
        flipped[chance.randrange(len(flipped))] ^= 1 << chance.randrange(8)
    return bytes(flipped)


def _frames(path: Path) -> int:
    told = subprocess.run(
        ["ffprobe", "-v", "error", "-count_frames", "-select_streams", "v", "-show_entries", "stream=nb_read_frames"]
        + ["-of", "csv=p=0", str(path)],
        check=True,
        capture_output=True,
        text=True,
    )
    return int(told.stdout)
