"""What an output is called: the profile's template filled in (`engine.parse_settings.parse_name` checks templates)."""

from __future__ import annotations

from fractions import Fraction

from engine.settings import Settings, Size

_LONGEST = 255 - len(".") - len(".0000000000.part")
"""Bytes of a name that still leave room for the hidden part file beside it (Linux allows 255)."""


def output_name(source_name: str, extension: str, *, output: Size, source: Size, settings: Settings) -> str:
    """A plain file name for the output of `source_name` (without extension), `extension` with its dot or empty.

    A name too long for the file system is shortened in `{name}`.
    """
    for kept in range(len(source_name), -1, -1):
        filled = settings.name.format(
            name=source_name[:kept],
            width=output.width,
            height=output.height,
            scale=f"{float(Fraction(output.height, source.height)):.4g}",
            mode=settings.mode.value,
            model=settings.model,
        )
        if len((filled + extension).encode("utf-8", "surrogateescape")) <= _LONGEST:
            break
    return filled + extension
