"""Weights as ONNX, for others' programs (such as vs-mlrt in VapourSynth): luma in, luma out, NCHW float32, any size.

Written layer by layer, and held against Keras by onnxruntime before the file gets its name. Install with

    pip install 'kakudai[onnx]'
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine import __version__
from engine.errors import OutputError, ProcessingError, ToolError
from engine.files import storing
from engine.network_subpixel import bilinear_taps
from engine.weights import Weights

OPSET = 17
LARGEST_ERROR = 1e-4
"""Of luma in 0..1, between onnxruntime and Keras."""


def export_onnx(weights: Weights, out: Path, *, force: bool = False) -> float:
    """Write `weights` as the new file `out`; returns the largest difference to Keras on noise.

    Raises `ToolError` (onnx or onnxruntime is not installed), `OutputError` (`out` exists, unless `force`),
    `ProcessingError` (the two do not agree; nothing is written), `EnvironmentFault` (disk full).
    """
    if out.exists() and not force:
        raise OutputError("exists already", remedy="choose another --out, or give --force", path=out)
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise ToolError(f"{error.name} is not installed", remedy="pip install 'kakudai[onnx]'") from error
    model = weights.model()
    graph = _Graph(onnx)
    for layer in model.layers:
        graph.add(layer)
    content = graph.finish(model, weights).SerializeToString()
    apart = _difference(onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"]), model)
    if apart > LARGEST_ERROR:
        raise ProcessingError(
            f"onnxruntime and Keras differ by {apart:.2g}", remedy="report this as a bug; nothing was written", path=out
        )
    part = out.with_name(f".{out.name}.part")
    with storing(out):
        part.write_bytes(content)
        part.replace(out)
    return apart


def _difference(session: Any, model: Any) -> float:
    noise = np.random.default_rng(0).random((1, 37, 50, 1), np.float32)
    wanted = np.asarray(model(noise))[..., 0]
    (made,) = session.run(None, {"luma": np.ascontiguousarray(noise.transpose(0, 3, 1, 2))})
    if made.shape[2:] != wanted.shape[1:]:
        return float("inf")
    return float(np.abs(made[:, 0] - wanted).max())


class _Graph:
    """ONNX nodes, one Keras layer after the other. A tensor has the name of the layer that makes it."""

    def __init__(self, onnx: Any) -> None:
        self._onnx = onnx
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def add(self, layer: Any) -> None:
        """Raises `ProcessingError` for a kind of layer that no network here has."""
        kinds: dict[str, Callable[[Any, list[str]], None]] = {
            "InputLayer": lambda _, __: None,
            "Conv2D": self._convolution,
            "Conv2DTranspose": self._transposed,
            "LeakyReLU": lambda layer, inputs: self._node(
                "LeakyRelu", inputs, layer.name, alpha=float(layer.negative_slope)
            ),
            "ReLU": lambda layer, inputs: self._node("Relu", inputs, layer.name),
            "Add": lambda layer, inputs: self._node("Add", inputs, layer.name),
            "Activation": lambda layer, inputs: self._node("Sigmoid", inputs, layer.name),
            "BilinearPixels": self._bilinear,
            "DepthToSpace": lambda layer, inputs: self._node("DepthToSpace", inputs, layer.name, blocksize=layer.scale),
        }
        kind = type(layer).__name__
        if kind not in kinds:
            raise ProcessingError(f"no ONNX for the layer {layer.name} ({kind})", remedy="report this as a bug")
        tensors = layer.input if isinstance(layer.input, list) else [layer.input]
        kinds[kind](layer, [tensor._keras_history.operation.name for tensor in tensors])

    def finish(self, model: Any, weights: Weights) -> Any:
        """The whole model. Its output is luma alone: m-SRCNN's first channel."""
        helper, float32 = self._onnx.helper, self._onnx.TensorProto.FLOAT
        last = model.layers[-1].name
        if model.output.shape[-1] != 1:
            bounds = {"first": [0], "end": [1], "axis": [1]}
            for name, values in bounds.items():
                self._constant(name, np.array(values, np.int64))
            self._node("Slice", [last, *bounds], "first_channel")
            last = "first_channel"
        graph = helper.make_graph(
            self._nodes,
            weights.network.name,
            [helper.make_tensor_value_info("luma", float32, ["batch", 1, "height", "width"])],
            [helper.make_tensor_value_info(last, float32, ["batch", 1, "out_height", "out_width"])],
            self._constants,
        )
        made = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            producer_name="Kakudai",
            producer_version=__version__,
            ir_version=8,
        )
        facts = {"network": weights.network.name, "scale": str(weights.network.scale), "sha256": weights.sha256}
        helper.set_model_props(made, facts)
        self._onnx.checker.check_model(made, full_check=True)
        return made

    def _node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> None:
        self._nodes.append(self._onnx.helper.make_node(kind, inputs, [output], **attributes))

    def _constant(self, name: str, values: NDArray[Any]) -> str:
        self._constants.append(self._onnx.numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def _convolution(self, layer: Any, inputs: list[str]) -> None:
        self._filter("Conv", layer, inputs, (3, 2, 0, 1))

    def _transposed(self, layer: Any, inputs: list[str]) -> None:
        self._filter("ConvTranspose", layer, inputs, (3, 2, 0, 1))

    def _filter(self, kind: str, layer: Any, inputs: list[str], order: tuple[int, ...]) -> None:
        kernel, bias = (np.asarray(weight, np.float32) for weight in layer.get_weights())
        names = [
            self._constant(f"{layer.name}/kernel", kernel.transpose(order)),
            self._constant(f"{layer.name}/bias", bias),
        ]
        border = kernel.shape[0] // 2
        self._node(kind, [*inputs, *names], layer.name, pads=[border] * 4)

    def _bilinear(self, layer: Any, inputs: list[str]) -> None:
        """Borders repeat, then a fixed 3x3 filter for each of the pixels that one becomes."""
        taps = bilinear_taps(layer.scale)
        kernels = np.stack([np.outer(rows, columns)[None] for rows in taps for columns in taps])
        widths = self._constant("widths", np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64))
        self._node("Pad", [*inputs, widths], f"{layer.name}/widened", mode="edge")
        kernel = self._constant(f"{layer.name}/kernel", kernels.astype(np.float32))
        self._node("Conv", [f"{layer.name}/widened", kernel], layer.name)
