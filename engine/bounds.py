"""Bounds on what an episode may hold and how long it may last (`limits`): by its headers first, then by its packets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

from engine.errors import InputError
from engine.settings import Limits
from engine.source import Source

_REMEDY = "raise limits.{} in the configuration if this is meant"


def check_headers(
    source: Source, raw_streams: Iterable[Mapping[str, Any]], duration_s: Fraction | None, *, limits: Limits
) -> None:
    """`raw_streams` as ffprobe tells them. Raises `InputError`: too many streams, too large attachments, too long."""
    streams = list(raw_streams)
    if len(streams) > limits.max_streams:
        raise InputError(
            f"has {len(streams)} streams; the limit is {limits.max_streams}",
            remedy=_REMEDY.format("max_streams"),
            path=source.path,
        )
    attached = sum(int(raw.get("extradata_size", 0)) for raw in streams if raw.get("codec_type") == "attachment")
    if attached > limits.max_attachment_bytes:
        raise InputError(
            f"its attachments take {attached:,} bytes; the limit is {limits.max_attachment_bytes:,}",
            remedy=_REMEDY.format("max_attachment_bytes"),
            path=source.path,
        )
    if duration_s is not None:
        check_duration(source, duration_s, limits=limits)


def check_duration(source: Source, seconds: Fraction, *, limits: Limits) -> None:
    """Raises `InputError`."""
    if seconds > limits.max_duration_s:
        raise InputError(
            f"lasts {float(seconds):,.0f} s; the limit is {limits.max_duration_s:,.0f}",
            remedy=_REMEDY.format("max_duration_s"),
            path=source.path,
        )
