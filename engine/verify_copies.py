"""The proof that what was copied is the same: packets by hash, their times, chapters and the UIDs of linked files."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from typing import Any

import ffmpeg

from engine import mkvmerge
from engine.ffmpeg import command, descriptor_url, fenced
from engine.packets import PacketScan, stream_hashes
from engine.probe import EpisodeInfo, Stream
from engine.process import run
from engine.settings import Limits
from engine.source import Source

_LARGEST_SHIFT_S = Fraction(2, 1000)
"""mkvmerge re-times sound that others muxed by up to 2 ms, without drift, where some of the file is laced."""
MPEG_AUDIO = {"mp1", "mp2", "mp3"}
"""Layers that an MP4 does not tell apart, but a Matroska file does."""
_TEXT = {"ass": "ass", "ssa": "ass", "subrip": "srt", "webvtt": "webvtt"}
"""Subtitles whose packets are text, and the format in which ffmpeg writes them out."""


def time_problem(old: Stream, new: Stream, before: PacketScan, after: PacketScan) -> str | None:
    """A copied stream of another codec, with more or fewer packets, or with one at another time; None if well."""
    was, now = before.streams.get(old.index), after.streams.get(new.index)
    if old.codec != new.codec and not {old.codec, new.codec} <= MPEG_AUDIO:
        return f"stream {new.index} is {new.codec}, not {old.codec}"
    if was is None or now is None:
        return None if was is now else f"stream {new.index} has {now.count if now else 0} packets"
    if was.count != now.count and not old.codec.startswith("pcm"):  # muxers cut PCM as they like
        return f"stream {new.index} has {now.count} packets of {new.codec}, not {was.count}"
    compared = min(len(was.timestamps), len(now.timestamps)) if was.count == now.count else 1
    for number in range(compared):
        then, here = was.timestamps[number], now.timestamps[number]
        shift = here * new.time_base - then * old.time_base
        # a coarser clock rounds once more
        if abs(shift) > _LARGEST_SHIFT_S + max(old.time_base, new.time_base) / 2:
            return f"packet {number} of stream {new.index} lies {float(shift) * 1000:.3f} ms beside its time"
    return None


def copied_problem(
    source: Source, info: EpisodeInfo, result: Source, found: EpisodeInfo, *, limits: Limits
) -> str | None:
    """Which copied streams have other packets than in the source; None where none has."""
    for kind in ("audio", "picture", "video", "subtitle"):
        old = [s for s in info.streams if s.kind == kind and s.index != info.video_index]
        new = [s for s in found.streams if s.kind == kind and s.index != found.video_index]
        texts = kind == "subtitle"
        before = _hashes(source, [s for s in old if not (texts and s.codec in _TEXT)], limits)
        after = _hashes(result, [s for s in new if not (texts and s.codec in _TEXT)], limits)
        if Counter(before) != Counter(after):
            return f"the packets of its {kind} streams differ"
        if texts:
            written = [s for s in old if s.codec in _TEXT], [s for s in new if s.codec in _TEXT]
            for one, other in zip(*written, strict=False):
                if _text(source, one, limits) != _text(result, other, limits):
                    return f"the text of subtitle stream {other.index} differs"
    return None


def _hashes(source: Source, streams: list[Stream], limits: Limits) -> list[str]:
    return stream_hashes(source.fd, [s.index for s in streams], limits=limits, subject=source.path)


def _text(source: Source, stream: Stream, limits: Limits) -> list[bytes]:
    """The lines of a text subtitle, without the spaces at their ends, which mkvmerge trims, and what we may add."""
    input_ = ffmpeg.input(descriptor_url(source.fd), **fenced(limits), copyts=None)
    argv = command(input_[str(stream.index)].output("pipe:1", f=_TEXT[stream.codec], c="copy"))
    said, _ = run(argv, silence_s=limits.silence_s, subject=source.path, pass_fds=(source.fd,))
    return [line.rstrip() for line in said.splitlines() if not line.startswith((b"LayoutResX:", b"LayoutResY:"))]


_LINKS = ("segment_uid", "previous_segment_uid", "next_segment_uid")


def linking_problem(
    source: Source, info: EpisodeInfo, result: Source, found: EpisodeInfo, *, limits: Limits
) -> str | None:
    """From Matroska to Matroska: editions, chapters with their UIDs, and by what linked files find each other."""
    if (info.container, found.container) != ("mkv", "mkv"):
        return None
    identified = [_properties(file, limits) for file in (source, result)]
    for name in _LINKS:
        if identified[0].get(name) not in (None, identified[1].get(name)):
            return f"its {name.replace('_', ' ')} is {identified[1].get(name)}, not {identified[0][name]}"
    if info.chapters:
        chapters = [
            mkvmerge.read_chapters(file.fd, silence_s=limits.silence_s, subject=file.path) for file in (source, result)
        ]
        if chapters[0] != chapters[1]:
            return "its chapters are not those of the source"
    return None


def _properties(file: Source, limits: Limits) -> dict[str, Any]:
    identified = mkvmerge.identify(file.fd, silence_s=limits.silence_s, subject=file.path)
    properties: dict[str, Any] = identified["container"].get("properties", {})
    return properties
