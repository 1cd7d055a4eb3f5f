"""What enlarges a picture in a comparison: classical interpolation, our networks, waifu2x. All 8-bit BGR in and out."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from engine import weights
from engine.chroma import NETWORK
from engine.errors import UsageError
from engine.image import Picture
from engine.models import Model, joint_chroma, load_model
from engine.network import Network
from engine.picture import enlarge_picture
from engine.settings import Chroma, ImageFormat, Interpolation, Rounding, Settings, Size
from engine.sizing import runs_to
from training.degrade import Levels
from training.peers import PEERS, Peer


@dataclass(frozen=True)
class Method:
    """Call it with (height, width, 3) and a whole scale: (height * scale, width * scale, 3)."""

    run: Callable[[Levels, int], Levels]
    identity: str
    """Equal identities, equal results."""
    multiply_adds: Callable[[int], float] | None = None
    """Of a network: per pixel of the result, by the scale."""

    def __call__(self, picture_bgr: Levels, scale: int) -> Levels:
        return self.run(picture_bgr, scale)


_CLASSICAL = {
    "nearest": cv2.INTER_NEAREST,
    "bilinear": cv2.INTER_LINEAR,
    "bicubic": cv2.INTER_CUBIC,
    "lanczos": cv2.INTER_LANCZOS4,
}


def methods(
    files: Sequence[str],
    *,
    rounding: Rounding = Rounding.NEAREST,
    peers: bool = False,
    chroma: Chroma | None = None,
) -> dict[str, Method]:
    """The columns of Table III, the given weights by their file names, and waifu2x with `peers`.

    `<file>@bilinear` overrides what a file's card says (without a card: bicubic, as the authors predict).
    `chroma`: how it is enlarged; None: as Kakudai does it beside each network.
    Raises `ToolError` when the peers are not installed, `WeightsError` and `MissingInputError` for weights,
    `UsageError` for an unknown upsampling.
    """
    chosen: dict[str, Method] = {name: Method(_classical(flag), name) for name, flag in _CLASSICAL.items()}
    for file in files:
        name, _, upsampling = file.partition("@")
        if upsampling not in ("", *Interpolation):
            raise UsageError(f"no upsampling {upsampling!r}", remedy=f"choose one of {', '.join(Interpolation)}")
        path = Path(name)
        loaded = weights.load(path)  # so that a bad file is told before the first picture
        before = Interpolation(upsampling) if upsampling else loaded.card.upsampling
        joint = (chroma or (Chroma.JOINT if loaded.network.scale > 1 else Chroma.BICUBIC)) is Chroma.JOINT
        chosen[path.stem + (f" after {before}" if upsampling else "")] = Method(
            _network(path, before, rounding, joint=joint),
            f"{loaded.sha256} {before} {rounding}" + (f" {_chroma_identity()}" if joint else ""),
            functools.partial(_multiply_adds, loaded.network, joint=joint),
        )
    if peers:
        chosen |= {name: Method(Peer(name).enlarge, name) for name in PEERS}
    return chosen


def _chroma_identity() -> str:
    hashes = sorted(card.sha256[:12] for card in weights.shipped().values() if card.network == NETWORK)
    return " ".join(["joint", *hashes])


def _multiply_adds(network: Network, scale: int, *, joint: bool = False) -> float:
    """Per pixel of the result: a network of its own scale runs again until the scale is reached.

    `joint`: with the two chroma planes.
    """
    if joint:
        beside = weights.load(weights.choose(NETWORK, Fraction(scale))).network
        return _multiply_adds(network, scale) + 2 * _multiply_adds(beside, scale)
    if network.scale == 1:
        return network.multiply_adds
    runs = runs_to(Fraction(scale), network.scale)
    return sum(network.multiply_adds * network.scale ** (2 * run) for run in range(1, runs + 1)) / scale**2


def _classical(flag: int) -> Callable[[Levels, int], Levels]:
    def enlarge(picture_bgr: Levels, scale: int) -> Levels:
        size = (picture_bgr.shape[1] * scale, picture_bgr.shape[0] * scale)
        return np.asarray(cv2.resize(picture_bgr, size, interpolation=flag), np.uint8)

    return enlarge


def _network(
    path: Path, upsampling: Interpolation, rounding: Rounding, *, joint: bool
) -> Callable[[Levels, int], Levels]:
    """The engine's own path for stills: what a user would get."""

    loaded: list[Model] = []  # kept here: the engine keeps two models only, and a table compares more
    models: dict[int, Model] = {}

    def enlarge(picture_bgr: Levels, scale: int) -> Levels:
        settings = Settings(
            weights=path, scale=Fraction(scale), upsampling=upsampling, rounding=rounding, chroma=Chroma.BICUBIC
        )
        if not loaded:
            loaded.append(load_model(settings, Fraction(scale)))
        if scale not in models:
            beside = joint_chroma(Fraction(scale), settings.device) if joint else None
            models[scale] = replace(loaded[0], chroma=beside)
        picture = Picture(picture_bgr, alpha=None, format=ImageFormat.PNG)
        size = Size(picture_bgr.shape[1] * scale, picture_bgr.shape[0] * scale)
        return np.asarray(enlarge_picture(picture, size, settings, models[scale]).colour, np.uint8)

    return enlarge
