"""`kakudai preview`: a few frames by every model, mode and denoise, side by side, before hours are spent."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daemon.bar import bar
from daemon.place import make_folder
from daemon.preview_page import Page
from daemon.preview_pictures import richest_place
from daemon.preview_sheet import Sheet
from daemon.text import clock_time, duration, printable
from daemon.upscale_arguments import add_settings, settings_from
from engine.errors import OutputError
from engine.files import write_durably
from engine.modes import endings
from engine.parse_settings import MODELS
from engine.preview import Preview, Variant, preview, variants_of
from engine.progress import Progress
from engine.settings import Denoise, Interpolation, Mode, Settings
from engine.source import open_source

DESCRIPTION = """\
Enlarge a picture, or a few telling frames of an episode, by every model, mode and last denoise that makes sense. Writes
one HTML page (sliders, lossless crops; it needs nothing but itself) and one PNG sheet, with the time that a frame and
the whole episode would take beside each. The flags choose less, or other settings."""

EPILOG = """\
examples:
  kakudai preview "Title - 01.mkv"                          four frames by everything
  kakudai preview "Title - 01.mkv" --frames 8 --models msrcnn --denoises none standard
  kakudai preview "Title - 01.mkv" --quick                  every model in one mode: minutes instead of an hour
  kakudai preview page.png --modes enlarge -o look.html     look.html and look.png
  kakudai preview "Title - 01.mkv" --config config.yaml --profile television
"""

FRAMES = 4
"""Of an episode, where nobody says how many."""
_MOST_FRAMES = 24


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Everything that `kakudai preview` understands."""
    parser.epilog = EPILOG
    parser.add_argument("file", type=Path, metavar="FILE", help="picture or episode")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="PAGE.html",
        help='the page; the sheet gets the same name with .png (default: "NAME preview.html", here)',
    )
    parser.add_argument("--force", action="store_true", help="replace a page and a sheet that exist")
    parser.add_argument(
        "--frames",
        type=_frames,
        default=FRAMES,
        metavar="N",
        help=f"frames of an episode, 1 to {_MOST_FRAMES} (default: {FRAMES})",
    )
    parser.add_argument(
        "--models",
        nargs="+",
        choices=MODELS,
        metavar="NAME",
        help=f"{', '.join(MODELS)} (default: bicubic and all networks but srcnn)",
    )
    parser.add_argument(
        "--modes", nargs="+", type=Mode, choices=list(Mode), metavar="MODE", help="default: all that change the size"
    )
    parser.add_argument(
        "--denoises", nargs="+", type=Denoise, choices=list(Denoise), metavar="NAME", help="default: all of a mode"
    )
    parser.add_argument(
        "--quick", action="store_true", help="every model, but only the profile's mode with its own last denoise"
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="config.yaml to take the profile from")
    parser.add_argument("--profile", metavar="NAME", help="profile to start from (default: default)")
    parser.add_argument("--json", action="store_true", help="names, times and files as JSON, no progress bar")
    add_settings(parser)


def _frames(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= _MOST_FRAMES:
        raise argparse.ArgumentTypeError(f'"{text}" is not a number from 1 to {_MOST_FRAMES}')
    return int(text)


def run(arguments: argparse.Namespace) -> int:
    """Write page and sheet, print the times."""
    base = settings_from(arguments)
    models, modes, denoises = arguments.models, arguments.modes, arguments.denoises
    if arguments.quick:
        quick_modes, quick_denoises = quick_extent(base)
        modes, denoises = modes or quick_modes, denoises or quick_denoises
    if arguments.model is not None and models is None:
        models = [arguments.model]
    if arguments.mode is not None and modes is None:
        modes = [arguments.mode]
    if arguments.denoise is not None and denoises is None:
        denoises = [arguments.denoise]
    variants = variants_of(base, models=models, modes=modes, denoises=denoises)
    page = arguments.output or Path(f"{arguments.file.stem} preview.html")
    with bar(printable(arguments.file.name), quiet=arguments.json) as progress:
        written = write_preview(
            arguments.file, page, variants, count=arguments.frames, force=arguments.force, progress=progress
        )
    if arguments.json:
        sys.stdout.write(json.dumps(written.plain(), indent=2) + "\n")
    else:
        sys.stdout.write(written.text())
    return 0


def quick_extent(base: Settings) -> tuple[list[Mode], list[Denoise]]:
    """Modes and denoises of `--quick`: the profile's own."""
    return [base.mode], [base.denoise or endings(base.mode)[0]]


@dataclass(frozen=True)
class Written:
    """A finished preview: where it lies and what it told."""

    file: str
    page: Path
    sheet: Path
    rows: list[dict[str, Any]]
    made: Preview

    def plain(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "file": self.file,
            "page": printable(self.page),
            "sheet": printable(self.sheet),
            "kind": self.made.planned.kind,
            "frames_s": [frame.at_s for frame in self.made.frames],
            "encode_s": round(self.made.encode_s, 4),
            "variants": [
                {
                    "model": variant.model,
                    "mode": variant.mode.value,
                    "denoise": variant.denoise.value,
                    "device": self.made.devices[number],
                    "frame_s": _rounded(self.made.frame_s(number)),
                    "whole_s": _rounded(self.made.whole_s(number)),
                }
                for number, variant in enumerate(self.made.variants)
            ],
        }

    def text(self) -> str:
        """What the command prints."""
        names = max(len(row["name"]) for row in self.rows)
        lines = [f"  {row['name']:{names}}  {row['times']}" for row in self.rows[1:]]
        return "\n".join([self.file, *lines, f"page   {printable(self.page)}", f"sheet  {printable(self.sheet)}", ""])


def write_preview(
    file: Path,
    page: Path,
    variants: Sequence[Variant],
    *,
    count: int,
    force: bool,
    progress: Progress,
    links_above: bool = True,
) -> Written:
    """Preview `file` and write `page` and, beside it, its sheet. The one entrance, for the command and the service.

    `links_above` as for `open_source`. Raises any `KakudaiError`; nothing is written then.
    """
    sheet = page.with_suffix(".png")
    if page.suffix.lower() not in (".html", ".htm"):
        raise OutputError("is no name for a page", remedy="give one that ends in .html", path=page)
    for path in (page, sheet):
        if path.exists() and file.exists() and path.samefile(file):
            raise OutputError("is the source itself", remedy="choose another -o", path=path)
        if os.path.lexists(path) and not force:
            raise OutputError("exists already", remedy="add --force to replace it, or choose another -o", path=path)
    began = time.monotonic()
    pictures = Page(), Sheet()
    with open_source(file, links_above=links_above) as source:
        made = preview(source, variants, count=count, progress=progress)
        places = [richest_place(frame.bgr, scale=_scale(made)) for frame in made.frames]
        for number, frame in enumerate(made.frames):
            for taker in pictures:
                taker.add(number, 0, frame.bgr, places[number].of(frame.bgr))
        for result in made.results:
            crop = places[result.frame].of(result.bgr)
            for taker in pictures:
                taker.add(result.frame, result.variant + 1, result.bgr, crop)
    rows = _rows(made)
    titles = ["the picture" if frame.at_s is None else f"at {clock_time(frame.at_s)}" for frame in made.frames]
    if made.part < 1:
        titles = [f"the part of the picture with the most lines ({made.part:.0%})"]
    name = printable(file.name)
    facts = _facts(made, time.monotonic() - began)
    left = next((n for n, row in enumerate(rows) if row["name"].startswith("bicubic")), 0)
    others = [n for n in range(1, len(rows)) if n != left]
    networks = [n for n in others if made.variants[n - 1].settings.model not in set(Interpolation)]
    right = next(iter([*networks, *others]), left)
    whole = "the picture" if made.planned.kind == "picture" else "the episode"
    html = pictures[0].html(
        rows=rows,
        titles=titles,
        left=left,
        right=right,
        aspect=made.sample_aspect,
        file=name,
        facts=facts,
        whole_title=whole,
        basis=_basis(made),
    )
    make_folder(page.absolute().parent)
    write_durably(sheet, pictures[1].png(title=name, facts=facts, rows=rows, titles=titles))
    write_durably(page, html.encode())
    return Written(name, page, sheet, rows, made)


def _scale(made: Preview) -> float:
    return made.planned.output_size.height / made.planned.source_size.height


def _rows(made: Preview) -> list[dict[str, Any]]:
    """Of the table: the source, then each variant."""
    rows: list[dict[str, Any]] = [
        {"name": "source", "frame_time": "", "whole_time": "", "times": "as it is", "share": None}
    ]
    wholes = [made.whole_s(number) or 0.0 for number in range(len(made.variants))]
    for number, variant in enumerate(made.variants):
        frame_s, whole_s = made.frame_s(number), made.whole_s(number)
        frame_time = "" if frame_s is None else _short(frame_s)
        whole_time = "unknown" if whole_s is None else _long(whole_s)
        one = made.planned.kind == "picture"
        rows.append(
            {
                "name": variant.name,
                "frame_time": frame_time,
                "whole_time": whole_time,
                "times": f"about {whole_time}" if one else f"{frame_time} a frame, about {whole_time} in all",
                "share": round(100 * wholes[number] / (max(wholes) or 1), 1),
            }
        )
    return rows


def _facts(made: Preview, seconds: float) -> list[str]:
    planned = made.planned
    frames = "" if planned.kind == "picture" else f", {planned.frames or 'unknown'} frames"
    devices = "GPU" if "gpu" in made.devices.values() else "CPU"
    sizes = f"{planned.source_size} → {planned.output_size}{frames}"
    return [f"{sizes}; measured on this machine's {devices} in {duration(seconds)}"]


def _basis(made: Preview) -> str:
    if made.planned.kind == "picture":
        return "Times are those of this picture, without loading the network."
    return (
        f"Times are the fastest of the frames shown; encoding by {made.variants[0].settings.encoder.name} takes "
        f"{_short(made.encode_s)} a frame more. Where frames do not change, an episode takes less."
    )


def _short(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _long(seconds: float) -> str:
    return _short(seconds) if seconds < 60 else duration(seconds)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 4)
