"""`export`: the best weights of a run become a weights file with its card: what, from what, and how good."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from engine import __version__, weights
from engine.errors import MissingInputError, OutputError
from engine.measure import Score
from engine.network import scales_of
from engine.settings import Chroma
from training.degradations import Degradation
from training.evaluate import evaluate
from training.methods import methods
from training.patches import storing_hdf5
from training.pictures import pictures_below
from training.recipe import Recipe, plain
from training.remember import Remembered
from training.run_folder import RunFolder
from training.table import Table

_RESTORED = (Degradation.BILINEAR, Degradation.X264, Degradation.JPEG)
"""What weights that restore are scored on; others on the first."""
PROTOCOL = "reduced by bilinear interpolation, sizes aligned by cropping; means over pictures"
FIGURES = {
    "bgr": "PSNR of 8-bit BGR in dB",
    "ssim": "SSIM of BGR",
    "luma": "PSNR of luma in dB",
    "edges": "PSNR of BGR around edges in dB",
}


def export(
    run: Path, *, test: Path | None, out: Path, force: bool = False, remembered: Remembered | None = None
) -> dict[str, Any]:
    """Write `out` and its card from `run`, scored on the pictures below `test` (not at all without); returns the card.

    Raises `MissingInputError` when the run holds no weights yet, `OutputError` when `out` exists (unless `force`).
    """
    folder = RunFolder(run)
    if not folder.best.is_file():
        raise MissingInputError("this run has no weights yet", remedy="run fit first", path=run)
    if out.exists() and not force:
        raise OutputError("exists already", remedy="choose another --out, or give --force", path=out)
    recipe = folder.recipe()
    best = weights.load(folder.best)
    card = _card(recipe, folder)
    arrays = [np.asarray(array, np.float32) for array in best.arrays.values()]
    with storing_hdf5(out, needs=1 << 20):
        if test is not None:
            chosen = {
                name: method
                for name, method in methods([str(folder.best)], chroma=Chroma.BICUBIC).items()
                if name in ("bilinear", "bicubic", folder.best.stem)
            }
            table = evaluate(
                pictures_below(test),
                chosen,
                scales=[recipe.scale],
                degradations=_RESTORED if recipe.restores else _RESTORED[:1],
                remembered=remembered,
            )
            card["scores"] = _scores(table, recipe, named={folder.best.stem: best.network.name}, file=out.name)
        weights.save(out, best.network, arrays, card)
    return card


def _card(recipe: Recipe, folder: RunFolder) -> dict[str, Any]:
    environment = folder.environment()
    patches = environment.pop("patches")
    facts = patches.get("facts", {})
    lines = folder.log()
    best = weights.load(folder.best).card.facts["validation"]
    first = recipe.fit.initial_weights
    knobs = plain(recipe)
    if first is not None:
        knobs["fit"]["initial_weights"] = {"file": first.name, "sha256": weights.load(first).sha256}
    return {
        "scale": recipe.scale,
        "upsampling": recipe.upsampling.value,
        **({"restore": True} if recipe.restores else {}),
        "made_by": f"Kakudai {__version__}",
        "recipe": knobs,
        "training": {
            "epochs": len(lines),
            "of_epochs": recipe.fit.epochs,
            "best_epoch": best["epoch"],
            "validation_psnr": best["psnr"],
            "interpolation_psnr": round(lines[-1].interpolation_psnr, 3),
            "seconds": round(lines[-1].seconds),
        },
        "patches": {**patches["counts"], "size": recipe.prepare.patch_size},
        "data": {name: facts[name] for name in ("pictures", "manifest_sha256", "sources") if name in facts},
        "environment": environment,
    }


def _scores(table: Table, recipe: Recipe, *, named: dict[str, str], file: str) -> dict[str, Any]:
    exact, *others = table.degradations
    bicubic = " --chroma bicubic" if scales_of(recipe.network) != (1,) else ""  # what the weights are worth alone
    command = f"kakudai-train evaluate --images TEST --weights models/{file}{bicubic} --scales {recipe.scale}"

    def means(degradation: str) -> dict[str, dict[str, float]]:
        found = table.means(recipe.scale, degradation)
        return {named.get(name, name): _rounded(score) for name, score in found.items()}

    return {
        "pictures": len({row.picture for row in table.rows}),
        "protocol": PROTOCOL,
        "figures": FIGURES,
        "command": command + (f" --degradations {' '.join(table.degradations)}" if others else ""),
        **means(exact),
        **{f"after {degradation}": means(degradation) for degradation in others},
    }


def _rounded(score: Score) -> dict[str, float]:
    digits = {"ssim": 4}
    return {
        name: round(value, digits.get(name, 2)) for name, value in zip(FIGURES, asdict(score).values(), strict=True)
    }
