"""`fit`: patches → weights. Interrupted anywhere, it goes on from the last finished epoch with the same result.

What a batch holds depends only on the seed and its number; the learning rate only on the number of batches done; the
checkpoint holds the weights, the moments of Adam and the averaged weights.
"""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from engine import weights
from engine.errors import ProcessingError, UsageError, WeightsError
from engine.network import Network, computing
from training.patch_file import Order, opened
from training.patches import network_of, own_scale_of, storing_hdf5
from training.recipe import Loss, Phase, Recipe, Schedule, parse_recipe, plain
from training.run_folder import Line, Progress, RunFolder

import keras  # isort: skip  (after the engine, which chooses its backend)

VALIDATION_PIXELS = 1 << 21
"""The validation after each epoch looks at no more than so many, spread evenly over the patches."""
DIVERGED = 10.0
"""A validation error so many times the best one ends the run."""
_EPSILON = 1e-3


def fit(patches: Path, run: Path, recipe: Recipe, *, time_limit_s: float | None = None, strict: bool = False) -> bool:
    """Train by `recipe` on `patches` in the folder `run`; called again on the same folder it goes on.

    Returns whether all epochs are done; with `time_limit_s` it stops after the last epoch that fits into it, but not
    before one is done; `strict`: even then, and in the middle of an epoch, which is done again the next time. The best
    weights by validation are `best.h5` in `run`, from the first epoch on. Raises `UsageError` (the folder or the
    patches belong to another recipe), `InputError` (damaged patches or checkpoint), `ProcessingError` (diverged),
    `EnvironmentFault` (disk full).
    """
    deadline = None if time_limit_s is None else time.monotonic() + time_limit_s
    with opened(patches) as file:
        _check(file, patches, recipe)
        facts = json.loads(file.attrs["facts"])
        if "prepare" in facts:  # how the patches really were made, whatever the recipe given here says
            recipe = parse_recipe({**plain(recipe), "prepare": facts["prepare"]}, patches)
        folder = RunFolder(run)
        attributes = {
            "facts": facts,
            "counts": {name: int(file[name]["data"].shape[0]) for name in ("train", "validation")},
        }
        progress = folder.begin(recipe, patches, attributes)
        training = _Training(recipe, folder, file, progress)
        while progress.epochs < recipe.fit.epochs:
            epoch_begun = time.monotonic()
            if not training.epoch(deadline if strict else None):
                break
            now = time.monotonic()
            if deadline is not None and now + (now - epoch_begun) > deadline:
                break
    return progress.epochs >= recipe.fit.epochs


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """The rate of batch `step` (from 0) of `steps`: up in a line over the warm-up, then constant or down a cosine."""
    warm_up, rate = recipe.fit.warm_up_steps, recipe.learning_rate
    if step < warm_up:
        return rate * (step + 1) / warm_up
    if recipe.fit.schedule is Schedule.CONSTANT:
        return rate
    return rate * 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))


class _Training:
    """The model and everything around it, an epoch at a time."""

    def __init__(self, recipe: Recipe, folder: RunFolder, file: h5py.File, progress: Progress) -> None:
        self._recipe, self._folder, self._progress = recipe, folder, progress
        self._network = network_of(recipe)
        self._order = Order(file["train"], batch=recipe.fit.batch, seed=recipe.fit.seed)
        self._steps = recipe.fit.steps_per_epoch or self._order.batches_in_pass
        self._held_out = _held_out(file["validation"])
        self._interpolation_psnr = _psnr(_interpolation_error(*self._held_out))
        self._lines = folder.log()[: progress.epochs]
        self._model = _build(recipe, self._network)
        self._validated = self._network.build()
        self._average = self._model.get_weights()
        self._phase: Phase | None = None
        self._optimizer = keras.optimizers.Adam(global_clipnorm=recipe.fit.clip_norm or None)
        self._compile()
        if progress.epochs:
            self._average = folder.restore(self._model, progress)

    def _compile(self) -> None:
        """Compile for the phase that the next epoch belongs to; the optimizer keeps its moments."""
        phase = _phase_of(self._recipe, self._progress.epochs)
        if phase is not self._phase:
            self._model.compile(self._optimizer, loss=_LOSSES[phase.loss])
            self._phase = phase

    def epoch(self, deadline: float | None = None) -> bool:
        """One epoch, validated and kept; False when it was given up at the deadline (by the monotonic clock).

        Raises `ProcessingError` when it went wrong; the last state stays.
        """
        begun = time.monotonic()
        self._compile()
        epoch = self._progress.epochs
        total = 0.0
        bar = tqdm(range(self._steps), desc=f"epoch {epoch + 1}/{self._recipe.fit.epochs}", unit="batch", disable=None)
        for index in bar:
            if deadline is not None and time.monotonic() > deadline:
                return False
            step = epoch * self._steps + index
            self._optimizer.learning_rate = learning_rate(self._recipe, step, self._recipe.fit.epochs * self._steps)
            loss = float(self._model.train_on_batch(*self._batch(step)))
            if not math.isfinite(loss):
                raise self._diverged(f"the loss is {loss} at batch {index + 1} of epoch {epoch + 1}")
            total += loss
        mse = self._validate()
        best = self._progress.best_validation_mse
        if not math.isfinite(mse) or (best is not None and mse > DIVERGED * best):
            before = "" if best is None else f" (best: {best:.3g})"
            raise self._diverged(f"the validation error rose to {mse:.3g} in epoch {epoch + 1}{before}")
        self._progress.epochs = epoch + 1
        self._progress.seconds += time.monotonic() - begun
        line = self._line(total / self._steps, mse)
        self._lines.append(line)
        if best is None or mse < best:
            self._progress.best_validation_mse, self._progress.best_epoch = mse, epoch + 1
            self._keep_best(line)
        self._folder.save(self._model, self._average, self._progress, self._lines)
        tqdm.write(
            f"epoch {line.epoch}/{self._recipe.fit.epochs}: {line.loss_kind} {line.loss:.3e}, validation PSNR "
            f"{line.validation_psnr:.3f} dB (interpolation alone {line.interpolation_psnr:.3f}), {line.seconds:.0f} s"
        )
        return True

    def _batch(self, step: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(batch, size, size, 1) each, turned and mirrored if the recipe says so."""
        turns, mirror = 0, False
        if self._recipe.fit.symmetries:
            rng = np.random.default_rng((self._recipe.fit.seed, 1, step))
            turns, mirror = int(rng.integers(4)), bool(rng.integers(2))
        data, label = (
            np.ascontiguousarray(np.rot90(each[:, 0, :, :: -1 if mirror else 1], turns, axes=(1, 2)))[..., None]
            for each in self._order.batch(step)
        )
        return data, label

    def _validate(self) -> float:
        """Mean squared error of the averaged weights, computed in float32, over the validation patches."""
        keep = self._recipe.fit.average if self._progress.epochs else 0.0
        self._average = [
            np.asarray(keep * old + (1 - keep) * new, np.float32)
            for old, new in zip(self._average, self._model.get_weights(), strict=True)
        ]
        self._validated.set_weights(self._average)
        seen, wanted = self._held_out
        # Batches of one size, so that one function is compiled; what is left over is left out.
        size = min(len(seen), max(1, (1 << 18) // wanted[0].size))
        errors = []
        for first in range(0, len(seen) - size + 1, size):
            out = np.asarray(self._validated.predict_on_batch(seen[first : first + size]))[..., :1]
            errors.append(float(np.mean(np.square(out - wanted[first : first + size], dtype=np.float64))))
        return float(np.mean(errors))

    def _keep_best(self, line: Line) -> None:
        recipe = self._recipe
        card = {
            "scale": recipe.scale,
            "upsampling": recipe.upsampling.value,
            "validation": {"epoch": line.epoch, "psnr": round(line.validation_psnr, 3)},
        }
        with storing_hdf5(self._folder.best, needs=1 << 20):
            weights.save(self._folder.best, self._network, self._average, card)

    def _line(self, loss: float, mse: float) -> Line:
        assert self._phase is not None
        recipe = self._recipe
        return Line(
            epoch=self._progress.epochs,
            loss_kind=self._phase.loss.value,
            loss=loss,
            validation_mse=mse,
            validation_psnr=_psnr(mse),
            interpolation_psnr=self._interpolation_psnr,
            learning_rate=learning_rate(
                recipe, self._progress.epochs * self._steps - 1, recipe.fit.epochs * self._steps
            ),
            seconds=self._progress.seconds,
        )

    def _diverged(self, reason: str) -> ProcessingError:
        kept = f"epoch {self._progress.epochs}" if self._progress.epochs else "none yet"
        return ProcessingError(
            f"training has diverged: {reason}; last good checkpoint: {kept}",
            remedy="train in a fresh --run folder with smaller --learning-rates, or with --clip-norm 0.1"
            + (f", starting from {self._folder.best} (--initial-weights)" if self._progress.epochs else ""),
            path=self._folder.path,
        )


def _mean_absolute(wanted: Any, out: Any) -> Any:
    return keras.ops.mean(keras.ops.abs(out - wanted))


def _mean_squared(wanted: Any, out: Any) -> Any:
    return keras.ops.mean(keras.ops.square(out - wanted))


def _charbonnier(wanted: Any, out: Any) -> Any:
    return keras.ops.mean(keras.ops.sqrt(keras.ops.square(out - wanted) + _EPSILON**2))


_LOSSES = {Loss.MSE: _mean_squared, Loss.L1: _mean_absolute, Loss.CHARBONNIER: _charbonnier}
"""All against one luma label, broadcast over the output channels as the authors do."""


def _build(recipe: Recipe, network: Network) -> keras.Model:
    """The model at its first weights: drawn by the seed, or read from the recipe's file."""
    keras.utils.set_random_seed(recipe.fit.seed)
    try:
        with computing(recipe.fit.precision):
            model = network.build()
    except ValueError as error:
        raise UsageError(f"no such precision: {recipe.fit.precision!r}", remedy="float32 or mixed_bfloat16") from error
    if recipe.fit.initial_weights is not None:
        _begin_with(model, network, recipe.fit.initial_weights)
    return model


def _begin_with(model: keras.Model, network: Network, path: Path) -> None:
    """Set the weights in `path`: all of them, or at another scale of the same network all layers but the last.

    Says which it left as they were drawn. Raises `WeightsError` (another network).
    """
    first = weights.load(path)
    if first.network.name != network.name:
        raise WeightsError(
            f"weights of {first.network.name}, not {network.name}",
            remedy="give weights of the same network, or --network",
            path=path,
        )
    drawn = dict(zip(weights.expected_shapes(network), model.get_weights(), strict=True))
    fitting = {name: array for name, array in first.arrays.items() if drawn[name].shape == array.shape}
    model.set_weights(list((drawn | fitting).values()))
    left = sorted({name.partition("/")[0] for name in drawn.keys() - fitting.keys()})
    if left:
        tqdm.write(f"begun with {path}, but for {', '.join(left)}: those weights are for {first.network.scale}x")


def _check(file: h5py.File, path: Path, recipe: Recipe) -> None:
    own_scale, made_own = own_scale_of(recipe), int(file.attrs.get("own_scale", 1))
    if made_own != own_scale:
        raise UsageError(
            f"patches for a network that enlarges {made_own}x by itself; {recipe.network} enlarges {own_scale}x",
            remedy=f"prepare patches with --network {recipe.network}",
            path=path,
        )
    made = (int(file.attrs["scale"]), str(file.attrs["upsampling"]))
    if made != (recipe.scale, recipe.upsampling.value):
        raise UsageError(
            f"patches for {made[0]}x after {made[1]}; the recipe says {recipe.scale}x after {recipe.upsampling}",
            remedy="prepare patches with the same --scale and --upsampling",
            path=path,
        )


def _held_out(group: h5py.Group) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Validation patches, (n, size, size, 1) each, at most `VALIDATION_PIXELS`, spread evenly."""
    shape = group["label"].shape
    most = max(1, VALIDATION_PIXELS // (shape[-1] * shape[-2]))
    stride = -(-shape[0] // most)
    seen, wanted = (np.moveaxis(group[name][::stride], 1, -1) for name in ("data", "label"))
    return np.ascontiguousarray(seen), np.ascontiguousarray(wanted)


def _interpolation_error(seen: NDArray[np.float32], wanted: NDArray[np.float32]) -> float:
    """Mean squared error of what a network starts from: the patches it sees, bicubic where it enlarges by itself."""
    side = wanted.shape[1]
    if seen.shape != wanted.shape:
        seen = np.stack([cv2.resize(each, (side, side), interpolation=cv2.INTER_CUBIC) for each in seen])[..., None]
    return float(np.mean(np.square(seen - wanted, dtype=np.float64)))


def _phase_of(recipe: Recipe, epoch: int) -> Phase:
    for phase in recipe.fit.phases:
        if epoch < phase.epochs:
            return phase
        epoch -= phase.epochs
    return recipe.fit.phases[-1]


def _psnr(mse: float) -> float:
    return -10 * math.log10(max(mse, 1e-10))
