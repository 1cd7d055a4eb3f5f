"""Weights files: what is written is read; anything else in the file is refused, and nothing else is opened."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import h5py
import numpy as np
import pytest

from engine import weights
from engine.errors import MissingInputError, WeightsError
from engine.network import ALL, NETWORKS
from engine.settings import RESTORING, Interpolation
from tests.paths import PAPER, needs_paper

MSRCNN = NETWORKS["msrcnn"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape).astype(np.float32) for shape in weights.expected_shapes(MSRCNN).values()]
    path = tmp_path / "some.h5"
    weights.save(path, MSRCNN, arrays, {"scale": 3, "upsampling": "bilinear"})
    return path


def test_what_is_saved_is_loaded_with_its_card(file: Path) -> None:
    loaded = weights.load(file)
    assert loaded.network is MSRCNN
    assert (loaded.card.scale, loaded.card.upsampling) == (3, Interpolation.BILINEAR)
    assert sum(array.size for array in loaded.arrays.values()) == 127_347
    again = loaded.model().get_weights()
    assert all((a == b).all() for a, b in zip(again, loaded.arrays.values(), strict=True))


@needs_paper
@pytest.mark.parametrize(("name", "network"), [("srcnn-up-bicubic", "srcnn"), ("msrcnn-up-bilinear", "msrcnn")])
def test_the_authors_keras_2_files_are_read(name: str, network: str) -> None:
    assert weights.load(PAPER / "weights" / f"{name}.h5").network.name == network


def test_a_changed_file_is_not_what_its_card_describes(file: Path) -> None:
    with h5py.File(file, "a") as opened:
        opened["convolution_1/bias"][0] = 5
    with pytest.raises(WeightsError, match="SHA-256 differs"):
        weights.load(file)


def test_a_missing_file_is_told() -> None:
    with pytest.raises(MissingInputError, match="no such weights"):
        weights.load(Path("nowhere.h5"))


def test_a_card_that_is_none_is_told(file: Path) -> None:
    file.with_suffix(".json").write_text("[]")
    with pytest.raises(WeightsError, match="not a usable card"):
        weights.load(file)


def _external_link(opened: h5py.File, folder: Path) -> None:
    with h5py.File(folder / "other.h5", "w") as other:
        other["bias"] = np.zeros(64, np.float32)
    del opened["convolution_1/bias"]
    opened["convolution_1/bias"] = h5py.ExternalLink(str(folder / "other.h5"), "bias")


def _soft_link(opened: h5py.File, folder: Path) -> None:
    del opened["convolution_1/bias"]
    opened["convolution_1/bias"] = h5py.SoftLink("/convolution_2/bias")


def _external_data(opened: h5py.File, folder: Path) -> None:
    (folder / "raw").write_bytes(bytes(64 * 4))
    del opened["convolution_1/bias"]
    opened["convolution_1"].create_dataset("bias", (64,), "f4", external=[(str(folder / "raw"), 0, 64 * 4)])


def _virtual_data(opened: h5py.File, folder: Path) -> None:
    with h5py.File(folder / "other.h5", "w") as other:
        other["bias"] = np.zeros(64, np.float32)
    layout = h5py.VirtualLayout(shape=(64,), dtype="f4")
    layout[:] = h5py.VirtualSource(str(folder / "other.h5"), "bias", shape=(64,))
    del opened["convolution_1/bias"]
    opened["convolution_1"].create_virtual_dataset("bias", layout)


def _huge_shape(opened: h5py.File, folder: Path) -> None:
    del opened["convolution_1/kernel"]
    opened["convolution_1"].create_dataset("kernel", (1 << 40, 5, 1, 64), "f4", chunks=(1, 5, 1, 64))


def _wrong_type(opened: h5py.File, folder: Path) -> None:
    del opened["convolution_1/bias"]
    opened["convolution_1/bias"] = np.zeros(64, np.float64)


def _other_name(opened: h5py.File, folder: Path) -> None:
    opened.move("convolution_1", "another")


def _one_too_many(opened: h5py.File, folder: Path) -> None:
    opened["more/kernel"] = np.zeros(3, np.float32)


def _no_number(opened: h5py.File, folder: Path) -> None:
    opened["convolution_1/bias"][0] = np.nan


def _loose_array(opened: h5py.File, folder: Path) -> None:
    opened["loose"] = np.zeros(3, np.float32)


@pytest.mark.parametrize(
    "harm",
    [
        _external_link,
        _soft_link,
        _external_data,
        _virtual_data,
        _huge_shape,
        _wrong_type,
        _other_name,
        _one_too_many,
        _no_number,
        _loose_array,
    ],
)
def test_whatever_has_no_business_in_the_file_is_refused(
    file: Path, tmp_path: Path, harm: Callable[[h5py.File, Path], None]
) -> None:
    with h5py.File(file, "a") as opened:
        harm(opened, tmp_path)
    file.with_suffix(".json").unlink()
    with pytest.raises(WeightsError, match="refused as weights"):
        weights.load(file)


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n", b"not HDF5 at all"])
def test_a_file_that_is_no_hdf5_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.h5"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="not a readable HDF5 file"):
        weights.load(path)


def test_weights_are_chosen_by_scale_and_upsampling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, scale, upsampling in (("c", 2, "bilinear"), ("d", 2, "bicubic"), ("b", 4, "bicubic")):
        card = {"network": "msrcnn", "scale": scale, "upsampling": upsampling, "sha256": ""}
        (tmp_path / f"{name}.json").write_text(json.dumps(card))
    monkeypatch.setattr(weights, "_MODELS", (tmp_path,))

    def chosen(scale: str, upsampling: Interpolation | None = None) -> str:
        return weights.choose("msrcnn", Fraction(scale), upsampling).stem

    assert chosen("4") == "b"
    assert chosen("3.5") == "b"
    assert chosen("2") == "d"
    assert chosen("1", Interpolation.BICUBIC) == "d"
    assert chosen("4", Interpolation.BILINEAR) == "c"
    with pytest.raises(WeightsError, match="no weights for the model 'srcnn'"):
        weights.choose("srcnn", Fraction(2), None)


@pytest.mark.parametrize(
    ("scale", "trained"), [("1", 2), ("3/2", 2), ("2", 2), ("9/4", 3), ("724/241", 3), ("4", 4), ("5", 3), ("8", 3)]
)
def test_a_network_that_enlarges_by_itself_reaches_the_scale_in_the_fewest_runs(
    scale: str, trained: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for own in (2, 3, 4):
        card = {"network": "fine", "scale": own, "upsampling": "bicubic", "sha256": ""}
        (tmp_path / f"fine-{own}x.json").write_text(json.dumps(card))
    monkeypatch.setattr(weights, "_MODELS", (tmp_path,))
    assert weights.choose("fine", Fraction(scale)).stem == f"fine-{trained}x"


def test_weights_that_restore_are_chosen_when_asked_for_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, restore in (("plain", False), ("restoring", True)):
        card = {"network": "fast", "scale": 2, "upsampling": "bicubic", "sha256": "", "restore": restore}
        (tmp_path / f"{name}.json").write_text(json.dumps(card))
    monkeypatch.setattr(weights, "_MODELS", (tmp_path,))
    assert weights.choose("fast", Fraction(3)).stem == "plain"
    assert weights.choose("fast", Fraction(3), restore=True).stem == "restoring"
    (tmp_path / "restoring.json").unlink()
    with pytest.raises(WeightsError, match="no weights for the model 'fast' to restore") as caught:
        weights.choose("fast", Fraction(2), restore=True)
    assert "shipped weights: fast;" in caught.value.remedy


def test_what_can_be_asked_for_is_shipped() -> None:
    cards = weights.shipped().values()
    assert {card.network for card in cards if card.restore} == set(RESTORING)
    of_the_paper = {(card.network, card.upsampling, card.scale) for card in cards if card.of_the_paper}
    both = (Interpolation.BILINEAR, Interpolation.BICUBIC)
    assert of_the_paper == {(network, upsampling, 2) for network in ("srcnn", "msrcnn") for upsampling in both}
    assert not weights.shipped()[weights.choose("msrcnn", Fraction(2))].of_the_paper
    own = {(card.network, card.scale) for card in cards if not card.restore} & {(n.name, n.scale) for n in ALL}
    assert own == {(network.name, network.scale) for network in ALL if network.scale > 1}


def test_every_shipped_file_is_what_its_card_says() -> None:
    for path, card in weights.shipped().items():
        assert weights.load(path).network.name == card.network
        assert card.facts["scores"]["command"]
        data = card.facts["data"]
        assert all(source["licence"] for source in data["sources"])
        pictures = data["pictures"]  # the oldest card has their number alone
        used = pictures if isinstance(pictures, int) else pictures["training"] + pictures["validation"]
        assert sum(source["pictures"] for source in data["sources"]) == used


def test_who_asks_what_weights_there_are_need_not_wait_for_keras() -> None:
    code = "import sys; from engine import weights; weights.shipped(); sys.exit('keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-P", "-c", code], check=False).returncode == 0
