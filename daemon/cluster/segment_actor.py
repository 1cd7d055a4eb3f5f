"""The worker of a slot: a process on a node that holds the compiled network and makes one segment after the other.

Started by Ray, under a name, so that the jobs of a service share it. It ends by itself when nobody needs it any more.
A finished segment stays on the node until its job has room for it, and takes it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

from daemon.cluster.node_sources import held_source, node_folder, shared_source, sweep, worker_folder
from daemon.cluster.passport import differences, passport
from daemon.cluster.ready import Ready
from daemon.cluster.shared_folder import Sharing, leave, prove
from daemon.cluster.shares import AHEAD
from daemon.cluster.wire import Failure, Joined, Taken
from engine.elsewhere import EpisodeOrder, MadeSegment, SegmentOrder
from engine.errors import EnvironmentFault, KakudaiError, ProcessingError, ToolError
from engine.files import storage_error, write_durably
from engine.settings import Device
from engine.source import open_source

CONCURRENCY = {"make": AHEAD, "take": 2}
"""Calls of each group at the same time; all others one at a time, beside them."""
IDLE_S = 120.0
"""Seconds without work after which a worker ends and gives its part of the machine back."""
NOT_TAKEN_S = 3600.0
"""Seconds after which a finished segment that nobody takes is removed: its job is no more."""
_LOOK_S = 1.0
_MOST_READY = 4
"""Episodes of which source and network are kept ready; each may take some hundred megabytes."""


@dataclass(frozen=True)
class Offer:
    """How a node gets a source: under a path where it sees it there, else in pieces from Ray's store."""

    path: Path | None
    pieces: tuple[Any, ...]
    custom_weights: tuple[bytes, bytes | None] | None


class SegmentActor:
    """Methods are called by any job, those of a group in `CONCURRENCY` several at a time. They return `Failure` instead
    of raising.
    """

    def __init__(
        self, *, device: str, slot: int, cpus: int, alone: bool, episodes: int, fetch: Callable[[Any], bytes]
    ) -> None:
        """`alone`: the only worker of its node, which may use all of it. `episodes`: kept ready at once."""
        self._device = Device(device)
        self._fetch = fetch
        self._folder = node_folder()
        self._stack = ExitStack()
        self._own = self._stack.enter_context(worker_folder(self._folder))
        self._ready: Ready[Any] = Ready(max(1, min(episodes, _MOST_READY)))
        self._turn = threading.Lock()
        self._finished: dict[str, float] = {}
        self._lock = threading.Lock()
        self._working = 0
        self._last_call = time.monotonic()
        if self._device is Device.CPU and not alone:
            _keep_to(slot * cpus, cpus)
        sweep(self._folder)
        threading.Thread(target=self._end_when_idle, name="idle", daemon=True).start()

    def join(self, theirs: Mapping[str, str], sharing: Sharing | None, name: str) -> Joined | Failure:
        """`theirs`: the service's installation. `name`: the worker's, for its answer in the shared folder."""
        self._last_call = time.monotonic()
        if found := differences(passport(), theirs):
            return Failure(
                "ToolError",
                "its installation differs: " + "; ".join(found),
                "install the same Kakudai, libraries and ffmpeg on every machine",
                of_the_machine=True,
            )
        return Joined(None if sharing is None else prove(sharing, name))

    @ray.method(concurrency_group="take")  # type: ignore[untyped-decorator]  # Ray has no types
    def busy(self) -> int:
        """How many segments are being made, whoever wants them."""
        return self._working

    @ray.method(concurrency_group="make")  # type: ignore[untyped-decorator]
    def make(self, episode: EpisodeOrder, offer: Offer, order: SegmentOrder, ticket: str) -> MadeSegment | Failure:
        """Make a segment, and keep it under its ticket."""
        with self._at_work():
            self._remove_what_nobody_takes()
            try:
                with self._ready.use(_name(episode, offer), lambda stack: self._maker(episode, offer, stack)) as maker:
                    made: MadeSegment = maker.make(order, self._own / ticket)
                    self._finished[ticket] = time.monotonic()
                    return made
            except _NotThereError as error:
                return dataclasses.replace(_failure(error), of_the_machine=False, of_the_sharing=True)
            except KakudaiError as error:
                return _failure(error)
            except OSError as error:
                return _failure(storage_error(error, self._own))
            except Exception as error:  # noqa: BLE001  (told to the service, which decides)
                return Failure("ProcessingError", f"unexpected {type(error).__name__}: {error}", "", False)

    @ray.method(concurrency_group="take")  # type: ignore[untyped-decorator]
    def take(self, ticket: str, number: int, sharing: Sharing | None) -> Taken | Failure:
        """Hand a finished segment over, by the shared folder where that takes it."""
        path = self._own / ticket
        with self._at_work():
            try:
                unshared = None
                if sharing is not None:
                    try:
                        return Taken(left=leave(path, sharing, number))
                    except OSError as error:
                        unshared = f"{sharing.root} cannot be written there: {error.strerror}"
                return Taken(content=path.read_bytes(), unshared=unshared)
            except OSError as error:
                return _failure(storage_error(error, path))
            finally:
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)
                self._finished.pop(ticket, None)

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        with self._lock:
            self._working += 1
        try:
            yield
        finally:
            with self._lock:
                self._working -= 1
            self._last_call = time.monotonic()

    def _maker(self, episode: EpisodeOrder, offer: Offer, stack: ExitStack) -> Any:
        from engine.segment_maker import SegmentMaker

        source = stack.enter_context(self._source(episode.source_sha256, offer))
        settings = dataclasses.replace(episode.settings, device=self._device)
        if offer.custom_weights is not None:
            settings = dataclasses.replace(settings, weights=self._weights(episode, offer.custom_weights))
        return SegmentMaker(source, dataclasses.replace(episode, settings=settings), turn=self._turn)

    def _source(self, sha256: str, offer: Offer) -> contextlib.AbstractContextManager[Any]:
        if offer.path is not None and shared_source(offer.path, sha256):
            return open_source(offer.path)
        if not offer.pieces:
            raise _NotThereError("the source there is another, or none", remedy="it is sent again", path=offer.path)
        return held_source(self._folder, sha256, lambda: self._pieces(offer))

    def _pieces(self, offer: Offer) -> Iterable[bytes]:
        for piece in offer.pieces:
            yield self._fetch(piece)

    def _weights(self, episode: EpisodeOrder, content: tuple[bytes, bytes | None]) -> Path:
        path = self._own / f"{episode.weights_sha256}.h5"
        write_durably(path, content[0])
        if content[1] is not None:
            write_durably(path.with_suffix(".json"), content[1])
        return path

    def _remove_what_nobody_takes(self) -> None:
        for ticket, finished in list(self._finished.items()):
            if time.monotonic() - finished > NOT_TAKEN_S:
                (self._own / ticket).unlink(missing_ok=True)
                self._finished.pop(ticket, None)

    def _end_when_idle(self) -> None:
        while self._working or time.monotonic() - self._last_call < IDLE_S:
            time.sleep(_LOOK_S)
        shutil.rmtree(self._own, ignore_errors=True)
        os._exit(0)  # at once: Ray's own way out needs a call, and nobody calls


class _NotThereError(ProcessingError):
    """The shared folder does not hold what it should."""


def _name(episode: EpisodeOrder, offer: Offer) -> str:
    return repr((episode, offer.custom_weights is not None))


def _failure(error: KakudaiError) -> Failure:
    return Failure(type(error).__name__, error.reason, error.remedy, isinstance(error, EnvironmentFault | ToolError))


def _keep_to(first: int, count: int) -> None:
    """Leave the other processors to the other workers: libraries and encoders look here for how many threads to use."""
    mine = sorted(os.sched_getaffinity(0))[first : first + count]
    if len(mine) == count:
        os.sched_setaffinity(0, mine)
