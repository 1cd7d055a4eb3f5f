"""An episode's segments: encoded one after the other, kept with a proof, reused after a crash (promise 5).

A segment is a pure function of its key (source, settings, weights, versions) and its frames. How finished ones are
remembered is the business of `engine.segment_records`.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from engine.channel import Channel, ChannelClosed
from engine.decode import queue_frames
from engine.encode import EncodedSegment, Encoder, Video
from engine.errors import InputError, ProcessingError
from engine.files import publish, storing
from engine.planes import Planes
from engine.segment_records import SegmentRecord, SegmentRecords, SideCarRecords
from engine.settings import EncoderSettings
from engine.stages import Stages

PIPELINE_VERSION = 4
"""Raised whenever the same settings would give other segments, so that old ones are not mixed in."""

SEGMENT_S = 10
_CHUNK = 1 << 20


def segment_length(frame_rate: Fraction) -> int:
    """Frames of a segment: about 10 s, at most 600."""
    return max(1, min(600, round(frame_rate * SEGMENT_S)))


@dataclass(frozen=True)
class Segment:
    """A finished segment on the disk."""

    index: int
    path: Path
    frames: int
    bytes: int
    sha256: str


class SegmentStore:
    """The finished segments of one job in a folder, each proven by its record.

    What does not carry this `key`, or is not what its record says, is removed when the store is opened.
    """

    def __init__(
        self,
        folder: Path,
        *,
        key: str,
        frames_each: int,
        records: SegmentRecords | None = None,
        largest_bytes: int | None = None,
    ) -> None:
        """`records`: where finished segments are written down; None: in notes beside them.

        `largest_bytes`: bound on what all segments together may take.
        """
        self.folder = folder
        self.frames_each = frames_each
        self._key = key
        self._records = records if records is not None else SideCarRecords(folder)
        self._largest_bytes = largest_bytes
        self._finished: dict[int, Segment] = {}
        with storing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            for record in self._records.read():
                segment = self._verified(record)
                if segment is None:
                    self._records.forget(record.index)
                else:
                    self._finished[segment.index] = segment
            kept = {segment.path for segment in self._finished.values()}
            for leftover in [*folder.glob("segment_*.mkv"), *folder.glob(".segment_*.part")]:
                if leftover not in kept:
                    leftover.unlink(missing_ok=True)

    def _verified(self, record: SegmentRecord) -> Segment | None:
        """The segment that a record proves; None where key, place, length or hash differ."""
        if record.key != self._key or record.index < 0 or record.first_frame != record.index * self.frames_each:
            return None
        if not 0 < record.frames <= self.frames_each:
            return None
        path = self.path(record.index)
        try:
            if path.is_symlink() or path.stat().st_size != record.bytes or _sha256(path) != record.sha256:
                return None
        except FileNotFoundError:
            return None
        return Segment(record.index, path, record.frames, record.bytes, record.sha256)

    def path(self, index: int) -> Path:
        return self.folder / f"segment_{index:05}.mkv"

    def part(self, index: int) -> Path:
        """Where a segment is written before it is finished."""
        return self.folder / f".segment_{index:05}.part"

    def indexes(self) -> frozenset[int]:
        """Which segments are finished."""
        return frozenset(self._finished)

    def record(self, index: int, encoded: EncodedSegment) -> None:
        """Publish a segment whose part is written and flushed, then write it down.

        Raises `InputError` where the segments take more than they may.
        """
        taken = encoded.bytes + sum(segment.bytes for segment in self._finished.values())
        if self._largest_bytes is not None and taken > self._largest_bytes:
            raise InputError(
                f"its work files take more than {self._largest_bytes} bytes (limits.max_work_bytes)",
                remedy="raise the limit, or choose an encoder that makes smaller files",
            )
        with storing(self.path(index)):
            publish(self.part(index), self.path(index))
        self._records.keep(
            SegmentRecord(self._key, index, index * self.frames_each, encoded.frames, encoded.bytes, encoded.sha256)
        )
        self._finished[index] = Segment(index, self.path(index), encoded.frames, encoded.bytes, encoded.sha256)

    def all(self, *, frames: int) -> list[Segment]:
        """Every segment of an episode of that many frames, in order.

        Raises `ProcessingError` (and removes the segment) where one is missing or has other frames.
        """
        segments = []
        for index in range(-(-frames // self.frames_each)):
            expected = min(self.frames_each, frames - index * self.frames_each)
            segment = self._finished.get(index)
            if segment is None or segment.frames != expected:
                if segment is not None:
                    segment.path.unlink(missing_ok=True)
                    self._records.forget(index)
                raise ProcessingError(
                    f"segment {index} has {segment.frames if segment else 'no'} frames, {expected} were decoded",
                    remedy="try again: the segment will be made anew",
                )
            segments.append(segment)
        return segments


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


class SegmentPlace(Protocol):
    """Where a `SegmentWriter` puts segments: a `SegmentStore`, or what stands in for one."""

    @property
    def frames_each(self) -> int: ...

    def part(self, index: int) -> Path: ...

    def record(self, index: int, encoded: EncodedSegment) -> None: ...


class SegmentWriter:
    """Encodes enlarged frames into the store's segments in a thread of its own. Use as a context manager.

    Never more than one segment's frames are enlarged but not yet on the disk: that is all a crash can cost. The thread
    starts the encoders' processes and lives as long as they do. `put` and `finish` re-raise what went wrong in it.
    """

    def __init__(
        self,
        store: SegmentPlace,
        *,
        video: Video,
        settings: EncoderSettings,
        silence_s: float,
        subject: Path,
        stages: Stages | None = None,
    ) -> None:
        self._stages = stages if stages is not None else Stages()
        self._store = store
        self._subject = subject
        self._video = video
        self._settings = settings
        self._silence_s = silence_s
        self._whole = False
        self._room = threading.Semaphore(store.frames_each)
        self._channel: Channel[tuple[int, Planes]] = Channel(queue_frames(video.format.frame_bytes(video.size)))
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="encoder")
        self._thread.start()

    def reserve(self) -> None:
        """Wait until one more frame may be enlarged; `put` it then."""
        self._room.acquire()

    def put(self, index: int, planes: Planes) -> None:
        """Hand over the next frame, which belongs to segment `index`; waits while the encoder is behind."""
        try:
            self._channel.put((index, planes))
        except ChannelClosed:
            self.finish()
            raise

    def finish(self) -> None:
        """Wait until all frames are encoded and their segments durable."""
        self._whole = True
        self._channel.end()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            frames = iter(self._channel)
            while (first := next(frames, None)) is not None:
                index, planes = first
                encoded = self._encode_segment(index, chain([planes], (item[1] for item in frames)))
                self._store.record(index, encoded)
                self._room.release(encoded.frames)
        except BaseException as error:  # noqa: BLE001  (re-raised by put or finish)
            self._error = error
        finally:
            self._channel.close()
            self._room.release(self._store.frames_each)

    def _encode_segment(self, index: int, frames: Iterable[Planes]) -> EncodedSegment:
        """Encode the frames of one segment: as many as it has, fewer only at the end of the episode."""
        with Encoder(
            self._store.part(index),
            video=self._video,
            settings=self._settings,
            silence_s=self._silence_s,
            subject=self._subject,
        ) as encoder:
            count = 0
            for planes in islice(frames, self._store.frames_each):
                with self._stages("encode"):
                    encoder.write(planes)
                count += 1
            if count < self._store.frames_each and not self._whole:
                raise ChannelClosed  # given up in the middle: never record it
            with self._stages("encode"):
                return encoder.finish()

    def stop(self) -> None:
        """Give up: what is not on the disk by now is dropped, and whoever waits for room goes on."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
        self._thread.join()
