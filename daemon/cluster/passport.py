"""What decides the bits of a segment, beside its order: versions and hashes, compared when a worker joins."""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import engine
from engine import __version__, weights
from engine.errors import KakudaiError
from engine.process import tool_version

_LIBRARIES = ("keras", "numpy", "opencv-python-headless")
_BACKENDS = {"tensorflow": ("tensorflow", "tensorflow-cpu"), "jax": ("jax",)}


def passport() -> dict[str, str]:
    """Name → version or hash, of this installation. Loads neither TensorFlow nor JAX."""
    return {
        "kakudai": __version__,
        "its engine": _code(),
        "its weights": _weights(),
        "ffmpeg": _ffmpeg(),
        "backend": _backend(),
        **{name: _version(name) for name in _LIBRARIES},
    }


def differences(mine: Mapping[str, str], theirs: Mapping[str, str]) -> list[str]:
    """What differs, in words; empty where a segment from there is what it would be here."""
    return [
        f"{name} is {mine.get(name, 'missing')} there, {theirs.get(name, 'missing')} here"
        for name in sorted({*mine, *theirs})
        if mine.get(name) != theirs.get(name)
    ]


def _code() -> str:
    """Two installations of one version may still be of two checkouts."""
    digest = hashlib.sha256()
    for path in sorted(Path(engine.__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def _weights() -> str:
    hashes = sorted(card.sha256 for card in weights.shipped().values())
    return hashlib.sha256("".join(hashes).encode()).hexdigest()[:16]


def _ffmpeg() -> str:
    try:
        return tool_version("ffmpeg")
    except KakudaiError as error:
        return error.reason


def _backend() -> str:
    asked = os.environ.get("KERAS_BACKEND")
    for name, packages in _BACKENDS.items():
        if name == (asked or name) and importlib.util.find_spec(name):
            return f"{name} {next(filter(None, map(_version, packages)), 'of unknown version')}"
    return "none"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
