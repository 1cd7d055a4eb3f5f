"""Headers read, and refusals that need no more than headers."""

from __future__ import annotations

import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from engine.errors import InputError, NothingToDo
from engine.ffmpeg import ffprobe
from engine.probe import EpisodeInfo, probe_episode
from engine.settings import Limits, Settings, Size
from engine.source import open_source
from tests import media


def probed(path: Path, limits: Limits | None = None, settings: Settings | None = None) -> EpisodeInfo:
    with open_source(path) as source:
        return probe_episode(source, limits=limits or Limits(), settings=settings)


def refused(path: Path, limits: Limits | None = None, settings: Settings | None = None) -> InputError:
    with pytest.raises(InputError) as caught:
        probed(path, limits, settings)
    assert caught.value.remedy
    assert caught.value.path == path
    assert "\n" not in caught.value.reason
    return caught.value


def test_a_fansub_is_understood(tmp_path: Path) -> None:
    info = probed(media.fansub(tmp_path / "a.mkv"))
    assert (info.container, info.size, info.sample_aspect) == ("mkv", Size(96, 64), Fraction(1))
    assert (info.format.pix_fmt, info.format.depth, info.format.chroma_shift) == ("yuv420p10le", 10, (1, 1))
    assert (info.format.full_range, info.format.chroma_location) == (False, "left")
    assert (info.colors.range, info.colors.matrix, info.colors.primaries) == ("tv", "bt709", "bt709")
    assert (info.frame_rate, info.time_base) == (Fraction(24000, 1001), Fraction(1, 1000))
    assert [stream.kind for stream in info.streams] == ["audio", "video", "subtitle", "audio", "attachment"]
    assert info.video_index == 1
    assert info.video.tags["SOURCE"] == "BD"
    assert info.tags["title"] == "拡大 第1話"
    assert info.chapters[1][0] == Fraction(3, 4)
    assert info.chapters[1][2] == "Part A"
    assert info.frames is not None
    assert abs(info.frames - 36) < 4


def test_an_mp4_is_understood(tmp_path: Path) -> None:
    info = probed(media.mp4(tmp_path / "a.mp4"))
    assert (info.container, info.frames, info.time_base) == ("mp4", 36, Fraction(1, 24000))
    assert [stream.kind for stream in info.streams] == ["video", "audio", "subtitle", "data"]


def test_frames_are_guessed_by_how_long_the_video_lasts(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    picture, sound = "testsrc2=size=96x64:rate=24000/1001:duration=1.5", "sine=duration=3"
    media.ffmpeg("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound, "-map", "0:v", "-map", "1:a", path)
    info = probed(path)
    assert info.duration_s is not None
    assert info.duration_s >= 3
    assert info.frames == 36


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (["-color_trc", "smpte2084"], "HDR"),
        (["-color_trc", "arib-std-b67"], "HDR"),
        (["-vf", "tinterlace=4,fieldorder=tff", "-flags", "+ilme+ildct"], "interlaced"),
    ],
)
def test_kinds_that_are_refused(tmp_path: Path, more: list[str], reason: str) -> None:
    assert reason in refused(media.video(tmp_path / "a.mkv", frames=3, more=more)).reason


def test_rgb_is_refused_by_name(tmp_path: Path) -> None:
    path = media.video(tmp_path / "a.mkv", frames=2, pix_fmt="gbrp", codec=["-c:v", "ffv1"])
    assert "bgr0" in refused(path).reason


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_the_turn_of_a_video_is_read(tmp_path: Path, degrees: int) -> None:
    plain = media.video(tmp_path / "plain.mp4", frames=3)
    turned = tmp_path / "turned.mp4"
    media.ffmpeg("-i", plain, "-c", "copy", "-metadata:s:v", f"rotate={degrees}", turned)
    assert probed(turned).rotation % 360 == degrees


def test_a_mirrored_video_is_refused(tmp_path: Path) -> None:
    plain = media.video(tmp_path / "plain.mp4", frames=3)
    data = plain.read_bytes()
    at = data.index(b"tkhd") + 4 + 40  # the matrix of the first track's header, version 0
    assert data[at : at + 4] == (1 << 16).to_bytes(4, "big")
    turned = tmp_path / "turned.mp4"
    turned.write_bytes(data[:at] + (-(1 << 16)).to_bytes(4, "big", signed=True) + data[at + 4 :])
    assert "mirrored" in refused(turned).reason


def test_protection_against_copying_is_refused(tmp_path: Path) -> None:
    plain = media.video(tmp_path / "plain.mp4", frames=3)
    locked = tmp_path / "locked.mp4"
    locked.write_bytes(plain.read_bytes().replace(b"avc1", b"encv", 2))
    assert "DRM" in refused(locked).reason


def test_dolby_vision_is_refused(tmp_path: Path) -> None:
    plain = media.video(tmp_path / "plain.mp4", frames=3, codec=["-c:v", "libx265", "-x265-params", "log-level=error"])
    dolby = tmp_path / "dolby.mp4"
    dolby.write_bytes(plain.read_bytes().replace(b"hev1", b"dvhe"))
    assert "Dolby Vision" in refused(dolby).reason


def test_what_would_be_lost_beside_the_picture_is_refused(tmp_path: Path) -> None:
    plain = media.video(tmp_path / "plain.mkv", frames=3)
    mixed, stereo, stereo_mp4, alpha = (tmp_path / name for name in ("m.mkv", "s.mkv", "s.mp4", "a.mkv"))
    media.call("mkvmerge", "-q", "-o", mixed, "--stereo-mode", "0:row_interleaved_left_first", plain)
    assert "two views that take turns pixel by pixel" in refused(mixed).reason
    media.call("mkvmerge", "-q", "-o", stereo, "--stereo-mode", "0:side_by_side_left_first", plain)
    assert "side" in probed(stereo).spatial or "left_right" in probed(stereo).spatial
    media.ffmpeg("-i", stereo, "-c", "copy", "-strict", "unofficial", stereo_mp4)
    assert "from one Matroska file to another alone" in refused(stereo_mp4).reason
    media.ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=size=96x64:rate=24", "-frames:v", "3", "-pix_fmt", "yuva420p"),
        *("-c:v", "libvpx-vp9", "-auto-alt-ref", "0", alpha),
    )
    assert "transparency" in refused(alpha).reason


def test_sound_with_a_cover_is_no_video(tmp_path: Path) -> None:
    cover, song = tmp_path / "cover.jpg", tmp_path / "song.mp4"
    media.ffmpeg("-f", "lavfi", "-i", "color=red:size=64x48", "-frames:v", "1", cover)
    media.ffmpeg(
        *("-f", "lavfi", "-i", "sine=440:duration=1", "-i", cover, "-map", "0", "-map", "1", "-c:v", "copy"),
        *("-disposition:v", "attached_pic", song),
    )
    assert "no video stream (a cover picture is not one)" in refused(song).reason


def test_of_two_videos_one_must_be_chosen(tmp_path: Path) -> None:
    one, other = media.video(tmp_path / "one.mkv", frames=2), media.video(tmp_path / "b.mkv", frames=2, size="48x32")
    two = tmp_path / "two.mkv"
    media.ffmpeg("-i", one, "-i", other, "-map", "0", "-map", "1", "-c", "copy", two)
    assert "2 video streams" in refused(two).reason
    for number, size in ((1, Size(96, 64)), (2, Size(48, 32))):
        info = probed(two, settings=Settings(video_stream=number))
        assert (info.size, info.video_number, info.other_videos) == (size, number, (2 - number,))
    assert "no video stream 3" in refused(two, settings=Settings(video_stream=3)).reason


def test_more_pixels_than_the_limit(tmp_path: Path) -> None:
    path = media.video(tmp_path / "a.mkv", frames=2)
    assert "pixels" in refused(path, Limits(max_pixels=1000)).reason
    assert probed(path, Limits(max_pixels=96 * 64)).size == Size(96, 64)


def test_what_kakudai_made_is_skipped(tmp_path: Path) -> None:
    plain = media.video(tmp_path / "plain.mkv", frames=2)
    for name, tag in (("a.mkv", "KAKUDAI=0.1.0 msrcnn"), ("a.mp4", "comment=kept\nKAKUDAI=0.1.0 msrcnn")):
        made = tmp_path / name
        media.ffmpeg("-i", plain, "-c", "copy", "-metadata", tag, made)
        with pytest.raises(NothingToDo, match=r"0\.1\.0 msrcnn"):
            probed(made)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def header_only(path: Path) -> None:
    os.truncate(path, 100)


def zeros(path: Path) -> None:
    path.write_bytes(bytes(5000))


def text(path: Path) -> None:
    path.write_text("this is no video\n" * 50, encoding="utf-8")


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4"])
@pytest.mark.parametrize("damage", [cut, header_only, zeros, text])
def test_damaged_headers(tmp_path: Path, name: str, damage: Callable[[Path], None]) -> None:
    path = media.video(tmp_path / name, frames=3)
    damage(path)
    refused(path)


def test_a_live_matroska_cannot_be_proven(tmp_path: Path) -> None:
    plain, live = media.video(tmp_path / "plain.mkv", frames=3), tmp_path / "live.mkv"
    live.write_bytes(media.ffmpeg("-i", plain, "-c", "copy", "-f", "matroska", "pipe:1"))
    assert "how long it is" in refused(live).reason


PLAYLISTS = {
    "ffconcat": "ffconcat version 1.0\nfile secret.mkv\n",
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nsecret.mkv\n#EXT-X-ENDLIST\n",
}


@pytest.mark.parametrize("kind", PLAYLISTS)
@pytest.mark.parametrize("name", ["a.mkv", "a.mp4"])
def test_playlists_are_not_followed(tmp_path: Path, kind: str, name: str) -> None:
    media.video(tmp_path / "secret.mkv", frames=2)
    path = tmp_path / name
    path.write_text(PLAYLISTS[kind], encoding="utf-8")
    refused(path)
    # ffmpeg's own fence holds too, without the look at the first bytes
    with open_source(path) as source:
        said, child = ffprobe(source.fd, entries=["-show_format"], limits=Limits(), subject=path)
    assert child.status != 0
    assert b"format_name" not in said
    assert "whitelist" in child.messages


def test_names_that_look_like_something_else(tmp_path: Path) -> None:
    plain = media.video(tmp_path / "plain.mkv", frames=2)
    for name in ("-i.mkv", "http:x.mkv", "a%d[1]\n{}.mkv", "拡大\udcff.mkv"):
        path = tmp_path / name
        path.write_bytes(plain.read_bytes())
        assert probed(path).size == Size(96, 64)
