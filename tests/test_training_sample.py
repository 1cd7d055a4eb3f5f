"""The sample files: every stream, tag, time and attachment that they promise, as ffprobe and mkvmerge see them."""

from __future__ import annotations

import hashlib
import json
import subprocess
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import pyvips

from engine.errors import OutputError, UsageError
from engine.settings import Size
from training import sample
from training.sample import frame_times, frames_in, write_episode, write_picture
from training.sample_tracks import commentary, font, music

SIZE = Size(96, 54)
FRAMES = 24


def probe(path: Path) -> dict[str, Any]:
    argv = ["ffprobe", "-v", "error", "-show_streams", "-show_format", "-show_chapters", "-of", "json", str(path)]
    result: dict[str, Any] = json.loads(subprocess.run(argv, check=True, capture_output=True).stdout)
    return result


def presentation_times(path: Path) -> list[Fraction]:
    argv = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "stream=time_base:frame=pts",
            "-of", "json", str(path)]  # fmt: skip
    found = json.loads(subprocess.run(argv, check=True, capture_output=True).stdout)
    base = Fraction(found["streams"][0]["time_base"])
    return [frame["pts"] * base for frame in found["frames"]]


@pytest.fixture(scope="module")
def episode(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sample") / "episode.mkv"
    write_episode(path, size=SIZE, frames=FRAMES, preset="ultrafast")
    return path


def test_streams_are_those_of_a_fansub_release(episode: Path) -> None:
    streams = probe(episode)["streams"]
    assert [(s["codec_type"], s.get("codec_name") if s["codec_type"] != "attachment" else None) for s in streams] == [
        ("video", "hevc"),
        ("audio", "opus"),
        ("audio", "flac"),
        ("subtitle", "ass"),
        ("attachment", None),
    ]
    video, japanese, english, subtitle, _ = streams
    assert video["pix_fmt"] == "yuv420p10le"
    assert [video[f"color_{key}"] for key in ("range", "space", "transfer", "primaries")] == ["tv", *["bt709"] * 3]
    assert video["chroma_location"] == "left"
    assert (video["width"], video["height"]) == (96, 54)
    assert [s["tags"]["language"] for s in (video, japanese, english, subtitle)] == ["jpn", "jpn", "eng", "eng"]
    assert [s["tags"]["title"] for s in (video, japanese, english, subtitle)] == [
        "The Town at Dusk",
        "Stereo",
        "Commentary",
        "Dialogue & Signs",
    ]
    assert [s["channels"] for s in (japanese, english)] == [2, 1]
    assert [s["disposition"]["default"] for s in (video, japanese, english, subtitle)] == [1, 1, 0, 1]
    assert japanese["disposition"]["original"] == 1
    assert english["disposition"]["comment"] == 1


def test_tags_belong_to_the_file_and_to_tracks(episode: Path) -> None:
    found = probe(episode)
    assert found["format"]["tags"]["TITLE"] == "Yūyake no Machi - 01"
    assert found["format"]["tags"]["DATE_RELEASED"] == "2024"
    assert found["streams"][0]["tags"]["DIRECTOR"] == "Nobody"
    assert found["streams"][1]["tags"]["COMPOSER"] == "Numbers"


def test_chapters_are_named_and_start_at_the_cut(episode: Path) -> None:
    chapters = probe(episode)["chapters"]
    assert [c["tags"]["title"] for c in chapters] == ["Rooftop", "The Gate"]
    assert float(chapters[1]["start_time"]) == pytest.approx(float(frame_times(FRAMES)[12]), abs=1e-6)


def test_the_attached_font_is_the_one_that_the_style_names(episode: Path, tmp_path: Path) -> None:
    path, family = font()
    attached = json.loads(subprocess.run(["mkvmerge", "-J", str(episode)], check=True, capture_output=True).stdout)
    assert [a["file_name"] for a in attached["attachments"]] == [path.name]
    argv = ["mkvextract", str(episode), "attachments", f"1:{tmp_path}/font", "tracks", f"3:{tmp_path}/subtitles.ass"]
    subprocess.run(argv, check=True, capture_output=True)
    digests = {hashlib.sha256(file.read_bytes()).hexdigest() for file in (path, tmp_path / "font")}
    assert len(digests) == 1
    script = (tmp_path / "subtitles.ass").read_text(encoding="utf-8-sig")
    assert f"Style: Default,{family}," in script
    assert "PlayResX: 96" in script
    assert script.count("Dialogue:") == 4


def test_frame_times_are_variable_and_arrive_in_the_file(episode: Path) -> None:
    """Matroska keeps milliseconds, as fansub releases do; half of one is what a time may move by."""
    times = frame_times(FRAMES)
    found = presentation_times(episode)
    assert len(found) == FRAMES
    assert all(abs(a - b) <= Fraction(1, 2000) for a, b in zip(found, times, strict=False))
    durations = {b - a for a, b in pairwise(times)}
    assert durations == {Fraction(1001, 24000), Fraction(1001, 30000), Fraction(8 * 1001, 24000)}


def test_the_commentary_starts_later(episode: Path) -> None:
    streams = probe(episode)["streams"]
    assert float(streams[2]["start_time"]) == pytest.approx(0.04, abs=1e-6)


def test_held_frames_stay_held_in_the_file(episode: Path) -> None:
    """The encoder repeats a frame that does not change almost exactly: what reuse later lives on."""
    argv = ["ffmpeg", "-v", "error", "-i", str(episode), "-map", "0:v", "-f", "framehash", "-"]
    listed = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    hashes = [line.rsplit(",", 1)[1] for line in listed.splitlines() if not line.startswith("#")]
    assert len(hashes) == FRAMES
    assert len(set(hashes)) < FRAMES


def test_the_same_call_writes_the_same_pictures(episode: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.mkv"
    write_episode(again, size=SIZE, frames=FRAMES, preset="ultrafast")
    assert again.read_bytes() == episode.read_bytes()


def test_an_mp4_keeps_the_exact_times(tmp_path: Path) -> None:
    path = tmp_path / "episode.mp4"
    write_episode(path, size=SIZE, frames=FRAMES, preset="ultrafast")
    found = probe(path)
    kinds = [(s["codec_type"], s["codec_name"]) for s in found["streams"]]
    assert kinds[:4] == [("video", "h264"), ("audio", "aac"), ("audio", "aac"), ("subtitle", "mov_text")]
    assert found["streams"][0]["pix_fmt"] == "yuv420p"
    assert [c["tags"]["title"] for c in found["chapters"]] == ["Rooftop", "The Gate"]
    ticks = [round(time * 120_000) for time in frame_times(FRAMES)[:-1]]
    assert [time * 120_000 for time in presentation_times(path)] == ticks


def test_an_eight_bit_episode(tmp_path: Path) -> None:
    path = tmp_path / "episode.mkv"
    write_episode(path, size=SIZE, frames=6, codec="x264", preset="ultrafast")
    video = probe(path)["streams"][0]
    assert (video["codec_name"], video["pix_fmt"], video["color_range"]) == ("h264", "yuv420p", "tv")


def test_nothing_is_left_beside_the_episode(episode: Path) -> None:
    assert [path.name for path in episode.parent.iterdir()] == [episode.name]


@pytest.mark.parametrize("size", [Size(97, 54), Size(16, 16)], ids=str)
def test_sizes_that_video_cannot_have_are_refused(size: Size, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="4:2:0"):
        write_episode(tmp_path / "episode.mkv", size=size, frames=4)


def test_an_existing_file_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(b"mine")
    with pytest.raises(OutputError, match="exists"):
        write_picture(path, SIZE)
    assert path.read_bytes() == b"mine"


def test_a_picture_carries_alpha_profile_and_exif(tmp_path: Path) -> None:
    path = tmp_path / "cel.png"
    write_picture(path, Size(61, 35), alpha=True, metadata=True)
    image = pyvips.Image.new_from_file(str(path))
    assert (image.width, image.height, image.bands) == (61, 35, 4)
    assert image.get_typeof("icc-profile-data") != 0
    assert "Kakudai" in image.get("exif-ifd0-Artist")
    plain = tmp_path / "plain.png"
    write_picture(plain, Size(61, 35))
    assert pyvips.Image.new_from_file(str(plain)).bands == 3


def test_length_is_what_was_asked_for() -> None:
    frames = frames_in(6.0)
    assert 6.0 <= frame_times(frames)[-1] < 6.1


def test_the_sound_is_as_long_as_the_picture_and_never_clips() -> None:
    for waves, channels in ((music(2.5), 2), (commentary(2.5), 1)):
        assert waves.shape == (120_000, channels)
        assert 0.05 < abs(waves).max() < 1.0


def test_the_command_writes_both_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "new" / "samples"
    assert sample.main([str(folder), "--size", "96x54", "--seconds", "0.3"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [Path(line).suffix for line in said] == [".png", ".mkv"]
    assert all(Path(line).is_file() for line in said)
    assert sample.main([str(folder), "--size", "96x54"]) == OutputError.exit_code
    assert "cure:" in capsys.readouterr().err
