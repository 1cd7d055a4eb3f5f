"""`kakudai preview`: a page that needs nothing else, a sheet, times; nothing overwritten. Chromium shows the page."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from daemon.cli import main
from daemon.preview_pictures import CROP, richest_place
from tests import media

_FEW = ("--models", "bicubic", "lanczos", "--frames", "2")


def test_a_page_and_a_sheet_of_an_episode(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = "<b>Title & co - 01.mkv"
    media.video(tmp_path / name, frames=30)
    assert main(["preview", name, *_FEW, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [variant["model"] for variant in told["variants"]] == ["bicubic", "lanczos"]
    assert all(0 < variant["frame_s"] < variant["whole_s"] for variant in told["variants"])
    page = Path(told["page"]).read_text()
    assert "<title>&lt;b&gt;Title &amp; co" in page
    assert "<b>Title" not in page
    fetched = re.findall(r"""<(?:img|link|script|a)[^>]*?(?:src|href)="([^"]*)"|url\(([^)]*)\)""", page)
    assert fetched
    assert all(address.startswith("data:image/webp;base64,") for address, _ in fetched)
    assert "://" not in re.sub(r"base64,[A-Za-z0-9+/=]*", "", page)
    sheet = cv2.imread(told["sheet"])
    assert sheet is not None
    assert sheet.shape[1] > 3 * CROP
    assert main(["preview", name, *_FEW]) == 73
    assert "exists already" in capsys.readouterr().err
    assert main(["preview", name, *_FEW, "--force"]) == 0
    assert "in all" in capsys.readouterr().out


def test_a_transparent_picture_in_another_size_mode(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    levels = np.random.default_rng(1).integers(0, 256, (40, 60, 4), np.uint8)
    cv2.imwrite(str(tmp_path / "cel.png"), levels)
    out = tmp_path / "deep" / "look.html"
    words = ["--modes", "enhance", "enlarge", "--denoises", "none", "--models", "bicubic"]
    assert main(["preview", str(tmp_path / "cel.png"), *words, "-o", str(out)]) == 0
    assert "bicubic, enlarge" in capsys.readouterr().out
    assert out.is_file()
    assert out.with_suffix(".png").is_file()


def test_quick_is_every_model_in_one_way(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.random.default_rng(1).integers(0, 256, (24, 32, 3), np.uint8))
    words = ["--quick", "--json", "-o", str(tmp_path / "quick.html")]
    assert main(["preview", str(tmp_path / "a.png"), *words]) == 0
    ways = [(way["model"], way["mode"], way["denoise"]) for way in json.loads(capsys.readouterr().out)["variants"]]
    assert {(mode, denoise) for _, mode, denoise in ways} == {("enlarge", "none")}
    assert len({model for model, _, _ in ways}) == len(ways) >= 2


def test_the_sheet_never_replaces_the_source(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((24, 32, 3), np.uint8))
    before = (tmp_path / "a.png").read_bytes()
    assert main(["preview", str(tmp_path / "a.png"), "--force", "-o", str(tmp_path / "a.html")]) == 73
    assert "is the source itself" in capsys.readouterr().err
    assert (tmp_path / "a.png").read_bytes() == before


def test_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    media.video(tmp_path / "a.mkv", frames=4)
    assert main(["preview", str(tmp_path / "a.mkv"), "-o", str(tmp_path / "a.mkv")]) == 73
    assert "ends in .html" in capsys.readouterr().err
    assert main(["preview", str(tmp_path / "none.mkv")]) == 66
    for words in (["--frames", "0"], ["--models", "msrcn"]):
        with pytest.raises(SystemExit, match="64"):
            main(["preview", str(tmp_path / "a.mkv"), *words])


def test_the_richest_place_of_a_frame() -> None:
    frame = np.full((200, 300, 3), 90, np.uint8)
    frame[120:170, 220:280] = np.random.default_rng(1).integers(0, 256, (50, 60, 1), np.uint8)
    place = richest_place(frame, scale=2)
    assert 140 <= place.left * 300 <= 220
    assert place.of(frame).shape == (CROP, CROP, 3)
    assert place.of(frame).std() > 20
    tiny = np.zeros((10, 12, 3), np.uint8)
    assert richest_place(tiny, scale=2).of(tiny).shape == (CROP, CROP, 3)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed: apt install chromium")
def test_a_browser_shows_the_page(tmp_path: Path) -> None:
    """The script ran: both sides of the slider hold their picture, and nothing was fetched."""
    media.video(tmp_path / "a.mkv", frames=12)
    assert main(["preview", str(tmp_path / "a.mkv"), *_FEW, "-o", str(tmp_path / "a.html")]) == 0
    argv = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/profile"]
    shown = subprocess.run(
        [*argv, "--dump-dom", f"file://{tmp_path}/a.html"], capture_output=True, text=True, check=True, timeout=120
    ).stdout
    sides = re.findall(r'<img class="(left|right)[^"]*" alt="([^"]*)" src="data:image/webp', shown)
    assert set(sides) == {("left", "bicubic, enlarge"), ("right", "lanczos, enlarge")}
    assert re.search(r'<div class="scroll">', shown)
