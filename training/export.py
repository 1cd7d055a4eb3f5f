"""`export`: the best weights of a run become a weights file with its card: what, from what, and how good."""

from __future__ import annotations

import csv
import hashlib
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from engine import __version__, weights
from engine.errors import MissingInputError
from engine.network import NETWORKS
from engine.settings import Interpolation, Settings
from training.evaluate import evaluate
from training.prepare import pictures_below


def export(run: Path, *, images: Path, test: Path, out: Path) -> dict[str, Any]:
    """Write `out` and its card from the finished `run`, score it on the pictures below `test`; returns the card.

    The training data is named by its manifest (`manifest.csv` in `images` or the folder above: file, …, source,
    licence, artist, …) where there is one, always by a hash over names and sizes.
    Raises `MissingInputError` when the run holds no weights yet.
    """
    best = run / "best.weights.h5"
    if not best.is_file():
        raise MissingInputError("this run has no weights yet", remedy="run fit first", path=run)
    recipe = json.loads((run / "settings.json").read_text())
    network = NETWORKS[recipe["network"]]
    keras.config.set_dtype_policy("float32")
    model = network.build()
    model.load_weights(best)
    with h5py.File(recipe["patches"]) as patches:
        scale, upsampling = int(patches.attrs["scale"]), Interpolation(patches.attrs["upsampling"])
        counts = {name: int(patches[name]["data"].shape[0]) for name in ("train", "validation")}
        patch_size = int(patches["train"]["data"].shape[-1])
    files = pictures_below(images)
    card: dict[str, Any] = {
        "scale": scale,
        "upsampling": upsampling.value,
        "made_by": f"Kakudai {__version__}",
        "recipe": {name: value for name, value in recipe.items() if name != "patches"},
        "patches": {**counts, "size": patch_size},
        "data": {"pictures": len(files), "sha256": _fingerprint(files, images), "sources": _sources(images, files)},
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    arrays = [np.asarray(array, np.float32) for array in model.get_weights()]
    weights.save(out, network, arrays, card)
    choices = {
        "bicubic": Settings(model="bicubic", scale=Fraction(scale)),
        network.name: Settings(weights=out, scale=Fraction(scale)),
    }
    scores = evaluate(pictures_below(test), choices)
    card["scores"] = {
        "pictures": len(pictures_below(test)),
        "protocol": f"bilinear 1/{scale}, sizes aligned; mean PSNR in dB on 8-bit BGR and on luma",
        "command": f"kakudai-train evaluate --images TEST --weights {out.name} --scale {scale}",
        **{name: {"bgr": round(s.psnr_bgr, 2), "luma": round(s.psnr_luma, 2)} for name, s in scores.items()},
    }
    weights.save(out, network, arrays, card)
    return card


def _fingerprint(files: list[Path], folder: Path) -> str:
    """SHA-256 over relative names and contents: the same pictures give the same hash anywhere."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.relative_to(folder).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _sources(images: Path, files: list[Path]) -> list[dict[str, Any]]:
    """Pictures per source, artist and licence, as the manifest tells; empty without one."""
    manifest = next((m for m in (images / "manifest.csv", images.parent / "manifest.csv") if m.is_file()), None)
    if manifest is None:
        return []
    used = {file.relative_to(manifest.parent).as_posix() for file in files}
    counted: dict[tuple[str, str, str], int] = {}
    with manifest.open(encoding="utf-8", newline="") as rows:
        for row in csv.DictReader(rows):
            if row["file"] in used:
                key = (row["source"], row["artist"], row["licence"])
                counted[key] = counted.get(key, 0) + 1
    return [
        {"source": source, "artist": artist, "licence": licence, "pictures": count}
        for (source, artist, licence), count in sorted(counted.items())
    ]
