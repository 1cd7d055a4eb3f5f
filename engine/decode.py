"""An episode's frames and their exact timestamps, from one decode.

ffmpeg writes the raw frames to one pipe and a framecrc line with the PTS of each to another; the counts must agree.
`-fps_mode passthrough` and `-copyts` are both needed: without them frames are dropped or doubled and an offset is lost.
"""

from __future__ import annotations

import os
import threading
from array import array
from collections.abc import Iterator, Mapping
from fractions import Fraction
from types import TracebackType
from typing import Any, Self

import numpy as np

from engine.channel import Channel, ChannelClosed
from engine.errors import InputError
from engine.ffmpeg import command, source_input
from engine.frame_facts import HASHED, FactsReader, FrameFacts, damaged, exact_options
from engine.planes import Planes
from engine.probe import EpisodeInfo
from engine.process import Child
from engine.settings import Limits
from engine.source import Source
from engine.stages import Stages

QUEUE_BYTES = 256 << 20
"""Decoded frames that may wait for the network."""
_FACTS = 4096
"""Facts that may wait for their frames: more than ffmpeg can be ahead."""


def queue_frames(frame_bytes: int, *, queue_bytes: int = QUEUE_BYTES) -> int:
    """How many frames of that size may wait in a queue: at least 2, at most 64."""
    return max(2, min(64, queue_bytes // frame_bytes))


class Decoder:
    """Iterate over it for the frames, in order, once. `timestamps` is complete when the iteration ended.

    Use as a context manager. Iterating raises `InputError` for damage that ffmpeg reports, frames that change in size
    or format, missing or unordered timestamps, and counts that disagree; `ProcessingError` when ffmpeg dies or hangs.
    """

    def __init__(
        self,
        source: Source,
        info: EpisodeInfo,
        *,
        limits: Limits,
        excused: Mapping[str, int] | None = None,
        deinterlaced_as: str | None = None,
        accept_damage: bool = False,
        queue_bytes: int = QUEUE_BYTES,
        start_s: Fraction | None = None,
        only: tuple[int, int] | None = None,
        hashed: bool = False,
        stages: Stages | None = None,
    ) -> None:
        """`excused`: complaints of ffmpeg that are no damage, and how often each may be heard.

        `deinterlaced_as`: bwdif's name of the field order (`tff`, `bff`) where frames are to be deinterlaced, each by
        itself. `accept_damage`: what ffmpeg complains of goes to `damage` instead of being raised.

        `hashed`: `with_facts` tells each frame apart. `start_s`: begin at the key frame before that time. How exact
        that is, is up to the file: compare the facts; what ffmpeg complains of means nothing then. `only`: the PTS of
        the first and the last frame that are wanted; those before and after them need not be given, and are not where
        frames are not deinterlaced.
        """
        self.damage: list[str] = []
        self._stages = stages if stages is not None else Stages()
        self._accept_damage = accept_damage
        self.timestamps: array[int] = array("q")
        self.frames = 0
        self._source = source
        self._info = info
        self._frame_bytes = info.format.frame_bytes(info.size)
        self._channel: Channel[Planes] = Channel(queue_frames(self._frame_bytes, queue_bytes=queue_bytes))
        self._facts: Channel[FrameFacts] | None = Channel(_FACTS) if hashed else None
        self._timestamps_error: InputError | None = None
        reading, writing = os.pipe()
        self._timestamps_pipe = os.fdopen(reading, encoding="ascii", errors="replace")
        try:
            self._child = Child(
                _decode_command(
                    source,
                    info,
                    limits=limits,
                    facts_fd=writing,
                    hashed=hashed,
                    deinterlaced_as=deinterlaced_as,
                    start_s=start_s,
                    only=only,
                ),
                silence_s=limits.silence_s,
                subject=source.path,
                pass_fds=(source.fd, writing),
                unheard={stream.codec for stream in info.streams} - {info.video.codec},
                excused=excused,
            )
        except BaseException:
            self._timestamps_pipe.close()
            raise
        finally:
            os.close(writing)
        self._timestamps_reader = threading.Thread(target=self._read_timestamps, name="timestamps")
        self._frames_reader = threading.Thread(target=self._read_frames, name="frames")
        self._timestamps_reader.start()
        self._frames_reader.start()

    def __iter__(self) -> Iterator[Planes]:
        return iter(self._channel)

    def with_facts(self) -> Iterator[tuple[Planes, FrameFacts]]:
        """Each frame with what tells it apart; the decoder was made `hashed`."""
        assert self._facts is not None
        return zip(self, self._facts, strict=False)

    def _read_frames(self) -> None:
        try:
            while True:
                buffer = np.empty(self._frame_bytes, np.uint8)  # each frame its own: it may outlive its turn
                with self._stages("decode"):
                    filled = self._child.read_into(self._child.stdout_fd, buffer.data)
                if filled == 0:
                    break
                self._check_facts()
                if filled < self._frame_bytes:
                    self._check_end(partial=True)
                self.frames += 1
                self._channel.put(self._info.format.split(buffer.data, self._info.size))
            self._check_end()
            self._channel.end()
        except ChannelClosed:
            pass
        except BaseException as error:  # noqa: BLE001  (re-raised in the thread that iterates)
            self._channel.fail(error)

    def _read_timestamps(self) -> None:
        reader = FactsReader(self._source, self._info)
        try:
            for line in self._timestamps_pipe:
                if (facts := reader.read(line)) is not None:
                    self.timestamps.append(facts.pts)
                    if self._facts is not None:
                        self._facts.put(facts)
        except InputError as error:
            self._timestamps_error = error
        except ChannelClosed:
            pass
        finally:
            if self._facts is not None:
                self._facts.end()
            for _ in self._timestamps_pipe:  # never let ffmpeg block on a pipe that nobody reads
                pass

    def _check_facts(self) -> None:
        if self._timestamps_error is not None:
            raise self._timestamps_error

    def _check_end(self, *, partial: bool = False) -> None:
        """After the last frame: ffmpeg ended well, complained of nothing, and both pipes tell the same count."""
        self._timestamps_reader.join()
        self._child.finish()
        self._check_facts()
        if self._child.error_lines and self._accept_damage:
            self.damage.append(f"{self._child.error_lines} complaints of the decoder: {self._child.first_error}")
        elif self._child.error_lines:
            raise damaged(self._source, f"is damaged: {self._child.first_error}")
        if partial:
            raise damaged(self._source, "its last frame is incomplete")
        if self.frames != len(self.timestamps):
            raise damaged(self._source, f"{self.frames} frames were decoded, but {len(self.timestamps)} timestamps")

    def stop(self) -> None:
        """End the iteration, in whatever thread it is."""
        self._channel.close()

    def close(self) -> None:
        """Stop, whether at the end or not; no thread and no child is left."""
        self._channel.close()
        if self._facts is not None:
            self._facts.close()
        self._child.kill()
        self._frames_reader.join()
        self._timestamps_reader.join()
        self._timestamps_pipe.close()
        self._child.__exit__(None, None, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def exact_output(
    source: Source,
    info: EpisodeInfo,
    *,
    limits: Limits,
    deinterlaced_as: str | None,
    start_s: Fraction | None = None,
    only: tuple[int, int] | None = None,
) -> tuple[Any, dict[str, str | None]]:
    """The video as an input of ffmpeg-python, and the options of an output that is to hold just its frames."""
    where: dict[str, str | None] = {}
    if start_s is not None:
        # by the container's own times, and everything from the key frame on: the PTS tell which frame is which
        where = {"noaccurate_seek": None, "seek_timestamp": "1", "ss": f"{float(start_s):.6f}"}
    if not deinterlaced_as:  # which cannot do without
        where["reinit_filter"] = "0"  # else frames of another format in midstream are converted to the first's unseen
    stream = source_input(source, limits, copyts=None, noautorotate=None, **where)[str(info.video_index)]
    fields: dict[str, str | None] = {}
    if deinterlaced_as:  # it counts time in half ticks, and looks at frames before and after
        fields = {"vf": f"bwdif=send_frame:{deinterlaced_as}:all", "pix_fmt": info.format.pix_fmt}
    elif only is not None:
        fields = {"vf": f"trim=start_pts={only[0]}:end_pts={only[1] + 1}"}
    return stream, {**exact_options(), **fields}


def _decode_command(
    source: Source,
    info: EpisodeInfo,
    *,
    limits: Limits,
    facts_fd: int,
    hashed: bool,
    deinterlaced_as: str | None,
    start_s: Fraction | None,
    only: tuple[int, int] | None,
) -> list[str]:
    stream, exact = exact_output(
        source, info, limits=limits, deinterlaced_as=deinterlaced_as, start_s=start_s, only=only
    )
    facts = {**exact, **HASHED} if hashed else {**exact_options(), "f": "framecrc"}
    return command(
        stream.output("pipe:1", f="rawvideo", **exact),
        stream.output(f"pipe:{facts_fd}", **facts),
    )
