"""Recipes: every knob of `prepare` and `fit`, read from YAML, overridden by the command line, kept with the run.

A recipe holds every key; nothing is assumed behind the reader's back. All problems are told at once.
"""

from __future__ import annotations

import difflib
import enum
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

import yaml

from engine.errors import ConfigError, MissingInputError
from engine.settings import Interpolation

RECIPES = Path(__file__).parent / "recipes"


class Preprocessing(enum.StrEnum):
    """What is done to a picture before both sides are made from it."""

    PAPER = "paper"
    NONE = "none"


class Reduction(enum.StrEnum):
    """How a picture is made smaller. `bicubic` and `lanczos` are antialiased, `bilinear` is not (OpenCV's habit)."""

    BILINEAR = "bilinear"
    AREA = "area"
    BICUBIC = "bicubic"
    LANCZOS = "lanczos"


class Compression(enum.StrEnum):
    """What a reduced picture has been through."""

    NONE = "none"
    JPEG = "jpeg"
    X264 = "x264"
    X265 = "x265"


class Draw(enum.StrEnum):
    """Where patches are taken from: every window of a grid, anywhere, or anywhere that something happens."""

    GRID = "grid"
    RANDOM = "random"
    BUSY = "busy"


class Loss(enum.StrEnum):
    """What is made small: mean squared error, mean absolute error, or its smooth form sqrt(x² + ε²)."""

    MSE = "mse"
    L1 = "l1"
    CHARBONNIER = "charbonnier"


class Schedule(enum.StrEnum):
    """How the learning rate goes on after the warm-up."""

    CONSTANT = "constant"
    COSINE = "cosine"


@dataclass(frozen=True)
class Split:
    """Pictures for each side: counts (whole numbers) or shares (which add up to 1)."""

    training: float
    validation: float
    test: float


@dataclass(frozen=True)
class Phase:
    """Some epochs with one loss."""

    loss: Loss
    epochs: int


def knob(told: str, *, at_least: float | None = None) -> Any:
    """A field with the words that `--help` shows for it."""
    return field(metadata={"help": told, "at_least": at_least})


@dataclass(frozen=True)
class PrepareKnobs:
    """How pictures become patches."""

    preprocessing: Preprocessing = knob("paper (sharpen, then denoise) or none")
    reductions: tuple[Reduction, ...] = knob("how pictures are made smaller: bilinear, area, bicubic, lanczos")
    compressions: tuple[Compression, ...] = knob("what reduced pictures have been through: none, jpeg, x264, x265")
    patch_size: int = knob("side of a patch in pixels of the enlarged picture", at_least=8)
    training_patches: Draw = knob("where training patches come from: grid, random or busy")
    step: int = knob("distance of neighbouring windows of the grid, in pixels", at_least=1)
    training_patches_per_picture: int = knob("at most so many; 0: all that there are", at_least=0)
    validation_patches: Draw = knob("where validation patches come from: grid, random or busy")
    validation_patches_per_picture: int = knob("at most so many; 0: all that there are", at_least=0)
    split: Split = knob("pictures (160) or shares (0.8) for training, validation and test")
    duplicate_distance: int = knob("bits of 63 in which hashes of near-duplicates may differ", at_least=0)
    seed: int = knob("decides the split and the patches", at_least=0)


@dataclass(frozen=True)
class FitKnobs:
    """How patches become weights."""

    phases: tuple[Phase, ...] = knob("losses (mse, l1, charbonnier) and for how many epochs each")
    steps_per_epoch: int = knob("batches in an epoch; 0: every patch once", at_least=0)
    batch: int = knob("patches in a batch", at_least=1)
    learning_rates: Mapping[str, float] = knob("for each network, after the warm-up")
    schedule: Schedule = knob("constant or cosine")
    warm_up_steps: int = knob("batches over which the learning rate rises from 0", at_least=0)
    clip_norm: float = knob("largest norm of all gradients together; 0: no clipping", at_least=0)
    average: float = knob("share of the average over earlier epochs kept at each new one; 0: none", at_least=0)
    symmetries: bool = knob("turn and mirror batches")
    precision: str = knob(
        "Keras' dtype policy: float32, or mixed_bfloat16 (up to twice as fast on CPUs with bfloat16 instructions)"
    )
    initial_weights: Path | None = knob("weights file to start from (none: from nothing)")
    seed: int = knob("decides the first weights and the order of the patches", at_least=0)

    @property
    def epochs(self) -> int:
        return sum(phase.epochs for phase in self.phases)


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the weights besides the pictures."""

    name: str = knob("what it is called")
    network: str = knob("srcnn, msrcnn, fast or fine")
    scale: int = knob("how far pictures are enlarged", at_least=1)
    upsampling: Interpolation = knob("what enlarges before a network that does not by itself: bilinear or bicubic")
    prepare: PrepareKnobs = knob("how pictures become patches")
    fit: FitKnobs = knob("how patches become weights")

    @property
    def restores(self) -> bool:
        """Whether the weights learn to undo compression."""
        return any(each is not Compression.NONE for each in self.prepare.compressions)

    @property
    def learning_rate(self) -> float:
        return float(self.fit.learning_rates[self.network])


def read_recipe(name_or_path: str, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """The recipe of that name (in `training/recipes`) or in that file, with `overrides` (`fit.batch` → 8) applied.

    Raises `MissingInputError` when there is none, `ConfigError` with every problem in it.
    """
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        path = RECIPES / f"{name_or_path}.yaml"
    if not path.is_file():
        shipped = ", ".join(sorted(file.stem for file in RECIPES.glob("*.yaml")))
        raise MissingInputError(
            f"no recipe {name_or_path!r}", remedy=f"choose one of {shipped}, or give a .yaml file", path=path
        )
    try:
        tree = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise _refused([f"not readable as YAML: {error}"], path) from error
    if not isinstance(tree, dict):
        raise _refused(["a recipe is a mapping of knobs"], path)
    for key, value in (overrides or {}).items():
        tree = _with(tree, key.split("."), value)
    return parse_recipe(tree, path)


def parse_recipe(tree: Mapping[str, Any], path: Path | None = None) -> Recipe:
    """A recipe from plain data. Raises `ConfigError` with every problem; `path` says where it was read."""
    problems: list[str] = []
    recipe = _convert(tree, Recipe, "", problems)
    if not problems:
        problems += _contradictions(recipe)
    if problems:
        raise _refused(problems, path)
    return typing.cast("Recipe", recipe)


def plain(recipe: Recipe) -> dict[str, Any]:
    """The recipe as plain data that YAML and JSON can hold; `parse_recipe` reads it back."""

    def simple(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: simple(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [simple(each) for each in value]
        return str(value) if isinstance(value, str | Path) else value

    return typing.cast("dict[str, Any]", simple(asdict(recipe)))


def differences(one: Recipe, other: Recipe) -> list[str]:
    """Every knob in which two recipes differ: `fit.batch: 16, not 32`."""

    def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in tree.items():
            found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
        return found

    first, second = flat(plain(one)), flat(plain(other))
    return [
        f"{key}: {first.get(key)}, not {second.get(key)}"
        for key in sorted(first.keys() | second.keys())
        if first.get(key) != second.get(key)
    ]


def _refused(problems: list[str], path: Path | None) -> ConfigError:
    error = ConfigError(problems, path=path)
    error.remedy = "correct these knobs in the recipe or on the command line; `kakudai-train fit --help` tells them all"
    return error


def _with(tree: Any, keys: Sequence[str], value: Any) -> Any:
    """The tree with another value there; as it is where that would be within something that is no mapping."""
    if not keys:
        return value
    if not isinstance(tree, dict):
        return tree
    return {**tree, keys[0]: _with(tree.get(keys[0], {}), keys[1:], value)}


def _contradictions(recipe: Recipe) -> list[str]:
    problems = []
    shares = [recipe.prepare.split.training, recipe.prepare.split.validation, recipe.prepare.split.test]
    if any(share < 0 for share in shares):
        problems.append("prepare.split: a side cannot have fewer than no pictures")
    elif max(shares) <= 1 and abs(sum(shares) - 1) > 1e-6:
        problems.append(f"prepare.split: shares add up to 1, not {sum(shares):g}; counts are whole numbers above 1")
    elif max(shares) > 1 and any(share != int(share) for share in shares):
        problems.append("prepare.split: give counts (160) or shares (0.8), not both")
    if recipe.network not in recipe.fit.learning_rates:
        problems.append(f"fit.learning_rates: nothing for the network {recipe.network!r}")
    elif recipe.learning_rate <= 0:
        problems.append("fit.learning_rates: a learning rate is above 0")
    if not recipe.prepare.reductions:
        problems.append("prepare.reductions: at least one is needed")
    if not recipe.prepare.compressions:
        problems.append("prepare.compressions: at least one is needed; none is one of them")
    if recipe.fit.epochs < 1:
        problems.append("fit.phases: at least one epoch is needed")
    if recipe.fit.average >= 1:
        problems.append("fit.average: below 1, or nothing new would count")
    return problems


def _convert(value: Any, kind: Any, where: str, problems: list[str]) -> Any:
    """`value` as `kind`, or a complaint in `problems`."""
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if is_dataclass(kind):
        return _convert_group(value, kind, where, problems)
    if origin is types.UnionType:
        return None if value is None else _convert(value, parts[0], where, problems)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            problems.append(f"{where}: a list is needed, not {value!r}")
            return ()
        return tuple(_convert(each, parts[0], f"{where}[{index}]", problems) for index, each in enumerate(value))
    if origin is Mapping:
        if not isinstance(value, dict):
            problems.append(f"{where}: a mapping is needed, not {value!r}")
            return {}
        return {str(key): _convert(each, parts[1], f"{where}.{key}", problems) for key, each in value.items()}
    if isinstance(kind, type) and issubclass(kind, enum.StrEnum):
        if value in set(kind):
            return kind(value)
        problems.append(f"{where}: {value!r} is none of {', '.join(kind)}")
        return None
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is Path and isinstance(value, str):
        return Path(value)
    if type(value) is not kind:
        problems.append(f"{where}: {kind.__name__} is needed, not {value!r}")
    return value


def _convert_group(value: Any, kind: Any, where: str, problems: list[str]) -> Any:
    if not isinstance(value, dict):
        problems.append(f"{where or 'recipe'}: a mapping of knobs is needed, not {value!r}")
        return None
    prefix = f"{where}." if where else ""
    kinds = typing.get_type_hints(kind)
    for key in sorted(set(value) - set(kinds), key=str):
        near = difflib.get_close_matches(str(key), kinds, n=1)
        problems.append(f"{prefix}{key}: no such knob" + (f"; did you mean {near[0]!r}?" if near else ""))
    values = {}
    for each in fields(kind):
        if each.name not in value:
            problems.append(f"{prefix}{each.name}: is missing")
            continue
        converted = _convert(value[each.name], kinds[each.name], f"{prefix}{each.name}", problems)
        least = each.metadata.get("at_least")
        if least is not None and isinstance(converted, int | float) and converted < least:
            problems.append(f"{prefix}{each.name}: at least {least:g}, not {converted:g}")
        values[each.name] = converted
    return kind(**values) if len(values) == len(kinds) else None
