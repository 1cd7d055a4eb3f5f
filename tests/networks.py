"""Networks for tests: all that are shipped and a small one of its own scale, with random weights."""

from __future__ import annotations

import numpy as np

import engine.backend  # noqa: F401  (chooses Keras' backend, so it comes before Keras)

import keras  # isort: skip
from keras import layers  # isort: skip

from engine.network import ALL, Network
from engine.weights import Card, Weights, expected_shapes


def _doubling() -> keras.Model:
    """Twice as large, without a sigmoid at its end: its values may leave 0..1."""
    luma = keras.Input((None, None, 1), name="luma")
    features = layers.LeakyReLU(0.1)(layers.Conv2D(8, 3, padding="same", name="convolution_1")(luma))
    larger = layers.UpSampling2D(2, name="larger")(features)
    return keras.Model(luma, layers.Conv2D(1, 3, padding="same", name="convolution_2")(larger), name="doubling")


DOUBLING = Network("doubling", _doubling, scale=2, radius=1 + 1, same_bits_in_any_region=True)
TRIED = {f"{network.name} {network.scale}x": network for network in (*ALL, DOUBLING)}


def random_weights(network: Network) -> Weights:
    """Large enough that every pixel in the receptive field matters."""
    rng = np.random.default_rng(7)
    arrays = {
        name: (rng.standard_normal(shape) / np.sqrt(np.prod(shape[:3]) if len(shape) == 4 else 100)).astype(np.float32)
        for name, shape in expected_shapes(network).items()
    }
    return Weights(network, arrays, Card(network.name), "")
