"""Networks that enlarge by themselves: they work at the size of the input, and only their last step is larger.

A residual network in the field's terms (EDSR without its normalisation, as ArtCNN does it for anime): one convolution
to features, residual blocks of two 3x3 convolutions and one more, a skip over all of them, one convolution to the four
pixels that each input pixel becomes (sub-pixel convolution, ESPCN), added to a bilinear enlargement. At half the width
and height the same work buys a network four times as deep.
"""

from __future__ import annotations

from typing import Any

import engine.backend  # noqa: F401  (chooses Keras' backend, so it comes before Keras)

import keras  # isort: skip
from keras import layers, ops  # isort: skip

SCALE = 2


def subpixel(name: str, *, filters: int, blocks: int) -> keras.Model:
    """A network of `blocks` residual blocks with `filters` features each.

    Input (batch, height, width, 1), float32 luma in 0..1; output (batch, 2 height, 2 width, 1), float32, not clipped:
    it may leave 0..1 a little at sharp edges.
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
    detail = _convolution(SCALE**2, "convolution_last")(features)
    enlarged = BilinearPixels(name="bilinear", dtype="float32")(luma)
    pixels = layers.Add(name="pixels", dtype="float32")([enlarged, detail])
    return keras.Model(luma, DepthToSpace(name="depth_to_space", dtype="float32")(pixels), name=name)


def radius(blocks: int) -> int:
    """Receptive radius in input pixels: one for each 3x3 convolution on the longest way through."""
    return 1 + 2 * blocks + 1 + 1


class BilinearPixels(layers.Layer):  # type: ignore[misc]  # Keras has no types
    """The four pixels of a bilinear enlargement to twice the size, as channels: (…, 1) → (…, 4), top row first.

    Pixel centres as in OpenCV: each is 9/16 of its own pixel, 3/16 of two neighbours, 1/16 of the one across.
    """

    def call(self, luma: Any) -> Any:
        rows = _between(luma, axis=1)
        return ops.concatenate([pixel for row in rows for pixel in _between(row, axis=2)], axis=-1)


class DepthToSpace(layers.Layer):  # type: ignore[misc]
    """(batch, height, width, 4) → (batch, 2 height, 2 width, 1); channels: top left, top right, bottom left, …"""

    def call(self, pixels: Any) -> Any:
        batch, height, width, _ = ops.shape(pixels)
        apart = ops.reshape(pixels, (batch, height, width, SCALE, SCALE))
        return ops.reshape(ops.transpose(apart, (0, 1, 3, 2, 4)), (batch, height * SCALE, width * SCALE, 1))


def _convolution(filters: int, name: str) -> layers.Conv2D:
    return layers.Conv2D(filters, 3, padding="same", name=name)


def _between(plane: Any, *, axis: int) -> tuple[Any, Any]:
    """A quarter of the way from each pixel to the one before it, and to the one after it; borders repeat."""
    length = plane.shape[axis] if plane.shape[axis] is not None else ops.shape(plane)[axis]
    widened = ops.pad(plane, [[1, 1] if each == axis else [0, 0] for each in range(4)], mode="symmetric")
    before, after = (
        widened[:, first : first + length] if axis == 1 else widened[:, :, first : first + length] for first in (0, 2)
    )
    near = 0.75 * plane
    return near + 0.25 * before, near + 0.25 * after
