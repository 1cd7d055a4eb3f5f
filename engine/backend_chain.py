"""Convolutions in a row on the CPU: TensorFlow's own, and Winograd's where they need fewer products."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import cv2
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from engine import winograd
from engine.convolutions import Chain, Layer, as_it_is, in_tiles, sigmoid
from engine.cores import cores, share_out
from engine.regions import Region

Luma = NDArray[np.float32]
Wanted = NDArray[np.bool_]

_LARGEST_PIECE = 544
"""Pixels a side: each core has a piece of its own at a time (tried: less loses to margins, more to idle cores)."""


class ChainRunner:
    """The whole of planes by all cores, or a part of one by the calling thread; to the same bits."""

    def __init__(self, chain: Chain) -> None:
        self._steps: list[_Direct | _Tiled] = []
        for index, layer in enumerate(chain.layers):
            if in_tiles(layer):
                self._steps.append(_Tiled(layer, chain.margin_after(index)))
            elif self._steps and isinstance(self._steps[-1], _Direct):
                self._steps[-1].layers.append(layer)
            else:
                self._steps.append(_Direct([layer]))
        self._margin = chain.margin
        self._direct = {id(step): _convolve(step.layers) for step in self._steps if isinstance(step, _Direct)}
        self._finish = sigmoid if chain.ends_in_sigmoid else as_it_is

    def __call__(self, luma: Luma) -> Luma:
        """(batch, height, width) → the same, one plane after the other."""
        made = np.empty(luma.shape, np.float32)
        for plane, target in zip(luma, made, strict=True):
            whole = Region(0, 0, *plane.shape)
            pieces = list(whole.pieces(_LARGEST_PIECE))
            if len(pieces) == 1:
                self._run(plane, whole, None, target, threads=None)
            else:
                share_out(pieces, functools.partial(self._fill, plane, target), threads=cores())
        return self._finish(made)

    def _fill(self, plane: Luma, target: Luma, pieces: Iterator[Region]) -> None:
        for piece in pieces:
            window = piece.grown(self._margin, plane.shape)
            self._run(plane[window.slices], piece.relative_to(window), None, target[piece.slices], threads=1)

    def part(self, luma: Luma, inner: Region, *, wanted: Wanted | None = None) -> Luma:
        """As `engine.backend.Part`."""
        made = np.empty((inner.height, inner.width), np.float32)
        self._run(luma, inner, wanted, made, threads=1)
        return self._finish(made)

    def _run(self, luma: Luma, inner: Region, wanted: Wanted | None, target: Luma, *, threads: int | None) -> None:
        features: Any = luma[None, :, :, None]
        held = Region(0, 0, *luma.shape)
        with ExitStack() as stack:  # the memory of each step is kept until the last one has ended
            for step in self._steps:
                if isinstance(step, _Direct):
                    features = self._direct[id(step)](features)
                    continue
                place = inner.grown(step.margin, luma.shape)
                made = stack.enter_context(
                    step.convolution.part(
                        np.from_dlpack(features)[0],
                        place.relative_to(held).slices,
                        wanted=None if wanted is None else _grown(wanted, inner, place, step.margin),
                        threads=threads,
                    )
                )
                features, held = tf.experimental.dlpack.from_dlpack(made[None].__dlpack__()), place
            target[...] = np.from_dlpack(features)[0, :, :, 0][inner.relative_to(held).slices]


class _Direct:
    def __init__(self, layers: list[Layer]) -> None:
        self.layers = layers


class _Tiled:
    def __init__(self, layer: Layer, margin: int) -> None:
        self.convolution = winograd.Convolution(layer.kernel, layer.bias, slope=layer.slope)
        self.margin = margin
        """How far around a pixel of the network's result what comes out here is needed."""


def _convolve(layers: list[Layer]) -> Callable[[Any], Any]:
    """(1, height, width, channels), an array or a tensor, to a tensor."""

    def run(features: Any) -> Any:
        for layer in layers:
            features = tf.nn.bias_add(tf.nn.conv2d(features, layer.kernel, 1, "SAME"), layer.bias)
            if layer.slope is not None:
                features = tf.nn.leaky_relu(features, layer.slope)
        return features

    channels = layers[0].kernel.shape[2]
    return tf.function(run, autograph=False).get_concrete_function(tf.TensorSpec((1, None, None, channels), tf.float32))


def _grown(wanted: Wanted, inner: Region, place: Region, margin: int) -> Wanted:
    """The tiles of `place` within `margin` of the wanted tiles of `inner`."""
    tile = winograd.TILE
    tiles = np.zeros((-(-place.height // tile), -(-place.width // tile)), np.uint8)
    top, left = (inner.top - place.top) // tile, (inner.left - place.left) // tile
    tiles[top : top + wanted.shape[0], left : left + wanted.shape[1]] = wanted
    reach = -(-margin // tile)
    return cv2.dilate(tiles, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)) > 0
