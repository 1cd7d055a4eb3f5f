"""Weights files (HDF5) and their cards (JSON): read by h5py alone, nothing in them is ever executed.

Keras' `load_model` would run code that a file brings along (CVE-2025-9905); HDF5 links and external data sets would
read other files (CVE-2026-1669). So only plain float32 arrays of exactly the expected names and shapes are taken.

Two layouts are understood: ours (`<layer>/kernel`, `<layer>/bias`) and Keras 2 full models, as the authors published
(`model_weights/<layer>/<layer>/kernel:0`, in the order of the attribute `layer_names`).
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from engine.errors import MissingInputError, WeightsError
from engine.network import ALL, Network, at_scale, computing, scales_of
from engine.settings import Interpolation
from engine.sizing import runs_to

FORMAT = "kakudai-weights-1"
_LARGEST_FILE = 256 << 20
_MODELS = (Path(__file__).parent.parent / "models", Path(__file__).parent / "models")
"""Where shipped weights lie: in a checkout, and inside an installed package."""

Arrays = dict[str, NDArray[np.float32]]
"""`<layer>/kernel` or `<layer>/bias` → values, in the network's order."""


@dataclass(frozen=True)
class Card:
    """What a weights file is, in words and figures. Everything else in the JSON file is kept in `facts`."""

    network: str
    scale: int = 2
    """The enlargement it was trained for."""
    upsampling: Interpolation = Interpolation.BICUBIC
    """What enlarges the picture before a network that works at the output size."""
    restore: bool = False
    """Whether it was trained to undo compression and unknown reductions as well, and not for fidelity alone."""
    sha256: str = ""
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def of_the_paper(self) -> bool:
        """Whether it was trained by the paper's own recipe."""
        recipe = self.facts.get("recipe")
        return isinstance(recipe, dict) and recipe.get("name") == "paper"


@dataclass(frozen=True)
class Weights:
    """A network's arrays, with their card and the SHA-256 of the file they came from."""

    network: Network
    arrays: Arrays = field(repr=False)
    card: Card
    sha256: str

    def model(self, policy: str = "float32") -> Any:
        """The Keras model with these weights: (batch, height, width, 1) in, see `engine.network`.

        `policy`: Keras' dtype policy. What the last layer makes is float32 always.
        """
        with computing(policy):
            model = self.network.build()
        model.set_weights(list(self.arrays.values()))
        return model


@functools.cache
def expected_shapes(network: Network) -> Mapping[str, tuple[int, ...]]:
    """`<layer>/kernel` and `<layer>/bias` of `network` with their shapes, in order."""
    return {
        f"{layer.name}/{weight.name}": tuple(weight.shape)
        for layer in network.build().layers
        for weight in layer.weights
    }


def load(path: Path) -> Weights:
    """Read a weights file and, where there is one beside it, its card (`.json`).

    Without a card the network is told by the shapes, and the authors' habit (bicubic first) is assumed.
    Raises `MissingInputError`, or `WeightsError` for anything unexpected in the file.
    """
    if not path.is_file():
        raise MissingInputError("no such weights file", remedy="check --weights or the profile", path=path)
    if path.stat().st_size > _LARGEST_FILE:
        raise _refused(path, f"larger than {_LARGEST_FILE >> 20} MiB")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    card_path = path.with_suffix(".json")
    card = read_card(card_path) if card_path.is_file() else None
    if card is not None and card.sha256 != digest:
        raise WeightsError(
            "the file is not the one that its card describes (SHA-256 differs)",
            remedy=f"fetch both again, or remove {card_path.name} to use the file as it is",
            path=path,
        )
    try:
        with h5py.File(path, "r") as file:
            datasets = list(_keras2(file) if "model_weights" in file else _plain(file))
            network = _network_of(datasets, card, path)
            names = expected_shapes(network)
            arrays = {
                name: np.asarray(dataset[()], np.float32) for name, (_, dataset) in zip(names, datasets, strict=True)
            }
    except (OSError, KeyError, RuntimeError) as error:
        raise _refused(path, f"not a readable HDF5 file ({error})") from error
    except _UnexpectedError as error:
        raise _refused(path, str(error)) from error
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise _refused(path, "it holds values that are not finite")
    return Weights(network, arrays, card or Card(network.name, sha256=digest), digest)


def save(path: Path, network: Network, arrays: list[NDArray[np.float32]], card: dict[str, Any]) -> None:
    """Write `arrays` (in the network's order) as `path` and the card beside it, each complete before it is visible."""
    names = expected_shapes(network)
    part = path.with_name(f".{path.name}.part")
    with h5py.File(part, "w", track_order=True) as file:
        file.attrs["format"] = FORMAT
        for (name, shape), array in zip(names.items(), arrays, strict=True):
            file.create_dataset(name, shape, np.float32, np.asarray(array, np.float32))
    digest = hashlib.sha256(part.read_bytes()).hexdigest()
    card_part = path.with_name(f".{path.stem}.json.part")
    card_part.write_text(
        json.dumps({"network": network.name, "sha256": digest, **card}, indent=2, ensure_ascii=False) + "\n", "utf-8"
    )
    part.replace(path)
    card_part.replace(path.with_suffix(".json"))


def read_card(path: Path) -> Card:
    """Read a card. Raises `WeightsError` when it is not one."""
    try:
        facts = json.loads(path.read_text("utf-8"))
        return Card(
            network=str(facts["network"]),
            scale=int(facts["scale"]),
            upsampling=Interpolation(facts["upsampling"]),
            restore=facts.get("restore") is True,
            sha256=str(facts["sha256"]),
            facts=facts,
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(
            f"not a usable card ({error!r})",
            remedy="export the weights again with `kakudai-train export`",
            path=path,
        ) from error


def shipped() -> dict[Path, Card]:
    """Every weights file in `models/` that has a card."""
    folder = next((folder for folder in _MODELS if folder.is_dir()), None)
    cards = sorted(folder.glob("*.json")) if folder else []
    return {path.with_suffix(".h5"): read_card(path) for path in cards}


def choose(model: str, scale: Fraction, upsampling: Interpolation | None = None, *, restore: bool = False) -> Path:
    """The shipped weights of `model` for `scale`.

    Where the picture is resized before the network: those trained nearest to it (in ratio; the larger where two are as
    near). A network that enlarges by itself: those that reach it in the fewest runs, and go least beyond it. Those of
    the paper's own recipe stand behind ours: they are chosen by their `upsampling`, or where there are no others. What
    differs in its upsampling alone is chosen as the authors predict: after bicubic.
    Raises `WeightsError` naming what there is.
    """
    cards = shipped()
    fitting = [
        path
        for path, card in cards.items()
        if card.network == model and card.restore == restore and upsampling in (None, card.upsampling)
    ]
    if not fitting:
        there = ", ".join(sorted({_told(card) for card in cards.values()})) or "none"
        asked = (f" with {upsampling} upsampling" if upsampling else "") + (" to restore" if restore else "")
        raise WeightsError(
            f"no weights for the model {model!r}{asked}",
            remedy=f"shipped weights: {there}; or give a file with --weights",
        )

    def preference(path: Path) -> tuple[Fraction, bool, Fraction, bool]:
        card, trained = cards[path], Fraction(cards[path].scale)
        not_bicubic = card.upsampling is not Interpolation.BICUBIC
        if scales_of(model) == (1,):
            return max(trained / scale, scale / trained), card.of_the_paper, -trained, not_bicubic
        runs = runs_to(scale, card.scale)
        return Fraction(runs), card.of_the_paper, trained**runs, not_bicubic

    return min(fitting, key=preference)


def _told(card: Card) -> str:
    own_scale = scales_of(card.network) not in ((), (1,))
    return card.network + (", restore" if card.restore else "") + ("" if own_scale else f" ({card.upsampling})")


class _UnexpectedError(Exception):
    """Something in the file that has no business there; becomes a WeightsError with the path."""


def _refused(path: Path, reason: str) -> WeightsError:
    return WeightsError(
        f"refused as weights: {reason}",
        remedy="use weights made by `kakudai-train export` or the authors' files",
        path=path,
    )


def _member(group: h5py.Group, name: str) -> h5py.Group | h5py.Dataset:
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise _UnexpectedError(f"{name!r} is a link to elsewhere")
    found = group[name]
    if isinstance(found, h5py.Dataset):
        if found.external or found.is_virtual:
            raise _UnexpectedError(f"{name!r} keeps its data in another file")
        if found.dtype != np.float32:
            raise _UnexpectedError(f"{name!r} is {found.dtype}, not float32")
    return found


def _plain(file: h5py.File) -> Iterator[tuple[str, h5py.Dataset]]:
    for layer in file:
        group = _member(file, layer)
        if not isinstance(group, h5py.Group):
            raise _UnexpectedError(f"unexpected array {layer!r}")
        for name in sorted(group, key=("kernel", "bias").index) if set(group) == {"kernel", "bias"} else group:
            yield f"{layer}/{name}", _array(group, name)


def _keras2(file: h5py.File) -> Iterator[tuple[str, h5py.Dataset]]:
    root = _group(file, "model_weights")
    for layer in root.attrs["layer_names"]:
        group = _group(root, layer.decode())
        for weight in group.attrs["weight_names"]:
            prefix, _, name = weight.decode().partition("/")
            yield f"{prefix}/{name.removesuffix(':0')}", _array(_group(group, prefix), name)


def _group(parent: h5py.Group, name: str) -> h5py.Group:
    found = _member(parent, name)
    if not isinstance(found, h5py.Group):
        raise _UnexpectedError(f"{name!r} is not a group")
    return found


def _array(parent: h5py.Group, name: str) -> h5py.Dataset:
    found = _member(parent, name)
    if not isinstance(found, h5py.Dataset):
        raise _UnexpectedError(f"{name!r} is not an array")
    return found


def _network_of(datasets: list[tuple[str, h5py.Dataset]], card: Card | None, path: Path) -> Network:
    """The network whose shapes these are. Ours must have its names as well; Keras 2 names carry no meaning."""
    shapes = [tuple(dataset.shape) for _, dataset in datasets]
    told = at_scale(card.network, card.scale) if card else None
    candidates = [told] if told else list(ALL)
    for network in candidates:
        wanted = expected_shapes(network)
        if shapes == list(wanted.values()):
            ours = datasets[0][1].file.attrs.get("format") == FORMAT
            unknown = {name for name, _ in datasets} - set(wanted)
            if ours and unknown:
                raise _UnexpectedError(f"unexpected names {sorted(unknown)}")
            return network
    names = " or ".join(dict.fromkeys(network.name for network in candidates))
    raise _UnexpectedError(f"its arrays do not have the shapes of {names} ({path.name}: {shapes[:3]} …)")
