"""What whole frames on a GPU need of TensorFlow or JAX: functions compiled for one device, started without waiting.

Written with `keras.ops`; what the backends do differently stands here and in the other modules named `backend`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.backend import BACKEND
from engine.convolutions import Chain, chain_of
from engine.weights import Weights

from keras import ops  # isort: skip

Arrays = tuple[NDArray[Any], ...]
Program = Callable[..., tuple[Any, ...]]
"""Arrays of fixed shapes to arrays, in `keras.ops`."""


@dataclass(frozen=True)
class Place:
    """One device that frames can be sent to."""

    name: str
    handle: Any
    memory_bytes: int | None
    """What the backend may take of its memory; None where it does not say."""


def places(*, gpu: bool) -> list[Place]:
    """All usable GPUs; without `gpu` what the backend calls its processors: one, unless it was told to split it."""
    if BACKEND == "tensorflow":
        import tensorflow as tf

        found = tf.config.get_visible_devices("GPU" if gpu else "CPU")
        logical = tf.config.list_logical_devices("GPU" if gpu else "CPU")[: len(found)]
        return [Place(device.name, device.name, None) for device in logical]
    import jax

    here = jax.devices("gpu" if gpu else "cpu")
    return [Place(str(device), device, (device.memory_stats() or {}).get("bytes_limit")) for device in here]


def compile_for(place: Place, build: Callable[[], Program], given: Arrays) -> Callable[[Arrays], Sequence[Any]]:
    """What `build` returns, compiled on `place` for arrays of the shapes and types of `given`.

    A call starts the work and returns at once; `fetch` waits for what it returned.
    """
    return _compile_tensorflow(place, build, given) if BACKEND == "tensorflow" else _compile_jax(place, build, given)


def _compile_tensorflow(place: Place, build: Callable[[], Program], given: Arrays) -> Callable[[Arrays], Sequence[Any]]:
    import tensorflow as tf

    with tf.device(place.handle):
        program = tf.function(build(), autograph=False, jit_compile=True)
        concrete = program.get_concrete_function(*(tf.TensorSpec(array.shape, array.dtype) for array in given))

    def start(arrays: Arrays) -> Sequence[Any]:
        with tf.device(place.handle):
            made: Sequence[Any] = concrete(*map(tf.constant, arrays))
            return made

    return start


def _compile_jax(place: Place, build: Callable[[], Program], given: Arrays) -> Callable[[Arrays], Sequence[Any]]:
    import jax

    where = jax.sharding.SingleDeviceSharding(place.handle)
    shapes = [jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=where) for array in given]
    with warnings.catch_warnings(), jax.default_matmul_precision("highest"):
        warnings.simplefilter("ignore")
        executable = jax.jit(build()).lower(*shapes).compile()

    def start(arrays: Arrays) -> Sequence[Any]:
        made: Sequence[Any] = executable(*jax.device_put(arrays, where))
        for array in made:
            array.copy_to_host_async()
        return made

    return start


def fetch(made: Sequence[Any]) -> Arrays:
    """Wait for what was started; on the host. Raises here what went wrong there."""
    return tuple(np.asarray(array) for array in made)


def network_program(loaded: Weights, *, half: bool) -> Callable[[Any], Any]:
    """(batch, height, width) float32 luma to the same, larger by the network's own scale, in float32.

    `half`: float16, but for what the last layer computes.
    """
    model = loaded.model("mixed_float16" if half else "float32")
    chain = chain_of(model)
    if chain is not None:
        return _chain_program(chain, "float16" if half else "float32")

    def run(luma: Any) -> Any:
        return ops.cast(model(luma[..., None], training=False)[..., 0], "float32")

    return run


def _chain_program(chain: Chain, inner: str) -> Callable[[Any], Any]:
    def run(luma: Any) -> Any:
        features = luma[..., None]
        for index, layer in enumerate(chain.layers):
            dtype = inner if index < len(chain.layers) - 1 else "float32"
            kernel = ops.cast(layer.kernel, dtype)
            features = ops.conv(ops.cast(features, dtype), kernel, 1, "same", data_format="channels_last")
            features = features + ops.cast(layer.bias, dtype)
            if layer.slope is not None:
                features = ops.leaky_relu(features, layer.slope)
        made = features[..., 0]
        return ops.sigmoid(made) if chain.ends_in_sigmoid else made

    return run


def feature_bytes(loaded: Weights, *, half: bool) -> int:
    """About what a pixel of the network's input takes on the device: the two widest neighbours, and as much to work."""
    widest = max(array.shape[-1] + array.shape[-2] for array in loaded.arrays.values() if array.ndim == 4)
    return 2 * widest * (2 if half else 4)
