"""Networks that enlarge by themselves: they work at the size of the input, and only their last step is larger.

A residual network in the field's terms (EDSR without its normalisation, as ArtCNN does it for anime): one convolution
to features, residual blocks of two 3x3 convolutions and one more, a skip over all of them, one convolution to the
pixels that each input pixel becomes (sub-pixel convolution, ESPCN), added to a bilinear enlargement. At half the width
and height the same work buys a network four times as deep. All layers but the last are the same at every scale, so that
what was learnt at one is where another begins.
"""

from __future__ import annotations

import functools
from typing import Any

import engine.backend  # noqa: F401  (chooses Keras' backend, so it comes before Keras)

import keras  # isort: skip
from keras import layers, ops  # isort: skip


def subpixel(name: str, *, scale: int, filters: int, blocks: int) -> keras.Model:
    """A network of `blocks` residual blocks with `filters` features each, for `scale`.

    Input (batch, height, width, 1), float32 luma in 0..1; output (batch, scale height, scale width, 1), float32, not
    clipped: it may leave 0..1 a little at sharp edges.
    """
    luma = keras.Input((None, None, 1), name="luma")
    first = features = _convolution(filters, "convolution_first")(luma)
    for index in range(1, blocks + 1):
        inner = layers.ReLU(name=f"block_{index}_activation")(
            _convolution(filters, f"block_{index}_convolution_1")(features)
        )
        inner = _convolution(filters, f"block_{index}_convolution_2")(inner)
        features = layers.Add(name=f"block_{index}_sum")([features, inner])
    features = layers.Add(name="features")([first, _convolution(filters, "convolution_body")(features)])
    # Whatever the policy, what is seen in the end is added up in float32.
    detail = _convolution(scale**2, "convolution_last", dtype="float32")(features)
    enlarged = BilinearPixels(scale, name="bilinear", dtype="float32")(luma)
    pixels = layers.Add(name="pixels", dtype="float32")([enlarged, detail])
    return keras.Model(luma, DepthToSpace(scale, name="depth_to_space", dtype="float32")(pixels), name=name)


def bilinear_taps(scale: int) -> list[tuple[float, float, float]]:
    """For each of the `scale` pixels that one becomes, in order: shares of the pixel before it, of itself, of the next.

    Pixel centres as in OpenCV: at 2 each is a quarter of the way from its pixel to a neighbour.
    """
    offsets = [(index + 0.5) / scale - 0.5 for index in range(scale)]
    return [(max(0.0, -offset), 1 - abs(offset), max(0.0, offset)) for offset in offsets]


class BilinearPixels(layers.Layer):  # type: ignore[misc]  # Keras has no types
    """The pixels of a bilinear enlargement to `scale` times the size, as channels: (…, 1) → (…, scale²), top row first.

    At 2 each is 9/16 of its own pixel, 3/16 of two neighbours, 1/16 of the one across.
    """

    def __init__(self, scale: int, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.scale = scale

    def call(self, luma: Any) -> Any:
        rows = _between(luma, self.scale, axis=1)
        return ops.concatenate([pixel for row in rows for pixel in _between(row, self.scale, axis=2)], axis=-1)


class DepthToSpace(layers.Layer):  # type: ignore[misc]
    """(batch, height, width, scale²) → (batch, scale height, scale width, 1); channels: the top row first."""

    def __init__(self, scale: int, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.scale = scale

    def call(self, pixels: Any) -> Any:
        scale = self.scale
        batch, height, width, _ = ops.shape(pixels)
        apart = ops.reshape(pixels, (batch, height, width, scale, scale))
        return ops.reshape(ops.transpose(apart, (0, 1, 3, 2, 4)), (batch, height * scale, width * scale, 1))


def _convolution(filters: int, name: str, *, dtype: str | None = None) -> layers.Conv2D:
    return layers.Conv2D(filters, 3, padding="same", name=name, dtype=dtype)


def _between(plane: Any, scale: int, *, axis: int) -> list[Any]:
    """The `scale` planes of pixels that lie between each pixel and its neighbours along `axis`; borders repeat."""
    length = plane.shape[axis] if plane.shape[axis] is not None else ops.shape(plane)[axis]
    widened = ops.pad(plane, [[1, 1] if each == axis else [0, 0] for each in range(4)], mode="symmetric")
    before, after = (
        widened[:, first : first + length] if axis == 1 else widened[:, :, first : first + length] for first in (0, 2)
    )
    return [
        functools.reduce(
            lambda total, part: total + part,
            [share * part for share, part in zip(shares, (plane, before, after), strict=True) if share],
        )
        for shares in ((itself, earlier, later) for earlier, itself, later in bilinear_taps(scale))
    ]
