"""`fit-all`: every weights file from one pack in one call, in bounded sittings, with everything to go on from in a tar.

Meant for a machine that is lent by the hour: a GPU, JAX or TensorFlow, no pictures. `--time-limit-s` ends a sitting in
time; `--results` keeps recipes, logs, plots and best weights of all runs, and the state of those that are not done.
"""

from __future__ import annotations

import tarfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from tqdm import tqdm

from engine.errors import ConfigError, InputError, MissingInputError, ProcessingError, UsageError
from engine.files import storing
from training.fit import fit
from training.recipe import RECIPES, Recipe, read_recipe
from training.run_folder import RunFolder
from training.unpack import patches_from_pack

_MARGIN_S = 10.0
"""Kept back for the results at the end of a sitting."""


@dataclass(frozen=True)
class Job:
    """One weights file to make."""

    name: str
    recipe: str
    start_from: str | None
    knobs: Mapping[str, Any]

    def resolved(self, runs: Path, overrides: Mapping[str, Any]) -> Recipe:
        """The recipe with this job's knobs, then `overrides`; the weights to start from lie in `runs`."""
        first = {"fit.initial_weights": str(runs / self.start_from / "best.h5")} if self.start_from else {}
        return read_recipe(self.recipe, {**first, **self.knobs, **overrides})


def read_jobs(path: Path | None = None, only: Sequence[str] = ()) -> list[Job]:
    """The jobs of a plan (`training/recipes/all.yaml`), or those named. Raises `ConfigError`, `UsageError`."""
    path = path or RECIPES / "all.yaml"
    try:
        jobs = [
            Job(str(entry["name"]), str(entry["recipe"]), entry.get("start_from"), dict(entry["knobs"]))
            for entry in yaml.safe_load(path.read_text("utf-8"))
        ]
    except FileNotFoundError as error:
        raise MissingInputError("no such plan", remedy="check --plan", path=path) from error
    except (OSError, KeyError, TypeError, ValueError, yaml.YAMLError) as error:
        raise ConfigError([f"not a plan ({error!r}); see training/recipes/all.yaml"], path=path) from error
    names = [job.name for job in jobs]
    unknown = [name for name in only if name not in names]
    if unknown:
        raise UsageError(f"no job {unknown[0]!r} in the plan", remedy=f"choose from {', '.join(names)}", path=path)
    return [job for job in jobs if not only or job.name in only]


def fit_all(
    pack: Path, runs: Path, jobs: Sequence[Job], *, overrides: Mapping[str, Any], time_limit_s: float | None = None
) -> list[str]:
    """Train each job in `runs/<name>` in turn; returns the names of those that are not done when the time is up.

    Patches are made from the pack when they are needed and removed when their job is done. A job that diverges does
    not stop those after it: the first such `ProcessingError` is raised at the end. Raises otherwise as `fit` and
    `patches_from_pack` do, at once.
    """
    deadline = None if time_limit_s is None else time.monotonic() + time_limit_s - _MARGIN_S
    unfinished = []
    diverged: ProcessingError | None = None
    for job in jobs:
        recipe = job.resolved(runs, overrides)
        if _is_done(runs / job.name, recipe):
            continue
        if deadline is not None and time.monotonic() >= deadline:
            unfinished.append(job.name)
            continue
        if job.start_from and not _is_finished(runs / job.start_from):
            tqdm.write(f"{job.name}: waits for {job.start_from}")
            unfinished.append(job.name)
            continue
        tqdm.write(f"{job.name}: {recipe.network} {recipe.scale}x after {recipe.upsampling}, recipe {recipe.name}")
        patches = runs / f"{job.name}.patches.h5"
        if not patches.is_file():
            counts = patches_from_pack(pack, patches, recipe)
            tqdm.write(f"{job.name}: {counts['train']} training and {counts['validation']} validation patches")
        left = None if deadline is None else deadline - time.monotonic()
        try:
            finished = fit(patches, runs / job.name, recipe, time_limit_s=left, strict=True)
        except ProcessingError as error:
            tqdm.write(f"{job.name}: {error.reason}")
            diverged, finished = diverged or error, False
        if finished:
            patches.unlink()
        else:
            unfinished.append(job.name)
    if diverged is not None:
        raise diverged
    return unfinished


def keep_results(runs: Path, results: Path, jobs: Sequence[Job]) -> None:
    """Write the tar of what is worth keeping. Raises `EnvironmentFault` (disk full)."""
    part = results.with_name(f".{results.name}.part")
    with storing(results):
        results.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(part, "w") as tar:
            for job in jobs:
                folder = runs / job.name
                finished = _is_finished(folder)
                for path in sorted(folder.glob("*")):
                    if not (finished and path.name.startswith("state-")):
                        tar.add(path, arcname=f"{job.name}/{path.name}")
        part.replace(results)


def take_up(results: Path, runs: Path) -> None:
    """Unpack an earlier sitting's results, unless `runs` holds some. Raises `MissingInputError`, `InputError`."""
    if any(runs.glob("*/recipe.yaml")):
        return
    try:
        with tarfile.open(results) as tar:
            tar.extractall(runs, filter="data")
    except FileNotFoundError as error:
        raise MissingInputError("no such results", remedy="check --take-up", path=results) from error
    except (tarfile.TarError, OSError) as error:
        raise InputError(f"not the results of fit-all ({error})", remedy="check --take-up", path=results) from error


def _is_finished(folder: Path) -> bool:
    """Whether a run is done by the recipe that it was begun with."""
    return (folder / "recipe.yaml").is_file() and _is_done(folder, RunFolder(folder).recipe())


def _is_done(folder: Path, recipe: Recipe) -> bool:
    return len(RunFolder(folder).log()) >= recipe.fit.epochs
