"""`fast` on the processor in fewer bits: what bf16 and int8 bring, and what they lose."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from engine import backend, weights
from engine.settings import Device
from engine.upscaler import Upscaler
from tests.bench import films
from tests.bench.measure import best, table
from tests.bench.networks import Luma, psnr, reduced

import keras  # isort: skip  (after the engine, which chooses its backend)

MODEL = "fast-2x.h5"


def section(folder: Path) -> str:
    """The table, in Markdown."""
    backend.use(Device.CPU)
    loaded = weights.load(next(path for path in weights.shipped() if path.name == MODEL))
    small, wanted = reduced(films.picture(folder))
    rows: list[list[str]] = []
    exact: Luma | None = None
    with tempfile.TemporaryDirectory() as name:
        for told, call in _ways(loaded, small, Path(name)):
            made = call()
            exact = made if exact is None else exact
            cost, apart = best(call), float(np.abs(made - exact).max() * 255)
            rows.append(
                [told, f"{cost.wall_s:.3f}", f"{cost.cpu_s:.3f}", f"{apart:.2f}", f"{psnr(made * 255, wanted):.3f}"]
            )
    return table(["`fast` by", "s", "CPU s", "levels apart at most", "PSNR dB"], rows)


def _ways(loaded: weights.Weights, luma: Luma, folder: Path) -> Iterator[tuple[str, Callable[[], Luma]]]:
    """Name and call of each; the first is what the others are held against."""
    import tensorflow as tf

    upscaler = Upscaler(loaded, largest_window=1088, largest_batch=1)
    yield "Kakudai, float32", lambda: upscaler(luma)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = loaded.model()
    keras.config.set_dtype_policy(before)
    function = tf.function(lambda x: model(x, training=False)[..., 0])
    yield "TensorFlow, bf16", lambda: function(tf.constant(luma[None, ..., None])).numpy()[0]
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
