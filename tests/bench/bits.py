"""`fast` and `fine` on the processor in fewer bits: what bfloat16 and int8 bring, and what they lose."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine import backend, weights
from engine.settings import Device
from engine.upscaler import Upscaler
from tests.bench import films
from tests.bench.measure import best, table
from tests.bench.networks import Luma, psnr, reduced

MODELS = ("fast-2x.h5", "fine-2x.h5")


def section(folder: Path) -> str:
    """The table, in Markdown."""
    backend.use(Device.CPU)
    small, wanted = reduced(films.picture(folder))
    rows: list[list[str]] = []
    for model in MODELS:
        loaded = weights.load(next(path for path in weights.shipped() if path.name == model))
        with tempfile.TemporaryDirectory() as name:
            rows += [
                [f"`{loaded.network.name}` by {row[0]}", *row[1:]] for row in _rows(loaded, small, wanted, Path(name))
            ]
    head = ["", "s", "CPU s", "× faster (CPU ×)", "levels apart at most", "in the mean", "PSNR dB"]
    return table(head, rows)


def _rows(loaded: weights.Weights, luma: Luma, wanted: NDArray[np.uint8], folder: Path) -> Iterator[list[str]]:
    exact = first = None
    for told, call in _ways(loaded, luma, folder):
        made, cost = call(), best(call)
        exact, first = (made, cost) if exact is None or first is None else (exact, first)
        apart = np.abs(made - exact) * 255
        yield [
            told,
            f"{cost.wall_s:.3f}",
            f"{cost.cpu_s:.3f}",
            f"{first.wall_s / cost.wall_s:.2f} ({first.cpu_s / cost.cpu_s:.2f})",
            f"{apart.max():.2f}",
            f"{apart.mean():.4f}",
            f"{psnr(made * 255, wanted):.3f}",
        ]


def _ways(loaded: weights.Weights, luma: Luma, folder: Path) -> Iterator[tuple[str, Callable[[], Luma]]]:
    """Name and call of each; the first is what the others are held against."""
    for precision, policy in (("float32", "float32"), ("bfloat16", "mixed_bfloat16")):
        upscaler = Upscaler(loaded, largest_window=1088, largest_batch=1, policy=policy)
        yield f"Kakudai, {precision}", lambda upscaler=upscaler: upscaler(luma)  # type: ignore[misc]
    if importlib.util.find_spec("onnx"):
        yield from _onnx(loaded, luma, folder)


def _onnx(loaded: weights.Weights, luma: Luma, folder: Path) -> Iterator[tuple[str, Callable[[], Luma]]]:
    """By programs that read ONNX, where they are installed."""
    from training.onnx_export import export_onnx

    whole, given = folder / "float32.onnx", np.ascontiguousarray(luma[None, None])
    export_onnx(loaded, whole)
    if importlib.util.find_spec("onnxruntime"):
        import onnxruntime
        from onnxruntime.quantization import QuantType, quantize_dynamic

        fewer = folder / "int8.onnx"
        quantize_dynamic(whole, fewer, weight_type=QuantType.QUInt8)
        for told, path in (("float32", whole), ("int8, dynamic", fewer)):
            session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
            yield f"onnxruntime, {told}", lambda session=session: session.run(None, {"luma": given})[0][0, 0]  # type: ignore[misc]
    if importlib.util.find_spec("openvino"):
        import openvino

        core = openvino.Core()
        for hint, told in (("f32", "float32"), ("bf16", "bf16")):
            vino = core.compile_model(core.read_model(str(whole)), "CPU", {"INFERENCE_PRECISION_HINT": hint})
            yield f"OpenVINO, {told}", lambda vino=vino: next(iter(vino(given).values()))[0, 0]  # type: ignore[misc]
