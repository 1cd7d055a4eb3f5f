"""Kinds of video that are refused by their headers, each with its reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from engine.errors import InputError
from engine.settings import Limits
from engine.source import Source

_DOLBY_TAGS = frozenset({"dvh1", "dvhe", "dva1", "dvav", "dav1"})
_PROTECTED_TAGS = frozenset({"encv", "enca", "drmi", "drms", "drmt"})
_HDR_TRANSFERS = {"smpte2084": "PQ", "arib-std-b67": "HLG"}
_INTERLEAVED = ("checkerboard", "row_interleaved", "col_interleaved")
"""ffmpeg's names of Matroska's stereo modes in which neighbouring pixels belong to two views."""


def spatial(raw: Mapping[str, Any]) -> str:
    """What a video stream is beside one flat picture, in words: two views in one frame, a sphere; "" for nothing."""
    side_data = {str(item.get("side_data_type", "")): item for item in raw.get("side_data_list", [])}
    stereo = _tags(raw).get("stereo_mode") or side_data.get("Stereo 3D", {}).get("type", "2D")
    if stereo not in ("mono", "2D"):
        return f"two views in one frame (stereo 3D: {stereo})"
    if "Spherical Mapping" in side_data:
        return f"a spherical picture ({side_data['Spherical Mapping'].get('projection', 'of some kind')})"
    return ""


def _tags(raw: Mapping[str, Any]) -> dict[str, str]:
    return {str(name).lower(): str(value) for name, value in raw.get("tags", {}).items()}


def refuse_unsupported(
    source: Source, raw: Mapping[str, Any], raw_streams: Iterable[Mapping[str, Any]], *, limits: Limits
) -> None:
    """`raw`: the video stream as ffprobe tells it, among `raw_streams`. Raises `InputError`."""

    def refused(reason: str, remedy: str) -> InputError:
        return InputError(reason, remedy=remedy, path=source.path)

    protected = [each["index"] for each in raw_streams if each.get("codec_tag_string") in _PROTECTED_TAGS]
    if protected:
        raise refused(
            f"is protected against copying (DRM, stream {protected[0]})", "give a file without copy protection"
        )
    width, height = int(raw.get("width", 0)), int(raw.get("height", 0))
    if not width or not height or "pix_fmt" not in raw:
        raise refused(
            f"its video ({raw.get('codec_name', 'of an unknown codec')}) cannot be understood: the header is damaged "
            "or the codec unknown",
            "give a complete file; `ffprobe` tells what is in it",
        )
    if width * height > limits.max_pixels:
        raise refused(
            f"its frames of {width}x{height} are over the limit of {limits.max_pixels} pixels",
            "raise limits.max_pixels in the configuration if this is meant",
        )
    tags = _tags(raw)
    if tags.get("alpha_mode", "0") != "0":
        raise refused(
            "its video has a transparency channel, which would be lost",
            "lay it over a background first, for example with ffmpeg: -c:v libvpx-vp9 -i FILE and the filter overlay",
        )
    if tags.get("stereo_mode", "").startswith(_INTERLEAVED):
        raise refused(
            f"holds two views that take turns pixel by pixel (stereo 3D: {tags['stereo_mode']}): they would be mixed",
            "arrange them side by side first, for example with ffmpeg's filter stereo3d",
        )
    side_data = {str(item.get("side_data_type", "")): item for item in raw.get("side_data_list", [])}
    if raw.get("codec_tag_string") in _DOLBY_TAGS or any("DOVI" in kind for kind in side_data):
        raise refused("is Dolby Vision, which is not supported", "give an SDR version")
    transfer = str(raw.get("color_transfer", ""))
    if transfer in _HDR_TRANSFERS:
        raise refused(
            f"is HDR ({_HDR_TRANSFERS[transfer]}), which the network was not trained for",
            "give an SDR version, or tone-map it first",
        )
