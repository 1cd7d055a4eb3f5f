"""Times unmoved: every frame at its own, sound, subtitles and chapters where they were beside it."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from engine.settings import Container, Settings
from tests import media
from tests.old_avi import xvid
from tests.same_episode import compare

SCENE = ["-f", "lavfi", "-i", "testsrc2=size=96x64:rate=24000/1001:duration=1.5"]
SOUND = ["-f", "lavfi", "-i", "sine=440:duration=1.5"]
H264 = ["-pix_fmt", "yuv420p", "-c:v", "libx264", "-bf", "3", "-x264-params", "keyint=12", "-c:a", "aac"]


def plain(path: Path) -> Path:
    media.ffmpeg(*SCENE, *SOUND, *H264, "-video_track_timescale", "24000", path)
    return path


def edited(path: Path) -> Path:
    """An edit list hides what comes before 0.3 s, of picture and sound."""
    media.ffmpeg("-ss", "0.3", "-i", plain(path.with_suffix(".plain.mp4")), "-c", "copy", path)
    return path


def late_sound(path: Path) -> Path:
    """The sound begins 0.4 s after the picture."""
    whole = plain(path.with_suffix(".plain.mp4"))
    media.ffmpeg("-i", whole, "-itsoffset", "0.4", "-i", whole, "-map", "0:v", "-map", "1:a", "-c", "copy", path)
    return path


def late_picture(path: Path) -> Path:
    """The picture begins 0.7 s after the sound."""
    whole = plain(path.with_suffix(".plain.mp4"))
    media.ffmpeg("-i", whole, "-itsoffset", "0.7", "-i", whole, "-map", "1:v", "-map", "0:a", "-c", "copy", path)
    return path


def fragmented(path: Path) -> Path:
    """As streams are saved from the web: no edit list, and the picture begins two frames after the sound."""
    whole = plain(path.with_suffix(".plain.mp4"))
    media.ffmpeg("-i", whole, "-c", "copy", "-movflags", "frag_keyframe+empty_moov", path)
    return path


def opus(path: Path) -> Path:
    media.ffmpeg("-i", plain(path.with_suffix(".plain.mp4")), "-c:v", "copy", "-c:a", "libopus", path)
    return path


def seconds(path: Path, index: int) -> list[Fraction]:
    base = Fraction(media.probe(path)["streams"][index]["time_base"])
    shown = media.call(
        *("ffprobe", "-loglevel", "error", "-select_streams", str(index), "-show_entries", "packet=pts"),
        *("-of", "csv=p=0", path),
    )
    return [int(line.strip(b",")) * base for line in shown.splitlines() if line.strip(b", ")]


@pytest.mark.parametrize("make", [plain, edited, late_sound, late_picture, fragmented, opus])
def test_mp4_to_matroska_keeps_picture_and_sound_together(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    source, part = make(tmp_path / "a.mp4"), tmp_path / "part"
    media.enlarge(source, part, work_dir=tmp_path / "work")
    before, after = media.packets(source)[0], media.packets(part)[0]
    bases = [Fraction(media.probe(path)["streams"][0]["time_base"]) for path in (source, part)]
    assert len(before) == len(after)
    for (old, _), (new, _) in zip(before, after, strict=True):
        assert abs(old * bases[0] - new * bases[1]) <= Fraction(1, 1_000_000)
    old_sound, new_sound = seconds(source, 1), seconds(part, 1)
    assert len(old_sound) == len(new_sound)
    assert max(abs(a - b) for a, b in zip(old_sound, new_sound, strict=True)) < Fraction(1, 10_000)
    assert media.stream_hashes(source, "a") == media.stream_hashes(part, "a")


@pytest.mark.parametrize("make", [edited, late_sound, late_picture, fragmented])
def test_mp4_stays_as_it_was(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    source = make(tmp_path / "a.mp4")
    media.enlarge(source, tmp_path / "part", work_dir=tmp_path / "work", container=Container.MP4)
    compare(source, tmp_path / "part")
    assert seconds(source, 1) == seconds(tmp_path / "part", 1)


def test_times_of_an_mp4_finer_than_a_microsecond_are_kept_within_one_and_told(tmp_path: Path) -> None:
    source, part = tmp_path / "a.mp4", tmp_path / "part"
    media.ffmpeg("-i", plain(tmp_path / "plain.mp4"), "-c", "copy", "-video_track_timescale", "10000000", source)
    report = media.enlarge(source, part, work_dir=tmp_path / "work", container=Container.MP4)
    before, after = sorted(seconds(source, 0)), sorted(seconds(part, 0))
    assert max(abs(a - b) for a, b in zip(before, after, strict=True)) <= Fraction(1, 1_000_000)
    assert report.details["differences"] == [
        "its times count in 1/10000000 s; frames are up to a microsecond beside them"
    ]


SOUNDS = {
    "aac": ["aac"],
    "ac3": ["ac3"],
    "flac": ["flac"],
    "opus": ["libopus"],
    "vorbis": ["libvorbis"],
    "mp3": ["libmp3lame"],
    "truehd": ["truehd", "-strict", "-2"],
    "pcm": ["pcm_s16le"],
}


@pytest.mark.parametrize("remuxed", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["ffmpeg", "mkvmerge"])
@pytest.mark.parametrize(
    "codec",
    [codec if codec in ("vorbis", "opus") else pytest.param(codec, marks=pytest.mark.slow) for codec in SOUNDS],
)
def test_sound_stays_at_its_times(tmp_path: Path, codec: str, remuxed: bool) -> None:
    """A late start and a hole of 2 s in it."""
    source, part = tmp_path / "a.mkv", tmp_path / "part"
    media.ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=size=96x64:rate=8:duration=6", "-itsoffset", "0.513", "-f", "lavfi", "-i"),
        *("sine=440:r=48000:duration=6", "-map", "0", "-map", "1", "-af", "aselect='not(between(t,2,4))'"),
        *("-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", *SOUNDS[codec], source),
    )
    if remuxed:
        media.call("mkvmerge", "--quiet", "-o", tmp_path / "b.mkv", source)
        source = tmp_path / "b.mkv"
    media.enlarge(source, part, work_dir=tmp_path / "work")
    before, after = seconds(source, 1), seconds(part, 1)
    assert len(before) == len(after) or codec == "pcm"
    bound = Fraction(1, 1000) if codec == "truehd" else 0  # its packets are shorter than that
    assert max(abs(a - b) for a, b in zip(before, after, strict=codec != "pcm")) <= bound or codec == "pcm"
    assert abs((before[-1] - before[0]) - (after[-1] - after[0])) < Fraction(25, 1000)
    assert media.stream_hashes(source, "a") == media.stream_hashes(part, "a")


def with_last_frame_of(path: Path, milliseconds: float) -> Path:
    """A Matroska file whose last frame has a duration of its own."""
    base = media.video(path.with_suffix(".plain.mkv"), frames=20)
    times = [1000 * i * 1001 / 24000 for i in range(20)]
    (path.with_suffix(".txt")).write_text(
        "\n".join(["# timestamp format v2", *(f"{t:.6f}" for t in [*times, times[-1] + milliseconds])]) + "\n"
    )
    media.call("mkvmerge", "--quiet", "-o", path, "--timestamps", f"0:{path.with_suffix('.txt')}", base)
    return path


@pytest.mark.parametrize("milliseconds", [7, 500])
def test_the_last_frame_lasts_as_long(tmp_path: Path, milliseconds: float) -> None:
    source = with_last_frame_of(tmp_path / "a.mkv", milliseconds)
    media.enlarge(source, tmp_path / "part", work_dir=tmp_path / "work")
    compare(source, tmp_path / "part")
    assert media.packets(tmp_path / "part")[0][-1][1] == pytest.approx(milliseconds, abs=1)


def test_a_long_gap_between_frames_stays(tmp_path: Path) -> None:
    times = [40.0 * i + (30_000 if i > 10 else 0) for i in range(36)]
    source = media.fansub(tmp_path / "a.mkv", timestamps=times)
    media.enlarge(source, tmp_path / "part", work_dir=tmp_path / "work")
    compare(source, tmp_path / "part")
    assert [pts for pts, _ in media.packets(tmp_path / "part")[1]] == times


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("frames", [40, 41])
def test_old_releases_are_shown_as_decoders_show_them(tmp_path: Path, frames: int, packed: bool) -> None:
    """XviD with B-frames, whose blocks have the times of decoding."""
    source, part = xvid(tmp_path / "a.mkv", frames=frames, packed=packed), tmp_path / "part"
    packets = media.call("ffprobe", "-v", "error", "-show_entries", "packet=pts", "-of", "csv=p=0", source)
    assert b"N/A" in packets
    decoded = media.call(
        *("ffmpeg", "-v", "error", "-copyts", "-i", source, "-fps_mode", "passthrough"),
        *("-enc_time_base", "1/1000", "-f", "framecrc", "-"),
    )
    times = [int(line.split(b",")[2]) for line in decoded.splitlines() if not line.startswith(b"#")]
    report = media.enlarge(source, part, work_dir=tmp_path / "work")
    assert report.frames == frames
    assert [pts for pts, _ in media.packets(part)[0]] == times


def test_a_deep_pyramid_of_b_frames(tmp_path: Path) -> None:
    codec = ["-c:v", "libx264", "-preset", "veryfast", "-bf", "8", "-x264-params", "b-pyramid=normal:b-adapt=0:ref=5"]
    for suffix in ("mkv", "mp4"):
        source = media.video(tmp_path / f"a.{suffix}", frames=40, codec=codec)
        media.enlarge(source, tmp_path / suffix, work_dir=tmp_path / "work", container=Container(suffix))
        compare(source, tmp_path / suffix)


def test_progress_counts_the_frames_of_the_container(tmp_path: Path) -> None:
    from engine.job import enlarge, plan
    from engine.progress import ProgressEvent
    from engine.source import open_source

    events: list[ProgressEvent] = []
    settings = Settings(model="bicubic", encoder=media.FAST)
    (tmp_path / "work").mkdir()
    with open_source(media.fansub(tmp_path / "a.mkv", frames=20)) as source:
        enlarge(
            source,
            tmp_path / "part",
            settings,
            planned=plan(source, settings),
            work_dir=tmp_path / "work",
            progress=events.append,
        )
    assert {event.total for event in events if event.unit == "frames"} == {20}
