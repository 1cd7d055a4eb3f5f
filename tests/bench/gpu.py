"""The engine on a GPU by JAX alone: frames a second, and how much of the card that is.

    KERAS_BACKEND=jax python -m tests.bench.gpu              1080p and 2160p, msrcnn, fast and fine
    KERAS_BACKEND=jax python -m tests.bench.gpu --tiny       a rehearsal on whatever there is

What is measured is `engine.on_device` in the engine's pipeline: planes of 8 bit from memory to planes in memory, luma
and chroma, without decoder and encoder. Beside it: plain Keras, `predict` in float32 on luma alone, a frame at a time.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "jax"

from engine import backend, weights  # isort: skip  (before JAX is imported)

import cv2
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from engine.backend_frames import Place, places
from engine.frame_program import Task
from engine.models import Model
from engine.on_device import DeviceEnlarger
from engine.pipeline import Pipeline
from engine.planes import PlaneFormat, Planes
from engine.settings import Device, Settings, Size
from engine.stages import Stages
from engine.upscaler import Upscaler
from tests.bench.measure import table

Codes = NDArray[np.uint8]

OUTPUTS = (Size(1920, 1080), Size(3840, 2160))
_FORMAT = PlaneFormat("yuv420p", 8, (1, 1))
_SECONDS = 5.0
"""Each speed is measured for about this long."""
_AIMS = "Aims on an H100 for msrcnn at 1080p: 300 fps, 5 × plain Keras, at most 1 level apart."


def enlarger(loaded: weights.Weights, source: Size, output: Size, *, where: list[Place], half: bool) -> DeviceEnlarger:
    """The engine's own, as a job makes it."""
    model = Model(loaded.card.upsampling, Upscaler(loaded), loaded.sha256, "gpu")
    return DeviceEnlarger(Task(_FORMAT, source, _FORMAT, output, Settings(), model), devices=where, half=half)


def frames_per_second(engine: DeviceEnlarger, frames: list[Planes]) -> float:
    """Through the engine's pipeline; frames that differ from each other, as long as it takes."""
    engine(frames[0])  # compiles
    ends_at = [float("inf")]

    def source() -> Iterator[Planes]:
        for planes in itertools.cycle(frames):
            if time.perf_counter() > ends_at[0]:
                return
            yield planes

    done = 0
    with Pipeline(source(), engine.steps, stages=Stages(), stop=lambda: None) as pipeline:
        for _ in pipeline:
            done += 1
            if done == 1:
                began = time.perf_counter()
                ends_at[0] = began + _SECONDS
    return (done - 1) / (time.perf_counter() - began)


def plain(loaded: weights.Weights, output: Size) -> Callable[[Codes], Codes]:
    """What one would write with Keras: float32, `predict`, a frame at a time, luma alone."""
    model = loaded.model()

    def run(codes: Codes) -> Codes:
        luma = (codes.astype(np.float32) - 16) / np.float32(219)
        if loaded.network.scale == 1:
            luma = cv2.resize(luma, (output.width, output.height), interpolation=cv2.INTER_CUBIC)
        made = model.predict(luma.clip(0, 1)[None, ..., None], verbose=0)[0, ..., 0]
        return np.rint(made * 219 + 16).clip(0, 255).astype(np.uint8)

    return run


def plain_speed(usual: Callable[[Codes], Codes], codes: Codes) -> float:
    """Frames a second, once it is compiled."""
    usual(codes)
    began, count = time.perf_counter(), 0
    while not count or time.perf_counter() - began < _SECONDS:
        usual(codes)
        count += 1
    return count / (time.perf_counter() - began)


def matrix_rate(length: int) -> float:
    """FLOP/s of a float16 matrix product."""
    left = jnp.ones((length, length), jnp.float16)
    product = jax.jit(lambda a: (a @ a) * jnp.float16(1 / length))
    made = jax.block_until_ready(product(left))
    times = 20
    began = time.perf_counter()
    for _ in range(times):
        made = product(made)
    jax.block_until_ready(made)
    return times * 2 * length**3 / (time.perf_counter() - began)


def flop(loaded: weights.Weights, output: Size) -> float:
    """Of the convolutions, for a frame of luma."""
    return 2.0 * loaded.network.multiply_adds * output.pixels


def drawn(source: Size, count: int) -> list[Planes]:
    """Frames that all differ: smooth noise within limited range."""
    rng = np.random.default_rng(0)
    frames = []
    for _ in range(count):
        planes = (rng.integers(16, 236, shape, np.uint8) for shape in _FORMAT.shapes(source))
        frames.append(tuple(np.asarray(cv2.GaussianBlur(plane, (0, 0), 2), np.uint8) for plane in planes))
    return frames


def _networks() -> Iterator[tuple[Path, weights.Weights]]:
    for path, card in weights.shipped().items():
        if card.scale == 2:
            yield path, weights.load(path)


def row(path: Path, loaded: weights.Weights, output: Size, *, where: list[Place], rate: float) -> list[str]:
    """One line of the table."""
    source = Size(output.width // 2, output.height // 2)
    frames = drawn(source, 8)
    engine, usual = enlarger(loaded, source, output, where=where, half=True), plain(loaded, output)
    wanted = usual(frames[0][0]).astype(int)
    apart: NDArray[Any] = np.abs(engine(frames[0])[0].astype(int) - wanted)
    fps, usual_fps = frames_per_second(engine, frames), plain_speed(usual, frames[0][0])
    return [
        path.stem,
        str(output),
        f"{fps:.1f}",
        f"{flop(loaded, output) * fps / (rate * len(where)):.0%}",
        f"{usual_fps:.2f}",
        f"{fps / usual_fps:.1f}",
        f"{apart.max()}, {100 * np.mean(apart > 0):.2f} %",
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.gpu", description=__doc__.splitlines()[0])
    parser.add_argument("--tiny", action="store_true", help="128x96 output, short: to see that it runs")
    arguments = parser.parse_args()
    used = backend.use(Device.AUTO)
    where = places(gpu=used == "gpu")
    rate = matrix_rate(512 if arguments.tiny else 8192)
    outputs = (Size(128, 96),) if arguments.tiny else OUTPUTS
    rows = [
        row(path, loaded, output, where=where, rate=rate)
        for (path, loaded), output in itertools.product(_networks(), outputs)
    ]
    head = ["network", "output", "fps", "of the matrix rate", "Keras predict fps", "×", "levels apart, pixels"]
    device = jax.devices()[0]
    sys.stdout.write(
        f"{len(where)} × {device.device_kind} ({device.platform}), float16 products: {rate / 1e12:.1f} TFLOP/s each\n\n"
        f"{table(head, rows)}\n\n{_AIMS}\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
