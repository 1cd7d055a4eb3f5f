"""An episode's segments made one by one, in any order: what a worker on another machine does.

A segment is a pure function of the source, its frames, the settings and the weights. Decoding begins at the key frame
before it, which is exact for most files and not for all (open GOPs, gradual refresh, deinterlacing): so every frame is
held against what a decode from the very beginning gave, and where one differs the segment is decoded from there.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

from engine.color import plane_enlarger
from engine.decode import Decoder
from engine.elsewhere import EpisodeOrder, MadeSegment, SegmentOrder
from engine.encode import EncodedSegment, video_of
from engine.episode import episode_encoder
from engine.errors import ProcessingError
from engine.frame_facts import FrameFacts
from engine.models import Model, load_model, reusing
from engine.pipeline import Pipeline, steps_of
from engine.plan import episode_format
from engine.planes import Planes
from engine.probe import probe_episode
from engine.reuse import FrameReuse
from engine.segment_check import count_decoded
from engine.segments import SegmentWriter
from engine.settings import Reuse
from engine.source import Source
from engine.stages import Stages


class SegmentMaker:
    """One episode on the machine that works on it, with its network. Keep it for the episode's other segments.

    Two threads may make segments: while one has its turn at the network, what the other made before is flushed and
    checked, and the frames that it needs next are decoded.
    """

    def __init__(self, source: Source, order: EpisodeOrder, *, turn: threading.Lock | None = None) -> None:
        """`turn` is held while the network works: give the same to all that share a GPU or processors.

        Raises `KakudaiError` for what keeps this machine from making what was ordered.
        """
        self._turn = turn if turn is not None else threading.Lock()
        self._source, self._order, self._settings = source, order, order.settings
        self._info = probe_episode(source, limits=self._settings.limits, settings=self._settings)
        self._video = video_of(
            self._info, order.output_size, episode_format(self._info, self._settings, order.container)
        )
        self._model = self._load()

    def _load(self) -> Model:
        scale = Fraction(self._order.output_size.height, self._info.size.height)
        model = load_model(self._settings, scale)
        if model.weights_sha256 != self._order.weights_sha256:
            raise ProcessingError(
                f"the weights of {self._settings.model_name} here are not those of the service "
                f"({str(model.weights_sha256)[:12]}, not {str(self._order.weights_sha256)[:12]})",
                remedy="install the same Kakudai on every machine",
            )
        if self._settings.reuse is Reuse.OFF:
            return model
        return reusing(model, cache_bytes=self._settings.reuse_cache_bytes)

    def make(self, order: SegmentOrder, target: Path) -> MadeSegment:
        """Decode, enlarge, encode into `target` and prove that it can be decoded. Nothing is left after an error.

        Raises `ProcessingError` where the frames are not those that were ordered, from wherever they are decoded.
        """
        starts = [None] if order.start_pts is None else [order.start_pts * self._info.time_base, None]
        for start_s in starts:
            try:
                return self._make(order, target, start_s)
            except _OtherFramesError as error:
                target.unlink(missing_ok=True)
                problem = str(error)
            except BaseException:
                target.unlink(missing_ok=True)
                raise
        raise ProcessingError(
            f"segment {order.index} decodes to other frames here: {problem}",
            remedy="install the same ffmpeg on every machine",
            path=self._source.path,
        )

    def _make(self, order: SegmentOrder, target: Path, start_s: Fraction | None) -> MadeSegment:
        place = _OneSegment(order, target)
        limits = self._settings.limits
        enlarge = plane_enlarger(
            self._info.format,
            source_size=self._info.size,
            output=self._video.format,
            output_size=self._video.size,
            settings=self._settings,
            model=self._model,
        )
        stages = Stages()
        with (
            Decoder(
                self._source,
                self._info,
                limits=limits,
                deinterlaced_as=self._order.fields,
                accept_damage=True,  # the frames themselves are compared
                start_s=start_s,
                only=(order.frames[0].pts, order.frames[-1].pts),
                hashed=True,
                stages=stages,
            ) as decoder,
            SegmentWriter(
                place,
                video=self._video,
                settings=episode_encoder(self._settings, self._order.container),
                silence_s=limits.silence_s,
                subject=self._source.path,
                stages=stages,
            ) as writer,
        ):
            with self._turn:
                began = time.monotonic()
                asked, computed = self._pixels()
                wanted = _just(decoder.with_facts(), order.frames)
                with Pipeline(wanted, steps_of(enlarge), stages=stages, stop=decoder.stop) as pipeline:
                    for planes in pipeline:
                        writer.put(order.index, planes)
                asked_now, computed_now = self._pixels()
                seconds = time.monotonic() - began
            writer.finish()
        assert place.encoded is not None
        if (found := count_decoded(target, limits=limits)) != len(order.frames):
            raise ProcessingError(
                f"segment {order.index} was encoded, but {found} of its {len(order.frames)} frames can be decoded",
                remedy="try again; if it happens each time, choose another encoder",
                path=self._source.path,
            )
        return MadeSegment(
            order.index,
            place.encoded.frames,
            place.encoded.bytes,
            place.encoded.sha256,
            round(seconds, 3),
            enlarge.mean_shift,
            asked_now - asked,
            computed_now - computed,
            stages.seconds,
        )

    def _pixels(self) -> tuple[int, int]:
        network = self._model.upscaler
        return (network.asked_pixels, network.computed_pixels) if isinstance(network, FrameReuse) else (0, 0)


class _OtherFramesError(Exception):
    """The decoder found other frames than were ordered."""


def _just(decoded: Iterator[tuple[Planes, FrameFacts]], ordered: tuple[FrameFacts, ...]) -> Iterator[Planes]:
    """The frames that were ordered; those that the decoder gives before are dropped."""
    place = 0
    for planes, facts in decoded:
        if place == 0 and facts.pts < ordered[0].pts:
            continue
        if facts != ordered[place]:
            raise _OtherFramesError(f"frame {place} is {facts}, not {ordered[place]}")
        yield planes
        place += 1
        if place == len(ordered):
            return
    raise _OtherFramesError(f"{place} frames, not {len(ordered)}")


class _OneSegment:
    """Stands in for a store: a single segment, at a place of its own."""

    def __init__(self, order: SegmentOrder, target: Path) -> None:
        self.frames_each = len(order.frames)
        self._target = target
        self.encoded: EncodedSegment | None = None

    def part(self, index: int) -> Path:  # noqa: ARG002  (as a store's)
        return self._target

    def record(self, index: int, encoded: EncodedSegment) -> None:  # noqa: ARG002
        self.encoded = encoded
