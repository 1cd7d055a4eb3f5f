"""An episode's segments: encoded one after the other, kept with a proof, reused after a crash (promise 5).

A segment is a pure function of its key (source, settings, weights, versions) and its frames. `SegmentStore` is the only
place that knows how finished ones are remembered.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path
from types import TracebackType
from typing import Self

from engine.channel import Channel, ChannelClosed
from engine.decode import queue_frames
from engine.encode import EncodedSegment, Encoder, Video
from engine.errors import ProcessingError
from engine.files import publish, storing, write_durably
from engine.planes import Planes
from engine.settings import EncoderSettings

PIPELINE_VERSION = 1
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
    """The finished segments of one job in a folder: each a file and a JSON note that proves it.

    What does not carry this `key`, or is not what its note says, is removed when the store is opened.
    """

    def __init__(self, folder: Path, *, key: str, frames_each: int) -> None:
        self.folder = folder
        self.frames_each = frames_each
        self._key = key
        self._finished: dict[int, Segment] = {}
        with storing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            for note in sorted(folder.glob("segment_*.json")):
                segment = self._verified(note)
                if segment is None:
                    note.unlink(missing_ok=True)
                else:
                    self._finished[segment.index] = segment
            kept = {segment.path for segment in self._finished.values()}
            for leftover in [*folder.glob("segment_*.mkv"), *folder.glob(".segment_*.part")]:
                if leftover not in kept:
                    leftover.unlink(missing_ok=True)

    def _verified(self, note: Path) -> Segment | None:
        """The segment that a note proves; None where key, length or hash differ."""
        try:
            said = json.loads(note.read_bytes())
            index, frames = int(said["index"]), int(said["frames"])
            path = self.path(index)
            if said["key"] != self._key or note != self._note(index) or not 0 < frames <= self.frames_each:
                return None
            if path.is_symlink() or path.stat().st_size != said["bytes"] or _sha256(path) != said["sha256"]:
                return None
            return Segment(index, path, frames, int(said["bytes"]), str(said["sha256"]))
        except (ValueError, KeyError, TypeError, FileNotFoundError):
            return None

    def path(self, index: int) -> Path:
        return self.folder / f"segment_{index:05}.mkv"

    def part(self, index: int) -> Path:
        """Where a segment is written before it is finished."""
        return self.folder / f".segment_{index:05}.part"

    def _note(self, index: int) -> Path:
        return self.folder / f"segment_{index:05}.json"

    def indexes(self) -> frozenset[int]:
        """Which segments are finished."""
        return frozenset(self._finished)

    def record(self, index: int, encoded: EncodedSegment) -> None:
        """Publish a segment whose part is written and flushed."""
        with storing(self.path(index)):
            publish(self.part(index), self.path(index))
        note = {"key": self._key, "index": index, **asdict(encoded)}
        write_durably(self._note(index), json.dumps(note, indent=1).encode())
        self._finished[index] = Segment(index, self.path(index), encoded.frames, encoded.bytes, encoded.sha256)

    def all(self, *, frames: int) -> list[Segment]:
        """Every segment of an episode of that many frames, in order.

        Raises `ProcessingError` (and forgets the segment) where one is missing or has other frames.
        """
        segments = []
        for index in range(-(-frames // self.frames_each)):
            expected = min(self.frames_each, frames - index * self.frames_each)
            segment = self._finished.get(index)
            if segment is None or segment.frames != expected:
                if segment is not None:
                    self._note(index).unlink(missing_ok=True)
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


class SegmentWriter:
    """Encodes enlarged frames into the store's segments in a thread of its own. Use as a context manager.

    Never more than one segment's frames are enlarged but not yet on the disk: that is all a crash can cost. The thread
    starts the encoders' processes and lives as long as they do. `put` and `finish` re-raise what went wrong in it.
    """

    def __init__(
        self, store: SegmentStore, *, video: Video, settings: EncoderSettings, silence_s: float, subject: Path
    ) -> None:
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

    def put(self, index: int, planes: Planes) -> None:
        """Hand over the next frame, which belongs to segment `index`; waits while the encoder is behind."""
        self._room.acquire()
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
                encoder.write(planes)
                count += 1
            if count < self._store.frames_each and not self._whole:
                raise ChannelClosed  # given up in the middle: never record it
            return encoder.finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._channel.close()
        self._thread.join()
