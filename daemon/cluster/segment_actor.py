"""The worker of a slot: a process on a node that holds the compiled network and makes one segment after the other.

Started by Ray, under a name, so that the jobs of a service share it. It ends by itself when nobody needs it any more.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daemon.cluster.node_sources import held_source, node_folder, shared_source, sweep
from daemon.cluster.passport import differences, passport
from daemon.cluster.wire import Failure
from engine.elsewhere import EpisodeOrder, MadeSegment, SegmentOrder
from engine.errors import EnvironmentFault, KakudaiError, ToolError
from engine.files import storage_error
from engine.settings import Device
from engine.source import open_source

IDLE_S = 120.0
"""Seconds without work after which a worker ends and gives its part of the machine back."""
_LOOK_S = 1.0
_MOST_READY = 4
"""Episodes of which source and network are kept ready; each may take some hundred megabytes."""


@dataclass(frozen=True)
class Offer:
    """How a node gets a source: under the service's own path where it is shared, else in pieces from Ray's store."""

    path: Path
    shared: bool
    pieces: tuple[Any, ...]
    custom_weights: tuple[bytes, bytes | None] | None


class SegmentActor:
    """Methods are called one at a time, by any job. They return `Failure` instead of raising."""

    def __init__(
        self, *, device: str, slot: int, cpus: int, alone: bool, episodes: int, fetch: Callable[[Any], bytes]
    ) -> None:
        """`alone`: the only worker of its node, which may use all of it. `episodes`: kept ready at once."""
        self._device = Device(device)
        self._fetch = fetch
        self._episodes = episodes
        self._folder = node_folder()
        self._makers: OrderedDict[str, tuple[Any, ExitStack]] = OrderedDict()
        self._working = False
        self._last_call = time.monotonic()
        if self._device is Device.CPU and not alone:
            _keep_to(slot * cpus, cpus)
        sweep(self._folder)
        threading.Thread(target=self._end_when_idle, name="idle", daemon=True).start()

    def join(self, theirs: Mapping[str, str]) -> Failure | None:
        """None where this installation is the service's."""
        self._last_call = time.monotonic()
        if found := differences(passport(), theirs):
            return Failure(
                "ToolError",
                "its installation differs: " + "; ".join(found),
                "install the same Kakudai, libraries and ffmpeg on every machine",
                of_the_machine=True,
            )
        return None

    def make(self, episode: EpisodeOrder, offer: Offer, order: SegmentOrder) -> tuple[MadeSegment | Failure, bytes]:
        """A segment and its file."""
        self._working = True
        target = self._folder / f".{os.getpid()}-{order.index}.segment"
        try:
            made = self._maker(episode, offer).make(order, target)
            return made, target.read_bytes()
        except KakudaiError as error:
            self._forget_makers()
            return _failure(error), b""
        except OSError as error:
            return _failure(storage_error(error, target)), b""
        except Exception as error:  # noqa: BLE001  (told to the service, which decides)
            self._forget_makers()
            return Failure("ProcessingError", f"unexpected {type(error).__name__}: {error}", "", False), b""
        finally:
            with contextlib.suppress(OSError):
                target.unlink(missing_ok=True)
            self._working = False
            self._last_call = time.monotonic()

    def _maker(self, episode: EpisodeOrder, offer: Offer) -> Any:
        from engine.segment_maker import SegmentMaker

        key = repr((episode, offer.custom_weights is not None))
        if key not in self._makers:
            while len(self._makers) >= min(self._episodes, _MOST_READY):
                self._makers.popitem(last=False)[1][1].close()
            stack = ExitStack()
            with contextlib.ExitStack() as undo:
                undo.push(stack)
                source = stack.enter_context(self._source(episode.source_sha256, offer))
                settings = dataclasses.replace(episode.settings, device=self._device)
                if offer.custom_weights is not None:
                    settings = dataclasses.replace(settings, weights=self._weights(episode, offer.custom_weights))
                self._makers[key] = SegmentMaker(source, dataclasses.replace(episode, settings=settings)), stack
                undo.pop_all()
        self._makers.move_to_end(key)
        return self._makers[key][0]

    def _source(self, sha256: str, offer: Offer) -> contextlib.AbstractContextManager[Any]:
        if offer.shared and shared_source(offer.path, sha256):
            return open_source(offer.path)
        return held_source(self._folder, sha256, lambda: self._pieces(offer))

    def _pieces(self, offer: Offer) -> Iterable[bytes]:
        for piece in offer.pieces:
            yield self._fetch(piece)

    def _weights(self, episode: EpisodeOrder, content: tuple[bytes, bytes | None]) -> Path:
        path = self._folder / f"{episode.weights_sha256}.h5"
        path.write_bytes(content[0])
        if content[1] is not None:
            path.with_suffix(".json").write_bytes(content[1])
        return path

    def _forget_makers(self) -> None:
        """What failed may be in any state: the next segment begins afresh."""
        while self._makers:
            self._makers.popitem()[1][1].close()

    def _end_when_idle(self) -> None:
        while self._working or time.monotonic() - self._last_call < IDLE_S:
            time.sleep(_LOOK_S)
        os._exit(0)  # at once: Ray's own way out needs a call, and nobody calls


def _failure(error: KakudaiError) -> Failure:
    return Failure(type(error).__name__, error.reason, error.remedy, isinstance(error, EnvironmentFault | ToolError))


def _keep_to(first: int, count: int) -> None:
    """Leave the other processors to the other workers: libraries and encoders look here for how many threads to use."""
    mine = sorted(os.sched_getaffinity(0))[first : first + count]
    if len(mine) == count:
        os.sched_setaffinity(0, mine)
