"""What an episode is, read from its headers alone; and the refusals that need no more than headers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal

from engine.bounds import check_headers
from engine.container_length import check_length
from engine.errors import InputError, NothingToDo
from engine.ffmpeg import MATROSKA, ffprobe_json
from engine.planes import PlaneFormat, plane_format
from engine.settings import Damaged, Deinterlace, Limits, Settings, Size
from engine.source import Source
from engine.unsupported import refuse_unsupported, spatial

TAG = "KAKUDAI"
"""The global tag of what Kakudai made. In an .mp4, which has no free tags, a line `KAKUDAI=…` of the comment."""

OF_THE_MUXER = frozenset({"encoder", "creation_time", "major_brand", "minor_version", "compatible_brands"})
"""Global tags, in lower case, that tell of the file rather than of the episode."""

_INTERLACED = frozenset({"tt", "bb", "tb", "bt"})
_ONE = 1 << 16
_TURNS: dict[tuple[int, ...], int] = {
    (_ONE, 0, 0, _ONE): 0,
    (0, -_ONE, _ONE, 0): 90,
    (-_ONE, 0, 0, -_ONE): 180,
    (0, _ONE, -_ONE, 0): -90,
}
"""Display matrices (a, b, c, d) and the degrees counter-clockwise that they mean."""
_UNSPECIFIED = frozenset({"", "unknown", "unspecified", "reserved"})


@dataclass(frozen=True)
class ColorTags:
    """How the decoded numbers are to be understood, in ffmpeg's names; None where the source does not say."""

    range: str | None = None
    matrix: str | None = None
    primaries: str | None = None
    transfer: str | None = None
    chroma_location: str | None = None


@dataclass(frozen=True)
class Stream:
    """One stream of an episode as ffprobe tells it. `kind`: video, audio, subtitle, attachment, data, picture."""

    index: int
    kind: str
    codec: str
    codec_tag: str
    time_base: Fraction
    start_ticks: int | None
    frames: int | None
    """Frames that the container declares (MP4 alone counts them)."""
    disposition: frozenset[str]
    tags: Mapping[str, str]
    extradata_hash: str | None
    """SHA-256 of the codec's header; of an attachment, its content."""


@dataclass(frozen=True)
class EpisodeInfo:
    """The headers of an episode. `video_index` is the index of the video stream among all streams."""

    container: Literal["mkv", "mp4"]
    video_index: int
    size: Size
    sample_aspect: Fraction
    """Width of a pixel over its height (SAR); 1 where the source does not say."""
    format: PlaneFormat
    colors: ColorTags
    rotation: int
    """Degrees counter-clockwise by which a player turns the frames: 0, 90, 180 or -90."""
    spatial: str
    """What the frames are beside flat pictures (`engine.unsupported.spatial`); "" for nothing."""
    field_order: str
    """ffprobe's name: `progressive`, `tt`, `bb`, `tb`, `bt`, or `unknown`."""
    frame_rate: Fraction
    """The nominal rate: for rate control and estimates. Never for timing."""
    time_base: Fraction
    duration_s: Fraction | None
    frames: int | None
    """Frames as far as headers tell: counted by an MP4, estimated from the duration of a Matroska file."""
    tags: Mapping[str, str]
    streams: tuple[Stream, ...]
    chapters: tuple[tuple[Fraction, Fraction, str], ...] = field(default=())
    """Start and end in seconds, and title."""

    @property
    def video(self) -> Stream:
        return self.streams[self.video_index]

    @property
    def video_number(self) -> int:
        """Which of the video streams it is, counted from 1."""
        return sum(stream.kind == "video" for stream in self.streams[: self.video_index + 1])

    @property
    def other_videos(self) -> tuple[int, ...]:
        """Indexes of the video streams that are not enlarged."""
        return tuple(s.index for s in self.streams if s.kind == "video" and s.index != self.video_index)


def probe_episode(source: Source, *, limits: Limits, settings: Settings | None = None) -> EpisodeInfo:
    """Read the headers of an episode, as `settings` ask (which video stream, damaged or interlaced ones accepted).

    Raises `InputError` for what is damaged, cut short or of a kind that is refused, `NothingToDo` for what Kakudai
    made, `ToolError` where ffprobe is missing.
    """
    asked = settings or Settings()
    info = read_headers(source, limits=limits, video_stream=asked.video_stream, damaged=asked.damaged)
    if info.field_order in _INTERLACED and asked.deinterlace is Deinterlace.REFUSE:
        raise InputError(
            f"is interlaced (field order {info.field_order})",
            remedy="set `deinterlace: bwdif` in the profile (or --deinterlace bwdif)",
            path=source.path,
        )
    if info.spatial and info.container == "mp4":
        raise InputError(
            f"holds {info.spatial}, which is carried from one Matroska file to another alone",
            remedy="remux it to .mkv first: ffmpeg -i FILE -map 0 -c copy FILE.mkv",
            path=source.path,
        )
    if made := _made_by_kakudai(info.tags):
        raise NothingToDo(f"was made by Kakudai already ({made})", remedy="give the original instead", path=source.path)
    return info


def read_headers(
    source: Source, *, limits: Limits, video_stream: int | None = None, damaged: Damaged = Damaged.REFUSE
) -> EpisodeInfo:
    """The same, without asking who made it or how its fields lie. Raises `InputError`, `ToolError`."""
    if damaged is Damaged.REFUSE:
        check_length(source)
    entries = ["-show_streams", "-show_format", "-show_chapters", "-show_data_hash", "sha256"]
    found = ffprobe_json(source.fd, entries=entries, limits=limits, subject=source.path)
    tags = {str(k): str(v) for k, v in found["format"].get("tags", {}).items()}
    raw_streams: list[dict[str, Any]] = found.get("streams", [])
    duration = found["format"].get("duration")
    duration_s = Fraction(duration) if duration else None
    check_headers(source, raw_streams, duration_s, limits=limits)
    streams = tuple(_stream(raw) for raw in raw_streams)
    raw = raw_streams[_choose_video(streams, source, video_stream)]
    refuse_unsupported(source, raw, raw_streams, limits=limits)
    format_ = plane_format(
        str(raw["pix_fmt"]),
        full_range=raw.get("color_range") == "pc",
        chroma_location=_said(raw, "chroma_location") or "left",
    )
    if format_ is None:
        raise InputError(
            f"its pixel format {raw['pix_fmt']} is not planar YUV or grey",
            remedy="convert it to yuv420p, yuv422p or yuv444p first, for example with ffmpeg -pix_fmt yuv444p",
            path=source.path,
        )
    rate = _frame_rate(raw)
    counted, lasts_s = streams[raw["index"]].frames, _video_duration_s(raw, duration_s)
    return EpisodeInfo(
        container="mkv" if found["format"]["format_name"] == MATROSKA else "mp4",
        video_index=raw["index"],
        size=Size(int(raw["width"]), int(raw["height"])),
        sample_aspect=_sample_aspect(raw),
        format=format_,
        colors=ColorTags(
            range=_said(raw, "color_range"),
            matrix=_said(raw, "color_space"),
            primaries=_said(raw, "color_primaries"),
            transfer=_said(raw, "color_transfer"),
            chroma_location=_said(raw, "chroma_location"),
        ),
        rotation=_rotation(raw, source),
        spatial=spatial(raw),
        field_order=str(raw.get("field_order", "unknown")),
        frame_rate=rate,
        time_base=Fraction(raw["time_base"]),
        duration_s=duration_s,
        frames=counted or (round(lasts_s * rate) if lasts_s else None),
        tags=tags,
        streams=streams,
        chapters=tuple(
            (Fraction(c["start_time"]), Fraction(c["end_time"]), str(c.get("tags", {}).get("title", "")))
            for c in found.get("chapters", [])
        ),
    )


def _stream(raw: Mapping[str, Any]) -> Stream:
    disposition = frozenset(name for name, on in raw.get("disposition", {}).items() if on)
    kind = str(raw.get("codec_type", "unknown"))
    return Stream(
        index=int(raw["index"]),
        kind="picture" if kind == "video" and "attached_pic" in disposition else kind,
        codec=str(raw.get("codec_name", "unknown")),
        codec_tag=str(raw.get("codec_tag_string", "")),
        time_base=Fraction(raw.get("time_base", "1/1")),
        start_ticks=raw.get("start_pts"),
        frames=int(raw["nb_frames"]) if "nb_frames" in raw else None,
        disposition=disposition,
        tags={str(k): str(v) for k, v in raw.get("tags", {}).items()},
        extradata_hash=raw.get("extradata_hash"),
    )


def _choose_video(streams: tuple[Stream, ...], source: Source, wanted: int | None) -> int:
    videos = [stream.index for stream in streams if stream.kind == "video"]
    if not videos:
        cover = " (a cover picture is not one)" if any(s.kind == "picture" for s in streams) else ""
        raise InputError(
            f"has no video stream{cover}", remedy="give an episode; sound alone cannot be enlarged", path=source.path
        )
    if wanted is None and len(videos) > 1:
        raise InputError(
            f"has {len(videos)} video streams; which is meant is not clear",
            remedy="choose by `video_stream: 1` in the profile (or --video-stream 1); the others are kept as they are",
            path=source.path,
        )
    if wanted is not None and wanted > len(videos):
        raise InputError(
            f"has no video stream {wanted}, only {len(videos)}",
            remedy="choose another `video_stream` (or --video-stream)",
            path=source.path,
        )
    return videos[(wanted or 1) - 1]


def _video_duration_s(raw: Mapping[str, Any], duration_s: Fraction | None) -> Fraction | None:
    """What ffmpeg and mkvmerge note of a Matroska track, where it is shorter than the file: sound often ends later."""
    told = re.fullmatch(r"(\d{1,4}):([0-5]\d):([0-5]\d\.\d{1,9})", str(raw.get("tags", {}).get("DURATION", "")))
    if told is None or duration_s is None:
        return duration_s
    hours, minutes, seconds = map(Fraction, told.groups())
    return min(duration_s, hours * 3600 + minutes * 60 + seconds) or duration_s


def _rotation(raw: Mapping[str, Any], source: Source) -> int:
    """From the display matrix (ISO/IEC 14496-12, 6.2.2): a, b, u, c, d, v, x, y, w in fixed point."""
    matrices = [i for i in raw.get("side_data_list", []) if i.get("side_data_type") == "Display Matrix"]
    if not matrices:
        return 0
    rows = re.findall(r":((?:\s+-?\d+){3})", str(matrices[0].get("displaymatrix", "")))
    numbers = [int(number) for row in rows for number in row.split()]
    found = _TURNS.get(tuple(numbers[:2] + numbers[3:5]))
    if found is None:
        raise InputError(
            "is to be mirrored or turned by an odd angle by the player, which is not supported",
            remedy="turn it first, for example by re-encoding it with ffmpeg, which turns by itself",
            path=source.path,
        )
    return found


def _made_by_kakudai(tags: Mapping[str, str]) -> str | None:
    for name, value in tags.items():
        if name.upper() == TAG:
            return value
        if name.lower() == "comment" and (line := re.search(rf"^{TAG}=(.*)$", value, re.MULTILINE)):
            return line[1]
    return None


def _said(raw: Mapping[str, Any], name: str) -> str | None:
    value = str(raw.get(name, ""))
    return None if value in _UNSPECIFIED else value


def _sample_aspect(raw: Mapping[str, Any]) -> Fraction:
    width, _, height = str(raw.get("sample_aspect_ratio", "1:1")).partition(":")
    if not (width.isdigit() and height.isdigit()) or int(width) == 0 or int(height) == 0:
        return Fraction(1)
    return Fraction(int(width), int(height))


def _frame_rate(raw: Mapping[str, Any]) -> Fraction:
    """The nominal frame rate; the average where timestamps are so uneven that the nominal one is a mere tick."""
    rates = []
    for name in ("r_frame_rate", "avg_frame_rate"):
        numerator, _, denominator = str(raw.get(name, "0/0")).partition("/")
        rate = Fraction(int(numerator), int(denominator)) if int(denominator or 0) > 0 else Fraction(0)
        rates.append(rate if Fraction(1, 10) <= rate <= 1000 else None)
    nominal, average = rates
    if average is not None and (nominal is None or nominal > average * 3 / 2):
        return average.limit_denominator(1001)
    return nominal or Fraction(24000, 1001)
