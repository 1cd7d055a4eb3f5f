"""The command `kakudai-train` (also `python -m training`): from pictures to weights and their scores."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from engine.errors import EnvironmentFault, KakudaiError, UsageError
from training.arguments import overrides_of, parser
from training.recipe import read_recipe

# TensorFlow's graph optimizer reports, as errors, rewrites that it then simply leaves out. Read before it is imported.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def main(words: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    arguments = parser().parse_args(words)
    try:
        return _COMMANDS[arguments.command](arguments)
    except KakudaiError as error:
        print(f"kakudai-train: {error}\n  remedy: {error.remedy}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("kakudai-train: stopped; fit and fit-all go on from the last finished epoch", file=sys.stderr)
        return 130


def _draw(arguments: argparse.Namespace) -> int:
    from training.line_art import draw_scenes

    print(f"{draw_scenes(arguments.out, count=arguments.count, seed=arguments.seed)} scenes below {arguments.out}")
    return 0


def _rasterise(arguments: argparse.Namespace) -> int:
    from training.line_art import rasterise

    drawn = rasterise(
        arguments.drawings,
        arguments.out,
        count=arguments.count,
        seed=arguments.seed,
        artist=arguments.artist,
        licence=arguments.licence,
    )
    print(f"{drawn} drawings below {arguments.out}")
    return 0


def _prepare(arguments: argparse.Namespace) -> int:
    from training.prepare import prepare

    recipe = read_recipe(arguments.recipe, overrides_of(arguments))
    counts = prepare(arguments.images, arguments.out, recipe, manifest=arguments.manifest)
    print(f"{arguments.out}: {counts['train']} training and {counts['validation']} validation patches")
    return 0


def _fit(arguments: argparse.Namespace) -> int:
    from training.fit import fit
    from training.run_folder import RunFolder

    recipe = read_recipe(arguments.recipe, overrides_of(arguments))
    done = fit(arguments.patches, arguments.run, recipe, time_limit_s=arguments.time_limit_s)
    print(f"{'done' if done else 'stopped in time'}; best weights so far: {RunFolder(arguments.run).best}")
    return 0 if done else EnvironmentFault.exit_code


def _evaluate(arguments: argparse.Namespace) -> int:
    from engine import weights
    from training.evaluate import evaluate, write_results
    from training.methods import methods
    from training.pictures import pictures_below
    from training.remember import Remembered
    from training.sheet import Sheet

    files = [str(path) for path in weights.shipped()] if arguments.weights is None else arguments.weights
    chosen = methods(files, rounding=arguments.rounding, peers=arguments.peers, chroma=arguments.chroma)
    if arguments.only:
        unknown = [name for name in arguments.only if name not in chosen]
        if unknown:
            raise UsageError(f"no method {unknown[0]!r}", remedy=f"choose from {', '.join(chosen)}")
        chosen = {name: chosen[name] for name in arguments.only}
    sheet = Sheet(most=arguments.crops) if arguments.out else None
    table = evaluate(
        pictures_below(arguments.images),
        chosen,
        scales=arguments.scales,
        degradations=arguments.degradations,
        remembered=Remembered(arguments.remember) if arguments.remember else None,
        timed=arguments.time,
        authors_alignment=arguments.authors_alignment,
        sheet=sheet,
    )
    print(table.markdown())
    if arguments.out:
        write_results(arguments.out, table, sheet)
        print(f"{arguments.out}: table.md, scores.csv, crops.png")
    return 0


def _export(arguments: argparse.Namespace) -> int:
    if arguments.onnx:
        from engine import weights
        from training.onnx_export import export_onnx
        from training.run_folder import RunFolder

        source = arguments.weights or RunFolder(arguments.run).best
        difference = export_onnx(weights.load(source), arguments.out, force=arguments.force)
        print(f"{arguments.out}: onnxruntime and Keras agree to {difference:.1g}")
        return 0
    if arguments.run is None:
        raise UsageError("--weights are a weights file already", remedy="add --onnx, or give --run")
    from training.export import export
    from training.remember import Remembered

    remembered = Remembered(arguments.remember) if arguments.remember else None
    card = export(arguments.run, test=arguments.test, out=arguments.out, force=arguments.force, remembered=remembered)
    print(f"{arguments.out}: {card.get('scores', 'not scored: no --test was given')}")
    return 0


def _pack(arguments: argparse.Namespace) -> int:
    from training.fit_all import read_jobs
    from training.pack import pack

    jobs = read_jobs(arguments.plan, arguments.only)
    recipes = [job.resolved(arguments.out.parent, overrides_of(arguments)) for job in jobs]
    counts = pack(arguments.images, arguments.out, recipes, limit_bytes=round(arguments.limit_mb * 1e6))
    print(f"{arguments.out}: {arguments.out.stat().st_size / 1e6:.1f} MB, tiles: {counts}")
    return 0


def _fit_all(arguments: argparse.Namespace) -> int:
    from training.fit_all import fit_all, keep_results, read_jobs, take_up

    jobs = read_jobs(arguments.plan, arguments.only)
    if arguments.take_up:
        take_up(arguments.take_up, arguments.runs)
    overrides = overrides_of(arguments)
    try:
        unfinished = fit_all(
            arguments.pack, arguments.runs, jobs, overrides=overrides, time_limit_s=arguments.time_limit_s
        )
    finally:
        if arguments.results:
            keep_results(arguments.runs, arguments.results, jobs)
    print(f"not done yet: {', '.join(unfinished)}" if unfinished else "everything is trained")
    return EnvironmentFault.exit_code if unfinished else 0


_COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "draw": _draw,
    "rasterise": _rasterise,
    "prepare": _prepare,
    "fit": _fit,
    "evaluate": _evaluate,
    "export": _export,
    "pack": _pack,
    "fit-all": _fit_all,
}

if __name__ == "__main__":
    sys.exit(main())
