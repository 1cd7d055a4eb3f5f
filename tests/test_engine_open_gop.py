"""Files cut at an open GOP: what nobody could see is dropped and told, the rest is there, damage is still damage."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.completeness import check_decoded
from engine.errors import InputError
from engine.open_gop import opening_complaints
from engine.packets import PacketScan, scan_packets
from engine.probe import probe_episode
from engine.settings import Container, Limits
from engine.source import open_source
from tests import media

OPEN_GOP = {
    "h264": ["-c:v", "libx264", "-bf", "5", "-x264-params", "keyint=24:min-keyint=24:open-gop=1:b-pyramid=normal"],
    "hevc": ["-c:v", "libx265", "-x265-params", "log-level=error:keyint=24:min-keyint=24:open-gop=1:bframes=5"],
}


def cut(folder: Path, codec: str) -> Path:
    """72 frames, of which mkvmerge cuts the first 20 away: the second group leans on what is gone."""
    whole, made = folder / "whole.mkv", folder / "cut.mkv"
    plain = media.video(folder / "plain.mkv", frames=72, codec=OPEN_GOP[codec])
    media.call("mkvmerge", "--quiet", "-o", whole, plain)
    media.call("mkvmerge", "--quiet", "-o", made, "--split", "parts:00:00:00.950-", whole)
    return made


@pytest.mark.parametrize("codec", OPEN_GOP)
@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_leading_pictures_are_dropped_and_told(tmp_path: Path, codec: str, suffix: str) -> None:
    source = cut(tmp_path, codec)
    if suffix == "mp4":
        source = tmp_path / "cut.mp4"
        media.ffmpeg("-i", tmp_path / "cut.mkv", "-c", "copy", "-copyts", source)
    frames = len(media.frame_hashes(source))
    shown = [pts for pts, _ in media.packets(source)[0]]
    report = media.enlarge(source, tmp_path / "part", work_dir=tmp_path / "work", container=Container(suffix))
    assert report.frames == frames
    assert report.details["leading_pictures_dropped"] == len(shown) - frames
    if suffix == "mkv":
        assert len(shown) - frames > 0
    assert [pts for pts, _ in media.packets(tmp_path / "part")[0]] == shown[len(shown) - frames :]


@pytest.mark.parametrize("codec", OPEN_GOP)
def test_the_frames_that_remain_are_those_of_the_whole(tmp_path: Path, codec: str) -> None:
    made = cut(tmp_path, codec)
    assert media.frame_hashes(made) == media.frame_hashes(tmp_path / "whole.mkv")[-len(media.frame_hashes(made)) :]


def test_complaints_are_excused_only_at_an_open_beginning(tmp_path: Path) -> None:
    made = cut(tmp_path, "h264")
    for path, excused in ((made, 1), (tmp_path / "whole.mkv", 0)):
        with open_source(path) as source:
            info = probe_episode(source, limits=Limits())
            scan = scan_packets(source.fd, info, limits=Limits(), subject=path)
            assert (scan.leading > 0) is (excused > 0)
            assert sum(opening_complaints(source, info, scan, Limits()).values()) == excused


def test_damage_behind_an_open_beginning_is_refused(tmp_path: Path) -> None:
    made = cut(tmp_path, "h264")
    data = bytearray(made.read_bytes())
    middle = len(data) * 2 // 3
    data[middle : middle + 200] = bytes(b ^ 0xFF for b in data[middle : middle + 200])
    made.write_bytes(data)
    with pytest.raises(InputError):
        media.enlarge(made, tmp_path / "part", work_dir=tmp_path / "work")


def test_only_frames_before_the_first_key_frame_may_be_missing(tmp_path: Path) -> None:
    from array import array

    path = media.video(tmp_path / "a.mkv", frames=1)
    scan = PacketScan(timestamps=array("q", [0, 40, 80, 120, 160]), first_pts=80)
    with open_source(path) as source:
        check_decoded(source, scan, array("q", [80, 120, 160]))
        for there in ([120, 160], [80, 160], [80, 120], [80, 120, 160, 200]):
            with pytest.raises(InputError):
                check_decoded(source, scan, array("q", there))
