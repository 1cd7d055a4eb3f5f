"""What is copied is the same: text but for spaces at line ends, chapters and editions, linked files, other videos."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.errors import InputError, UsageError
from engine.packets import scan_packets
from engine.probe import EpisodeInfo, read_headers
from engine.settings import Container, Damaged, EncoderSettings, Limits, Settings, Unfit
from engine.source import Source, open_source
from engine.verify_copies import copied_problem, linking_problem, time_problem
from tests import media
from tests.same_episode import compare

CHAPTERS = """<?xml version="1.0"?><Chapters>
<EditionEntry><EditionUID>12345</EditionUID><EditionFlagOrdered>1</EditionFlagOrdered>
<ChapterAtom><ChapterUID>777</ChapterUID>
<ChapterSegmentUID format="hex">aabbccddeeff00112233445566778899</ChapterSegmentUID>
<ChapterTimeStart>00:00:00.000</ChapterTimeStart><ChapterTimeEnd>00:00:00.500</ChapterTimeEnd>
<ChapterDisplay><ChapterString>Opening, in another file</ChapterString></ChapterDisplay></ChapterAtom>
<ChapterAtom><ChapterUID>778</ChapterUID><ChapterFlagHidden>1</ChapterFlagHidden>
<ChapterTimeStart>00:00:00.000</ChapterTimeStart><ChapterTimeEnd>00:00:00.700</ChapterTimeEnd>
<ChapterDisplay><ChapterString>A</ChapterString><ChapterLanguage>jpn</ChapterLanguage></ChapterDisplay></ChapterAtom>
</EditionEntry><EditionEntry><EditionUID>22</EditionUID><ChapterAtom><ChapterUID>779</ChapterUID>
<ChapterTimeStart>00:00:00.000</ChapterTimeStart></ChapterAtom></EditionEntry></Chapters>"""
ASS = """[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize
Style: Default,Kakudai Test,20

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Dialogue: 0,0:00:00.20,0:00:00.70,Default,,0,0,0,,two spaces at the end{space}
Dialogue: 0,0:00:00.80,0:00:01.20,Default,,0,0,0,,none
"""


def linked(path: Path) -> Path:
    xml = path.with_suffix(".xml")
    xml.write_text(CHAPTERS, encoding="utf-8")
    plain = media.video(path.with_suffix(".plain.mkv"))
    media.call(
        *("mkvmerge", "--quiet", "-o", path, "--segment-uid", "0x00112233445566778899aabbccddeeff"),
        *("--link-to-next", "0x11112233445566778899aabbccddeeff", "--chapters", xml, plain),
    )
    return path


def properties(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(media.call("mkvmerge", "-J", path))["container"]["properties"]
    return found


def read(source: Source) -> EpisodeInfo:
    return read_headers(source, limits=Limits())


def test_ordered_chapters_and_what_links_files_are_kept(tmp_path: Path) -> None:
    source, part = linked(tmp_path / "a.mkv"), tmp_path / "part"
    media.enlarge(source, part, work_dir=tmp_path / "work")
    for name in ("segment_uid", "next_segment_uid", "previous_segment_uid"):
        assert properties(source).get(name) == properties(part).get(name)
    chapters = [media.call("mkvextract", path, "chapters", "-") for path in (source, part)]
    assert chapters[0] == chapters[1]
    assert b"EditionFlagOrdered" in chapters[0]
    assert b"aabbccddeeff00112233445566778899" in chapters[0]


def test_a_lost_link_and_changed_chapters_are_noticed(tmp_path: Path) -> None:
    source, other = linked(tmp_path / "a.mkv"), tmp_path / "b.mkv"
    other.write_bytes(source.read_bytes())
    with open_source(source) as one, open_source(other) as two:
        assert linking_problem(one, read(one), two, read(two), limits=Limits()) is None
    media.call("mkvpropedit", other, "--edit", "info", "--delete", "next-uid")
    with open_source(source) as one, open_source(other) as two:
        assert "next segment uid" in str(linking_problem(one, read(one), two, read(two), limits=Limits()))
    other.write_bytes(source.read_bytes())
    changed = tmp_path / "changed.xml"
    changed.write_text(CHAPTERS.replace("778", "780"), encoding="utf-8")
    media.call("mkvpropedit", other, "--chapters", changed)
    with open_source(source) as one, open_source(other) as two:
        assert "chapters" in str(linking_problem(one, read(one), two, read(two), limits=Limits()))


def with_subtitles(path: Path, *, space: str) -> Path:
    """Muxed by ffmpeg, which keeps spaces at the ends of lines as they are."""
    script = path.with_suffix(".ass")
    script.write_text(ASS.format(space=space), encoding="utf-8")
    plain = media.video(path.with_suffix(".plain.mkv"))
    media.ffmpeg("-i", plain, "-i", script, "-map", "0", "-map", "1", "-c", "copy", path)
    return path


def test_spaces_at_the_ends_of_lines_are_all_that_subtitles_lose(tmp_path: Path) -> None:
    source, part = with_subtitles(tmp_path / "a.mkv", space="  "), tmp_path / "part"
    media.enlarge(source, part, work_dir=tmp_path / "work")
    texts = [media.ffmpeg("-i", path, "-map", "0:s", "-c", "copy", "-f", "ass", "-") for path in (source, part)]
    assert texts[0] != texts[1]
    assert [line.rstrip() for line in texts[0].splitlines()] == [line.rstrip() for line in texts[1].splitlines()]


def test_another_word_in_a_subtitle_is_noticed(tmp_path: Path) -> None:
    paths = [with_subtitles(tmp_path / f"{n}.mkv", space=word) for n, word in enumerate(["", "  ", "!"])]
    with open_source(paths[0]) as one, open_source(paths[1]) as two, open_source(paths[2]) as three:
        assert copied_problem(one, read(one), two, read(two), limits=Limits()) is None
        assert "subtitle" in str(copied_problem(one, read(one), three, read(three), limits=Limits()))


@pytest.mark.parametrize(("shift_ms", "fine"), [(1, True), (4, False), (-4, False)])
def test_sound_beside_its_time_is_noticed(tmp_path: Path, shift_ms: int, fine: bool) -> None:
    source, other = media.fansub(tmp_path / "a.mkv"), tmp_path / "b.mkv"
    media.call("mkvmerge", "--quiet", "-o", other, "--sync", f"0:{shift_ms}", "--no-video", source)
    with open_source(source) as one, open_source(other) as two:
        scans = [scan_packets(f.fd, read_any(f), limits=Limits(), subject=f.path) for f in (one, two)]
        old = next(s for s in read_any(one).streams if s.kind == "audio")
        new = next(s for s in read_any(two).streams if s.kind == "audio")
        assert (time_problem(old, new, scans[0], scans[1]) is None) is fine


def read_any(source: Source) -> EpisodeInfo:
    """The headers of a file without video as if its first stream were one."""
    from dataclasses import replace

    from engine.ffmpeg import ffprobe_json
    from engine.probe import _stream

    found = ffprobe_json(source.fd, entries=["-show_streams"], limits=Limits(), subject=source.path)
    streams = tuple(_stream(raw) for raw in found["streams"])
    with open_source(source.path.with_name("a.mkv")) as whole:
        return replace(read(whole), streams=streams, video_index=-1)


def two_videos(path: Path) -> Path:
    one = media.video(path.with_suffix(f".1{path.suffix}"))
    other = media.video(path.with_suffix(f".2{path.suffix}"), size="48x32")
    media.ffmpeg("-i", one, "-i", other, "-map", "0", "-map", "1", "-c", "copy", path)
    if path.suffix == ".mkv":
        media.call("mkvmerge", "--quiet", "-o", path.with_name("b.mkv"), path)
        return path.with_name("b.mkv")
    return path


@pytest.mark.parametrize("number", [pytest.param(1, marks=pytest.mark.slow), 2])
@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_the_other_video_is_kept_as_it_is(tmp_path: Path, suffix: str, number: int) -> None:
    source, part = two_videos(tmp_path / f"a.{suffix}"), tmp_path / "part"
    settings = Settings(encoder=media.FAST, video_stream=number)
    media.enlarge(source, part, work_dir=tmp_path / "work", settings=settings, container=Container(suffix))
    sizes = [(s["width"], s["height"]) for s in media.probe(part)["streams"]]
    assert sizes == ([(192, 128), (48, 32)] if number == 1 else [(96, 64), (96, 64)])
    other = media.stream_hashes(source, "v")[2 - number]
    assert media.stream_hashes(part, "v")[2 - number] == other
    assert media.packets(source) == media.packets(part)


@pytest.mark.parametrize("degrees", [90, pytest.param(180, marks=pytest.mark.slow)])
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_turned_video_stays_turned(tmp_path: Path, suffix: str, degrees: int) -> None:
    turned, part = tmp_path / "turned.mp4", tmp_path / "part"
    plain = media.video(tmp_path / "plain.mp4", frames=5)
    media.ffmpeg("-i", plain, "-c", "copy", "-metadata:s:v", f"rotate={degrees}", turned)
    media.enlarge(turned, part, work_dir=tmp_path / "work", container=Container(suffix))
    turns = [
        int(next(i["rotation"] for i in media.probe(path)["streams"][0]["side_data_list"] if "rotation" in i)) % 360
        for path in (turned, part)
    ]
    assert turns == [degrees, degrees]
    if suffix == "mkv":
        media.enlarge(untagged(part), tmp_path / "again", work_dir=tmp_path / "work2")
        assert media.probe(tmp_path / "again")["streams"][0]["side_data_list"]


def test_what_the_header_tells_of_the_mastering_display_is_kept(tmp_path: Path) -> None:
    told = {
        "--max-content-light": "900",
        "--max-frame-light": "300",
        "--chromaticity-coordinates": "0.68,0.32,0.265,0.69,0.15,0.06",
        "--white-colour-coordinates": "0.3127,0.329",
        "--max-luminance": "1000",
        "--min-luminance": "0.01",
    }
    plain, source, part = media.video(tmp_path / "plain.mkv"), tmp_path / "a.mkv", tmp_path / "part"
    words = [word for option, value in told.items() for word in (option, f"0:{value}")]
    media.call("mkvmerge", "--quiet", "-o", source, *words, plain)
    media.enlarge(source, part, work_dir=tmp_path / "work")
    side_data = [media.probe(path)["streams"][0]["side_data_list"] for path in (source, part)]
    assert len(side_data[0]) == 2
    assert side_data[0] == side_data[1]


def untagged(part: Path) -> Path:
    """The same without the tag that says who made it."""
    path = part.with_suffix(".mkv")
    media.call("mkvmerge", "--quiet", "-o", path, "--no-global-tags", part)
    return path


def test_frames_of_a_turned_video_are_turned(tmp_path: Path) -> None:
    plain, turned = media.video(tmp_path / "plain.mp4", frames=2), tmp_path / "turned.mp4"
    media.ffmpeg("-i", plain, "-c", "copy", "-metadata:s:v", "rotate=90", turned)
    for name, path in (("plain", plain), ("turned", turned)):
        media.enlarge(path, tmp_path / name, work_dir=tmp_path / f"{name}.work", container=Container.PNG)
    shown = [tmp_path / name / "frame_000002.png" for name in ("plain", "turned")]
    upright = media.ffmpeg("-i", shown[0], "-vf", "transpose=cclock", "-f", "rawvideo", "-")
    assert media.ffmpeg("-i", shown[1], "-f", "rawvideo", "-") == upright


def test_what_does_not_fit_an_mp4_is_refused_or_becomes_matroska(tmp_path: Path) -> None:
    from engine.plan import plan

    with open_source(media.fansub(tmp_path / "a.mkv")) as source:
        with pytest.raises(InputError, match="cannot carry") as caught:
            plan(source, Settings(container=Container.MP4))
        assert "unfit: mkv" in caught.value.remedy
        assert plan(source, Settings(container=Container.MP4, unfit=Unfit.MKV)).output_name.endswith(".mkv")
    with open_source(media.video(tmp_path / "b.mp4")) as source:
        assert plan(source, Settings(unfit=Unfit.MKV)).output_name.endswith(".mp4")
        lossless = EncoderSettings("ffv1")
        with pytest.raises(UsageError, match="FFV1"):
            plan(source, Settings(encoder=lossless))
        assert plan(source, Settings(encoder=lossless, unfit=Unfit.MKV)).output_name.endswith(".mkv")


@pytest.mark.parametrize(
    ("suffix", "kind"),
    [
        ("mkv", "cut"),
        ("mp4", "flipped"),
        pytest.param("mkv", "flipped", marks=pytest.mark.slow),
        pytest.param("mp4", "cut", marks=pytest.mark.slow),
    ],
)
def test_damage_is_accepted_where_asked_and_told(tmp_path: Path, suffix: str, kind: str) -> None:
    whole = media.mp4(tmp_path / "whole.mp4") if suffix == "mp4" else media.video(tmp_path / "whole.mkv", frames=36)
    source = tmp_path / f"a.{suffix}"
    if suffix == "mp4":
        media.ffmpeg("-i", whole, "-map", "0:v", "-map", "0:a", "-c", "copy", "-movflags", "+faststart", source)
        whole = source
    data = bytearray(whole.read_bytes())
    if kind == "cut":
        del data[len(data) * 7 // 10 :]
    else:
        middle = len(data) * 6 // 10
        data[middle : middle + 300] = bytes(300)
    source.write_bytes(data)
    with pytest.raises(InputError):
        media.enlarge(source, tmp_path / "part", work_dir=tmp_path / "work", container=Container(suffix))
    settings = Settings(encoder=media.FAST, damaged=Damaged.ACCEPT)
    report = media.enlarge(
        source, tmp_path / "part", work_dir=tmp_path / "work", container=Container(suffix), settings=settings
    )
    assert report.details["damage"]
    assert 5 < report.frames <= 36
    assert len(media.frame_hashes(tmp_path / "part")) == report.frames
    shown = {pts for pts, _ in media.packets(source)[0]}
    assert {pts for pts, _ in media.packets(tmp_path / "part")[0]} <= shown


def test_a_whole_file_is_treated_the_same_where_damage_is_accepted(tmp_path: Path) -> None:
    source = media.fansub(tmp_path / "a.mkv")
    settings = Settings(encoder=media.FAST, damaged=Damaged.ACCEPT)
    report = media.enlarge(source, tmp_path / "part", work_dir=tmp_path / "work", settings=settings)
    assert report.details["damage"] == []
    compare(source, tmp_path / "part")
