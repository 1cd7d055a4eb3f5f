"""Which network a job uses: from the settings to a compiled upscaler."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from engine.settings import Chroma, Device, Interpolation, Precision, Settings

if TYPE_CHECKING:
    from engine.chroma import JointChroma
    from engine.network import Network
    from engine.reuse import FrameReuse
    from engine.upscaler import Upscaler

_CPU_WINDOW = 1088
"""Pixels a side: on a CPU larger windows are as fast and lose less to their overlap."""


@dataclass(frozen=True)
class Model:
    """What enlarges luma: a classical interpolation, and a network after it unless the network is off."""

    interpolation: Interpolation
    upscaler: Upscaler | FrameReuse | None
    weights_sha256: str | None
    device: str
    chroma: JointChroma | None = None
    """What enlarges the chroma of stills; None: bicubic interpolation."""

    def told(self) -> dict[str, object]:
        """For the report of stills; JSON-ready."""
        return {
            "weights_sha256": self.weights_sha256,
            "chroma": str(Chroma.BICUBIC if self.chroma is None else Chroma.JOINT),
            "chroma_sha256": None if self.chroma is None else self.chroma.weights_sha256,
            "device": self.device,
        }


def load_model(settings: Settings, scale: Fraction) -> Model:
    """The model for `settings` at `scale`. Loads TensorFlow unless the network is off.

    Raises `WeightsError`, `MissingInputError`, `ToolError` (no backend, or no GPU where one is demanded).
    """
    if settings.model in {interpolation.value for interpolation in Interpolation}:
        return Model(Interpolation(settings.model), None, None, "cpu")
    model = _load(_weights_for(settings, scale), settings.upsampling, settings.device, settings.precision)
    assert model.upscaler is not None
    fitting = Chroma.JOINT if model.upscaler.scale > 1 else Chroma.BICUBIC
    joint = (settings.chroma or fitting) is Chroma.JOINT
    return replace(model, chroma=joint_chroma(scale, settings.device, settings.precision)) if joint else model


def _weights_for(settings: Settings, scale: Fraction) -> Path:
    """The file given, or the shipped one that fits."""
    from engine import weights

    if settings.weights is not None:
        return settings.weights
    return weights.choose(settings.chosen_model, scale, settings.upsampling, restore=settings.restore)


def joint_chroma(scale: Fraction, device: Device, precision: Precision = Precision.FLOAT32) -> JointChroma:
    """Chroma beside luma that was enlarged by `scale`. Loads nothing yet; raises when it is first used, as above."""
    from engine import weights
    from engine.chroma import NETWORK, JointChroma

    return JointChroma(lambda: _load(weights.choose(NETWORK, scale), None, device, precision))


@functools.lru_cache(maxsize=4)
def _load(path: Path, upsampling: Interpolation | None, device: Device, precision: Precision) -> Model:
    """Kept, because one command may enlarge many files: compiling costs seconds."""
    from engine import backend, weights
    from engine.upscaler import Upscaler

    used = backend.use(device)
    loaded = weights.load(path)
    # One window at a time on a CPU: as fast as several, and the same bits for a pixel whatever is computed around it.
    upscaler = (
        Upscaler(loaded, largest_window=_CPU_WINDOW, largest_batch=1, policy=_policy(loaded.network, precision))
        if used == "cpu"
        else Upscaler(loaded)
    )
    return Model(upsampling or loaded.card.upsampling, upscaler, loaded.sha256, used)


def _policy(network: Network, precision: Precision) -> str:
    """Keras' dtype policy on a CPU. Raises `ToolError` where the processor lacks what was asked for."""
    from engine import backend

    if precision is Precision.FLOAT32 or network.scale == 1:
        return "float32"
    backend.check_bfloat16()
    return "mixed_bfloat16"


def weights_hash(settings: Settings, scale: Fraction) -> str | None:
    """What `load_model` would say in `weights_sha256`, without loading anything."""
    if settings.model in {interpolation.value for interpolation in Interpolation}:
        return None
    from engine import weights

    return weights.load(_weights_for(settings, scale)).sha256


def reusing(model: Model, *, cache_bytes: int | None = None) -> Model:
    """`model` for the frames of one video: computed only where they changed. `cache_bytes`: for earlier frames."""
    from engine.reuse import DEFAULT_CACHE_BYTES, FrameReuse
    from engine.upscaler import Upscaler

    if not isinstance(model.upscaler, Upscaler):
        return model
    kept = DEFAULT_CACHE_BYTES if cache_bytes is None else cache_bytes
    return replace(model, upscaler=FrameReuse(model.upscaler, cache_bytes=kept))
