"""What a Matroska file says of its video track, for the picture that takes the old one's place: header and tags."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any
from xml.etree import ElementTree as Xml

from engine import mkvmerge
from engine.probe import EpisodeInfo
from engine.segments import Segment
from engine.settings import Limits, Size
from engine.source import Source

_FLAGS = {
    "default_track": "--default-track-flag",
    "enabled_track": "--track-enabled-flag",
    "forced_track": "--forced-display-flag",
    "flag_hearing_impaired": "--hearing-impaired-flag",
    "flag_visual_impaired": "--visual-impaired-flag",
    "flag_text_descriptions": "--text-descriptions-flag",
    "flag_original": "--original-flag",
    "flag_commentary": "--commentary-flag",
}
"""mkvmerge's names of the track flags: in its JSON, and as options."""

_HEADER_FIELDS = {
    "chromaticity_coordinates": "--chromaticity-coordinates",
    "white_color_coordinates": "--white-colour-coordinates",
    "max_luminance": "--max-luminance",
    "min_luminance": "--min-luminance",
    "max_content_light": "--max-content-light",
    "max_frame_light": "--max-frame-light",
    "projection_type": "--projection-type",
    "projection_private": "--projection-private",
    "projection_pose_yaw": "--projection-pose-yaw",
    "projection_pose_pitch": "--projection-pose-pitch",
    "projection_pose_roll": "--projection-pose-roll",
}
"""What else the header of a video track may tell of the mastering display and of how the picture is turned."""

_STATISTICS = ("BPS", "DURATION", "NUMBER_OF_FRAMES", "NUMBER_OF_BYTES", "_STATISTICS_")


def video_header(properties: Mapping[str, Any], info: EpisodeInfo, size: Size) -> list[str]:
    """mkvmerge's options for the header of the video track, which is track 0 of its file.

    `properties`: of the source's track, as mkvmerge identifies it; `size`: of the new frames in pixels. Display
    size and colour are in the segments' own headers already.
    """
    words = []
    for flag, option in _FLAGS.items():
        if flag in properties:
            words += [option, f"0:{'yes' if properties[flag] else 'no'}"]
    if name := properties.get("track_name"):
        words += ["--track-name", f"0:{name}"]
    for field, option in _HEADER_FIELDS.items():
        if field in properties:
            words += [option, f"0:{properties[field]}"]
    if info.rotation and info.container != "mkv":
        words += ["--projection-type", "0:0", "--projection-pose-roll", f"0:{info.rotation}"]
    words += ["--language", f"0:{properties.get('language_ietf') or properties.get('language') or 'und'}"]
    if stereo := properties.get("stereo_mode"):
        words += ["--stereo-mode", f"0:{stereo}", "--display-dimensions", f"0:{_display_of_a_view(properties, size)}"]
    if crop := properties.get("cropping"):
        factors = [Fraction(size.width, info.size.width), Fraction(size.height, info.size.height)] * 2
        edges = [round(int(edge) * factor) for edge, factor in zip(crop.split(","), factors, strict=True)]
        words += ["--cropping", "0:" + ",".join(map(str, edges))]
    return words


def _display_of_a_view(properties: Mapping[str, Any], size: Size) -> Size:
    """The largest of the source's display aspect that fits into the new frame.

    Where a frame holds two views, the display size is of one of them: no aspect of pixels tells it.
    """
    width, height = map(int, str(properties.get("display_dimensions", "0x0")).split("x"))
    if width == 0 or height == 0:
        return size
    factor = min(Fraction(size.width, width), Fraction(size.height, height))
    return Size(round(width * factor), round(height * factor))


def video_tags(
    source: Source, info: EpisodeInfo, properties: Mapping[str, Any], first: Segment, limits: Limits
) -> list[Xml.Element]:
    """The source's tags of the video track, still true of the new picture: `Tag` elements of Matroska's XML form.

    Statistics of the old one are dropped (mkvmerge counts anew where the source had them); a tag that names the old
    picture's encoder names the new one's.
    """
    if info.container != "mkv":
        return []
    everything = mkvmerge.read_tags(source.fd, silence_s=limits.silence_s, subject=source.path)
    had_statistics = any("_STATISTICS_TAGS" in name for name in info.video.tags)
    kept = []
    for tag in everything.findall("Tag"):
        targets = tag.find("Targets")
        uids = [] if targets is None else targets.findall("TrackUID")
        if targets is None or [uid.text for uid in uids] != [str(properties.get("uid"))]:
            continue
        for uid in uids:
            targets.remove(uid)  # the option names the track
        for simple in tag.findall("Simple"):
            name = simple.findtext("Name", "")
            if had_statistics and name.startswith(_STATISTICS):
                tag.remove(simple)
            elif name == "ENCODER":
                simple_value = simple.find("String")
                encoder = _encoder_of(first, limits)
                if simple_value is None or encoder is None:
                    tag.remove(simple)
                else:
                    simple_value.text = encoder
        if tag.find("Simple") is not None:
            kept.append(tag)
    return kept


def _encoder_of(segment: Segment, limits: Limits) -> str | None:
    with segment.path.open("rb") as file:
        found = mkvmerge.identify(file.fileno(), silence_s=limits.silence_s, subject=segment.path)
    encoder: str | None = found["tracks"][0]["properties"].get("tag_encoder")
    return encoder
