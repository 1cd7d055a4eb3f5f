"""`fit`: patches → weights. Interrupted anywhere, it goes on from the last finished epoch with the same result.

What an epoch sees depends only on the seed and the number of the epoch; the learning rate depends only on the number of
steps done, which the checkpoint holds together with the weights and the moments of Adam.
"""

from __future__ import annotations

import csv
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
from numpy.typing import NDArray

from engine.errors import ProcessingError, UsageError
from engine.network import NETWORKS


@dataclass(frozen=True)
class FitSettings:
    """The knobs of `fit`."""

    network: str = "msrcnn"
    epochs: int = 40
    steps_per_epoch: int = 400
    batch: int = 16
    learning_rate: float = 1e-3
    precision: str = "mixed_bfloat16"
    """Keras' dtype policy: `float32`, or `mixed_bfloat16`, which is 1.8 times as fast on a CPU with AMX."""
    seed: int = 0


class Patches(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches of (data, label), each turned by one of the 8 symmetries of the square. Read from HDF5 as needed."""

    def __init__(self, group: h5py.Group, *, batch: int, steps: int, seed: int, epoch: int) -> None:
        super().__init__(workers=1, use_multiprocessing=False)
        self._data, self._label = group["data"], group["label"]
        self._batch, self._steps, self._seed = batch, steps, seed
        self._epoch = epoch

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, step: int) -> tuple[NDArray[Any], NDArray[Any]]:
        rng = np.random.default_rng((self._seed, self._epoch, step))
        chosen = np.sort(rng.choice(self._data.shape[0], size=self._batch, replace=False))
        turns, mirror = int(rng.integers(4)), bool(rng.integers(2))
        seen, wanted = (
            np.rot90(np.asarray(patches)[:, 0, :, :: -1 if mirror else 1], turns, axes=(1, 2))[..., None]
            for patches in (self._data[chosen], self._label[chosen])
        )
        return np.ascontiguousarray(seen), np.ascontiguousarray(wanted)

    def on_epoch_end(self) -> None:
        self._epoch += 1


class _Checkpoint(keras.callbacks.Callback):  # type: ignore[misc]
    """After each epoch: the state to go on from, a line in the log, and the best weights so far."""

    def __init__(self, folder: Path, progress: dict[str, Any]) -> None:
        super().__init__()
        self._folder, self._progress = folder, progress

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        figures = {name: float(value) for name, value in (logs or {}).items()}
        if not all(math.isfinite(value) for value in figures.values()):
            raise ProcessingError(
                f"the loss is no longer a number in epoch {epoch + 1}",
                remedy="go on from the last checkpoint with a smaller --learning-rate",
                path=self._folder,
            )
        if figures["val_loss"] < self._progress.get("best_val_loss", math.inf):
            self._progress["best_val_loss"] = figures["val_loss"]
            _replace(self._folder / "best.weights.h5", self.model)
        _replace(self._folder / f"state-{epoch + 1}.weights.h5", self.model)
        self._progress["epochs"] = epoch + 1
        part = self._folder / ".progress.json.part"
        part.write_text(json.dumps(self._progress))
        part.replace(self._folder / "progress.json")
        (self._folder / f"state-{epoch}.weights.h5").unlink(missing_ok=True)
        with (self._folder / "log.csv").open("a", newline="") as log:
            csv.writer(log).writerow([epoch + 1, *(f"{figures[name]:.8f}" for name in ("loss", "val_loss"))])


def _replace(path: Path, model: keras.Model) -> None:
    part = path.with_name(f"part-{path.name}")
    model.save_weights(part)
    part.replace(path)


def fit(patches: Path, run: Path, settings: FitSettings) -> Path:
    """Train and return the path of the best weights (`best.weights.h5` in `run`, Keras' own layout).

    `run` holds the settings, the log (epoch, loss, validation loss: MSE over luma in 0..1) and the checkpoints. Called
    again on the same folder it goes on. Raises `UsageError` when the folder belongs to other settings,
    `ProcessingError` when training diverges.
    """
    run.mkdir(parents=True, exist_ok=True)
    recipe = run / "settings.json"
    wanted = json.dumps({**asdict(settings), "patches": str(patches.resolve())}, indent=1)
    if recipe.exists() and recipe.read_text() != wanted:
        raise UsageError(
            "this run folder was begun with other settings", remedy="choose a fresh --run folder", path=recipe
        )
    recipe.write_text(wanted)
    keras.utils.set_random_seed(settings.seed)
    keras.config.set_dtype_policy(settings.precision)
    model = NETWORKS[settings.network].build()
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0,
        settings.epochs * settings.steps_per_epoch,
        warmup_target=settings.learning_rate,
        warmup_steps=settings.steps_per_epoch // 4,
    )
    model.compile(keras.optimizers.Adam(schedule, global_clipnorm=0.1), loss="mse")
    progress: dict[str, Any] = {"epochs": 0}
    if (run / "progress.json").exists():
        progress = json.loads((run / "progress.json").read_text())
        model.optimizer.build(model.trainable_variables)
        model.load_weights(run / f"state-{progress['epochs']}.weights.h5")
    with h5py.File(patches) as file:
        validation = file["validation"]
        held_out = tuple(np.moveaxis(validation[name][:512], 1, -1) for name in ("data", "label"))
        model.fit(
            Patches(
                file["train"],
                batch=settings.batch,
                steps=settings.steps_per_epoch,
                seed=settings.seed,
                epoch=progress["epochs"],
            ),
            validation_data=held_out,
            epochs=settings.epochs,
            initial_epoch=progress["epochs"],
            shuffle=False,
            callbacks=[_Checkpoint(run, progress)],
            verbose=2,
        )
    return run / "best.weights.h5"
