"""One segment of video: planes in, a small Matroska file out, with its frame count and hash."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import ffmpeg
import numpy as np

from engine.encoders import encoder_arguments
from engine.errors import KakudaiError
from engine.ffmpeg import command, ffmpeg_release
from engine.files import storage_error, storing
from engine.planes import PlaneFormat, Planes
from engine.probe import ColorTags, EpisodeInfo
from engine.process import Child
from engine.settings import EncoderSettings, Size

_CHUNK = 1 << 16


@dataclass(frozen=True)
class Video:
    """What an encoder must know of the frames that it is given."""

    size: Size
    format: PlaneFormat
    sample_aspect: Fraction
    colors: ColorTags
    frame_rate: Fraction
    """For rate control. The timestamps are given when the segments are joined."""


@dataclass(frozen=True)
class EncodedSegment:
    """What was written, and flushed to the disk."""

    frames: int
    bytes: int
    sha256: str


class Encoder:
    """One ffmpeg that encodes raw frames into `target`. Use as a context manager; `finish` makes the file durable.

    The file is written by us, from ffmpeg's stdout: a full disk is then our own error, and the hash costs no reading.
    """

    def __init__(
        self, target: Path, *, video: Video, settings: EncoderSettings, silence_s: float, subject: Path
    ) -> None:
        """`subject` is the episode that errors are about."""
        self._target = target
        self._video = video
        self._frames = 0
        self._bytes = 0
        self._digest = hashlib.sha256()
        self._error: KakudaiError | None = None
        with storing(target):
            self._file = target.open("wb", buffering=0)
        try:
            self._child = Child(_encode_command(video, settings), silence_s=silence_s, subject=subject, feed=True)
        except BaseException:
            self._file.close()
            raise
        self._copier = threading.Thread(target=self._copy, name="encoded", daemon=True)
        self._copier.start()

    def write(self, planes: Planes) -> None:
        """Encode one frame. Raises `ProcessingError` (ffmpeg died or hangs), `EnvironmentFault` (disk full)."""
        shapes = self._video.format.shapes(self._video.size)
        assert tuple(plane.shape for plane in planes) == shapes, "planes do not fit the output size"
        for plane in planes:
            assert plane.dtype == self._video.format.dtype, "planes do not fit the output depth"
            try:
                self._child.write(np.ascontiguousarray(plane).data.cast("B"))
            except KakudaiError:
                self._raise_own_error()
                raise
        self._frames += 1

    def finish(self) -> EncodedSegment:
        """Encode what is still on the way, and flush the file to the disk."""
        self._child.end_input()
        self._child.join(self._copier)
        self._raise_own_error()
        self._child.finish()
        if self._child.error_lines:
            raise self._child.failed("complained")
        with storing(self._target):
            os.fsync(self._file.fileno())
        return EncodedSegment(self._frames, self._bytes, self._digest.hexdigest())

    def _raise_own_error(self) -> None:
        """An error in writing the file comes before what it makes ffmpeg say."""
        if self._error is not None:
            raise self._error

    def _copy(self) -> None:
        try:
            while chunk := os.read(self._child.stdout_fd, _CHUNK):
                self._child.heard()
                view = memoryview(chunk)
                while view:
                    view = view[self._file.write(view) :]
                self._digest.update(chunk)
                self._bytes += len(chunk)
        except OSError as error:
            self._error = storage_error(error, self._target)
            self._child.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._child.kill()
        self._copier.join()
        self._child.__exit__(None, None, None)
        self._file.close()


_TRANSFERS = {"bt470m": "gamma22", "bt470bg": "gamma28"}
_MATRICES = {"gbr": "rgb"}
"""Names that ffmpeg's options have for what ffprobe calls otherwise."""


def color_arguments(colors: ColorTags, format_: PlaneFormat) -> dict[str, str]:
    """ffmpeg's options that write the tags which are known; what the source does not say stays unsaid."""
    tags = {
        "color_range": colors.range or ("pc" if format_.full_range else None),
        "colorspace": _MATRICES.get(colors.matrix or "", colors.matrix),
        "color_primaries": colors.primaries,
        "color_trc": _TRANSFERS.get(colors.transfer or "", colors.transfer),
        "chroma_sample_location": colors.chroma_location if format_.chroma_shift else None,
    }
    return {name: value for name, value in tags.items() if value is not None}


def output_colors(info: EpisodeInfo, output: Size) -> ColorTags:
    """The source's tags. Players guess the matrix of untagged video by its size: what was SD is then said to be."""
    colors = info.colors
    if colors.matrix is None and info.format.chroma_shift and _taken_for_sd(info.size) and not _taken_for_sd(output):
        colors = replace(
            colors,
            matrix="smpte170m",
            primaries=colors.primaries or ("bt470bg" if info.size.height == _PAL_LINES else "smpte170m"),
            transfer=colors.transfer or "smpte170m",
        )
    return colors


def video_of(info: EpisodeInfo, size: Size, format_: PlaneFormat) -> Video:
    """What an enlarged episode is to its encoder."""
    return Video(size, format_, info.sample_aspect, output_colors(info, size), info.frame_rate)


def _taken_for_sd(size: Size) -> bool:
    """The guess of mpv, which others make as well: BT.601 up to PAL's lines, unless as wide as 720 lines are."""
    return size.width < 1280 and size.height <= _PAL_LINES


_PAL_LINES = 576
_LATER_PRIMARIES = {"ebu3213": 22}
"""ITU-T H.273's numbers of colour primaries that libx265 does not write."""


def _header_corrections(video: Video, settings: EncoderSettings) -> dict[str, str]:
    """A bitstream filter for tags that the encoder's library drops."""
    number = _LATER_PRIMARIES.get(video.colors.primaries or "")
    if settings.name == "x265" and number is not None:
        return {"bsf:v": f"hevc_metadata=colour_primaries={number}"}
    return {}


def _frame_parameters(arguments: Mapping[str, str], colors: ColorTags) -> str:
    """The tags as the frames' own, for the filter setparams, which has ffprobe's names.

    Newer ffmpegs believe frames more than options: they would drop the tags of frames without any, or scale them to
    the range that the options tell.
    """
    told = {
        "range": arguments.get("color_range"),
        "colorspace": colors.matrix,
        "color_primaries": colors.primaries,
        "color_trc": colors.transfer,
        "chroma_location": arguments.get("chroma_sample_location") if ffmpeg_release() >= 7 else None,
    }
    return ":".join(f"{name}={value}" for name, value in told.items() if value is not None)


def _encode_command(video: Video, settings: EncoderSettings) -> list[str]:
    frames = ffmpeg.input(
        "pipe:0",
        f="rawvideo",
        pixel_format=video.format.pix_fmt,
        video_size=(video.size.width, video.size.height),
        framerate=str(video.frame_rate),
        protocol_whitelist="pipe",
    )
    aspect = f"setsar={video.sample_aspect.numerator}/{video.sample_aspect.denominator}"
    corrections = _header_corrections(video, settings)
    colors = replace(video.colors, primaries=None) if corrections else video.colors
    arguments = color_arguments(colors, video.format)
    told = _frame_parameters(arguments, colors)
    return command(
        frames.output(
            "pipe:1",
            f="matroska",
            vf=f"{aspect},setparams={told}" if told else aspect,
            pix_fmt=video.format.pix_fmt,
            cluster_time_limit="0",  # each packet at once: the child is never silent while it works
            flush_packets="1",
            **encoder_arguments(settings),
            **arguments,
            **corrections,
        )
    )
