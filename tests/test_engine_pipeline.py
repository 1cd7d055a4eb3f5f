"""Steps side by side: in order, at the same time, never a thread left; and which one holds the others back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress

import numpy as np
import pytest

from engine.channel import Channel
from engine.pipeline import Pipeline, Step, reused_share_of, steps_of
from engine.planes import Planes
from engine.stages import Stages
from tests.media import left_behind


def _nothing() -> None:
    pass


def test_results_come_in_order() -> None:
    steps = [Step("double", lambda n: 2 * n), Step("text", str)]
    with Pipeline(range(50), steps, stages=Stages(), stop=_nothing) as pipeline:
        assert list(pipeline) == [str(2 * n) for n in range(50)]


def test_steps_work_at_the_same_time() -> None:
    """Each step of a frame meets the other steps of its neighbours: with turns taken, the barrier would break."""
    together = threading.Barrier(3, timeout=10)

    def meet(n: int) -> int:
        if 2 <= n < 8:
            together.wait()
        return n

    steps = [
        Step("first", lambda n: meet(n) if n < 8 else n),
        Step("second", lambda n: meet(n + 1) - 1),
        Step("third", lambda n: meet(n + 2) - 2),
    ]
    with Pipeline(range(12), steps, stages=Stages(), stop=_nothing) as pipeline:
        assert list(pipeline) == list(range(12))


@pytest.mark.parametrize("broken", ["first", "second"])
def test_an_error_comes_after_what_came_before_it(broken: str) -> None:
    def fail_at_three(n: int) -> int:
        if n == 3:
            raise ValueError("broken")
        return n

    steps = [Step(name, fail_at_three if name == broken else int) for name in ("first", "second")]
    got: list[int] = []
    with Pipeline(range(9), steps, stages=Stages(), stop=_nothing) as pipeline:
        with pytest.raises(ValueError, match="broken"):
            got.extend(pipeline)
        assert got == [0, 1, 2]
    assert left_behind() == []


def test_an_error_of_the_source_is_the_iterators() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise OSError("gone")

    with Pipeline(source(), [Step("only", int)], stages=Stages(), stop=_nothing) as pipeline:
        frames = iter(pipeline)
        assert next(frames) == 1
        with pytest.raises(OSError, match="gone"):
            next(frames)


def test_leaving_early_leaves_no_thread() -> None:
    endless: Channel[int] = Channel(1)

    def fill() -> None:
        with suppress(Exception):
            while True:
                endless.put(1)

    filler = threading.Thread(target=fill)
    filler.start()
    with Pipeline(endless, [Step("a", int), Step("b", int)], stages=Stages(), stop=endless.close) as pipeline:
        assert next(iter(pipeline)) == 1
    filler.join()
    assert left_behind() == []


def test_what_has_no_steps_is_one() -> None:
    def enlarge(planes: Planes) -> Planes:
        return planes

    (step,) = steps_of(enlarge)
    planes = (np.zeros((2, 2), np.uint8),)
    assert step.stage == "network"
    assert step.run(planes) is planes
    assert reused_share_of(enlarge) is None


def test_the_busiest_stage_is_the_bottleneck(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("engine.stages.time.monotonic", lambda: now[0])
    stages = Stages()
    assert (stages.bottleneck, stages.shares) == (None, {})
    for stage, seconds in (("decode", 1.0), ("network", 6.0), ("decode", 1.0)):
        with stages(stage):
            now[0] += seconds
    now[0] += 2
    stages.end()
    now[0] += 50
    assert stages.shares == {"decode": 0.2, "network": 0.6}
    assert stages.seconds == {"decode": 2.0, "network": 6.0}
    assert stages.bottleneck == "network"
