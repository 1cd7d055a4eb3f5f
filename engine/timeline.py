"""What every frame of an episode is, from one sequential decode that keeps no pixels.

What is enlarged in pieces elsewhere is held against it: a piece whose decoder began at a key frame must have found just
these frames. It is the same decode as `engine.decode`'s, with the same complaints.
"""

from __future__ import annotations

import threading
from array import array
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from engine.decode import exact_output
from engine.errors import KakudaiError
from engine.ffmpeg import command
from engine.frame_facts import HASHED, FactsReader, FrameFacts, damaged
from engine.probe import EpisodeInfo
from engine.process import Child
from engine.settings import Limits
from engine.source import Source

_CHUNK = 1 << 16


class Timeline:
    """`facts` grows while a thread decodes; `ended` raises what went wrong. Use as a context manager."""

    def __init__(
        self,
        source: Source,
        info: EpisodeInfo,
        *,
        limits: Limits,
        excused: Mapping[str, int] | None = None,
        deinterlaced_as: str | None = None,
        accept_damage: bool = False,
    ) -> None:
        """The arguments are `engine.decode.Decoder`'s."""
        self.facts: list[FrameFacts] = []
        self.damage: list[str] = []
        self._source = source
        self._accept_damage = accept_damage
        self._error: BaseException | None = None
        self._reader = FactsReader(source, info)
        stream, exact = exact_output(source, info, limits=limits, deinterlaced_as=deinterlaced_as)
        self._child = Child(
            command(stream.output("pipe:1", **exact, **HASHED)),
            silence_s=limits.silence_s,
            subject=source.path,
            pass_fds=(source.fd,),
            unheard={stream.codec for stream in info.streams} - {info.video.codec},
            excused=excused,
        )
        self._thread = threading.Thread(target=self._run, name="timeline")
        self._thread.start()

    @property
    def ended(self) -> bool:
        """Whether every frame is there. Raises what `Decoder` would."""
        if self._thread.is_alive():
            return False
        if self._error is not None:
            raise self._error
        return True

    @property
    def timestamps(self) -> array[int]:
        """The PTS of the frames so far."""
        return array("q", (facts.pts for facts in self.facts))

    def _run(self) -> None:
        try:
            rest = b""
            while chunk := self._child.read(self._child.stdout_fd, _CHUNK):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    if (facts := self._reader.read(line.decode("ascii", "replace"))) is not None:
                        self.facts.append(facts)
            self._child.finish()
            if self._child.error_lines and not self._accept_damage:
                raise damaged(self._source, f"is damaged: {self._child.first_error}")
            if self._child.error_lines:
                self.damage.append(f"{self._child.error_lines} complaints of the decoder: {self._child.first_error}")
        except (KakudaiError, OSError) as error:
            self._error = error

    def close(self) -> None:
        """Stop, whether at the end or not; no thread and no child is left."""
        self._child.kill()
        self._thread.join()
        self._child.__exit__(None, None, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
