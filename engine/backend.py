"""The only file that knows TensorFlow from JAX: choosing one, choosing a device, compiling, telling out-of-memory.

Import this before Keras: Keras reads its backend from the environment once.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import re
import sys
import tempfile
import warnings
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.convolutions import as_it_is, chain_of, sigmoid
from engine.errors import ToolError
from engine.regions import Region
from engine.settings import Device

log = logging.getLogger(__name__)

_PREFERENCE = ("tensorflow", "jax")
_COMPILED_SHAPES = 8
"""Compiled functions kept, one for each input shape; the one used longest ago goes first."""

_BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
"""In /proc/cpuinfo: those of Intel and AMD, and of Arm."""

Forward = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""(batch, height, width) luma in 0..1 → (batch, height * scale, width * scale)."""


def _choose_backend() -> str:
    chosen = os.environ.get("KERAS_BACKEND")
    if chosen is None:
        chosen = next((name for name in _PREFERENCE if importlib.util.find_spec(name)), "")
    if chosen not in _PREFERENCE or not importlib.util.find_spec(chosen):
        raise ToolError(
            f"Keras has no usable backend ({chosen or 'none installed'})",
            remedy="install one: pip install 'kakudai[cpu]' (or [gpu], [jax])",
        )
    os.environ["KERAS_BACKEND"] = chosen
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # errors only
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # JAX leaves the rest of the card to others
    return chosen


def _import_quietly(name: str) -> None:
    """Import a backend without the greetings that TensorFlow writes to stderr from C++ whatever its log level.

    They are kept aside, and shown after all when the import fails.
    """
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as greetings:
        os.dup2(greetings.fileno(), 2)
        try:
            importlib.import_module(name)
        except BaseException:
            greetings.seek(0)
            os.write(stderr, greetings.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


BACKEND = _choose_backend()
_import_quietly(BACKEND)


def gpus() -> list[str]:
    """The names of the GPUs that the backend can use; empty when there is none."""
    if BACKEND == "tensorflow":
        import tensorflow as tf

        return [gpu.name for gpu in tf.config.list_physical_devices("GPU")]
    import jax

    return [str(device) for device in jax.devices() if device.platform == "gpu"]


def use(device: Device) -> str:
    """Settle where networks run from now on and return `gpu` or `cpu`. Call once, before a network is built.

    `gpu` refuses when none is usable (ToolError); `auto` falls to the CPU with a warning.
    """
    usable = gpus() if device is not Device.CPU else []
    if BACKEND == "tensorflow":
        import tensorflow as tf

        if device is Device.CPU:
            tf.config.set_visible_devices([], "GPU")
        for gpu in tf.config.get_visible_devices("GPU"):
            tf.config.experimental.set_memory_growth(gpu, True)  # leave the rest of the card to others
        tf.config.experimental.enable_tensor_float_32_execution(False)  # what is not float16 on purpose is exact
    elif device is Device.CPU:
        import jax

        jax.config.update("jax_platforms", "cpu")
    if usable:
        return "gpu"
    if device is Device.GPU:
        raise ToolError(
            "no usable GPU was found, and the device is set to gpu",
            remedy="run `kakudai check`, install 'kakudai[gpu]' and the driver, or choose device auto or cpu",
        )
    if device is Device.AUTO:
        log.warning("no usable GPU: the network runs on the CPU, which is many times slower")
    return "cpu"


def check_bfloat16() -> None:
    """Raises `ToolError` where the processor has no instructions for bfloat16: it would be slow there, not fast."""
    flags = set(re.findall(r"\w+", Path("/proc/cpuinfo").read_text()))
    if not flags & _BFLOAT16_FLAGS:
        raise ToolError(
            "this processor has no instructions for bfloat16", remedy="set precision to float32, which is faster here"
        )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the backend ran out of (device) memory, so that smaller work may succeed."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "ResourceExhaustedError"
        or "RESOURCE_EXHAUSTED" in str(error)
    )


class Part(Protocol):
    """A region of a network's result, in the calling thread alone: for several threads at a time."""

    def __call__(
        self, luma: NDArray[np.float32], inner: Region, *, wanted: NDArray[np.bool_] | None = None
    ) -> NDArray[np.float32]:
        """`luma` (height, width): what `inner` lies in, with the margin around it where the image has one.

        `wanted`: which squares of `grain` pixels of `inner` are needed; what is in the others means nothing.
        """


@dataclass(frozen=True)
class Compiled:
    """A network as a function from arrays to arrays. A pixel's bits are a function of the input around it.

    Of the input within `margin`, where windows are cut at multiples of `grain` in the image.
    """

    run: Forward
    margin: int
    grain: int = 1
    part: Part | None = None
    """Gives the bits of `run`; None where there is nothing to gain by it."""

    def __call__(self, luma: NDArray[np.float32]) -> NDArray[np.float32]:
        return self.run(luma)


def compiled(model: Any, *, radius: int) -> Compiled:
    """`model`, of that receptive radius, compiled once for each shape; first output channel only."""
    if BACKEND == "tensorflow" and not _visible_gpus():
        from engine.backend_chain import ChainRunner

        chain = chain_of(model)
        if chain is not None:
            runner = ChainRunner(chain)
            return Compiled(runner, max(radius, chain.margin), chain.grain, runner.part if chain.grain > 1 else None)
    functions: OrderedDict[tuple[int, ...], Forward] = OrderedDict()
    compile_for = _compile_tensorflow if BACKEND == "tensorflow" else _compile_jax

    def forward(luma: NDArray[np.float32]) -> NDArray[np.float32]:
        # TensorFlow's kernels take any height and width as fast as fixed ones (tried); XLA wants fixed shapes.
        shape = luma.shape[:1] if BACKEND == "tensorflow" else luma.shape
        if shape not in functions:
            functions[shape] = compile_for(model, shape)
            if len(functions) > _COMPILED_SHAPES:
                functions.popitem(last=False)
        functions.move_to_end(shape)
        return functions[shape](luma)

    return Compiled(forward, radius)


def _visible_gpus() -> list[Any]:
    import tensorflow as tf

    return tf.config.get_visible_devices("GPU")


def _compile_tensorflow(model: Any, shape: tuple[int, ...]) -> Forward:
    """A last sigmoid is left to numpy: Eigen computes the few values after its last full vector in another way, so
    that their bits would depend on the shape (seen), and reuse would show.
    """
    import keras
    import tensorflow as tf

    last = model.layers[-1]
    ends_in_sigmoid = getattr(last, "activation", None) is keras.activations.sigmoid and not last.weights
    body = keras.Model(model.input, last.input) if ends_in_sigmoid else model
    finish = sigmoid if ends_in_sigmoid else as_it_is

    def run(luma: Any) -> Any:
        return body(luma, training=False)[..., 0]

    concrete = tf.function(run, autograph=False).get_concrete_function(
        tf.TensorSpec((shape[0], None, None, 1), tf.float32)
    )

    def forward(luma: NDArray[np.float32]) -> NDArray[np.float32]:
        return finish(np.array(concrete(tf.constant(luma[..., None])), np.float32))

    return forward


def _compile_jax(model: Any, shape: tuple[int, ...]) -> Forward:
    import jax

    state = ([v.value for v in model.trainable_variables], [v.value for v in model.non_trainable_variables])

    def run(luma: Any) -> Any:
        outputs, _ = model.stateless_call(*state, luma, training=False)
        return outputs[..., 0]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        executable = jax.jit(run).lower(jax.ShapeDtypeStruct((*shape, 1), np.float32)).compile()

    def forward(luma: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(executable(luma[..., None]), np.float32)

    return forward
