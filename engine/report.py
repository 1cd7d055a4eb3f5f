"""The facts of an episode that can be held against it later: frames, times, and what every stream holds.

`episode_facts` reads them from a file; `differences` says where two sets of them part. Plain JSON data.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

from engine.packets import PacketScan, scan_packets, stream_hashes
from engine.probe import EpisodeInfo, read_headers
from engine.settings import Damaged, Limits
from engine.source import Source

_HASHED = frozenset({"video", "audio", "subtitle", "picture"})
_ANY_SIZE = 1 << 30
_WORDS = {
    "container": "container",
    "frames": "frames",
    "first_pts": "first PTS",
    "last_pts": "last PTS",
    "time_base": "time base of the video",
    "pts_sha256": "times of the frames (SHA-256 of all PTS)",
    "chapters": "chapters",
}
_STREAM_WORDS = {
    "kind": "kind",
    "codec": "codec",
    "packets": "packets",
    "start_s": "start in seconds",
    "sha256": "content (SHA-256)",
    "disposition": "disposition",
    "tags": "tags",
}


def episode_facts(file: Source, *, limits: Limits, video_stream: int | None = None) -> dict[str, Any]:
    """What a finished or source episode holds. Raises `InputError` (damaged), `ProcessingError`.

    `video_stream`: which of several videos is meant, counted from 1. The packets are read twice: once for their times,
    once for their content.
    """
    wide = replace(limits, max_pixels=_ANY_SIZE)
    info = read_headers(file, limits=wide, video_stream=video_stream, damaged=Damaged.ACCEPT)
    return facts_of(file, info, scan_packets(file.fd, info, limits=wide, subject=file.path), limits=wide)


def facts_of(
    file: Source, info: EpisodeInfo, scan: PacketScan, *, limits: Limits, damaged: bool = False
) -> dict[str, Any]:
    """The same for a file whose headers and packet times are known already. What is `damaged` is not hashed."""
    hashed = [stream.index for stream in info.streams if stream.kind in _HASHED and not damaged]
    found = stream_hashes(file.fd, hashed, limits=limits, subject=file.path)
    hashes = dict(zip(hashed, found, strict=True))
    times = scan.timestamps
    return {
        "container": info.container,
        "video_stream": info.video_number,
        "frames": len(times),
        "first_pts": times[0] if times else None,
        "last_pts": times[-1] if times else None,
        "time_base": str(info.time_base),
        "pts_sha256": pts_sha256(times),
        "chapters": [[float(start), float(end), title] for start, end, title in info.chapters],
        "tags": dict(info.tags),
        "streams": [
            {
                "index": stream.index,
                "kind": stream.kind,
                "codec": stream.codec,
                "language": stream.tags.get("language"),
                "title": stream.tags.get("title"),
                "disposition": sorted(stream.disposition),
                "time_base": str(stream.time_base),
                "start_s": _seconds(stream.start_ticks, stream.time_base),
                "packets": scan.streams[stream.index].count if stream.index in scan.streams else 0,
                "sha256": hashes.get(stream.index, stream.extradata_hash),
                "tags": dict(stream.tags),
            }
            for stream in info.streams
        ],
    }


def pts_sha256(timestamps: array[int]) -> str:
    """SHA-256 over the PTS of all frames, in order, in ticks of the time base, as decimal numbers."""
    return hashlib.sha256(",".join(map(str, timestamps)).encode()).hexdigest()


def differences(recorded: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Where `found` is not what was recorded, one line each; empty when they agree."""
    lines = _unequal("", _WORDS, recorded, found)
    lines += _unequal("", {"tags": "tags of the file"}, recorded, found)
    before: Sequence[Mapping[str, Any]] = recorded["streams"]
    after: Sequence[Mapping[str, Any]] = found["streams"]
    if len(before) != len(after):
        lines.append(f"streams: {len(after)}, not {len(before)}")
    for old, new in zip(before, after, strict=False):
        lines += _unequal(f"stream {old['index']} ({old['kind']}): ", _STREAM_WORDS, old, new)
    return lines


def _unequal(where: str, words: Mapping[str, str], recorded: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    return [
        f"{where}{word}: {found.get(name)!r}, not {recorded.get(name)!r}"
        for name, word in words.items()
        if found.get(name) != recorded.get(name)
    ]


def _seconds(ticks: int | None, time_base: Fraction) -> float | None:
    return None if ticks is None else float(ticks * time_base)
