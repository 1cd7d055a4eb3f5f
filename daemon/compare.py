"""`kakudai compare`: PSNR, SSIM and VMAF of every frame, a plot over time, the worst frames as crops."""

from __future__ import annotations

import argparse
import csv
import io
import json
import math
import os
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daemon.bar import bar
from daemon.place import make_folder
from daemon.text import clock_time, printable
from engine.compare import Comparison, compare
from engine.errors import InputError, OutputError, UsageError
from engine.files import write_durably
from engine.measure import EQUAL_DB, decibels
from engine.settings import Limits
from engine.vmaf import has_vmaf, vmaf

DESCRIPTION = """\
Tell how near A is to B, frame by frame: PSNR in dB and SSIM of luma and of all planes together, VMAF where ffmpeg has
libvmaf. With --reference, how near A and B each are to R, and which is nearer. Two pictures, two episodes or two
folders of numbered frames, of one size. Frames are paired by their order; memory holds a few of them only."""

EPILOG = """\
examples:
  kakudai compare ours.png original.png
  kakudai compare crf18.mkv crf14.mkv --reference lossless.mkv -o compared/
  kakudai compare new.mkv old.mkv --at-least 45 --json      exit code 65 when any frame is below 45 dB

exit codes: 0 compared; 64 sizes or kinds differ; 65 damaged, another number of frames, or below --at-least; 66 missing;
73 FOLDER holds a comparison already
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Everything that `kakudai compare` understands."""
    parser.epilog = EPILOG
    parser.add_argument("a", type=Path, metavar="A", help="picture, episode or folder of numbered frames")
    parser.add_argument("b", type=Path, metavar="B", help="what A is compared with; with --reference, another try")
    parser.add_argument("--reference", type=Path, metavar="R", help="what both A and B should be near to")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FOLDER",
        help="write scores.csv (every frame), plot.png (over time) and worst-….png (crops) there",
    )
    parser.add_argument("--force", action="store_true", help="replace what an earlier comparison left in FOLDER")
    parser.add_argument("--worst", type=_few, default=4, metavar="N", help="how many bad frames to show (default: 4)")
    parser.add_argument(
        "--at-least", type=_decibels, metavar="DB", help="exit code 65 when the luma PSNR of any frame of A is below it"
    )
    parser.add_argument("--no-vmaf", action="store_true", help="leave VMAF out even where ffmpeg has it")
    parser.add_argument("--json", action="store_true", help="the result as JSON, no progress bar")


def _few(text: str) -> int:
    if not text.isdigit() or int(text) > 50:
        raise argparse.ArgumentTypeError(f'"{text}" is not a number from 0 to 50')
    return int(text)


def _decibels(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= EQUAL_DB:
        raise argparse.ArgumentTypeError(f'"{text}" is not a number of decibels from 0 to {EQUAL_DB:g}')
    return value


@dataclass(frozen=True)
class Compared:
    """One file against the reference. `vmaf` has a score for each frame, or none."""

    path: Path
    comparison: Comparison
    vmaf: tuple[float, ...]


def run(arguments: argparse.Namespace) -> int:
    """Returns 0, or 65 when a frame is below `--at-least`."""
    reference: Path = arguments.reference or arguments.b
    made = [arguments.a] if arguments.reference is None else [arguments.a, arguments.b]
    if len({path.absolute() for path in (*made, reference)}) <= len(made):
        raise UsageError("a file cannot be compared with itself", remedy="give different files", path=reference)
    if arguments.output is not None and not arguments.force:
        _refuse_existing(arguments.output)
    compared = []
    for path in made:
        with bar(printable(path.name), quiet=arguments.json) as progress:
            found = compare(path, reference, limits=Limits(), worst=arguments.worst, progress=progress)
            scores: tuple[float, ...] = ()
            if found.kind == "episode" and not arguments.no_vmaf and has_vmaf():
                scores = vmaf(path, reference, limits=Limits(), progress=progress)
        compared.append(Compared(path, found, scores))
    if arguments.output is not None:
        _write(arguments.output, compared, reference)
    told = {"reference": printable(reference), "compared": [_plain(each) for each in compared]}
    if arguments.json:
        sys.stdout.write(json.dumps(told, indent=2) + "\n")
    else:
        sys.stdout.write(_page(compared, reference, arguments))
    lowest = min(score.psnr_luma for score in compared[0].comparison.scores)
    if arguments.at_least is not None and lowest < arguments.at_least:
        sys.stderr.write(
            f"{printable(arguments.a)}: its worst frame has {lowest:.2f} dB, below {arguments.at_least:g}\n"
        )
        return InputError.exit_code
    return 0


_WRITTEN = ("scores.csv", "plot.png", "worst-a.png", "worst-b.png")
_MEASURES = ("psnr_luma", "psnr", "ssim_luma", "ssim")


def summary(values: Sequence[float]) -> dict[str, float]:
    """Mean, median, the level that 95 % of the frames reach, and the worst."""
    ordered = sorted(values)
    return {
        "mean": round(statistics.fmean(ordered), 4),
        "median": round(statistics.median(ordered), 4),
        "low_5_percent": round(ordered[int(0.05 * len(ordered))], 4),
        "worst": round(ordered[0], 4),
    }


def _plain(compared: Compared) -> dict[str, Any]:
    found = compared.comparison
    plain: dict[str, Any] = {
        "file": printable(compared.path),
        "kind": found.kind,
        "size": str(found.size),
        "frames": len(found.scores),
        "equal_frames": sum(score.psnr == EQUAL_DB for score in found.scores),
        **{name: summary([getattr(score, name) for score in found.scores]) for name in _MEASURES},
        "psnr_luma_of_mean_error": round(_pooled([score.psnr_luma for score in found.scores]), 4),
        "vmaf": summary(compared.vmaf) if compared.vmaf else None,
        "worst_frames": [
            {
                "frame": worst.score.number,
                "time_s": round(found.times_s[worst.score.number], 6) if found.times_s else None,
                **{name: round(getattr(worst.score, name), 4) for name in _MEASURES},
                "left": worst.left,
                "top": worst.top,
            }
            for worst in found.worst
        ],
        "notes": list(found.notes),
    }
    return plain


def _pooled(psnrs: Sequence[float]) -> float:
    """PSNR of the mean squared error of all frames, as ffmpeg's `average`: bad frames weigh as much as they err."""
    return decibels(statistics.fmean(0.0 if psnr == EQUAL_DB else 10 ** (-psnr / 10) for psnr in psnrs), peak=1)


def _page(compared: list[Compared], reference: Path, arguments: argparse.Namespace) -> str:
    lines = []
    for each in compared:
        plain = _plain(each)
        frames = (
            "" if plain["kind"] == "picture" else f", {plain['frames']} frames, {plain['equal_frames']} of them equal"
        )
        lines += [
            f"{plain['file']} against {printable(reference)} ({plain['size']}{frames})",
            *(f"  note: {note}" for note in plain["notes"]),
            *_figures(plain),
        ]
        if plain["kind"] != "picture":
            lines += [_worst_line(worst) for worst in plain["worst_frames"]]
        lines.append("")
    if len(compared) == 2:
        lines.append(_verdict(compared))
    if arguments.output is not None:
        lines.append(f"written to {printable(arguments.output)}")
    if not arguments.no_vmaf and compared[0].comparison.kind == "episode" and not compared[0].vmaf:
        lines.append("VMAF is left out: this ffmpeg has no libvmaf")
    return "\n".join(lines).rstrip() + "\n"


def _figures(plain: dict[str, Any]) -> list[str]:
    rows = [("PSNR luma dB", "psnr_luma", ".2f"), ("PSNR all dB", "psnr", ".2f")]
    rows += [("SSIM luma", "ssim_luma", ".4f"), ("SSIM all", "ssim", ".4f"), ("VMAF", "vmaf", ".2f")]
    rows = [row for row in rows if plain[row[1]] is not None]
    if plain["kind"] == "picture":
        return [f"  {title:12} {plain[name]['mean']:{form}}" for title, name, form in rows]
    head = f"  {'':12} {'mean':>8} {'median':>8} {'low 5 %':>8} {'worst':>8}"
    return [head, *(f"  {title:12} " + " ".join(f"{value:>8{form}}" for value in plain[name].values())
                    for title, name, form in rows)]  # fmt: skip


def _worst_line(worst: dict[str, Any]) -> str:
    at = f" at {clock_time(worst['time_s'])}" if worst["time_s"] is not None else ""
    place = f"around {worst['left']},{worst['top']}"
    return (
        f"  bad: frame {worst['frame']}{at}, {worst['psnr_luma']:.2f} dB, SSIM {worst['ssim_luma']:.4f}, most {place}"
    )


def _verdict(compared: list[Compared]) -> str:
    one, other = (_pooled([score.psnr_luma for score in each.comparison.scores]) for each in compared)
    pairs = zip(compared[0].comparison.scores, compared[1].comparison.scores, strict=True)
    better = [a.psnr_luma > b.psnr_luma for a, b in pairs]
    if one == other:
        return "Both are as near."
    nearer = compared[0] if one > other else compared[1]
    wins = sum(better) if nearer is compared[0] else len(better) - sum(better)
    share = "" if nearer.comparison.kind == "picture" else f", in {wins} of {len(better)} frames"
    return f"Nearer: {printable(nearer.path)}, by {abs(one - other):.2f} dB of luma PSNR{share}"


def _refuse_existing(folder: Path) -> None:
    for name in _WRITTEN:
        if os.path.lexists(folder / name):
            raise OutputError(
                "exists already", remedy="add --force to replace it, or choose another -o", path=folder / name
            )


def _write(folder: Path, compared: list[Compared], reference: Path) -> None:
    from daemon.compare_sheet import plot_png, worst_png

    make_folder(folder)
    write_durably(folder / "scores.csv", _csv(compared).encode())
    if any(len(each.comparison.scores) > 1 for each in compared):
        write_durably(
            folder / "plot.png", plot_png([(each.path.name, each.comparison, each.vmaf) for each in compared])
        )
    for name, each in zip("ab", compared, strict=False):
        if each.comparison.worst:
            write_durably(folder / f"worst-{name}.png", worst_png(each.path.name, reference.name, each.comparison))


def _csv(compared: list[Compared]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file", "frame", "time_s", *_MEASURES, "vmaf"])
    for each in compared:
        times = each.comparison.times_s
        for score in each.comparison.scores:
            time = f"{times[score.number]:.6f}" if times else ""
            seen = f"{each.vmaf[score.number]:.4f}" if each.vmaf else ""
            figures = (f"{getattr(score, name):.6f}" for name in _MEASURES)
            writer.writerow([printable(each.path), score.number, time, *figures, seen])
    return text.getvalue()
