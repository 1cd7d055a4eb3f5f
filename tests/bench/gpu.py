"""The engine's networks on a GPU by JAX alone: frames a second, and how much of the card that is.

    KERAS_BACKEND=jax python -m tests.bench.gpu              1080p and 2160p, every network that has weights
    KERAS_BACKEND=jax python -m tests.bench.gpu --tiny       a rehearsal on whatever there is

What runs on the device is what an episode needs: 8 bit code values come over the bus, are scaled and resized there (two
matrix products: OpenCV's bicubic is linear), go through the network in float16 with its last layer in float32, and go
back as 8 bit. Shapes are fixed; the batch is doubled as long as it pays and memory allows; the next batch travels while
one is computed. Beside it: plain Keras, `predict` in float32, one frame at a time.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "jax"

import cv2
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from engine import backend, weights
from engine.settings import Size
from tests.bench.measure import table

import keras  # isort: skip

Codes = NDArray[np.uint8]

OUTPUTS = (Size(1920, 1080), Size(3840, 2160))
_LARGEST_BATCH = 64
_PAYS = 1.03
"""A batch twice as large has to be faster by this."""
_SECONDS = 3.0
"""Each speed is measured for about this long."""


def _taps(length: int, out: int) -> NDArray[np.float32]:
    """OpenCV's bicubic along one axis, as a matrix (out, length)."""
    wanted = cv2.resize(np.eye(length, dtype=np.float32), (length, out), interpolation=cv2.INTER_CUBIC)
    return np.asarray(wanted, np.float32)


def on_device(loaded: weights.Weights, source: Size, output: Size) -> Callable[[Any], Any]:
    """(batch, height, width) uint8 luma of limited range to the same at `output`, for any batch; compiled by shape."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = loaded.model()
    finally:
        keras.config.set_dtype_policy(policy)
    state = [v.value for v in model.trainable_variables], [v.value for v in model.non_trainable_variables]
    down, across = _taps(source.height, output.height), _taps(source.width, output.width)
    own_scale = loaded.network.scale > 1

    def run(codes: Any) -> Any:
        luma = (codes.astype(jnp.float32) - 16) / 219
        if not own_scale:
            exact = jax.lax.Precision.HIGHEST
            luma = jnp.einsum("oh,bhw,pw->bop", down, luma, across, precision=exact)
        made, _ = model.stateless_call(*state, luma.clip(0, 1)[..., None], training=False)
        levels = made[..., 0].astype(jnp.float32) * 219 + 16
        return jnp.rint(levels).clip(0, 255).astype(jnp.uint8)

    return jax.jit(run)


def plain(loaded: weights.Weights, source: Size, output: Size) -> Callable[[Codes], Codes]:
    """What one would write with Keras: float32, `predict`, a frame at a time."""
    model = loaded.model()

    def run(codes: Codes) -> Codes:
        luma = (codes.astype(np.float32) - 16) / np.float32(219)
        if loaded.network.scale == 1:
            luma = cv2.resize(luma, (output.width, output.height), interpolation=cv2.INTER_CUBIC)
        made = model.predict(luma.clip(0, 1)[None, ..., None], verbose=0)[0, ..., 0]
        return np.rint(made * 219 + 16).clip(0, 255).astype(np.uint8)

    return run


def _frames_per_second(run: Callable[[Any], Any], batch: Codes) -> float:
    """With the next batch on its way while one is computed, results back on the host."""
    jax.block_until_ready(run(jax.device_put(batch)))
    began, done, waiting = time.perf_counter(), 0, []
    while not done or time.perf_counter() - began < _SECONDS:
        result = run(jax.device_put(batch))
        result.copy_to_host_async()
        waiting.append(result)
        if len(waiting) > 2:
            done += np.asarray(waiting.pop(0)).shape[0]
    done += sum(np.asarray(result).shape[0] for result in waiting)
    return done / (time.perf_counter() - began)


def fastest(run: Callable[[Any], Any], frame: Codes) -> tuple[int, float]:
    """The batch that pays best within memory, and its frames a second."""
    found, speed, batch = 0, 0.0, 1
    while batch <= _LARGEST_BATCH:
        try:
            now = _frames_per_second(run, np.repeat(frame[None], batch, axis=0))
        except Exception as error:
            if found and backend.is_out_of_memory(error):
                break
            raise
        if now < speed * _PAYS:
            break
        found, speed, batch = batch, now, 2 * batch
    return found, speed


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
    taps = sum(array.size for name, array in loaded.arrays.items() if name.endswith("kernel"))
    return 2.0 * taps * output.pixels / loaded.network.scale**2


def _networks() -> Iterator[tuple[Path, weights.Weights]]:
    for path, card in weights.shipped().items():
        if card.scale == 2:
            yield path, weights.load(path)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.gpu", description=__doc__.splitlines()[0])
    parser.add_argument("--tiny", action="store_true", help="64x48 output, short: to see that it runs")
    arguments = parser.parse_args()
    outputs = (Size(64, 48),) if arguments.tiny else OUTPUTS
    rate = matrix_rate(512 if arguments.tiny else 8192)
    rows = []
    for path, loaded in _networks():
        for output in outputs:
            source = Size(output.width // 2, output.height // 2)
            frame = np.random.default_rng(0).integers(16, 236, (source.height, source.width), np.uint8)
            frame = np.asarray(cv2.GaussianBlur(frame, (0, 0), 2), np.uint8)
            run, usual = on_device(loaded, source, output), plain(loaded, source, output)
            wanted = usual(frame)
            began, count = time.perf_counter(), 0
            while not count or time.perf_counter() - began < _SECONDS:
                usual(frame)
                count += 1
            usual_fps = count / (time.perf_counter() - began)
            batch, fps = fastest(run, frame)
            apart = np.abs(np.asarray(run(frame[None]))[0].astype(int) - wanted)
            share = flop(loaded, output) * fps / rate
            rows.append(
                [path.stem, str(output), str(batch), f"{fps:.1f}", f"{share:.0%}", f"{usual_fps:.2f}"]
                + [f"{fps / usual_fps:.1f}", f"{apart.max()}, {100 * np.mean(apart > 0):.2f} %"]
            )
    device = jax.devices()[0]
    head = ["network", "output", "batch", "fps", "of the matrix rate", "Keras predict fps", "×", "levels apart, pixels"]
    sys.stdout.write(f"{device.device_kind} ({device.platform}), float16 products: {rate / 1e12:.1f} TFLOP/s\n\n")
    sys.stdout.write(table(head, rows) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
