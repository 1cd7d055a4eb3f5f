"""Previews: telling frames, decoded where they lie; every combination that makes sense; times that were measured."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.decode import Decoder
from engine.errors import InputError, UsageError
from engine.image import Picture
from engine.preview import LARGEST_CUT, Preview, networks_with_weights, preview, richest_part, variants_of
from engine.preview_frames import frame_near, telling_frames
from engine.probe import probe_episode
from engine.progress import ProgressEvent
from engine.settings import Denoise, ImageFormat, Limits, Mode, Settings, Size
from engine.source import open_source
from tests import media

_PLAIN = Settings(model="bicubic")


def _scenes(path: Path) -> Path:
    """Three scenes of a second each: nothing, a test picture, stripes."""
    media.ffmpeg(
        *("-f", "lavfi", "-i", "color=navy:size=96x64:rate=24:duration=1"),
        *("-f", "lavfi", "-i", "testsrc2=size=96x64:rate=24:duration=1"),
        *("-f", "lavfi", "-i", "smptebars=size=96x64:rate=24:duration=1"),
        *("-filter_complex", "[0][1][2]concat=n=3", "-pix_fmt", "yuv420p", "-c:v", "libx264", "-g", "24", path),
    )
    return path


def test_frames_of_different_scenes_are_chosen_the_empty_one_last(tmp_path: Path) -> None:
    with open_source(_scenes(tmp_path / "a.mkv")) as source:
        info = probe_episode(source, limits=Limits())
        seen: list[ProgressEvent] = []
        frames = telling_frames(source, info, count=2, limits=Limits(), deinterlaced_as=None, progress=seen.append)
    assert [int(frame.at_s) for frame in frames] == [1, 2]
    assert frames[0].bgr.shape == (64, 96, 3)
    assert seen
    assert media.left_behind() == []


@pytest.mark.parametrize("on_key_frame", [True, False])
def test_a_frame_sought_is_the_one_that_a_whole_decode_gives_at_its_time(tmp_path: Path, on_key_frame: bool) -> None:
    path = media.fansub(tmp_path / "a.mkv", timestamps=[100 + 50 * number for number in range(36)])
    with open_source(path) as source:
        info = probe_episode(source, limits=Limits())
        with Decoder(source, info, limits=Limits()) as decoder:
            frames = list(decoder)
            times = [float(pts * info.time_base) for pts in decoder.timestamps]
        found = frame_near(source, info, 0.93, on_key_frame, limits=Limits())
        assert found is not None
        number = times.index(found.at_s)
        assert all(np.array_equal(a, b) for a, b in zip(found.planes, frames[number], strict=True))
        assert found.at_s == pytest.approx(0.7 if on_key_frame else 0.95)
        assert frame_near(source, info, 1e6, False, limits=Limits()) is None


def test_only_combinations_that_make_sense() -> None:
    found = variants_of(Settings())
    ways = {(variant.model, variant.mode, variant.denoise) for variant in found}
    assert ("bicubic", Mode.ENLARGE, Denoise.NONE) in ways
    assert ("msrcnn", Mode.DOUBLE_ENHANCE, Denoise.STRONG) in ways
    assert not any(model == "bicubic" and mode is not Mode.ENLARGE for model, mode, _ in ways)
    assert ("msrcnn", Mode.DOUBLE_ENLARGE, Denoise.STRONG) not in ways
    assert Mode.ENHANCE not in {mode for _, mode, _ in ways}
    assert len(ways) == len(found) == len({variant.name for variant in found})
    assert {model for model, _, _ in ways} == {"bicubic", *networks_with_weights(Settings())}
    assert "srcnn" not in networks_with_weights(Settings())
    (one,) = variants_of(Settings(), models=["msrcnn"], modes=[Mode.ENHANCE], denoises=[Denoise.NONE])
    assert (one.settings.scale, one.settings.mode) == (Fraction(1), Mode.ENHANCE)
    with pytest.raises(UsageError, match="makes sense"):
        variants_of(Settings(), models=["msrcnn"], modes=[Mode.DOUBLE_ENLARGE], denoises=[Denoise.STRONG])


def _run(path: Path, base: Settings, **chosen: object) -> tuple[Preview, list[tuple[int, int, tuple[int, ...]]]]:
    with open_source(path) as source:
        made = preview(source, variants_of(base, **chosen), count=2, progress=lambda event: None)  # type: ignore[arg-type]
        return made, [(result.frame, result.variant, result.bgr.shape) for result in made.results]


def test_an_episode_is_previewed_and_timed(tmp_path: Path) -> None:
    made, results = _run(_scenes(tmp_path / "a.mkv"), Settings(), modes=[Mode.ENLARGE], denoises=[Denoise.NONE])
    count = len(made.variants)
    assert count >= 2
    assert results == [(frame, variant, (128, 192, 3)) for variant in range(count) for frame in (0, 1)]
    for variant in range(count):
        frame_s, whole_s = made.frame_s(variant), made.whole_s(variant)
        assert frame_s is not None
        assert whole_s is not None
        assert whole_s == pytest.approx(72 * (frame_s + made.encode_s))
    assert made.encode_s > 0
    assert media.left_behind() == []


def test_what_the_preview_shows_is_what_the_job_makes(tmp_path: Path) -> None:
    from engine.models import load_model
    from engine.picture import enlarge_picture

    levels = np.random.default_rng(1).integers(0, 256, (40, 60, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), levels)
    (variant,) = variants_of(Settings(), models=["msrcnn"], modes=[Mode.ENLARGE], denoises=[Denoise.NONE])
    with open_source(tmp_path / "a.png") as source:
        made = preview(source, [variant], count=1, progress=lambda event: None)
        (result,) = made.results
    picture = Picture(levels, None, ImageFormat.PNG)
    job = enlarge_picture(picture, Size(120, 80), variant.settings, load_model(variant.settings, Fraction(2)))
    assert np.array_equal(result.bgr, job.colour)
    assert made.part == 1
    assert made.whole_s(0) == made.frame_s(0)


def test_of_a_large_picture_the_richest_part(tmp_path: Path) -> None:
    levels = np.full((2000, 3000, 3), 200, np.uint8)
    levels[1500:1700, 2500:2700] = np.random.default_rng(1).integers(0, 256, (200, 200, 1), np.uint8)
    part = richest_part(Picture(levels, None, ImageFormat.PNG))
    assert 0.9 * LARGEST_CUT < part.size.pixels <= LARGEST_CUT
    assert part.size.width / part.size.height == pytest.approx(1.5, rel=0.01)
    assert (part.colour != 200).sum() == (levels != 200).sum()


def test_what_the_job_would_refuse_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no picture")
    with pytest.raises(InputError):
        _run(tmp_path / "a.png", _PLAIN)
