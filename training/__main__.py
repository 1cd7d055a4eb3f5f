"""The command `kakudai-train` (also `python -m training`): prepare, fit, evaluate, export.

The weights that are shipped were made by:

    kakudai-train prepare --images PICTURES --out .work/train/bicubic-2x.h5
    kakudai-train fit --patches .work/train/bicubic-2x.h5 --run .work/train/msrcnn-2x
    kakudai-train export --run .work/train/msrcnn-2x --images PICTURES --test TEST --out models/msrcnn-2x.h5
    kakudai-train evaluate --images TEST --weights models/msrcnn-2x.h5
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from engine.errors import KakudaiError
from engine.settings import Interpolation, Settings


def main(words: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    arguments = _parser().parse_args(words)
    try:
        return int(arguments.run(arguments))
    except KakudaiError as error:
        print(f"kakudai-train: {error}\n  remedy: {error.remedy}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("kakudai-train: stopped; the same command goes on from the last finished epoch", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "kakudai-train", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    prepare = commands.add_parser("prepare", help="a folder of pictures → HDF5 patches")
    prepare.add_argument("--images", type=Path, required=True, help="folder with the pictures, searched recursively")
    prepare.add_argument("--out", type=Path, required=True, help="HDF5 file to write")
    prepare.add_argument("--scale", type=int, default=2, help="how far to reduce (default: 2)")
    prepare.add_argument("--upsampling", type=Interpolation, default=Interpolation.BICUBIC, help="bilinear or bicubic")
    prepare.add_argument("--patch-size", type=int, default=64, metavar="PIXELS")
    prepare.add_argument("--patches-per-picture", type=int, default=40, metavar="N")
    prepare.add_argument("--seed", type=int, default=0)
    prepare.set_defaults(run=_prepare)

    fit = commands.add_parser("fit", help="patches → weights; the same command again goes on where it stopped")
    fit.add_argument("--patches", type=Path, required=True, help="HDF5 file made by prepare")
    fit.add_argument("--run", type=Path, required=True, dest="folder", help="folder for checkpoints and the log")
    fit.add_argument("--network", default="msrcnn", help="msrcnn (default) or srcnn")
    fit.add_argument("--epochs", type=int, default=40)
    fit.add_argument("--steps-per-epoch", type=int, default=400, metavar="N")
    fit.add_argument("--batch", type=int, default=16)
    fit.add_argument("--learning-rate", type=float, default=1e-3)
    fit.add_argument("--precision", default="mixed_bfloat16", help="mixed_bfloat16 (default) or float32")
    fit.add_argument("--seed", type=int, default=0)
    fit.set_defaults(run=_fit)

    evaluate = commands.add_parser("evaluate", help="PSNR of weights beside classical interpolation")
    evaluate.add_argument("--images", type=Path, required=True, help="folder with the test pictures")
    evaluate.add_argument("--weights", type=Path, nargs="*", default=[], help="weights files to score")
    evaluate.add_argument("--scale", type=int, default=2)
    evaluate.add_argument("--upsampling", type=Interpolation, help="before the network (default: as its card says)")
    evaluate.set_defaults(run=_evaluate)

    export = commands.add_parser("export", help="the best weights of a run → a weights file and its card")
    export.add_argument("--run", type=Path, required=True, dest="folder", help="folder of a finished fit")
    export.add_argument("--images", type=Path, required=True, help="the pictures it was trained on")
    export.add_argument("--test", type=Path, required=True, help="pictures to score it on")
    export.add_argument("--out", type=Path, required=True, help="weights file to write (.h5; the card beside it)")
    export.set_defaults(run=_export)
    return parser


def _prepare(arguments: argparse.Namespace) -> int:
    from training.prepare import PatchSettings, prepare

    settings = PatchSettings(
        scale=arguments.scale,
        upsampling=arguments.upsampling,
        patch_size=arguments.patch_size,
        patches_per_picture=arguments.patches_per_picture,
        seed=arguments.seed,
    )
    counts = prepare(arguments.images, arguments.out, settings)
    print(f"{arguments.out}: {counts['train']} training and {counts['validation']} validation patches")
    return 0


def _fit(arguments: argparse.Namespace) -> int:
    from training.fit import FitSettings, fit

    names = [field.name for field in dataclasses.fields(FitSettings)]
    settings = FitSettings(**{name: getattr(arguments, name) for name in names})
    print(f"best weights: {fit(arguments.patches, arguments.folder, settings)}")
    return 0


def _evaluate(arguments: argparse.Namespace) -> int:
    from training.evaluate import evaluate
    from training.prepare import pictures_below

    scale = Fraction(arguments.scale)
    choices = {method.value: Settings(model=method.value, scale=scale) for method in Interpolation}
    for path in arguments.weights:
        choices[path.stem] = Settings(weights=path, scale=scale, upsampling=arguments.upsampling)
    print("| model | PSNR BGR | PSNR Y |\n|---|---|---|")
    for name, score in evaluate(pictures_below(arguments.images), choices).items():
        print(f"| {name} | {score.psnr_bgr:.2f} | {score.psnr_luma:.2f} |")
    return 0


def _export(arguments: argparse.Namespace) -> int:
    from training.export import export

    card = export(arguments.folder, images=arguments.images, test=arguments.test, out=arguments.out)
    print(f"{arguments.out}: {card['scores']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
