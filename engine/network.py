"""The networks, as Keras 3 functions. Luma in, luma out; fully convolutional, zero padded at every layer.

A network is known by its name; `NETWORKS` holds all of them with what tiles need to know (own scale, receptive radius).
Those that enlarge by themselves are one for each scale: `at_scale` tells which one weights belong to. Keras is loaded
when one is built: who only wants to know what there is does without its seconds and half a gigabyte.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras
    from keras import layers

SUBPIXEL_SCALES = (2, 3, 4)
LEAKY_SLOPE = 0.1
"""Slope of LeakyReLU for negative inputs (paper, section III-B)."""


@dataclass(frozen=True)
class Network:
    """What the engine must know of an architecture besides its weights."""

    name: str
    build: Callable[[], keras.Model]
    scale: int
    """How much larger the output is than the input. 1: the picture is resized before the network."""
    radius: int
    """Receptive radius in input pixels: an output pixel depends on no input farther away than this."""
    same_bits_in_any_region: bool = False
    """Whether TensorFlow on the CPU gives a pixel the same bits whatever the shape of the region around it. Held for
    m-SRCNN and the sub-pixel networks in every region tried; SRCNN's wide layers fail now and then."""

    @functools.cached_property
    def multiply_adds(self) -> float:
        """Per pixel of the output."""
        kernels = (weight.shape for layer in self.build().layers for weight in layer.weights if len(weight.shape) == 4)
        return sum(math.prod(kernel) for kernel in kernels) / self.scale**2


def _keras() -> Any:
    import engine.backend  # noqa: F401  (chooses Keras' backend, so it comes before Keras)

    import keras  # isort: skip

    return keras


@contextmanager
def computing(policy: str) -> Iterator[None]:
    """Layers that are made here compute by Keras' dtype policy of that name. Raises ValueError (no such policy)."""
    config = _keras().config
    before = config.dtype_policy()
    try:
        config.set_dtype_policy(policy)
        yield
    finally:
        config.set_dtype_policy(before)


def _convolution(filters: int, kernel: int, name: str) -> layers.Conv2D:
    return _keras().layers.Conv2D(filters, kernel, padding="same", name=name)


def _transposed(filters: int, kernel: int, name: str) -> layers.Conv2DTranspose:
    return _keras().layers.Conv2DTranspose(filters, kernel, padding="same", name=name)


def _stack(name: str, hidden: list[layers.Layer], last: layers.Layer) -> keras.Model:
    """LeakyReLU after each hidden layer, sigmoid after the last, computed in float32 whatever the policy."""
    keras = _keras()
    luma = keras.Input((None, None, 1), name="luma")
    features = luma
    for layer in hidden:
        features = layer(features)
        features = keras.layers.LeakyReLU(LEAKY_SLOPE, name=f"{layer.name}_activation")(features)
    output = keras.layers.Activation("sigmoid", dtype="float32", name="sigmoid")(last(features))
    return keras.Model(luma, output, name=name)


def srcnn() -> keras.Model:
    """The baseline SRCNN of the paper's Table I: 9x9x128, 3x3x64, 5x5x1.

    Input (batch, height, width, 1), float32 luma in 0..1; output (batch, height, width, 1), float32 in 0..1.
    """
    return _stack(
        "srcnn",
        [_convolution(128, 9, "convolution_1"), _convolution(64, 3, "convolution_2")],
        _convolution(1, 5, "convolution_3"),
    )


def msrcnn() -> keras.Model:
    """m-SRCNN of the paper's Table II: 127,347 parameters, 127,136 multiply-adds per pixel.

    Input (batch, height, width, 1), float32 luma in 0..1; output (batch, height, width, 3), float32 in 0..1, of which
    the authors train all three channels to the same luma and use the first.
    """
    return _stack(
        "msrcnn",
        [
            _convolution(64, 5, "convolution_1"),
            _convolution(64, 5, "convolution_2"),
            _convolution(16, 3, "convolution_3"),
            _transposed(32, 3, "transposed_1"),
            _transposed(32, 3, "transposed_2"),
        ],
        _convolution(3, 1, "convolution_4"),
    )


def _build_subpixel(name: str, *, scale: int, filters: int, blocks: int) -> keras.Model:
    from engine.network_subpixel import subpixel

    return subpixel(name, scale=scale, filters=filters, blocks=blocks)


def _subpixel(name: str, *, filters: int, blocks: int) -> list[Network]:
    """One for each scale. Their radius: one for each 3x3 convolution on the longest way through."""
    return [
        Network(
            name,
            functools.partial(_build_subpixel, name, scale=scale, filters=filters, blocks=blocks),
            scale=scale,
            radius=1 + 2 * blocks + 1 + 1,
            same_bits_in_any_region=True,
        )
        for scale in SUBPIXEL_SCALES
    ]


ALL = (
    Network("srcnn", srcnn, scale=1, radius=4 + 1 + 2),
    Network("msrcnn", msrcnn, scale=1, radius=2 + 2 + 1 + 1 + 1 + 0, same_bits_in_any_region=True),
    *_subpixel("fast", filters=24, blocks=3),
    *_subpixel("fine", filters=32, blocks=8),
)
"""Every network at every scale of its own. What a name means never changes: weights belong to it."""
NETWORKS = {network.name: network for network in reversed(ALL)}
"""Every network by its name, at the smallest of its own scales."""


def scales_of(name: str) -> tuple[int, ...]:
    """By how much the network of that name can enlarge by itself; (1,): the picture is resized before it."""
    return tuple(network.scale for network in ALL if network.name == name)


def at_scale(name: str, scale: int) -> Network | None:
    """The network of that name whose weights are trained for `scale`; None where there is none."""
    return next((network for network in ALL if network.name == name and network.scale in (1, scale)), None)
