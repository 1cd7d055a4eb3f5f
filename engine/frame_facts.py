"""When each frame is shown and a hash of its planes, as ffmpeg's framecrc and framehash tell them.

Both muxers write a line a frame: `stream, dts, pts, duration, size, checksum`, after lines that start with `#`.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from engine.errors import InputError
from engine.ffmpeg import ffmpeg_release
from engine.probe import EpisodeInfo
from engine.source import Source

HASHED = {"f": "framehash", "hash": "murmur3", "flush_packets": "1"}
"""Output options for facts that prove a frame: 128 bits at the speed of memory, each line at once."""

_REMEDY = "copy or download it again; if it plays to its end, remux it with mkvmerge"


def exact_options() -> dict[str, str | None]:
    """Output options without which frames are dropped, doubled or scaled, and timestamps rounded.

    ffmpeg 6.1 gave the encoder's "time base of the source" a name; version 8 forgot its number, which is all that
    older ones know.
    """
    of_the_source = "demux" if ffmpeg_release() >= 7 else "-1"
    return {"fps_mode": "passthrough", "enc_time_base": of_the_source, "noautoscale": None}


@dataclass(frozen=True, slots=True)
class FrameFacts:
    """One decoded frame: its PTS in the time base of its stream, and the checksum of its planes."""

    pts: int
    checksum: str


class FactsReader:
    """Turns lines into facts, and refuses what cannot be: another time base, another size, time that stands still."""

    def __init__(self, source: Source, info: EpisodeInfo) -> None:
        self._source = source
        self._time_base = info.time_base
        self._frame_bytes = info.format.frame_bytes(info.size)
        self._frames = 0
        self._last: int | None = None

    def read(self, line: str) -> FrameFacts | None:
        """The facts in a line; None for a comment. Raises `InputError`."""
        if line.startswith("#tb 0:") and Fraction(line[6:].strip()) != self._time_base:
            raise damaged(self._source, f"decodes in another time base than {self._time_base}")
        if line.startswith("#"):
            return None
        fields = line.split(",")
        try:
            facts, size = FrameFacts(int(fields[2]), fields[5].strip()), int(fields[4])
        except (ValueError, IndexError) as error:
            raise damaged(self._source, f"a frame without a timestamp ({error})") from error
        if size != self._frame_bytes:
            raise InputError(
                f"frame {self._frames} has another size or pixel format than those before",
                remedy="cut it there, and enlarge the parts, for example with mkvmerge --split parts-frames:…",
                path=self._source.path,
            )
        if self._last is not None and facts.pts <= self._last:
            raise damaged(self._source, f"the timestamp of frame {self._frames} does not increase")
        self._frames += 1
        self._last = facts.pts
        return facts


def damaged(source: Source, reason: str) -> InputError:
    """The source is at fault, for this reason."""
    return InputError(reason, remedy=_REMEDY, path=source.path)
