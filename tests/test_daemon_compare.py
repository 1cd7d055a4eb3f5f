"""`kakudai compare`: what it prints and writes, and its exit codes."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from daemon.cli import main
from daemon.text import clock_time
from tests import media


@pytest.fixture
def clips(tmp_path: Path) -> list[str]:
    """A lossless clip, a good and a bad copy."""
    whole = media.video(tmp_path / "whole.mkv", frames=12, codec=("-c:v", "ffv1"))
    for name, crf in (("good", 15), ("bad", 40)):
        media.ffmpeg("-i", whole, "-c:v", "libx264", "-crf", crf, tmp_path / f"{name}.mkv")
    return [str(tmp_path / f"{name}.mkv") for name in ("good", "bad", "whole")]


def test_two_tries_against_a_reference(clips: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad, whole = clips
    out = tmp_path / "compared"
    assert main(["compare", good, bad, "--reference", whole, "-o", str(out)]) == 0
    told = capsys.readouterr().out
    assert f"Nearer: {good}" in told
    assert "in 12 of 12 frames" in told
    assert main(["compare", good, bad, "--reference", whole, "-o", str(out)]) == 73
    rows = list(csv.DictReader((out / "scores.csv").read_text().splitlines()))
    assert [row["frame"] for row in rows if row["file"] == bad] == [str(number) for number in range(12)]
    for name in ("plot.png", "worst-a.png", "worst-b.png"):
        picture = cv2.imread(str(out / name))
        assert picture is not None
        assert picture.std() > 5


def test_json_and_the_exit_code_of_a_bad_frame(clips: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    good, bad, whole = clips
    assert main(["compare", good, whole, "--json", "--at-least", "30"]) == 0
    (first,) = json.loads(capsys.readouterr().out)["compared"]
    assert (first["frames"], first["kind"], first["size"]) == (12, "episode", "96x64")
    assert first["psnr_luma"]["worst"] <= first["psnr_luma"]["median"]
    assert first["worst_frames"][0]["psnr_luma"] == first["psnr_luma"]["worst"]
    assert main(["compare", bad, whole, "--json", "--at-least", "30"]) == 65
    assert "below 30" in capsys.readouterr().err


def test_wrong_usage(clips: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", clips[0], clips[0]]) == 64
    assert "with itself" in capsys.readouterr().err
    assert main(["compare", clips[0], "nothing.mkv"]) == 66
    for words in (["--at-least", "x"], ["--worst", "-1"]):
        with pytest.raises(SystemExit, match="64"):
            main(["compare", *clips[:2], *words])


def test_our_own_pictures_can_be_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.random.default_rng(1).integers(0, 256, (20, 30, 3), np.uint8))
    for model in ("bicubic", "bilinear"):
        words = ["-o", str(tmp_path / f"{model}.png"), "--model", model]
        assert main(["upscale", str(tmp_path / "a.png"), *words]) == 0
    assert main(["compare", str(tmp_path / "bicubic.png"), str(tmp_path / "bilinear.png")]) == 0
    assert "SSIM all" in capsys.readouterr().out


def test_places_in_an_episode() -> None:
    assert [clock_time(at) for at in (0, 62.5, 3599.9999, 5025)] == [
        "0:00.000",
        "1:02.500",
        "1:00:00.000",
        "1:23:45.000",
    ]
    assert clock_time(59.96, decimals=1) == "1:00.0"
    assert clock_time(-1.5) == "-0:01.500"
