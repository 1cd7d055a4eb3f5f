"""The words that `kakudai-train` understands. Every knob of a recipe is an option of the commands it concerns."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

from engine.settings import Chroma, Rounding
from training.degradations import Degradation
from training.recipe import FitKnobs, PrepareKnobs, Recipe

_OPENCLIPART = Path("/usr/share/openclipart/svg")
"""Where Debian's openclipart-svg puts its drawings, all of them in the public domain (CC0)."""

_WALK = """\
a whole training, from pictures to weights that `kakudai upscale --weights` takes:

  kakudai-train prepare  --recipe kakudai --images PICTURES --out patches.h5
  kakudai-train fit      --recipe kakudai --patches patches.h5 --run run
  kakudai-train evaluate --images TEST --weights run/best.h5
  kakudai-train export   --run run --test TEST --out msrcnn-2x.h5

training/README.md walks through it. --help after a command tells its options.
"""
_PREPARE = """\
Pictures are split (whole groups of look-alikes on one side), preprocessed as the recipe says, reduced and
enlarged again; patches of both are written. OUT.split.csv tells which picture went where; --manifest reads it.

  kakudai-train prepare --recipe paper --images nico-illust/ --out paper.h5
  kakudai-train prepare --scale 3 --split '{training: 0.9, validation: 0.1, test: 0}' --images art/ --out 3x.h5
"""
_FIT = """\
Killed or stopped at any time, the same command goes on from the last finished epoch with the same result.
The run folder holds the resolved recipe, versions, log.csv, loss.png, psnr.png and the best weights (best.h5).

  kakudai-train fit --recipe paper --patches paper.h5 --run runs/paper
  KERAS_BACKEND=jax kakudai-train fit --learning-rates '{msrcnn: 0.001}' --patches 2x.h5 --run runs/slow
"""
_EVALUATE = """\
Prints a Markdown table; --out keeps it with a CSV of every picture and a PNG of crops side by side.
Without --weights every shipped weights file is scored. --peers adds waifu2x (training/README.md: how to install).

  kakudai-train evaluate --images TEST --scales 2 3 4 --peers --remember scores/known --out scores/
  kakudai-train evaluate --images TEST --degradations bilinear area bicubic lanczos x264 --time
"""
_EXPORT = """\
The card beside the weights names network, scale, recipe, pictures with sources and licences, scores and SHA-256.

  kakudai-train export --run runs/2x --test TEST --out models/msrcnn-2x.h5
  kakudai-train export --weights models/fast-2x.h5 --onnx --out fast-2x.onnx
"""
_DRAW = """\
Pools of pictures that may be used freely are mostly painterly; what people enlarge is clean ink on flat fills. The
scenes are those of our own generator (CC0), each with another seed, at every size. OUT/manifest.csv tells the licence.

  kakudai-train draw --out PICTURES --count 200
"""
_RASTERISE = """\
Any folder of SVG files, drawn by rsvg-convert (Debian: librsvg2-bin); by default the 8,121 drawings in the public
domain that Debian's openclipart-svg installs. OUT/manifest.csv tells artist and licence.

  kakudai-train rasterise --out PICTURES --count 1500
  kakudai-train rasterise --drawings svg/ --artist "Ai Ueo" --licence CC-BY-4.0 --out PICTURES --count 100
"""
_PACK = """\
A pack holds what all recipes need in one small file, to carry to a machine with a GPU and no pictures.

  kakudai-train pack --images PICTURES --out pack.h5 --limit-mb 45
"""
_FIT_ALL = """\
Trains everything in training/recipes/all.yaml from a pack, one after the other. Exit code 75: not all is done
yet, the same command goes on. On a machine lent in sittings of ten minutes, keeping only a few small files:

  KERAS_BACKEND=jax kakudai-train fit-all --pack pack.h5 --runs runs --time-limit-s 560 --results results.tar
  KERAS_BACKEND=jax kakudai-train fit-all --pack pack.h5 --runs runs --time-limit-s 560 --take-up results.tar \\
      --results results-2.tar
"""


def parser() -> argparse.ArgumentParser:
    """The whole command line. The parsed arguments hold `command` and what the command needs."""
    whole = argparse.ArgumentParser(
        "kakudai-train", description=_WALK, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = whole.add_subparsers(required=True, metavar="COMMAND", dest="command")

    def command(name: str, told: str, description: str) -> argparse.ArgumentParser:
        return commands.add_parser(
            name, help=told, description=description, formatter_class=argparse.RawDescriptionHelpFormatter
        )

    draw = command("draw", "line art from our own scene generator, to train on", _DRAW)
    rasterise = command("rasterise", "line art from vector drawings, to train on", _RASTERISE)
    for each, what in ((draw, "scenes"), (rasterise, "drawings")):
        each.add_argument("--out", type=Path, required=True, help="folder of pictures; a folder is added to it")
        each.add_argument("--count", type=int, required=True, metavar="N", help=f"how many {what}")
        each.add_argument("--seed", type=int, default=0, help="another number, other pictures (default: 0)")
    rasterise.add_argument("--drawings", type=Path, default=_OPENCLIPART, help="SVG files (default: %(default)s)")
    rasterise.add_argument("--artist", default="Open Clip Art Library", help="for the manifest (default: %(default)s)")
    rasterise.add_argument("--licence", default="CC0-1.0", help="for the manifest (default: %(default)s)")

    prepare = command("prepare", "a folder of pictures → HDF5 patches", _PREPARE)
    prepare.add_argument("--images", type=Path, required=True, help="folder with the pictures, searched recursively")
    prepare.add_argument("--out", type=Path, required=True, help="HDF5 file to write")
    prepare.add_argument("--manifest", type=Path, help="CSV `file,split` that decides the split")
    _add_recipe(prepare, PrepareKnobs, "prepare")

    fit = command("fit", "patches → weights; the same command again goes on where it stopped", _FIT)
    fit.add_argument("--patches", type=Path, required=True, help="HDF5 file made by prepare")
    fit.add_argument("--run", type=Path, required=True, help="folder for checkpoints, log and plots")
    fit.add_argument("--time-limit-s", type=float, help="stop after the last epoch that fits into so many seconds")
    _add_recipe(fit, FitKnobs, "fit")

    evaluate = command("evaluate", "PSNR and SSIM of weights beside interpolation and waifu2x", _EVALUATE)
    evaluate.add_argument("--images", type=Path, required=True, help="folder with the test pictures")
    evaluate.add_argument(
        "--weights",
        nargs="*",
        metavar="FILE[@UPSAMPLING]",
        help="weights files (default: all that are shipped); @bilinear overrides what a file's card says, or tells it "
        "of a file without a card",
    )
    evaluate.add_argument("--scales", "--scale", type=int, nargs="+", default=[2], choices=(2, 3, 4), metavar="N")
    evaluate.add_argument(
        "--degradations",
        type=Degradation,
        nargs="+",
        default=[Degradation.BILINEAR],
        choices=list(Degradation),
        metavar="NAME",
        help=f"how pictures are made smaller: {', '.join(Degradation)} (default: bilinear, as the paper does)",
    )
    evaluate.add_argument(
        "--only", nargs="+", metavar="METHOD", help="only these of the methods, by their names in the table"
    )
    evaluate.add_argument(
        "--chroma",
        type=Chroma,
        choices=list(Chroma),
        metavar="NAME",
        help="bicubic or joint (default: joint beside networks that enlarge by themselves, as for pictures)",
    )
    evaluate.add_argument("--time", action="store_true", help="also what each method costs: processor seconds")
    evaluate.add_argument(
        "--remember", type=Path, metavar="FOLDER", help="keep every score there; what it holds is not done again"
    )
    evaluate.add_argument("--rounding", type=Rounding, default=Rounding.NEAREST, help="nearest, or paper (truncates)")
    evaluate.add_argument("--peers", action="store_true", help="waifu2x upconv_7 and CUnet as well (slow)")
    evaluate.add_argument(
        "--authors-alignment",
        action="store_true",
        help="the paper's habit where sizes differ: shrink all by nearest neighbour, which misaligns them",
    )
    evaluate.add_argument("--out", type=Path, metavar="FOLDER", help="write table.md, scores.csv and crops.png there")
    evaluate.add_argument("--crops", type=int, default=12, metavar="N", help="rows of crops.png (default: 12)")

    export = command("export", "the best weights of a run → a weights file and its card", _EXPORT)
    from_what = export.add_mutually_exclusive_group(required=True)
    from_what.add_argument("--run", type=Path, help="folder of a fit, finished or not")
    from_what.add_argument("--weights", type=Path, help="weights file, to write as ONNX")
    export.add_argument(
        "--onnx", action="store_true", help="write ONNX for others' programs (pip install 'kakudai[onnx]')"
    )
    export.add_argument("--test", type=Path, help="pictures to score it on; without, the card holds no scores")
    export.add_argument("--out", type=Path, required=True, help="file to write (.h5, the card beside it; or .onnx)")
    export.add_argument("--remember", type=Path, metavar="FOLDER", help="scores of `evaluate`, not to be made again")
    export.add_argument("--force", action="store_true", help="replace an existing file")

    pack = command("pack", "pictures → one small file that everything can be trained from", _PACK)
    pack.add_argument("--images", type=Path, required=True, help="folder with the pictures, searched recursively")
    pack.add_argument("--out", type=Path, required=True, help="pack to write")
    pack.add_argument("--limit-mb", type=float, default=45, help="largest size in millions of bytes (default: 45)")
    _add_plan(pack)

    fit_all = command("fit-all", "a pack → every weights file, in as many sittings as it takes", _FIT_ALL)
    fit_all.add_argument("--pack", type=Path, required=True)
    fit_all.add_argument("--runs", type=Path, required=True, help="folder that holds a run folder for each")
    fit_all.add_argument("--time-limit-s", type=float, help="end the sitting within so many seconds")
    fit_all.add_argument("--results", type=Path, metavar="TAR", help="write what is worth keeping there at the end")
    fit_all.add_argument("--take-up", type=Path, metavar="TAR", help="results of an earlier sitting to go on from")
    _add_plan(fit_all)
    return whole


def _add_plan(command: argparse.ArgumentParser) -> None:
    command.add_argument("--plan", type=Path, help="what to train (default: training/recipes/all.yaml)")
    command.add_argument("--only", nargs="+", default=[], metavar="NAME", help="only these entries of the plan")
    command.add_argument(
        "--set",
        nargs="+",
        type=_pair,
        default=[],
        metavar="KNOB=VALUE",
        help="override knobs of every entry: --set fit.batch=64 'fit.phases=[{loss: mse, epochs: 5}]'",
    )


def _add_recipe(command: argparse.ArgumentParser, knobs: type, group: str) -> None:
    command.add_argument(
        "--recipe", default="kakudai", help="kakudai (default), paper, subpixel, restore, or a YAML file"
    )
    told = command.add_argument_group(
        "knobs, which override the recipe (values as in YAML)", "what they are by default is written in the recipe"
    )
    general = [each for each in fields(Recipe) if each.name in ("network", "scale", "upsampling")]
    for prefix, each in [*(("", field) for field in general), *((f"{group}.", field) for field in fields(knobs))]:
        told.add_argument(
            f"--{each.name.replace('_', '-')}",
            dest=f"knob:{prefix}{each.name}",
            type=_yaml,
            default=argparse.SUPPRESS,
            metavar="VALUE",
            help=each.metadata["help"],
        )


def overrides_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """The knobs given on the command line: `fit.batch` → 8."""
    given = {name[5:]: value for name, value in vars(arguments).items() if name.startswith("knob:")}
    return given | dict(getattr(arguments, "set", ()))


def _pair(word: str) -> tuple[str, Any]:
    name, equals, value = word.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"not KNOB=VALUE: {word}")
    return name, _yaml(value)


def _yaml(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise argparse.ArgumentTypeError(f"not a value in YAML: {text}") from error
