"""Comparing: the same figures as ffmpeg's and the training's, the worst frames, what cannot be compared, no memory."""

from __future__ import annotations

import re
import subprocess
import tracemalloc
from pathlib import Path

import cv2
import numpy as np
import pytest

from engine import measure, vmaf
from engine.compare import Comparison, compare
from engine.errors import InputError, KakudaiError, ToolError, UsageError
from engine.progress import ProgressEvent
from engine.settings import Limits
from tests import media


def _compare(one: Path, other: Path, **more: int) -> Comparison:
    return compare(one, other, limits=Limits(), progress=lambda event: None, **more)


def _pair(folder: Path, *, frames: int = 20) -> tuple[Path, Path]:
    """A lossless clip, and the same after a lossy encoder."""
    whole = media.video(folder / "whole.mkv", frames=frames, codec=("-c:v", "ffv1"))
    media.ffmpeg("-i", whole, "-c:v", "libx264", "-crf", "35", folder / "lossy.mkv")
    return folder / "lossy.mkv", whole


def test_an_episode_has_the_psnr_that_ffmpeg_tells_of_every_frame(tmp_path: Path) -> None:
    lossy, whole = _pair(tmp_path)
    found = _compare(lossy, whole)
    stats = tmp_path / "stats"
    graph = f"[0:v]settb=1/25,setpts=N[a];[1:v]settb=1/25,setpts=N[b];[a][b]psnr=stats_file={stats}"
    media.ffmpeg("-i", lossy, "-i", whole, "-lavfi", graph, "-f", "null", "-")
    wanted = [
        [float(x) for x in re.findall(r"psnr_(?:avg|y):([\d.]+)", line)] for line in stats.read_text().splitlines()
    ]
    assert [[round(s.psnr, 2), round(s.psnr_luma, 2)] for s in found.scores] == wanted
    assert len(found.times_s) == 20
    assert found.times_s[1] == pytest.approx(0.042)


def test_a_picture_has_the_figures_of_the_training(tmp_path: Path) -> None:
    levels = np.random.default_rng(3).integers(0, 256, (40, 60, 3), np.uint8)
    worse = np.clip(levels.astype(int) + 9, 0, 255).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), worse)
    cv2.imwrite(str(tmp_path / "b.png"), levels)
    (score,) = _compare(tmp_path / "a.png", tmp_path / "b.png").scores
    wanted = measure.score(worse, levels)
    assert (score.psnr, score.ssim, score.psnr_luma) == (wanted.psnr_bgr, wanted.ssim_bgr, wanted.psnr_luma)


def test_the_worst_frames_are_shown_where_they_are_worst(tmp_path: Path) -> None:
    for folder in ("made", "wanted"):
        (tmp_path / folder).mkdir()
        for number in range(6):
            picture = np.full((200, 300, 3), 40 * number, np.uint8)
            if folder == "made" and number in (2, 4):
                picture[150:160, 250:260] += 15 * number
            cv2.imwrite(str(tmp_path / folder / f"{number:04}.png"), picture)
    found = _compare(tmp_path / "made", tmp_path / "wanted", worst=2)
    assert [worst.score.number for worst in found.worst] == [4, 2]
    first = found.worst[0]
    assert first.left <= 250 <= 260 <= first.left + first.made.shape[1]
    assert first.top <= 150 <= 160 <= first.top + first.made.shape[0]
    error = first.made.astype(int) - first.wanted
    assert set(np.unique(error)) == {0, 60}
    assert [score.psnr for score in found.scores if score.number not in (2, 4)] == [measure.EQUAL_DB] * 4


def test_another_depth_is_compared_at_the_deeper(tmp_path: Path) -> None:
    whole = media.video(tmp_path / "whole.mkv", frames=4, codec=("-c:v", "ffv1"))
    media.ffmpeg("-i", whole, "-pix_fmt", "yuv420p10le", "-c:v", "ffv1", tmp_path / "deep.mkv")
    found = _compare(tmp_path / "deep.mkv", whole)
    assert {score.psnr for score in found.scores} == {measure.EQUAL_DB}
    assert found.notes == ("10 bit against 8 bit: compared at 10 bit",)


def test_what_cannot_be_compared_is_refused_with_the_cure(tmp_path: Path) -> None:
    clip = media.video(tmp_path / "clip.mkv", frames=6)
    short = media.video(tmp_path / "short.mkv", frames=4)
    large = media.video(tmp_path / "large.mkv", frames=6, size="192x128")
    wide = media.video(tmp_path / "range.mkv", frames=6, more=("-color_range", "pc"))
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((64, 96, 3), np.uint8))
    refused: list[tuple[Path, Path, type[KakudaiError], str]] = [
        (clip, large, UsageError, "192x128"),
        (clip, tmp_path / "a.png", UsageError, "picture"),
        (clip, wide, UsageError, "limited range"),
        (clip, short, InputError, "ends after 4 frames"),
    ]
    for one, other, kind, words in refused:
        with pytest.raises(kind, match=words) as caught:
            _compare(one, other)
        assert caught.value.remedy
    assert media.left_behind() == []


@pytest.mark.slow
def test_memory_does_not_grow_with_the_episode(tmp_path: Path) -> None:
    peaks = []
    for frames in (60, 240):
        folder = tmp_path / str(frames)
        folder.mkdir()
        lossy, whole = _pair(folder, frames=frames)
        tracemalloc.start()
        _compare(lossy, whole)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0] + (1 << 20)


def test_vmaf_is_only_where_ffmpeg_has_it(tmp_path: Path) -> None:
    lossy, whole = _pair(tmp_path, frames=8)
    filters = subprocess.run(["ffmpeg", "-filters"], capture_output=True, text=True, check=True).stdout
    assert vmaf.has_vmaf() is (" libvmaf " in filters)
    seen: list[ProgressEvent] = []
    if vmaf.has_vmaf():
        scores = vmaf.vmaf(lossy, whole, limits=Limits(), progress=seen.append)
        assert len(scores) == 8
        assert all(0 < score < 100 for score in scores)
        assert seen
    else:
        with pytest.raises(ToolError, match="libvmaf"):
            vmaf.vmaf(lossy, whole, limits=Limits(), progress=seen.append)
