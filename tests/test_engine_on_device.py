"""Frames on a device, tried on the processor: what comes out, what memory that runs out costs, several devices."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine import backend_frames
from engine.color import PlaneEnlarger
from engine.errors import EnvironmentFault
from engine.frame_program import Task
from engine.models import Model, reusing
from engine.network import NETWORKS
from engine.on_device import DeviceEnlarger
from engine.pipeline import Pipeline
from engine.planes import PlaneFormat, Planes
from engine.settings import Interpolation, Settings, Size
from engine.stages import Stages
from engine.upscaler import Upscaler
from tests.networks import DOUBLING, random_weights

SIZE = Size(44, 36)
EIGHT = PlaneFormat("yuv420p", 8, (1, 1))
TEN = PlaneFormat("yuv444p10le", 10, (0, 0), chroma_location="topleft")


def _task(network: str, source: PlaneFormat, output: PlaneFormat, out: Size) -> Task:
    weights = random_weights(DOUBLING if network == "doubling" else NETWORKS[network])
    return Task(source, SIZE, output, out, Settings(), Model(Interpolation.BICUBIC, Upscaler(weights), None, "gpu"))


def _frame(format_: PlaneFormat, seed: int = 0) -> Planes:
    rng = np.random.default_rng(seed)
    return tuple(rng.integers(0, 1 << format_.depth, shape).astype(format_.dtype) for shape in format_.shapes(SIZE))


def _device(task: Task, *, half: bool = False) -> DeviceEnlarger:
    return DeviceEnlarger(task, devices=backend_frames.places(gpu=False), half=half)


def _usual(task: Task) -> PlaneEnlarger:
    return PlaneEnlarger(
        task.source, task.source_size, task.output, task.output_size, task.settings, replace(task.model, device="cpu")
    )


@pytest.mark.parametrize(
    ("network", "source", "output", "out"),
    [
        ("msrcnn", TEN, replace(TEN, pix_fmt="yuv444p", depth=8), Size(66, 54)),
        ("doubling", EIGHT, EIGHT, Size(66, 54)),
        ("fast", replace(TEN, full_range=True), replace(TEN, full_range=True), Size(132, 108)),
    ],
)
def test_the_frame_is_the_usual_one(network: str, source: PlaneFormat, output: PlaneFormat, out: Size) -> None:
    """In float32: the same but for the order of sums, luma beyond its range and all chroma included."""
    task = _task(network, source, output, out)
    here, usual, frame = _device(task), _usual(task), _frame(source)
    for made, wanted in zip(here(frame), usual(frame), strict=True):
        assert made.dtype == wanted.dtype
        assert made.shape == wanted.shape
        apart = np.abs(made.astype(int) - wanted.astype(int))
        assert apart.max() <= 1
        assert np.mean(apart > 0) < 0.002
    found, expected = here.mean_shift, usual.mean_shift
    assert found["frames"] == 1
    for name in ("luma", "u", "v"):
        assert found[name] == pytest.approx(expected[name], abs=0.02)


def test_half_precision_is_within_a_level() -> None:
    task = _task("msrcnn", EIGHT, EIGHT, Size(88, 72))
    made, wanted = _device(task, half=True)(_frame(EIGHT)), _usual(task)(_frame(EIGHT))
    assert max(np.abs(a.astype(int) - b).max() for a, b in zip(made, wanted, strict=True)) <= 1


def test_held_frames_are_not_sent() -> None:
    task = _task("fast", EIGHT, EIGHT, Size(88, 72))
    here = _device(replace(task, model=reusing(task.model)))
    first, other = _frame(EIGHT), _frame(EIGHT, seed=1)
    frames = [first, tuple(plane.copy() for plane in first), other, other]
    with Pipeline(frames, here.steps, stages=Stages(), stop=lambda: None) as pipeline:
        made = list(pipeline)
    assert made[0] is made[1]
    assert made[2] is made[3]
    assert here.reused_share == 0.5
    assert made[2][0].tobytes() == _device(task)(other)[0].tobytes()


def _refusal() -> Exception:
    """The error of TensorFlow itself."""
    import tensorflow as tf

    return tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")


@pytest.mark.parametrize("where", ["when it is started", "when it is waited for"])
def test_memory_that_runs_out_costs_smaller_work_and_no_frame(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    task = _task("msrcnn", EIGHT, EIGHT, Size(88, 72))
    here, frames = _device(task), [_frame(EIGHT, seed) for seed in range(3)]
    wanted = [_usual(task)(frame)[0].astype(int) for frame in frames]
    device = here._frames_on_device
    device._split = replace(device._split, batch=2)
    tried: list[tuple[int, int]] = []
    real, fetch = backend_frames.compile_for, device.fetch

    def compile_for(*given: Any) -> Any:
        function, split = real(*given), device._split
        tried.append((split.window, split.batch))

        def start(arrays: Any) -> Any:
            if split.window > 50 or split.batch > 1:
                if where == "when it is started":
                    raise _refusal()
                return "refused"
            return function(arrays)

        return start

    def fetched(started: Any) -> Any:
        if started == "refused":
            raise _refusal()
        return fetch(started)

    monkeypatch.setattr(backend_frames, "compile_for", compile_for)
    monkeypatch.setattr(device, "fetch", fetched)
    with Pipeline(frames, here.steps, stages=Stages(), stop=lambda: None) as pipeline:
        made = [planes[0].astype(int) for planes in pipeline]
    assert max(np.abs(a - b).max() for a, b in zip(made, wanted, strict=True)) <= 1
    assert tried[0] == (88, 2)
    assert tried[-1] == (44, 1)


def test_gives_up_when_nothing_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    def compile_for(*_: Any) -> Any:
        raise _refusal()

    monkeypatch.setattr(backend_frames, "compile_for", compile_for)
    with pytest.raises(EnvironmentFault, match="out of memory even"):
        _device(_task("msrcnn", EIGHT, EIGHT, Size(88, 72)))(_frame(EIGHT))


_ON_TWO = """
import numpy as np
from engine import backend_frames
from tests.test_engine_on_device import EIGHT, Pipeline, Size, Stages, _device, _frame, _task, _usual
import jax
task = _task("msrcnn", EIGHT, EIGHT, Size(88, 72))
here, frames = _device(task), [_frame(EIGHT, seed) for seed in range(5)]
with Pipeline(frames, here.steps, stages=Stages(), stop=lambda: None) as pipeline:
    made = [planes[0].astype(int) for planes in pipeline]
assert len(here._frames_on_device._compiled) == len(jax.devices()) == 2
assert max(np.abs(a - _usual(task)(b)[0].astype(int)).max() for a, b in zip(made, frames)) <= 1
"""


def test_each_of_several_devices_has_frames_of_its_own() -> None:
    pytest.importorskip("jax")
    environment = {"KERAS_BACKEND": "jax", "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    subprocess.run(
        [sys.executable, "-c", _ON_TWO], check=True, cwd=Path(__file__).parent.parent, env={**os.environ, **environment}
    )
