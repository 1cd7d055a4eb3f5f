"""A network as the plain list of its convolutions, where it is one: for backends that can run such a list faster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine import winograd


@dataclass(frozen=True)
class Layer:
    """One convolution of stride 1, zero padded, correlated as Keras does; then LeakyReLU where `slope` is given."""

    kernel: NDArray[np.float32]
    """(rows, columns, channels in, channels out)."""
    bias: NDArray[np.float32]
    slope: float | None = None

    @property
    def reach(self) -> int:
        """How far the input lies that an output pixel depends on."""
        return self.kernel.shape[0] // 2


@dataclass(frozen=True)
class Chain:
    """The convolutions of a network, one after the other; of the last only the channel that is used."""

    layers: list[Layer]
    ends_in_sigmoid: bool

    @property
    def grain(self) -> int:
        """Windows must start at multiples of this for a pixel to get the same bits in each."""
        return winograd.TILE if any(map(in_tiles, self.layers)) else 1

    @property
    def margin(self) -> int:
        """How far the input lies that the bits of an output pixel depend on, where both are cut at the grain."""
        return self.margin_after(-1)

    def margin_after(self, index: int) -> int:
        """The same for what comes out of that layer, counted from 0."""
        margin = 0
        for layer in reversed(self.layers[index + 1 :]):
            margin = (_to_grain(margin) if in_tiles(layer) else margin) + layer.reach
        return _to_grain(margin) if self.grain > 1 else margin


def in_tiles(layer: Layer) -> bool:
    """Whether `engine.winograd` computes it with fewer products."""
    return winograd.worth_it(layer.kernel.shape)


def _to_grain(length: int) -> int:
    return -(-length // winograd.TILE) * winograd.TILE


def chain_of(model: Any) -> Chain | None:
    """The convolutions of a Keras model; None where it is anything else than convolutions in a row."""
    import keras

    layers: list[Layer] = []
    ends_in_sigmoid = False
    _, *following = model.layers
    tensor = model.inputs[0]
    for layer in following:
        if ends_in_sigmoid or layer.input is not tensor:
            return None
        tensor = layer.output
        if isinstance(layer, keras.layers.Conv2D | keras.layers.Conv2DTranspose):
            if not _is_plain(layer):
                return None
            layers.append(_layer(layer))
        elif isinstance(layer, keras.layers.LeakyReLU) and layers and layers[-1].slope is None:
            layers[-1] = Layer(layers[-1].kernel, layers[-1].bias, float(layer.negative_slope))
        elif getattr(layer, "activation", None) is keras.activations.sigmoid and not layer.weights:
            ends_in_sigmoid = True
        else:
            return None
    if not layers or tensor is not model.outputs[0]:
        return None
    last = layers[-1]
    layers[-1] = Layer(np.ascontiguousarray(last.kernel[..., :1]), last.bias[:1], last.slope)
    return Chain(layers, ends_in_sigmoid)


def _is_plain(layer: Any) -> bool:
    rows, columns = layer.kernel_size
    return (
        layer.padding == "same"
        and layer.use_bias
        and rows == columns
        and rows % 2 == 1
        and tuple(layer.strides) == (1, 1)
        and tuple(layer.dilation_rate) == (1, 1)
        and getattr(layer, "groups", 1) == 1
        and getattr(layer.activation, "__name__", "") == "linear"
    )


def _layer(layer: Any) -> Layer:
    import keras

    kernel, bias = (np.asarray(weight, np.float32) for weight in layer.get_weights())
    if isinstance(layer, keras.layers.Conv2DTranspose):  # at stride 1 an ordinary one with its kernel turned around
        kernel = np.ascontiguousarray(kernel[::-1, ::-1].transpose(0, 1, 3, 2))
    return Layer(kernel, bias)


def as_it_is(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return values


def sigmoid(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """In place."""
    with np.errstate(over="ignore"):
        np.exp(np.negative(values, out=values), out=values)
    values += 1
    return np.reciprocal(values, out=values)
