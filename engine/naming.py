"""What an output file is called: the profile's template filled in (`parse_settings.parse_name` checks templates).

Release names carry facts about the file: `[Group] Title - 01v2 [1280x720 HEVC][05CB518E].mkv`. The resolution is
replaced by the new one where it stands; the checksum (CRC-32 of the file) is checked on intake and left out of the
output's name, of which it would no longer be true. Found by two patterns of our own: the parsers of release names raise
on odd names (anitopy 2.1.1 on " 0"), and names here are whatever somebody dropped.
"""

from __future__ import annotations

import os
import re
import zlib
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from engine import __version__
from engine.errors import InputError
from engine.settings import Settings, Size
from engine.source import Source

CHECKSUM_FIELD = "{crc32}"
"""In a template: the CRC-32 of the output, known only once it is complete."""

_UNKNOWN_CHECKSUM = "-" * 8
_LONGEST = 255 - len(".") - len(".0000000000.part")
"""Bytes of a name that still leave room for the hidden part file beside it (Linux allows 255)."""
_RESOLUTION_GROUP = re.compile(r"\s*[\[(]\s*(?:\{width\}x)?\{height\}p?\s*[\])]")
_CHECKSUM = re.compile(r"\s*[\[(]\s*([0-9A-Fa-f]{8})\s*[\])]")
_RESOLUTION = re.compile(r"(?<![0-9A-Za-z])(?:[1-9]\d{2,3}\s?[xX×]\s?[1-9]\d{2,3}|[1-9]\d{2,3}[pi])(?![0-9A-Za-z])")
_CHUNK = 1 << 20


@dataclass(frozen=True)
class ReleaseName:
    """The facts in a file name (without extension). `name` is what is left without the checksum."""

    name: str
    checksum: str | None
    """Eight upper-case hexadecimal digits."""
    resolution: str | None
    """As it stands in `name`: `1280x720`, `720p`, …"""


def release_name(stem: str, *, of_episode: bool = True) -> ReleaseName:
    """Find checksum and resolution in `stem`.

    A checksum stands in brackets of its own; a date in digits is none. Pictures have none: eight digits are the number
    of the picture where it comes from (pixiv).
    """
    name, checksum = stem, None
    for match in _CHECKSUM.finditer(stem) if of_episode else ():
        if not _is_date(match[1]):
            checksum = match[1].upper()
            name = (stem[: match.start()] + stem[match.end() :]).strip() or stem
    resolution = _RESOLUTION.search(name)
    return ReleaseName(name, checksum, resolution[0] if resolution else None)


def check_checksum(source: Source) -> None:
    """Compare an episode with the CRC-32 in its name, if there is one. Raises `InputError` when they differ."""
    wanted = release_name(source.path.stem).checksum
    if wanted is None:
        return
    found = crc32(source.fd)
    if found != wanted:
        raise InputError(
            f"is not what its name says: its CRC-32 is {found}, not {wanted}",
            remedy="download or copy it again; if the name is wrong, take the checksum out of it",
            path=source.path,
        )


def crc32(fd: int) -> str:
    """The CRC-32 of an open file, eight upper-case hexadecimal digits."""
    value = offset = 0
    while chunk := os.pread(fd, _CHUNK, offset):
        value = zlib.crc32(chunk, value)
        offset += len(chunk)
    return f"{value:08X}"


def output_name(
    stem: str,
    extension: str,
    *,
    output: Size,
    source: Size,
    settings: Settings,
    checksum: str = _UNKNOWN_CHECKSUM,
    of_episode: bool = True,
) -> str:
    """A plain file name for the output of `stem` (the source's name without extension); `extension` with its dot.

    Where the source's name tells its resolution, the new one takes its place, and a group of the template that would
    only tell it again (`[{height}p]`, `[{width}x{height}]`) is left out. A name too long for the file system is
    shortened in `{name}`.
    """
    facts = release_name(stem, of_episode=of_episode)
    name, template = facts.name, settings.name
    if facts.resolution is not None:
        both = re.search("[xX×]", facts.resolution)
        name = name.replace(facts.resolution, str(output) if both else f"{output.height}p", 1)
        template = _RESOLUTION_GROUP.sub("", template)
    for kept in range(len(name), -1, -1):
        filled = template.format(
            name=name[:kept],
            width=output.width,
            height=output.height,
            scale=f"{float(Fraction(output.height, source.height)):.4g}",
            mode=settings.mode.value,
            model=settings.model_name,
            crc32=checksum,
        )
        if len((filled + extension).encode("utf-8", "surrogateescape")) <= _LONGEST:
            break
    return filled + extension


def upscale_tag(settings: Settings, *, source: Size, output: Size) -> str:
    """The text of the tag that says what Kakudai did: the profile's `tag`, filled in."""
    return settings.tag.format(
        version=__version__,
        model=settings.model_name,
        mode=settings.mode.value,
        scale=f"{float(Fraction(output.height, source.height)):.4g}",
        width=output.width,
        height=output.height,
    )


def may_become(planned: str, final: str) -> bool:
    """Whether `final` is the name `planned`, with or without a checksum in the place kept for it."""
    pattern = re.escape(planned).replace(re.escape(_UNKNOWN_CHECKSUM), "[0-9A-F]{8}")
    return planned == final or re.fullmatch(pattern, final) is not None


def _is_date(digits: str) -> bool:
    try:
        date.fromisoformat(digits)
    except ValueError:
        return False
    return True
