"""Steps that work side by side on one frame after the other, each in a thread of its own, joined by bounded queues."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self, runtime_checkable

from engine.channel import Channel, ChannelClosed
from engine.planes import Planes
from engine.stages import Stages

IN_FLIGHT = 2
"""Frames that wait between two steps: one to go on with, one for a frame that takes longer."""

EnlargePlanes = Callable[[Planes], Planes]
"""The planes of a frame in the source's format and size to those in the output's. Called in order, in one thread."""


@dataclass(frozen=True)
class Step:
    """One step: called for each frame in order, always in the same thread, with what the step before it returned."""

    stage: str
    run: Callable[[Any], Any]
    ahead: int = IN_FLIGHT
    """Frames that may wait after it."""


@runtime_checkable
class InSteps(Protocol):
    """An `EnlargePlanes` that can be taken apart, so that its steps run side by side."""

    @property
    def steps(self) -> Sequence[Step]: ...

    def restart(self) -> None:
        """What follows is to depend on nothing that went before. Called in the thread of the first step."""

    @property
    def reused_share(self) -> float | None:
        """The part of all pixels that the network did not have to compute again, 0..1; None without reuse."""


def steps_of(enlarge: EnlargePlanes) -> Sequence[Step]:
    """The steps of `enlarge`; itself as the only one where it has none."""
    return enlarge.steps if isinstance(enlarge, InSteps) else (Step("network", enlarge),)


def reused_share_of(enlarge: EnlargePlanes) -> float | None:
    """How much of what `enlarge` was asked for so far was there already; None where it cannot tell."""
    return enlarge.reused_share if isinstance(enlarge, InSteps) else None


def restart(enlarge: EnlargePlanes) -> None:
    """A segment begins: whatever is made of its frames is a function of them alone."""
    parts: object = enlarge
    if isinstance(parts, InSteps):
        parts.restart()


class Pipeline:
    """Iterate over it for what the last step makes of each item of `source`, in order.

    The source is iterated in the thread of the first step. What goes wrong anywhere is re-raised in the thread that
    iterates, after all that came before it. Use as a context manager: no thread is left. `stop` must make the source's
    iteration end.
    """

    def __init__(
        self, source: Iterable[Any], steps: Sequence[Step], *, stages: Stages, stop: Callable[[], None]
    ) -> None:
        self._stop = stop
        self._channels: list[Channel[Any]] = []
        self._threads: list[threading.Thread] = []
        items = source
        for step in steps:
            channel: Channel[Any] = Channel(step.ahead)
            thread = threading.Thread(target=_work, args=(items, step, channel, stages), name=step.stage)
            self._channels.append(channel)
            self._threads.append(thread)
            items = channel
        self._results = items
        for thread in self._threads:
            thread.start()

    def __iter__(self) -> Iterator[Any]:
        return iter(self._results)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop()
        for channel in self._channels:
            channel.close()
        for thread in self._threads:
            thread.join()


def _work(items: Iterable[Any], step: Step, channel: Channel[Any], stages: Stages) -> None:
    try:
        for item in items:
            with stages(step.stage):
                made = step.run(item)
            del item  # a frame is not kept alive while the next one is waited for
            channel.put(made)
            del made
        channel.end()
    except ChannelClosed:
        pass
    except BaseException as error:  # noqa: BLE001  (re-raised in the thread that iterates)
        channel.fail(error)
