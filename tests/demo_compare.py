"""What the demo shows of a result: pictures before and after, and tables of streams side by side."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyvips
from numpy.typing import NDArray

from engine.errors import ProcessingError

Pixels = NDArray[np.uint8]
"""(height, width, 3), RGB."""

_PAPER = (24, 20, 32)
_GAP = 12
_TITLE_HEIGHT = 34
_IMMUTABLE = ("codec_type", "language", "title", "flags", "channels", "sample_rate", "pix_fmt", "color", "siting")


def read_picture(path: Path) -> Pixels:
    """A picture file as 8-bit RGB, alpha laid over black."""
    image = pyvips.Image.new_from_file(str(path)).colourspace("srgb")
    pixels: Pixels = image.flatten().numpy() if image.hasalpha() else image.numpy()
    return np.ascontiguousarray(pixels[..., :3])


def read_frame(path: Path, index: int) -> Pixels:
    """Frame `index` of an episode, converted by ffmpeg for the screen."""
    stream = probe(path)["streams"][0]
    argv = ["ffmpeg", "-nostdin", "-v", "error", "-i", f"file:{path}", "-map", "0:v:0", "-vf",
            f"select=eq(n\\,{index}),scale=flags=bicubic+accurate_rnd+full_chroma_int,format=rgb24",
            "-frames:v", "1", "-f", "rawvideo", "-"]  # fmt: skip
    raw = _said(argv, path)
    return np.frombuffer(raw, np.uint8).reshape(stream["height"], stream["width"], 3)


def write_before_after(path: Path, source: Pixels, result: Pixels, *, focus: tuple[float, float], title: str) -> None:
    """A sheet: both whole; below, the square around `focus` (fractions of width and height), bicubic between."""
    height, width = result.shape[:2]
    panel_width = 640
    panel_height = round(panel_width * height / width)
    before = cv2.resize(source, (panel_width, panel_height), interpolation=cv2.INTER_CUBIC)
    after = cv2.resize(result, (panel_width, panel_height), interpolation=cv2.INTER_AREA)
    sizes = [f"{pixels.shape[1]}x{pixels.shape[0]}" for pixels in (source, result)]
    upper = _row([before, after], [f"{title}: source, {sizes[0]}", f"enlarged by Kakudai, {sizes[1]}"])
    side = (2 * panel_width - _GAP) // 3
    near, smooth, ours = (
        cv2.resize(_square(pixels, focus), (side, side), interpolation=how)
        for pixels, how in (
            (source, cv2.INTER_NEAREST),
            (cv2.resize(source, (width, height), interpolation=cv2.INTER_CUBIC), cv2.INTER_NEAREST),
            (result, cv2.INTER_NEAREST),
        )
    )
    lower = _row([near, smooth, ours], ["source pixels", "bicubic", "Kakudai"])
    sheet_width = max(upper.shape[1], lower.shape[1])
    sheet = np.concatenate([_padded(upper, sheet_width), _padded(lower, sheet_width)])
    pyvips.Image.new_from_array(sheet, interpretation="srgb").write_to_file(str(path))


def _square(pixels: Pixels, focus: tuple[float, float]) -> Pixels:
    height, width = pixels.shape[:2]
    side = round(min(width, height) * 0.36)
    left = int(np.clip(round(focus[0] * width) - side // 2, 0, width - side))
    top = int(np.clip(round(focus[1] * height) - side // 2, 0, height - side))
    return pixels[top : top + side, left : left + side]


def _row(panels: Sequence[Any], titles: Sequence[str]) -> Pixels:
    framed = []
    for panel, title in zip(panels, titles, strict=True):
        strip = np.full((_TITLE_HEIGHT, panel.shape[1], 3), _PAPER, np.uint8)
        cv2.putText(strip, title, (4, 23), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (240, 235, 230), 1, cv2.LINE_AA)
        gap = np.full((_TITLE_HEIGHT + panel.shape[0], _GAP, 3), _PAPER, np.uint8)
        framed += [np.concatenate([strip, panel]), gap]
    return np.concatenate(framed[:-1], axis=1)


def _padded(row: Pixels, width: int) -> Pixels:
    missing = width + 2 * _GAP - row.shape[1]
    return cv2.copyMakeBorder(
        row, 0, _GAP, missing // 2, missing - missing // 2, cv2.BORDER_CONSTANT, value=[int(c) for c in _PAPER]
    )


def probe(path: Path) -> dict[str, Any]:
    """What ffprobe says of streams, chapters and the file."""
    argv = ["ffprobe", "-v", "error", "-show_streams", "-show_chapters", "-show_format", "-of", "json", f"file:{path}"]
    found: dict[str, Any] = json.loads(_said(argv, path))
    return found


def frame_times(path: Path) -> list[Fraction]:
    """The presentation time of each decoded frame, in seconds."""
    argv = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "stream=time_base:frame=pts",
            "-of", "json", f"file:{path}"]  # fmt: skip
    found = json.loads(_said(argv, path))
    base = Fraction(found["streams"][0]["time_base"])
    return [frame["pts"] * base for frame in found["frames"]]


@dataclass(frozen=True)
class Comparison:
    """An episode beside its source: a table to print, and what is not as it should be."""

    table: str
    frames: int
    differences: tuple[str, ...]


def compare_episodes(source: Path, result: Path) -> Comparison:
    """Look at both with ffprobe: streams and their packets, tags, flags, chapters, frames and times."""
    before, after = probe(source), probe(result)
    rows = []
    differences = []
    if len(before["streams"]) != len(after["streams"]):
        differences.append(f"{len(before['streams'])} streams became {len(after['streams'])}")
    for one, other in zip(before["streams"], after["streams"], strict=False):
        first, second = _described(one), _described(other)
        rows.append((f"stream {one['index']}", _line(first), _line(second)))
        differences += [
            f"stream {one['index']}: {key} was {first[key]!r} and is {second[key]!r}"
            for key in _IMMUTABLE
            if first.get(key) != second.get(key)
        ]
    hashes = [_packet_hashes(path) for path in (source, result)]
    rows.append(("packets", hashes[0], hashes[1]))
    if hashes[0] != hashes[1]:
        differences.append("sound or subtitles are not the source's, byte for byte")
    names = [[chapter.get("tags", {}).get("title", "?") for chapter in found["chapters"]] for found in (before, after)]
    rows.append(("chapters", ", ".join(names[0]), ", ".join(names[1])))
    starts = [[float(chapter["start_time"]) for chapter in found["chapters"]] for found in (before, after)]
    if names[0] != names[1] or starts[0] != starts[1]:
        differences.append("the chapters are not the source's")
    tags = [_global_tags(found) for found in (before, after)]
    rows.append(("tags", ", ".join(tags[0]), ", ".join(tags[1])))
    differences += [f"the tag {name} is lost or changed" for name in tags[0] if tags[1].get(name) != tags[0][name]]
    times = [frame_times(path) for path in (source, result)]
    spans = [f"{len(found)}, {float(found[0]):.3f} to {float(found[-1]):.3f} s" for found in times]
    rows.append(("frames", spans[0], spans[1]))
    if times[0] != times[1]:
        moved = sum(a != b for a, b in zip(*times, strict=False)) + abs(len(times[0]) - len(times[1]))
        differences.append(f"{moved} frames are missing or have another time")
    table = _table(("", source.name, result.name), rows)
    return Comparison(table, len(times[1]), tuple(differences))


def _described(stream: dict[str, Any]) -> dict[str, str]:
    tags = {name.lower(): str(text) for name, text in stream.get("tags", {}).items()}
    flags = [name for name, is_set in stream.get("disposition", {}).items() if is_set]
    color = [str(stream.get(f"color_{key}", "")) for key in ("range", "space", "primaries", "transfer")]
    return {
        "codec_type": stream.get("codec_type", "?"),
        "codec": stream.get("codec_name", tags.get("mimetype", "?")),
        "size": f"{stream['width']}x{stream['height']}" if stream.get("width") else "",
        "pix_fmt": str(stream.get("pix_fmt", "")),
        "color": "/".join(dict.fromkeys(filter(None, color))),
        "siting": str(stream.get("chroma_location", "")),
        "sample_rate": str(stream.get("sample_rate", "")),
        "channels": f"{stream['channels']} ch" if stream.get("channels") else "",
        "language": tags.get("language", ""),
        "title": tags.get("title", tags.get("filename", "")),
        "flags": "+".join(flags),
    }


def _packet_hashes(path: Path) -> str:
    """One short hash per audio and subtitle stream, over its packets as they lie in the file."""
    argv = ["ffmpeg", "-nostdin", "-v", "error", "-i", f"file:{path}", "-map", "0:a", "-map", "0:s?", "-c", "copy",
            "-f", "streamhash", "-hash", "md5", "-"]  # fmt: skip
    lines = _said(argv, path).decode().splitlines()
    return " ".join(line.rpartition("=")[2][:10] for line in lines)


def _line(described: dict[str, str]) -> str:
    return " ".join(text for key, text in described.items() if text and key != "sample_rate")


def _global_tags(found: dict[str, Any]) -> dict[str, str]:
    tags: dict[str, str] = found["format"].get("tags", {})
    return {name: text for name, text in tags.items() if name.lower() not in ("encoder", "creation_time")}


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    top = "  ".join(cell.ljust(width) for cell, width in zip(header, widths, strict=True)).rstrip()
    return "\n".join([top, "-" * min(sum(widths) + 4, 160), *lines])


def _said(argv: Sequence[str], path: Path) -> bytes:
    ended = subprocess.run(argv, capture_output=True, check=False)
    if ended.returncode != 0:
        raise ProcessingError(
            f"{argv[0]} ended with status {ended.returncode}: {ended.stderr.decode(errors='replace').strip()}",
            remedy="the file is damaged, or the program is too old",
            path=path,
        )
    return ended.stdout
