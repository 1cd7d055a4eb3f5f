"""Fields and pulldown are found by flags and by the look of a sample; progressive detail is not taken for them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from engine.errors import InputError
from engine.interlace import combed_part, field_order
from engine.probe import probe_episode
from engine.settings import Deinterlace, Limits, Settings
from engine.source import open_source
from tests import media

KINDS = {
    "progressive": ([], None),
    "telecined": (["-vf", "telecine"], "tff"),
    "top first": (["-vf", "tinterlace=interleave_top,setfield=prog"], "tff"),
    "bottom first": (["-vf", "tinterlace=interleave_bottom,setfield=prog"], "bff"),
}


def clip(path: Path, more: Sequence[str], *, frames: int = 60) -> Path:
    """Without any flag that tells of fields."""
    return media.video(path, frames=frames, size="192x128", more=more)


def order_of(path: Path) -> str | None:
    with open_source(path) as source:
        info = probe_episode(source, limits=Limits(), settings=Settings(deinterlace=Deinterlace.BWDIF))
        return field_order(source, info, limits=Limits())


@pytest.mark.parametrize("kind", KINDS)
def test_fields_are_found_where_they_are(tmp_path: Path, kind: str) -> None:
    more, order = KINDS[kind]
    assert order_of(clip(tmp_path / "a.mkv", more)) == order


@pytest.mark.slow
@pytest.mark.parametrize("video", sorted(Path("../shared/data/video").glob("*.mkv")) or [None])
def test_drawn_films_are_progressive(tmp_path: Path, video: Path | None) -> None:
    if video is None:
        pytest.skip("the films of ../shared are not here")
    planar = tmp_path / "a.mkv"
    media.ffmpeg("-i", video, "-frames:v", "40", "-pix_fmt", "yuv420p", "-c:v", "libx264", "-qp", "10", planar)
    assert order_of(planar) is None


def test_a_long_episode_is_looked_at_in_three_places(tmp_path: Path) -> None:
    assert order_of(clip(tmp_path / "a.mkv", KINDS["telecined"][0], frames=200)) == "tff"


def test_they_are_refused_unless_asked_for(tmp_path: Path) -> None:
    source = clip(tmp_path / "a.mkv", KINDS["top first"][0], frames=24)
    with pytest.raises(InputError, match="look of its frames") as caught:
        media.enlarge(source, tmp_path / "part", work_dir=tmp_path / "work")
    assert "bwdif" in caught.value.remedy
    settings = Settings(encoder=media.FAST, deinterlace=Deinterlace.NEVER)
    media.enlarge(source, tmp_path / "part", work_dir=tmp_path / "work", settings=settings)


@pytest.mark.parametrize("flagged", [True, False])
def test_deinterlaced_frames_keep_their_times_and_lose_their_combs(tmp_path: Path, flagged: bool) -> None:
    more = KINDS["top first"][0] + (["-flags", "+ilme+ildct"] if flagged else [])
    source = clip(tmp_path / "a.mkv", more, frames=24)
    settings = Settings(encoder=media.FAST, deinterlace=Deinterlace.BWDIF)
    if flagged:
        with pytest.raises(InputError, match="is interlaced"):
            media.enlarge(source, tmp_path / "part", work_dir=tmp_path / "work")
    report = media.enlarge(source, tmp_path / "part", work_dir=tmp_path / "work", settings=settings)
    assert report.details["deinterlaced_as"] == "tff"
    assert [p for p, _ in media.packets(source)[0]] == [p for p, _ in media.packets(tmp_path / "part")[0]]
    combs = []
    for path in (source, tmp_path / "part"):
        shown = media.call(
            "ffmpeg",
            "-hide_banner",
            "-i",
            path,
            "-vf",
            "scale=192:128:flags=neighbor",
            "-f",
            "rawvideo",
            "-pix_fmt",
            "gray",
            "-loglevel",
            "error",
            "-",
        )
        combs.append(_combs(shown))
    assert combs[1] < combs[0] / 4


def _combs(raw: bytes) -> float:
    frames = np.frombuffer(raw, np.uint8).reshape(-1, 128, 192).astype(np.int16)
    parts = [combed_part(before, now) for before, now in pairwise(frames)]
    return float(np.mean([part for part in parts if part is not None]))
