"""The recipe from end to end: nothing lost, nothing shifted, nothing half done."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from array import array
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.errors import EnvironmentFault, InputError, KakudaiError, NothingToDo, ProcessingError, UsageError
from engine.mux import Timing
from engine.plan import plan
from engine.settings import Container, EncoderSettings, Limits, Settings
from engine.source import open_source
from tests import media
from tests.peak_memory import measured
from tests.same_episode import compare

LOSSLESS = EncoderSettings("ffv1")
UNEVEN = [500 + 41.708333 * i + (333 if i > 7 else 0) - (13 if i % 3 == 1 else 0) for i in range(36)]


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    yield
    assert media.left_behind() == []


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sources")
    media.fansub(folder / "even.mkv")
    media.fansub(folder / "uneven.mkv", timestamps=UNEVEN)
    media.mp4(folder / "a.mp4")
    media.video(folder / "slow.mkv", frames=50, rate="2")  # 20 frames are a segment
    return folder


@pytest.mark.parametrize("name", ["even.mkv", "uneven.mkv"])
def test_a_fansub_keeps_everything(sources: Path, tmp_path: Path, name: str) -> None:
    report = media.enlarge(sources / name, tmp_path / "part", work_dir=tmp_path / "work")
    compare(sources / name, tmp_path / "part")
    assert report.frames == 36
    assert (report.details["differences"], report.details["warnings"]) == ([], [])
    found = media.probe(tmp_path / "part")
    video = next(stream for stream in found["streams"] if stream["codec_type"] == "video")
    assert (video["width"], video["height"], video["pix_fmt"]) == (192, 128, "yuv420p10le")
    assert found["format"]["tags"]["KAKUDAI"] == "0.1.0 fine enlarge 2x"
    assert video["tags"]["NUMBER_OF_FRAMES"] == "36"
    assert "BPS" in video["tags"]
    assert video["tags"]["BPS"] != "1"


def test_headers_that_only_mkvmerge_sees_are_kept(sources: Path, tmp_path: Path) -> None:
    media.enlarge(sources / "uneven.mkv", tmp_path / "part", work_dir=tmp_path / "work")
    seen = [json.loads(media.call("mkvmerge", "-J", path)) for path in (sources / "uneven.mkv", tmp_path / "part")]
    same = ["uid", "number", "track_name", "language", "language_ietf", "default_duration"]
    same += ["default_track", "enabled_track", "forced_track", "flag_commentary"]
    for old, new in zip(seen[0]["tracks"], seen[1]["tracks"], strict=True):
        assert {k: old["properties"].get(k) for k in same} == {k: new["properties"].get(k) for k in same}
    assert seen[0]["attachments"] == seen[1]["attachments"]


def test_the_picture_is_what_the_network_gave(sources: Path, tmp_path: Path) -> None:
    media.enlarge(sources / "even.mkv", tmp_path / "part", work_dir=tmp_path / "work", encoder=LOSSLESS)
    small, large = (
        np.frombuffer(
            media.ffmpeg("-i", path, "-map", "0:v", "-fps_mode", "passthrough", "-f", "rawvideo", "-"), np.uint16
        )
        for path in (sources / "even.mkv", tmp_path / "part")
    )
    old, new = small.reshape(36, -1), large.reshape(36, -1)
    wide = old[:, : 96 * 64].reshape(36, 64, 96).repeat(2, 1).repeat(2, 2)
    assert np.array_equal(wide, new[:, : 192 * 128].reshape(36, 128, 192))


def test_an_mp4_keeps_everything(sources: Path, tmp_path: Path) -> None:
    report = media.enlarge(sources / "a.mp4", tmp_path / "part", work_dir=tmp_path / "work", container=Container.MP4)
    compare(sources / "a.mp4", tmp_path / "part")
    assert report.details["differences"] == []
    found = media.probe(tmp_path / "part")
    assert found["format"]["tags"]["comment"] == "kept\nKAKUDAI=0.1.0 fine enlarge 2x"
    assert found["format"]["tags"]["title"] == "Episode"
    assert found["streams"][0]["codec_tag_string"] == "hvc1"


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_control_characters_in_tags_are_kept(tmp_path: Path, suffix: str) -> None:
    """No XML can hold them, and it is as XML that MKVToolNix gives and takes tags."""
    source, odd = tmp_path / f"a.{suffix}", "a\x01b\x1f &#1;"
    tags = ["-metadata", f"artist={odd}", "-metadata", f"title={odd}", "-metadata:s:v:0", f"comment={odd}"]
    encoding = ["-frames:v", "6", "-pix_fmt", "yuv420p", "-c:v", "libx264"]
    media.ffmpeg("-f", "lavfi", "-i", "testsrc2=size=96x64:rate=24", *encoding, *tags, source)
    report = media.enlarge(source, tmp_path / "part", work_dir=tmp_path / "work", encoder=LOSSLESS)
    assert (report.details["differences"], report.details["warnings"]) == ([], [])
    found = media.probe(tmp_path / "part")
    kept = {name.lower(): value for name, value in found["format"]["tags"].items()}
    assert (kept["artist"], kept["title"]) == (odd, odd)
    if suffix == "mkv":
        assert found["streams"][0]["tags"]["COMMENT"] == odd


@pytest.mark.parametrize(
    ("name", "source", "container"),
    [
        ("x264", "uneven.mkv", Container.MKV),
        ("svtav1", "a.mp4", Container.MP4),
        pytest.param("x264", "a.mp4", Container.MP4, marks=pytest.mark.slow),
        pytest.param("svtav1", "uneven.mkv", Container.MKV, marks=pytest.mark.slow),
    ],
)
def test_every_encoder_in_every_container(
    sources: Path, tmp_path: Path, name: str, source: str, container: Container
) -> None:
    encoder = EncoderSettings(name, (("preset", "12" if name == "svtav1" else "veryfast"),))
    media.enlarge(sources / source, tmp_path / "part", work_dir=tmp_path / "work", container=container, encoder=encoder)
    compare(sources / source, tmp_path / "part")


def late(path: Path) -> Path:
    media.ffmpeg(
        *("-itsoffset", "3.3", "-f", "lavfi", "-i", "testsrc2=size=96x64:rate=24:duration=1", "-c:v", "libx264"),
        *("-bf", "3", "-pix_fmt", "yuv420p", "-copyts", path),
    )
    return path


def fine(path: Path) -> Path:
    plain = media.video(path.with_suffix(".plain.mkv"), frames=20)
    media.call(
        "mkvmerge", "--quiet", "-o", path, "--timestamp-scale", "20833", "--default-duration", "0:24000/1001p", plain
    )
    return path


def one(path: Path) -> Path:
    return media.video(path, frames=1)


def anamorphic(path: Path) -> Path:
    return media.video(path, frames=5, more=["-vf", "setsar=64/45"])


def cut_in(path: Path) -> Path:
    """An MP4 with an edit list that hides the frames before 0.3 s."""
    whole = media.mp4(path.with_suffix(".whole.mp4"))
    media.ffmpeg("-ss", "0.3", "-i", whole, "-map", "0:v", "-map", "0:a", "-c", "copy", path)
    return path


@pytest.mark.parametrize(
    ("make", "suffix"),
    [
        (late, "mkv"),
        (late, "mp4"),
        (fine, "mkv"),
        (one, "mkv"),
        (one, "mp4"),
        (anamorphic, "mkv"),
        (anamorphic, "mp4"),
        (cut_in, "mp4"),
    ],
)
def test_odd_times_and_shapes(tmp_path: Path, make: Callable[[Path], Path], suffix: str) -> None:
    source = make(tmp_path / f"a.{suffix}")
    media.enlarge(source, tmp_path / "part", work_dir=tmp_path / "work", container=Container(suffix))
    compare(source, tmp_path / "part")


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (["--stereo-mode", "0:side_by_side_left_first", "--display-dimensions", "0:48x64"], {"stereo_mode": 1}),
        (["--stereo-mode", "0:top_bottom_left_first", "--display-dimensions", "0:96x32"], {"stereo_mode": 3}),
        (["--projection-type", "0:1"], {"projection_type": 1}),
        (["--cropping", "0:2,4,6,8"], {"cropping": "4,8,12,16"}),
    ],
)
def test_how_the_picture_is_to_be_seen_is_kept(tmp_path: Path, header: list[str], said: dict[str, object]) -> None:
    plain, source, part = media.video(tmp_path / "plain.mkv", frames=12), tmp_path / "a.mkv", tmp_path / "part"
    media.call("mkvmerge", "-q", "-o", source, *header, plain)
    media.enlarge(source, part, work_dir=tmp_path / "work")
    compare(source, part)
    found = json.loads(media.call("mkvmerge", "-J", part))["tracks"][0]["properties"]
    assert {name: found.get(name) for name in said} == said
    with pytest.raises(InputError, match=r"what an \.mp4 cannot carry"):
        media.enlarge(source, tmp_path / "part.mp4", work_dir=tmp_path / "work", container=Container.MP4)


def test_captions_inside_the_video_are_told_of(tmp_path: Path) -> None:
    report = media.enlarge(media.captioned(tmp_path / "a.mkv"), tmp_path / "part", work_dir=tmp_path / "work")
    assert "closed captions inside its video are not carried over" in str(report.details["warnings"])


def test_two_views_that_the_frames_alone_tell_of_are_told_of(tmp_path: Path) -> None:
    source = media.video(tmp_path / "a.mkv", frames=12, codec=["-c:v", "libx264", "-x264-params", "frame-packing=3"])
    report = media.enlarge(source, tmp_path / "part", work_dir=tmp_path / "work")
    assert "marked as two views in one" in str(report.details["warnings"])


def test_a_webm_keeps_everything(tmp_path: Path) -> None:
    subtitles, source = tmp_path / "a.vtt", tmp_path / "a.webm"
    subtitles.write_text("WEBVTT\n\n00:00.250 --> 00:00.750\nWords\n")
    media.ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=size=96x64:rate=24:duration=1", "-f", "lavfi", "-i", "sine=duration=1"),
        *("-i", subtitles, "-map", "0", "-map", "1", "-map", "2", "-pix_fmt", "yuv420p"),
        *("-c:v", "libvpx-vp9", "-c:a", "libopus", "-c:s", "webvtt", source),
    )
    with open_source(source) as opened:
        assert plan(opened, Settings()).output_name == "a [128p].mkv"
    media.enlarge(source, tmp_path / "part", work_dir=tmp_path / "work")
    compare(source, tmp_path / "part")


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_a_cover_picture_stays(sources: Path, tmp_path: Path, suffix: str) -> None:
    cover, source = tmp_path / "cover.jpg", tmp_path / f"a.{suffix}"
    media.ffmpeg("-f", "lavfi", "-i", "color=red:size=64x48", "-frames:v", "1", cover)
    if suffix == "mkv":
        media.call(
            *("mkvmerge", "--quiet", "-o", source, sources / "even.mkv"),
            *("--attachment-mime-type", "image/jpeg", "--attach-file", cover),
        )
    else:
        media.ffmpeg(
            *("-i", sources / "a.mp4", "-i", cover, "-map", "0:v", "-map", "0:a", "-map", "1", "-c", "copy"),
            *("-disposition:v:1", "attached_pic", source),
        )
    media.enlarge(source, tmp_path / "part", work_dir=tmp_path / "work", container=Container(suffix))
    hashes = [
        media.ffmpeg("-i", p, "-map", "0:v:1", "-c", "copy", "-f", "md5", "-") for p in (source, tmp_path / "part")
    ]
    assert hashes[0] == hashes[1]


def test_mp4_to_matroska_keeps_time_within_a_microsecond(sources: Path, tmp_path: Path) -> None:
    source, title = tmp_path / "a.mp4", "@options.json"  # mkvmerge would read such an argument as a file of options
    media.ffmpeg(
        *("-i", sources / "a.mp4", "-map", "0:v", "-map", "0:a", "-c", "copy", "-metadata", f"title={title}", source)
    )
    media.enlarge(source, tmp_path / "part", work_dir=tmp_path / "work")
    before, after = media.packets(source)[0], media.packets(tmp_path / "part")[0]
    base = Fraction(media.probe(tmp_path / "part")["streams"][0]["time_base"])
    for (old, _), (new, _) in zip(before, after, strict=True):
        assert abs(Fraction(old, 24000) - new * base) <= Fraction(1, 1_000_000)
    assert media.probe(tmp_path / "part")["format"]["tags"]["title"] == title
    assert media.probe(tmp_path / "part")["format"]["tags"]["COMMENT"] == "kept"


@pytest.mark.parametrize(
    ("source", "container", "encoder", "error"),
    [
        ("even.mkv", Container.MP4, media.FAST, InputError),  # fonts and ASS do not fit
        ("a.mp4", Container.MKV, media.FAST, InputError),  # mkvmerge drops timed text
        ("a.mp4", Container.MP4, LOSSLESS, UsageError),
    ],
)
def test_what_would_be_lost_is_refused_before_work(
    sources: Path,
    tmp_path: Path,
    source: str,
    container: Container,
    encoder: EncoderSettings,
    error: type[KakudaiError],
) -> None:
    seen: list[int] = []
    with pytest.raises(error):
        media.enlarge(
            sources / source,
            tmp_path / "part",
            work_dir=tmp_path / "work",
            container=container,
            encoder=encoder,
            seen=seen,
        )
    assert seen == [0]
    assert not (tmp_path / "part").exists()


@pytest.mark.parametrize(
    ("name", "codec", "container", "reason"),
    [
        ("a.mp4", "pcm_mulaw", Container.MP4, "ffmpeg does not write into an .mp4"),
        ("a.mp4", "flac", Container.MKV, "mkvmerge does not carry"),
        ("a.mkv", "pcm_s16be", Container.MKV, "mkvmerge makes little-endian"),
    ],
)
def test_sound_that_a_muxer_cannot_carry_is_told_before_work(
    tmp_path: Path, name: str, codec: str, container: Container, reason: str
) -> None:
    """QuickTime's PCM, and FLAC of an .mp4, of which mkvmerge 74 writes headers that nobody can read."""
    source = with_sound(tmp_path / name, codec)
    if codec == "flac" and "v74" not in media.call("mkvmerge", "--version").decode():
        pytest.skip("another mkvmerge may carry it")
    with open_source(source) as opened, pytest.raises(InputError, match=reason):
        plan(opened, Settings(container=container))


@pytest.mark.parametrize("codec", ["pcm_s16le", "mp2"])
def test_sound_of_an_mp4_that_a_matroska_file_names_otherwise(tmp_path: Path, codec: str) -> None:
    source, part = with_sound(tmp_path / "a.mp4", codec), tmp_path / "part"
    media.enlarge(source, part, work_dir=tmp_path / "work", container=Container.MKV)
    assert media.stream_hashes(source, "a") == media.stream_hashes(part, "a")


def with_sound(path: Path, codec: str) -> Path:
    media.ffmpeg(
        *(
            "-f",
            "lavfi",
            "-i",
            "testsrc2=size=96x64:rate=24:duration=1",
            "-f",
            "lavfi",
            "-i",
            "sine=r=48000:duration=1",
        ),
        *("-pix_fmt", "yuv420p", "-c:v", "libx264", "-c:a", codec, "-strict", "experimental"),
        *("-f", "matroska" if path.suffix == ".mkv" else "mov" if codec.startswith("pcm") else "mp4", path),
    )
    return path


def test_numbered_frames(sources: Path, tmp_path: Path) -> None:
    part = tmp_path / "%d [frames]"
    media.enlarge(sources / "uneven.mkv", part, work_dir=tmp_path / "work", container=Container.PNG)
    names = sorted(path.name for path in part.iterdir())
    assert names == [*(f"frame_{n:06}.png" for n in range(1, 37)), "timecodes.txt"]
    assert "192 x 128, 16-bit/color RGB" in media.call("file", part / "frame_000036.png").decode()
    lines = (part / "timecodes.txt").read_text().splitlines()
    assert lines[0] == "# timestamp format v2"
    assert [round(float(line)) for line in lines[1:-1]] == [round(t) for t in UNEVEN]


@pytest.mark.parametrize(
    ("pix_fmt", "full", "expected"),
    [("yuv420p", False, 8), ("yuv444p10le", True, 16), ("gray", True, 8), ("gray10le", False, 16)],
)
def test_numbered_frames_have_the_right_colour(tmp_path: Path, pix_fmt: str, full: bool, expected: int) -> None:
    """Flat BT.601 colours come out as the RGB that ITU-T H.273 gives for them."""
    depth = 10 if "10" in pix_fmt else 8
    unit = 1 << (depth - 8)
    y, u, v = 81 * unit, 90 * unit, 240 * unit
    planes = [np.full((64, 96), y, "<u2" if depth > 8 else "u1")]
    if not pix_fmt.startswith("gray"):
        shape = (32, 48) if "420" in pix_fmt else (64, 96)
        planes += [np.full(shape, c, planes[0].dtype) for c in (u, v)]
    raw = tmp_path / "raw"
    raw.write_bytes(b"".join(plane.tobytes() for plane in planes) * 3)
    source = tmp_path / "a.mkv"
    media.ffmpeg(
        *("-f", "rawvideo", "-pixel_format", pix_fmt, "-video_size", "96x64", "-i", raw, "-c:v", "ffv1"),
        *("-color_range", "pc" if full else "tv", "-colorspace", "smpte170m", source),
    )
    media.enlarge(source, tmp_path / "part", work_dir=tmp_path / "work", container=Container.PNG)
    shown = media.call("file", tmp_path / "part" / "frame_000003.png").decode()
    assert f"{expected}-bit" in shown
    read = cv2.imread(str(tmp_path / "part" / "frame_000003.png"), cv2.IMREAD_UNCHANGED)
    assert read is not None
    rgb = np.atleast_3d(read)[..., ::-1] / np.iinfo(read.dtype).max
    top = (1 << depth) - 1
    luma = y / top if full else (y - 16 * unit) / (219 * unit)
    red, blue = (((c - 128 * unit) / (top if full else 224 * unit)) for c in (v, u))
    if pix_fmt.startswith("gray"):
        wanted = [luma]
    else:
        wanted = [luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue]
    assert np.abs(rgb - np.clip(wanted, 0, 1)).max() < 1 / 255


def test_a_restart_repeats_one_segment_and_changes_nothing(sources: Path, tmp_path: Path) -> None:
    source, work = sources / "slow.mkv", tmp_path / "work"
    seen: list[int] = []
    media.enlarge(source, tmp_path / "whole", work_dir=tmp_path / "other")
    with pytest.raises(RuntimeError, match="the network died"):
        media.enlarge(source, tmp_path / "part", work_dir=work, fail_at=45, seen=seen)
    assert not (tmp_path / "part").exists()
    report = media.enlarge(source, tmp_path / "part", work_dir=work, seen=seen)
    assert seen[0] == 45
    assert report.details["segments"] == 3
    assert report.details["segments_reused"] == 2
    assert seen[1] == 10
    assert media.frame_hashes(tmp_path / "part") == media.frame_hashes(tmp_path / "whole")
    compare(source, tmp_path / "part")


_IN_A_CHILD = """
import sys, time
from pathlib import Path
from tests import media
from tests.same_episode import compare
source, part, work, wait_s = sys.argv[1:]
seen = []
media.enlarge(Path(source), Path(part), work_dir=Path(work), seen=seen, each=lambda: time.sleep(float(wait_s)))
"""


@pytest.mark.slow
def test_a_killed_process_costs_at_most_one_segment(sources: Path, tmp_path: Path) -> None:
    source, work, seen = sources / "slow.mkv", tmp_path / "work", list[int]()
    media.enlarge(source, tmp_path / "whole", work_dir=tmp_path / "other")
    with subprocess.Popen([sys.executable, "-c", _IN_A_CHILD, source, tmp_path / "part", work, "0.05"]) as child:
        deadline = time.monotonic() + 60
        while not (work / "segments" / "segment_00000.json").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        child.kill()
    (tmp_path / "part").unlink(missing_ok=True)
    report = media.enlarge(source, tmp_path / "part", work_dir=work, seen=seen)
    assert report.details["segments_reused"] in {1, 2}
    assert seen[0] in {10, 30}
    assert media.frame_hashes(tmp_path / "part") == media.frame_hashes(tmp_path / "whole")
    compare(source, tmp_path / "part")


@pytest.mark.slow
def test_memory_does_not_grow_with_length(tmp_path: Path) -> None:
    """Ten times the frames, the same memory: only 8 bytes a frame for each list of timestamps."""
    used = []
    for frames in (600, 6000):
        source = media.video(tmp_path / f"{frames}.mkv", frames=frames, size="192x128")
        argv = [
            sys.executable,
            "-c",
            _IN_A_CHILD,
            source,
            tmp_path / f"{frames}.part",
            tmp_path / f"{frames}.work",
            "0",
        ]
        done = measured(*argv)
        assert done.code == 0, done.output
        used.append(done.kib)
    assert used[1] - used[0] < 10_000


def test_only_a_damaged_segment_is_made_anew(sources: Path, tmp_path: Path) -> None:
    source, work, seen = sources / "slow.mkv", tmp_path / "work", list[int]()
    media.enlarge(source, tmp_path / "whole", work_dir=work)
    segment = work / "segments" / "segment_00001.mkv"
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 1
    segment.write_bytes(data)
    media.enlarge(source, tmp_path / "part", work_dir=work, seen=seen)
    assert seen == [20]
    assert media.frame_hashes(tmp_path / "part") == media.frame_hashes(tmp_path / "whole")


def test_other_settings_reuse_nothing(sources: Path, tmp_path: Path) -> None:
    source, work, seen = sources / "slow.mkv", tmp_path / "work", list[int]()
    media.enlarge(source, tmp_path / "one", work_dir=work, seen=seen)
    other = EncoderSettings("x265", (("preset", "ultrafast"), ("crf", "30")))
    media.enlarge(source, tmp_path / "two", work_dir=work, encoder=other, seen=seen)
    media.enlarge(source, tmp_path / "three", work_dir=work, encoder=other, seen=seen)
    assert seen == [50, 50, 0]


def test_our_own_output_is_skipped(sources: Path, tmp_path: Path) -> None:
    media.enlarge(sources / "a.mp4", tmp_path / "one.mp4", work_dir=tmp_path / "work", container=Container.MP4)
    media.enlarge(sources / "even.mkv", tmp_path / "two.mkv", work_dir=tmp_path / "work")
    for name in ("one.mp4", "two.mkv"):
        with pytest.raises(NothingToDo, match="made by Kakudai"):
            media.enlarge(tmp_path / name, tmp_path / "part", work_dir=tmp_path / "work")


def test_odd_names_and_an_existing_part(sources: Path, tmp_path: Path) -> None:
    source = tmp_path / "-i file:%d [x]\n\udcff.mkv"
    shutil.copyfile(sources / "even.mkv", source)
    part = tmp_path / ".+ @%06d 拡大\udcfe.part"
    media.enlarge(source, part, work_dir=tmp_path / "work")
    assert len(media.frame_hashes(part)) == 36
    with pytest.raises(KakudaiError, match="exists"):
        media.enlarge(source, part, work_dir=tmp_path / "work")
    assert len(media.frame_hashes(part)) == 36


def test_a_source_that_changes_meanwhile_is_not_delivered(sources: Path, tmp_path: Path) -> None:
    source = tmp_path / "a.mkv"
    shutil.copyfile(sources / "even.mkv", source)
    with pytest.raises(ProcessingError, match="changed"):
        media.enlarge(source, tmp_path / "part", work_dir=tmp_path / "work", meanwhile=lambda: os.utime(source, (1, 1)))


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small tmpfs needs root")
@pytest.mark.parametrize("full", ["work", "part"])
@pytest.mark.parametrize(
    ("source", "container"), [("even.mkv", Container.MKV), ("a.mp4", Container.MP4), ("even.mkv", Container.PNG)]
)
def test_a_full_disk_is_a_fault_of_the_machine(
    sources: Path, tmp_path: Path, source: str, container: Container, full: str
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", small], check=False).returncode:
        pytest.skip("mounting is not allowed here")
    places = {"work": tmp_path / "work", "part": tmp_path / "part"} | {full: small / full}
    try:
        with pytest.raises(EnvironmentFault, match="No space left"):
            media.enlarge(sources / source, places["part"], work_dir=places["work"], container=container)
    finally:
        subprocess.run(["umount", small], check=True)


def test_an_mkvmerge_that_hangs_is_stopped(sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "bin" / "mkvmerge"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\nexec sleep 1000\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    settings = Settings(encoder=media.FAST, limits=Limits(silence_s=2))
    with pytest.raises(ProcessingError, match="mkvmerge gave no sign of life"):
        media.enlarge(sources / "even.mkv", tmp_path / "part", work_dir=tmp_path / "work", settings=settings)


def test_timestamps_are_written_to_the_nanosecond(tmp_path: Path) -> None:
    Timing(array("q", [0, 1001, 2002]), Fraction(1, 24000), 1001).write(tmp_path / "v2.txt")
    assert (tmp_path / "v2.txt").read_text().splitlines()[1:] == ["0.000000", "41.708333", "83.416667", "125.125000"]
