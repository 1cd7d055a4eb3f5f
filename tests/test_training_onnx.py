"""ONNX files say what Keras says, to others' programs."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from engine import weights
from engine.errors import OutputError, ProcessingError, UsageError
from engine.network import ALL, NETWORKS, Network
from tests.networks import random_weights
from training.__main__ import main
from training.onnx_export import LARGEST_ERROR, export_onnx

pytestmark = pytest.mark.skipif(
    not (importlib.util.find_spec("onnx") and importlib.util.find_spec("onnxruntime")),
    reason="pip install 'kakudai[onnx]'",
)


@pytest.mark.parametrize("network", ALL, ids=lambda network: f"{network.name} {network.scale}x")
def test_every_network_says_in_onnx_what_it_says_in_keras(network: Network, tmp_path: Path) -> None:
    import onnxruntime

    given = random_weights(network)
    out = tmp_path / "x.onnx"
    assert export_onnx(given, out) <= LARGEST_ERROR
    session = onnxruntime.InferenceSession(str(out), providers=["CPUExecutionProvider"])
    for height, width in ((1, 1), (20, 31)):
        luma = np.random.default_rng(1).random((2, 1, height, width), np.float32)
        (made,) = session.run(None, {"luma": luma})
        wanted = np.asarray(given.model()(luma.transpose(0, 2, 3, 1)))[..., 0]
        np.testing.assert_allclose(made[:, 0], wanted, atol=LARGEST_ERROR)
    told = session.get_modelmeta().custom_metadata_map
    assert (told["network"], told["scale"]) == (network.name, str(network.scale))
    with pytest.raises(OutputError, match="exists already"):
        export_onnx(given, out)


def test_a_wrong_graph_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.onnx_export.bilinear_taps", lambda scale: [(0.0, 1.0, 0.0)] * scale)
    with pytest.raises(ProcessingError, match="onnxruntime and Keras differ by"):
        export_onnx(random_weights(NETWORKS["fast"]), tmp_path / "x.onnx")
    assert not list(tmp_path.iterdir())


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shipped = next(iter(weights.shipped()))
    out = tmp_path / "x.onnx"
    assert main(["export", "--weights", str(shipped), "--onnx", "--out", str(out)]) == 0
    assert "onnxruntime and Keras agree" in capsys.readouterr().out
    assert out.is_file()
    assert main(["export", "--weights", str(shipped), "--out", str(out)]) == UsageError.exit_code
    assert "--onnx" in capsys.readouterr().err
