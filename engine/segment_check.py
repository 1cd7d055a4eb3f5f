"""Is a finished segment whole? Its hash, its packets counted, its frames decoded again."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import ffmpeg

from engine.errors import ProcessingError
from engine.ffmpeg import MATROSKA, command, fenced, file_url
from engine.frame_facts import exact_options
from engine.process import run
from engine.settings import Limits

_CHUNK = 1 << 20
_REMEDY = "try again: the segment will be made anew"


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def count_packets(path: Path, *, limits: Limits) -> int:
    """Frames that a segment holds, by its packets alone. Raises `ProcessingError` where it cannot be read."""
    options = [word for name, value in _fenced(limits).items() for word in (f"-{name}", value)]
    argv = ["ffprobe", "-hide_banner", "-loglevel", "repeat+level+warning", *options, "-select_streams", "v:0"]
    argv += ["-count_packets", "-show_entries", "stream=nb_read_packets", "-of", "default=nw=1:nk=1", file_url(path)]
    said, child = run(argv, silence_s=limits.silence_s, subject=path)
    if child.status != 0 or child.error_lines or not said.strip().isdigit():
        raise ProcessingError(f"a segment cannot be read: {child.messages}", remedy=_REMEDY, path=path)
    return int(said)


def count_decoded(path: Path, *, limits: Limits) -> int:
    """Frames that come out when a segment is decoded. Raises `ProcessingError` where the decoder complains.

    Each is decoded whole and dropped: to copy or sum up its pixels as well would take a third more.
    """
    frames = ffmpeg.input(file_url(path), **_fenced(limits))["v:0"]
    said, child = run(
        command(frames.output("-", f="null", **exact_options()), leading=("-progress", "pipe:1")),
        silence_s=limits.silence_s,
        subject=path,
    )
    counts = [line.partition(b"=")[2] for line in said.splitlines() if line.startswith(b"frame=")]
    if child.status != 0 or child.error_lines or not counts:
        raise ProcessingError(f"a segment cannot be decoded: {child.messages}", remedy=_REMEDY, path=path)
    return int(counts[-1])


def _fenced(limits: Limits) -> dict[str, str]:
    return fenced(replace(limits, max_pixels=limits.max_output_pixels), formats=MATROSKA)
