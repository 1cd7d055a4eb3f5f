"""The folder of one training: recipe, circumstances, log, plots, the state to go on from, the best weights so far.

recipe.yaml        every knob as it was resolved
environment.json   versions, git commit, backend, the patch file
log.csv            one line for each epoch
loss.png, psnr.png
progress.json      epochs done, which state belongs to them
state-N.weights.h5, state-N.average.npz
best.h5, best.json weights as the engine reads them, with a card
"""

from __future__ import annotations

import csv
import json
import platform
import subprocess
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from engine import __version__, backend
from engine.errors import InputError, UsageError
from engine.files import storing, write_durably
from engine.plot import plot
from training.patches import storing_hdf5
from training.recipe import Recipe, differences, parse_recipe, plain

import keras  # isort: skip  (after the engine, which chooses its backend)

Arrays = list[NDArray[np.float32]]
_STATE_BYTES = 8 << 20
"""More than any state file here needs."""


@dataclass
class Progress:
    """How far a run is. The state files named after `epochs` belong to it."""

    epochs: int = 0
    best_validation_mse: float | None = None
    best_epoch: int = 0
    seconds: float = 0.0
    """Time spent in training, over all sittings."""


@dataclass(frozen=True)
class Line:
    """One line of the log; losses over luma in 0..1, PSNR in dB, the time of the whole run in seconds."""

    epoch: int
    loss_kind: str
    loss: float
    validation_mse: float
    validation_psnr: float
    interpolation_psnr: float
    learning_rate: float
    seconds: float


class RunFolder:
    """Reads and writes the folder; every file is complete under its name, and `progress.json` comes last."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def best(self) -> Path:
        return self.path / "best.h5"

    def begin(self, recipe: Recipe, patches: Path, patch_attributes: dict[str, Any]) -> Progress:
        """Make the folder, or take up where it stopped. Raises `UsageError` when it belongs to another recipe."""
        recipe_path = self.path / "recipe.yaml"
        with storing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        if recipe_path.is_file():
            different = differences(_anywhere(self.recipe()), _anywhere(recipe))
            if different:
                raise UsageError(
                    f"this run was begun with another recipe: {'; '.join(different)}",
                    remedy="choose a fresh --run folder, or give the same recipe and options as before",
                    path=self.path,
                )
        else:
            if any(self.path.iterdir()):
                raise UsageError("this folder holds other files", remedy="choose a fresh --run folder", path=self.path)
            write_durably(recipe_path, yaml.safe_dump(plain(recipe), sort_keys=False, allow_unicode=True).encode())
        facts = {**circumstances(), "patches": {"file": patches.name, **patch_attributes}}
        write_durably(self.path / "environment.json", _json(facts))
        progress = self.path / "progress.json"
        try:
            return Progress(**json.loads(progress.read_text())) if progress.is_file() else Progress()
        except (ValueError, TypeError) as error:
            raise InputError(f"not readable ({error})", remedy="choose a fresh --run folder", path=progress) from error

    def recipe(self) -> Recipe:
        """The recipe that the run was begun with."""
        path = self.path / "recipe.yaml"
        if not path.is_file():
            raise UsageError("is not the folder of a training run", remedy="run fit first", path=self.path)
        return parse_recipe(yaml.safe_load(path.read_text("utf-8")), path)

    def environment(self) -> dict[str, Any]:
        """Versions, commit and the patch file's attributes of the latest sitting."""
        return dict(json.loads((self.path / "environment.json").read_text("utf-8")))

    def log(self) -> list[Line]:
        """Every epoch so far."""
        path = self.path / "log.csv"
        if not path.is_file():
            return []
        with path.open(newline="") as rows:
            return [Line(**{name: _value(name, text) for name, text in row.items()}) for row in csv.DictReader(rows)]

    def save(self, model: keras.Model, average: Arrays, progress: Progress, lines: Sequence[Line]) -> None:
        """Keep the state after an epoch, then forget the one before. Raises `EnvironmentFault` (disk full)."""
        state, averages = self._state(progress.epochs)
        for path in (state, averages):
            part = path.with_name(f"part-{path.name}")  # Keras insists on the ending .weights.h5
            with storing_hdf5(path, needs=_STATE_BYTES):
                try:
                    if path is state:
                        model.save_weights(part)
                    else:
                        np.savez(part, *average)
                    part.replace(path)
                finally:
                    part.unlink(missing_ok=True)
        rows = [
            ",".join(asdict(lines[0])),
            *(",".join(_text(value) for value in asdict(line).values()) for line in lines),
        ]
        write_durably(self.path / "log.csv", ("\n".join(rows) + "\n").encode())
        write_durably(self.path / "progress.json", _json(asdict(progress)))
        for old in self.path.glob("state-*"):
            if old not in (state, averages):
                old.unlink()
        self._plot(lines)

    def restore(self, model: keras.Model, progress: Progress) -> Arrays:
        """Load the state into the compiled `model` and return the averaged weights.

        Raises `InputError` when it is damaged or of another network.
        """
        state, averages = self._state(progress.epochs)
        try:
            model.optimizer.build(model.trainable_variables)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what does not fit is an error below
                model.load_weights(state)
            with np.load(averages, allow_pickle=False) as arrays:
                average = [
                    arrays[name].reshape(w.shape) for name, w in zip(arrays.files, model.get_weights(), strict=True)
                ]
        except (OSError, ValueError, KeyError) as error:
            first_line = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
            raise InputError(
                f"the checkpoint is damaged or of another network ({first_line})",
                remedy="choose a fresh --run folder; best.h5, if it is there, can still be used or started from",
                path=state,
            ) from error
        return average

    def _state(self, epochs: int) -> tuple[Path, Path]:
        return self.path / f"state-{epochs}.weights.h5", self.path / f"state-{epochs}.average.npz"

    def _plot(self, lines: Sequence[Line]) -> None:
        plot(
            self.path / "loss.png",
            {"training loss": [line.loss for line in lines], "validation MSE": [li.validation_mse for li in lines]},
            title="loss over luma in 0..1",
            across="epoch",
            logarithmic=True,
        )
        plot(
            self.path / "psnr.png",
            {
                "validation": [line.validation_psnr for line in lines],
                "interpolation alone": [line.interpolation_psnr for line in lines],
            },
            title="PSNR of validation patches, luma, dB",
            across="epoch",
        )


def circumstances() -> dict[str, Any]:
    """Versions, git commit and machine: what a figure depends on besides recipe and pictures."""
    names = ("keras", "numpy", "h5py", "opencv-python-headless", "tensorflow", "tensorflow-cpu", "jax")
    versions = {}
    for name in names:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "kakudai": __version__,
        "git_commit": _git_commit(),
        "backend": backend.BACKEND,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "versions": versions,
    }


def _git_commit() -> str | None:
    """The commit of the checkout this runs from, with `-dirty` when it was changed; None outside of one."""
    here = Path(__file__).parent
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False, timeout=30)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


def _anywhere(recipe: Recipe) -> Recipe:
    """The recipe as it would be on another machine, where the first weights may lie in another folder."""
    first = recipe.fit.initial_weights
    return replace(recipe, fit=replace(recipe.fit, initial_weights=first and Path(first.name)))


def _json(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


def _text(value: float | str) -> str:
    return f"{value:.9g}" if isinstance(value, float) else str(value)


def _value(name: str, text: str) -> Any:
    return {"epoch": int, "loss_kind": str}.get(name, float)(text)
