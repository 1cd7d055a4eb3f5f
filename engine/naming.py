"""What an output file is called: the profile's template filled in."""

from __future__ import annotations

import string
from fractions import Fraction

from engine.errors import UsageError
from engine.settings import Settings, Size

FIELDS = frozenset({"name", "width", "height", "scale", "mode", "model"})
"""What a template may contain: `{name}` is the source's name without its extension."""

_LONGEST = 255 - len(".") - len(".000000.part")
"""Bytes of a name that still leave room for the hidden part file beside it (Linux allows 255)."""


def check_template(template: str) -> str:
    """Return `template` when it can be filled in. Raises `UsageError` saying what is wrong with it."""
    try:
        used = {field for _, field, _, _ in string.Formatter().parse(template) if field is not None}
    except ValueError as error:
        raise UsageError(f"name template {template!r}: {error}", remedy="write {name} for the name") from error
    if unknown := used - FIELDS:
        raise UsageError(
            f"name template {template!r} has unknown fields: {', '.join(sorted(unknown))}",
            remedy=f"known fields: {', '.join(sorted(FIELDS))}",
        )
    if "/" in template or "name" not in used:
        raise UsageError(
            f"name template {template!r} must contain {{name}} and no slash",
            remedy="the folder is set by `output`, and two files must never get one name",
        )
    return template


def output_name(source_name: str, extension: str, *, output: Size, source: Size, settings: Settings) -> str:
    """A plain file name for the output of `source_name` (without extension), `extension` with its dot or empty.

    A name too long for the file system is shortened in `{name}`.
    """
    name = source_name
    while True:
        filled = check_template(settings.name).format(
            name=name,
            width=output.width,
            height=output.height,
            scale=_readable(Fraction(output.height, source.height)),
            mode=settings.mode.value,
            model=settings.model,
        )
        if len((filled + extension).encode("utf-8", "surrogateescape")) <= _LONGEST or not name:
            return filled + extension
        name = name[:-1]


def _readable(factor: Fraction) -> str:
    return f"{float(factor):.4g}"
