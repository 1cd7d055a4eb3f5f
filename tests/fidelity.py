"""docs/fidelity.md: each property, the test that proves it, and what other ways do. `python -m tests.fidelity`.

The column of plain ffmpeg is measured here, on the spot; those of video2x and Real-ESRGAN's script are read from their
code, and say only what that shows.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from tests import media

DOCUMENT = Path(__file__).parent.parent / "docs" / "fidelity.md"
UNEVEN = [500 + 41.708333 * i + (333 if i > 7 else 0) - (13 if i % 3 == 1 else 0) for i in range(36)]


def plain(source: Path, target: Path, *, codec: str = "libx265", scale: str = "scale=2*iw:2*ih:flags=bicubic") -> int:
    """What a careful user types; its exit status."""
    argv = ["ffmpeg", "-nostdin", "-loglevel", "error", "-y", "-i", source, "-map", "0", "-c", "copy"]
    argv += ["-c:v", codec, *(["-x265-params", "log-level=error"] if codec == "libx265" else []), "-vf", scale, target]
    return subprocess.run([str(word) for word in argv], capture_output=True, check=False).returncode


def shown(path: Path, kind: str) -> list[Fraction]:
    """When each packet of the first stream of a kind is shown, in seconds."""
    streams = media.probe(path)["streams"]
    index = next(stream["index"] for stream in streams if stream["codec_type"] == kind)
    base = Fraction(streams[index]["time_base"])
    return [pts * base for pts, _ in media.packets(path)[index]]


def moved(before: list[Fraction], after: list[Fraction]) -> str:
    if len(before) != len(after):
        return f"{len(after)} frames of {len(before)}"
    most = max(abs(a - b) for a, b in zip(before, after, strict=True))
    return f"moved by up to {float(most) * 1000:.3g} ms" if most else "kept"


def uneven_times(folder: Path) -> str:
    source, out = media.fansub(folder / "a.mkv", timestamps=UNEVEN), folder / "out.mkv"
    plain(source, out)
    return moved(shown(source, "video"), shown(out, "video"))


def fine_times(folder: Path) -> str:
    base, source, out = media.video(folder / "base.mkv"), folder / "a.mkv", folder / "out.mkv"
    media.call(
        "mkvmerge",
        *("--quiet", "-o", source, "--timestamp-scale", "20833", "--default-duration", "0:24000/1001p", base),
    )
    plain(source, out)
    return moved(shown(source, "video"), shown(out, "video"))


def mp4_offsets(folder: Path) -> str:
    whole, source, out = folder / "whole.mp4", folder / "a.mp4", folder / "out.mkv"
    media.ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=size=96x64:rate=24000/1001:duration=1.5", "-f", "lavfi"),
        *("-i", "sine=440:duration=1.5", "-pix_fmt", "yuv420p", "-c:v", "libx264", "-c:a", "aac", whole),
    )
    media.ffmpeg("-i", whole, "-itsoffset", "0.4", "-i", whole, "-map", "0:v", "-map", "1:a", "-c", "copy", source)
    plain(source, out)
    offsets = [shown(path, "audio")[0] - shown(path, "video")[0] for path in (source, out)]
    video = moved(shown(source, "video"), shown(out, "video"))
    return f"frames {video}; sound against picture {float(abs(offsets[1] - offsets[0])) * 1000:.3g} ms off"


def chart(folder: Path) -> str:
    size, raw, source, out = (96, 64), folder / "raw", folder / "a.mkv", folder / "out.mkv"
    patches = np.random.default_rng(0).integers(0, 256, (8, 12), np.uint8).repeat(8, 0).repeat(8, 1)
    chroma = np.random.default_rng(1).integers(0, 256, (2, 4, 6), np.uint8).repeat(8, 1).repeat(8, 2)
    raw.write_bytes(patches.tobytes() + chroma.tobytes())
    media.ffmpeg(
        *("-f", "rawvideo", "-pixel_format", "yuv420p", "-video_size", "96x64", "-i", raw, "-c:v", "ffv1"), source
    )
    plain(source, out, codec="ffv1")
    got = np.frombuffer(media.ffmpeg("-i", out, "-f", "rawvideo", "-"), np.uint8)[: 4 * size[0] * size[1]]
    exact = cv2.resize(patches.astype(np.float64), (192, 128), interpolation=cv2.INTER_CUBIC).clip(0, 255)
    off = np.abs(got.reshape(128, 192) - exact).max()
    return f"luma up to {off:.1f} levels beside OpenCV's bicubic (another kernel, a = -0.6)"


def sd_tags(folder: Path) -> str:
    source, out = media.video(folder / "a.mkv", frames=2, size="48x400"), folder / "out.mkv"
    plain(source, out)
    matrix = media.probe(out)["streams"][0].get("color_space")
    return f"matrix written as {matrix}" if matrix else "untagged: at its new size players take it for BT.709"


def stale_statistics(folder: Path) -> str:
    source, out = media.fansub(folder / "a.mkv"), folder / "out.mkv"
    plain(source, out)
    values = [
        next(s["tags"].get("NUMBER_OF_BYTES") for s in media.probe(p)["streams"] if s["codec_type"] == "video")
        for p in (source, out)
    ]
    return "the old picture's are kept" if values[0] and values[0] == values[1] else "not kept"


def linked_chapters(folder: Path) -> str:
    from tests.test_engine_verify_copies import linked, properties

    source, out = linked(folder / "a.mkv"), folder / "out.mkv"
    plain(source, out)
    chapters = media.call("mkvextract", out, "chapters", "-")
    ordered = "ordered edition kept" if b"EditionFlagOrdered" in chapters else "editions flattened"
    uid = properties(source)["segment_uid"] == properties(out).get("segment_uid")
    return f"{ordered}, UIDs {'kept' if uid else 'lost'}"


def headers(folder: Path) -> str:
    source, out = media.fansub(folder / "a.mkv"), folder / "out.mkv"
    plain(source, out)
    keys = ("uid", "track_name", "language", "default_track", "forced_track", "flag_commentary", "default_duration")
    found = [json.loads(media.call("mkvmerge", "-J", path))["tracks"] for path in (source, out)]
    lost = {
        key
        for one, two in zip(found[0], found[1], strict=True)
        for key in keys
        if one["properties"].get(key) != two["properties"].get(key)
    }
    return f"changed: {', '.join(sorted(lost))}" if lost else "kept"


def cover(folder: Path) -> str:
    picture, source, out = folder / "cover.jpg", folder / "a.mkv", folder / "out.mkv"
    media.ffmpeg("-f", "lavfi", "-i", "color=red:size=64x48", "-frames:v", "1", picture)
    base = media.video(folder / "base.mkv")
    media.call(
        *("mkvmerge", "--quiet", "-o", source, base, "--attachment-mime-type", "image/jpeg"),
        *("--attach-file", picture),
    )
    status = plain(source, out)
    if status or not out.exists():
        return f"fails (exit status {status}): the cover is taken for a second video"
    streams = media.probe(out)["streams"]
    return f"becomes {streams[1]['codec_name']} of {streams[1]['width']}x{streams[1]['height']}"


def truncated(folder: Path) -> str:
    source, out = media.video(folder / "a.mkv", frames=72, size="192x128"), folder / "out.mkv"
    os.truncate(source, source.stat().st_size * 6 // 10)
    status = plain(source, out)
    return f"delivered short ({len(media.frame_hashes(out))} of 72 frames), exit status {status}"


def interlaced(folder: Path) -> str:
    source, out = folder / "a.mkv", folder / "out.mkv"
    media.video(source, frames=24, size="192x128", more=["-vf", "telecine"])
    return "enlarged combs and all" if plain(source, out) == 0 else "refused"


def copies(folder: Path) -> str:
    source, out = media.fansub(folder / "a.mkv"), folder / "out.mkv"
    plain(source, out)
    same = [media.stream_hashes(source, kind) == media.stream_hashes(out, kind) for kind in "as"]
    fonts = [
        [s["extradata_hash"] for s in media.probe(path)["streams"] if s["codec_type"] == "attachment"]
        for path in (source, out)
    ]
    names = zip(("sound", "subtitles", "fonts"), (*same, fonts[0] == fonts[1]), strict=True)
    return ", ".join(f"{name} {'kept' if kept else 'changed'}" for name, kept in names)


def ways_to_see(folder: Path) -> str:
    plain_one, out, lost = media.video(folder / "plain.mkv", frames=12), folder / "out.mkv", []
    for name, option in (
        ("stereo_mode", "--stereo-mode 0:side_by_side_left_first"),
        ("projection_type", "--projection-type 0:1"),
        ("cropping", "--cropping 0:2,4,6,8"),
    ):
        media.call("mkvmerge", "-q", "-o", folder / "a.mkv", *option.split(), plain_one)
        plain(folder / "a.mkv", out)
        if name not in json.loads(media.call("mkvmerge", "-J", out))["tracks"][0]["properties"]:
            lost.append(name)
    return f"lost: {', '.join(lost)}" if lost else "kept"


def depth(folder: Path) -> str:
    source, out = media.fansub(folder / "a.mkv"), folder / "out.mkv"
    plain(source, out)
    return next(s["pix_fmt"] for s in media.probe(out)["streams"] if s["codec_type"] == "video") + " kept"


@dataclass(frozen=True)
class Row:
    """One property. `tests` are what proves it; `measure` runs plain ffmpeg."""

    claim: str
    tests: tuple[str, ...]
    measure: Callable[[Path], str] | None
    video2x: str = "-"
    real_esrgan: str = "-"


_8_BIT = "through 8-bit BGR and swscale (bilinear)"
ROWS = (
    Row(
        "Every frame at its own time, variable rates, gaps and a late start too",
        (
            "test_engine_episode.py::test_a_fansub_keeps_everything",
            "test_engine_episode.py::test_odd_times_and_shapes",
            "test_engine_episode_time.py::test_a_long_gap_between_frames_stays",
        ),
        uneven_times,
        "in the decoder's time base, else that of the frame rate; a time of 0 or less becomes the frame's number",
        "written at the average frame rate",
    ),
    Row(
        "Time bases finer than a millisecond, an .mp4 that begins between two; finer than 1 µs: within 1 µs, and told",
        (
            "test_engine_episode.py::test_odd_times_and_shapes",
            "test_engine_episode_time.py::test_mp4_stays_as_it_was",
            "test_engine_episode_time.py::test_times_of_an_mp4_finer_than_a_microsecond_are_kept_within_one_and_told",
        ),
        fine_times,
    ),
    Row(
        "MP4 to Matroska: frames within 1 µs, sound and picture together, edit lists and priming samples understood",
        ("test_engine_episode_time.py::test_mp4_to_matroska_keeps_picture_and_sound_together",),
        mp4_offsets,
    ),
    Row(
        "Leading pictures of an open GOP: dropped as players do, and told; the last frame as long as it was",
        (
            "test_engine_open_gop.py::test_leading_pictures_are_dropped_and_told",
            "test_engine_episode_time.py::test_the_last_frame_lasts_as_long",
        ),
        None,
    ),
    Row(
        "A chart with the network off: within 1 level of an exact resize, at 8 to 12 bit, 4:2:0 to 4:4:4, grey, "
        "limited and full range, chroma at its siting",
        (
            "test_engine_color_fidelity.py::test_a_chart_with_the_network_off_is_an_exact_resize",
            "test_engine_color.py::test_a_ramp_stays_where_it_is",
        ),
        chart,
        _8_BIT,
        "through 8-bit BGR",
    ),
    Row(
        "With the network on: luma moved by at most 0.3 levels on average, chroma by 0.1; each report states it",
        (
            "test_engine_color_fidelity.py::test_with_our_weights_no_colour_moves",
            "test_engine_color_fidelity.py::test_the_report_states_the_shift",
        ),
        None,
    ),
    Row(
        "Below black and above white",
        (
            "test_engine_color_fidelity.py::test_sub_black_and_super_white_survive",
            "test_engine_color_fidelity.py::test_the_network_leaves_what_is_blacker_than_black_and_whiter_than_white",
        ),
        None,
        "through RGB, which has none",
        "through RGB, which has none",
    ),
    Row(
        "Depth kept; reduced only when asked, and then dithered",
        (
            "test_engine_encode.py::test_depth_is_never_reduced_unless_asked",
            "test_engine_color_fidelity.py::test_reduced_depth_is_dithered_and_only_where_asked",
        ),
        depth,
        "8 bit",
        "8 bit, yuv420p",
    ),
    Row(
        "Matrix, primaries, transfer, range, siting and pixel shape written as the source's",
        (
            "test_engine_encode.py::test_tags_are_written_as_the_sources",
            "test_engine_encode.py::test_rare_primaries_are_written",
        ),
        None,
        "copied from the decoder",
        "not passed on",
    ),
    Row(
        "Untagged SD is tagged BT.601 where it would be taken for HD",
        ("test_engine_color_fidelity.py::test_untagged_sd_is_tagged_where_players_would_guess_anew",),
        sd_tags,
    ),
    Row(
        "Sound, subtitles, fonts: the same packets",
        (
            "test_engine_episode.py::test_a_fansub_keeps_everything",
            "test_engine_verify_copies.py::test_another_word_in_a_subtitle_is_noticed",
        ),
        copies,
        "sound and subtitles copied; attachments skipped",
        "sound copied; nothing else mapped",
    ),
    Row(
        "Names, languages, flags, track UIDs",
        ("test_engine_episode.py::test_headers_that_only_mkvmerge_sees_are_kept",),
        headers,
        "streams made anew from their codec parameters alone",
    ),
    Row(
        "Chapters with ordered editions; the UIDs of linked files",
        ("test_engine_verify_copies.py::test_ordered_chapters_and_what_links_files_are_kept",),
        linked_chapters,
    ),
    Row(
        "Statistics tags counted anew",
        ("test_engine_episode.py::test_a_fansub_keeps_everything",),
        stale_statistics,
    ),
    Row("Cover art kept, never enlarged", ("test_engine_episode.py::test_a_cover_picture_stays",), cover),
    Row(
        "Other video streams kept; turned video stays turned",
        (
            "test_engine_verify_copies.py::test_the_other_video_is_kept_as_it_is",
            "test_engine_verify_copies.py::test_a_turned_video_stays_turned",
        ),
        None,
        "other videos skipped",
        "the first video alone",
    ),
    Row(
        "Two views in one frame (stereo 3D), spheres and cropping stay so; what cannot is refused, or told",
        (
            "test_engine_episode.py::test_how_the_picture_is_to_be_seen_is_kept",
            "test_engine_probe.py::test_what_would_be_lost_beside_the_picture_is_refused",
            "test_engine_episode.py::test_captions_inside_the_video_are_told_of",
        ),
        ways_to_see,
    ),
    Row(
        "Damaged or truncated sources refused; with `damaged: accept`, what is missing is told",
        (
            "test_engine_completeness.py::test_missing_parts_are_noticed",
            "test_engine_verify_copies.py::test_damage_is_accepted_where_asked_and_told",
        ),
        truncated,
        "-",
        "a frame that fails is left out; ffmpeg's exit status is not looked at",
    ),
    Row(
        "Interlaced and telecined sources refused, or deinterlaced where asked",
        (
            "test_engine_interlace.py::test_fields_are_found_where_they_are",
            "test_engine_interlace.py::test_deinterlaced_frames_keep_their_times_and_lose_their_combs",
        ),
        interlaced,
    ),
    Row(
        "HDR, Dolby Vision, DRM refused with a reason",
        (
            "test_engine_probe.py::test_kinds_that_are_refused",
            "test_engine_probe.py::test_dolby_vision_is_refused",
            "test_engine_probe.py::test_protection_against_copying_is_refused",
        ),
        None,
    ),
    Row(
        "ASS untouched; the size it was written for added where asked",
        ("test_engine_ass_layout.py::test_scripts_are_untouched_unless_asked",),
        None,
    ),
)

_HEAD = """\
# What an episode keeps

Each line is a property, the test that proves it (in `tests/`), and what other ways make of the same source. This page
is written by `python -m tests.fidelity`, which runs plain ffmpeg ({ffmpeg}) as
`-map 0 -c copy -c:v libx265 -vf scale=2*iw:2*ih` on sources that the tests make, and measures the result. What stands
under video2x and Real-ESRGAN is read from their code, not run: video2x `src/encoder.cpp` and `src/conversions.cpp`
(commits 003ea89 and 04eaff3), Real-ESRGAN `inference_realesrgan_video.py` (071e428); "-" where the code read does not
tell, or nothing was measured. Real-ESRGAN's script asks the video stream for its number of frames, which Matroska files
do not state.

| Kakudai | proved by | plain ffmpeg | video2x | Real-ESRGAN's script |
|---|---|---|---|---|
"""


def document() -> str:
    """The page, with plain ffmpeg measured now."""
    lines = []
    for row in ROWS:
        with tempfile.TemporaryDirectory() as folder:
            measured = row.measure(Path(folder)) if row.measure else "-"
        proofs = "<br>".join(f"`{test}`" for test in row.tests)
        lines.append(f"| {row.claim} | {proofs} | {measured} | {row.video2x} | {row.real_esrgan} |\n")
    version = media.call("ffmpeg", "-version").decode().split()[2]
    return _HEAD.format(ffmpeg=version) + "".join(lines)


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
