"""Anything with frames, opened for looking: a picture, an episode or a folder of numbered frames, frame by frame."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from engine import measure
from engine.decode import Decoder
from engine.display import Bgr, picture_bgr, to_bgr
from engine.errors import InputError
from engine.image import Picture, read
from engine.probe import read_headers
from engine.sequence import frames_in
from engine.settings import EPISODE_EXTENSIONS, PICTURE_EXTENSIONS, SOURCE_EXTENSIONS, Limits, Size
from engine.source import open_source

_QUEUE_BYTES = 64 << 20


@dataclass(frozen=True)
class Frame:
    """`luma`: (height, width). `parts`: what counts as the whole, planes of YUV or one array of BGR."""

    luma: NDArray[Any]
    parts: tuple[NDArray[Any], ...]
    alpha: NDArray[Any] | None = None


class Reel(ABC):
    """Iterate once for the frames, in order. A context manager. Raises as its readers do."""

    kind: Literal["picture", "episode", "sequence"]
    path: Path
    size: Size
    depth: int
    full_range: bool
    layout: str
    """How chroma is laid out, for people: `yuv420`, `grey`, `BGR`, …"""
    frames: int | None
    """As far as headers tell."""
    frame_rate: float

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]: ...

    @abstractmethod
    def shown(self, frame: Frame) -> Bgr:
        """As people see it."""

    def times_s(self) -> tuple[float, ...]:
        """When the frames are shown, in seconds, complete at the end of the iteration; empty where nothing tells."""
        return ()

    @abstractmethod
    def close(self) -> None:
        """Stop reading."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def open_reel(path: Path, *, limits: Limits) -> Reel:
    """Open what `path` is, our own results included. Raises `InputError`, `MissingInputError`, `ToolError`."""
    suffix = path.suffix.lower()
    if path.is_dir():
        return _Pictures(path, frames_in(path), limits, kind="sequence")
    if suffix in PICTURE_EXTENSIONS:
        return _Pictures(path, [path], limits, kind="picture")
    if suffix in EPISODE_EXTENSIONS:
        return _Episode(path, limits)
    raise InputError(
        "is neither a picture nor an episode by its name",
        remedy=f"give one of {', '.join(sorted(SOURCE_EXTENSIONS))}, or a folder of numbered pictures",
        path=path,
    )


class _Pictures(Reel):
    """Stills, one after the other; all must have the size and depth of the first."""

    frame_rate = 1.0
    full_range = True

    def __init__(self, path: Path, files: list[Path], limits: Limits, *, kind: Literal["picture", "sequence"]) -> None:
        self.path, self.kind, self.frames = path, kind, len(files)
        self._files, self._limits = files, limits
        self._first = self._read(files[0])
        self.size = self._first.size
        self.depth = 8 * self._first.colour.itemsize
        self.layout = "BGRA" if self._first.alpha is not None else "BGR"

    def _read(self, file: Path) -> Picture:
        with open_source(file) as source:
            return read(source, limits=self._limits, ours=True)

    def __iter__(self) -> Iterator[Frame]:
        for number, file in enumerate(self._files):
            picture = self._first if number == 0 else self._read(file)
            if picture.size != self.size or 8 * picture.colour.itemsize != self.depth:
                raise InputError(
                    f"is {picture.size} at {8 * picture.colour.itemsize} bit, unlike the first frame",
                    remedy="give frames of one size and depth",
                    path=file,
                )
            colour = picture.colour if picture.colour.ndim == 3 else np.dstack([picture.colour] * 3)
            alpha = picture.alpha
            yield Frame(measure.luma(colour), (colour,) if alpha is None else (colour, alpha), alpha)

    def shown(self, frame: Frame) -> Bgr:
        return picture_bgr(frame.parts[0], frame.alpha)

    def close(self) -> None:
        """Nothing is open between frames."""


class _Episode(Reel):
    """The frames of the video stream, as they are decoded."""

    kind = "episode"

    def __init__(self, path: Path, limits: Limits) -> None:
        self.path = path
        with ExitStack() as stack:
            source = stack.enter_context(open_source(path))
            self._info = read_headers(source, limits=limits)
            self._decoder = stack.enter_context(Decoder(source, self._info, limits=limits, queue_bytes=_QUEUE_BYTES))
            self._open = stack.pop_all()
        self.size, self.frames = self._info.size, self._info.frames
        self.depth, self.full_range = self._info.format.depth, self._info.format.full_range
        shift = self._info.format.chroma_shift
        self.layout = "grey" if shift is None else {(1, 1): "4:2:0", (1, 0): "4:2:2", (0, 0): "4:4:4"}.get(shift, "YUV")
        self.frame_rate = float(self._info.frame_rate)

    def __iter__(self) -> Iterator[Frame]:
        for planes in self._decoder:
            yield Frame(planes[0], planes)

    def shown(self, frame: Frame) -> Bgr:
        return to_bgr(frame.parts, self._info.format, matrix=self._info.colors.matrix, lines=self.size.height)

    def times_s(self) -> tuple[float, ...]:
        return tuple(float(pts * self._info.time_base) for pts in self._decoder.timestamps)

    def close(self) -> None:
        self._open.close()
