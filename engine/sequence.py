"""A folder of numbered frames as one job: every frame a still picture, all of one size, none missing."""

from __future__ import annotations

import re
import time
from fractions import Fraction
from pathlib import Path

from engine import image
from engine.errors import InputError, MissingInputError
from engine.files import flush_folder, storing
from engine.job import Report
from engine.models import load_model
from engine.naming import output_name
from engine.picture import enlarge_file, output_extension, output_format
from engine.plan import Plan
from engine.progress import Progress, ProgressEvent
from engine.settings import PICTURE_EXTENSIONS, Settings
from engine.sizing import output_size
from engine.source import open_source

_NUMBERED = re.compile(r"(?P<prefix>.*?)(?P<number>\d+)")


def frames_in(folder: Path) -> list[Path]:
    """The numbered pictures of `folder` in order of their numbers.

    Raises `MissingInputError` when there is none, `InputError` when a number is missing or stands twice, or when
    pictures of two series are mixed: a copy may be incomplete.
    """
    numbers: dict[int, Path] = {}
    prefixes = set()
    for path in _entries(folder):
        match = _NUMBERED.fullmatch(path.stem)
        if path.name.startswith(".") or path.suffix.lower() not in PICTURE_EXTENSIONS or match is None:
            continue
        number = int(match["number"])
        if number in numbers:
            raise InputError(f"frame {number} is there twice", remedy="keep one series in a folder", path=folder)
        numbers[number] = path
        prefixes.add(match["prefix"])
    if not numbers:
        raise MissingInputError("no numbered pictures in this folder", remedy="name them 0001.png, …", path=folder)
    if len(prefixes) > 1:
        listed = ", ".join(f"{prefix!r}" for prefix in sorted(prefixes)[:3])
        raise InputError(f"several series are mixed ({listed})", remedy="keep one series in a folder", path=folder)
    in_order = sorted(numbers)
    missing = in_order[-1] - in_order[0] + 1 - len(in_order)
    if missing:
        first = next(number + 1 for number in in_order if number + 1 not in numbers)
        raise InputError(f"frame {first} is missing ({missing} in all)", remedy="copy the folder again", path=folder)
    return [numbers[number] for number in in_order]


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except FileNotFoundError as error:
        raise MissingInputError("no such folder", remedy="check the path", path=folder) from error
    except NotADirectoryError as error:
        raise InputError("is no folder of frames", remedy="give the folder that holds them", path=folder) from error


def plan_sequence(folder: Path, settings: Settings) -> Plan:
    """Look at the first frame of `folder` and decide what comes out. Raises as `frames_in` and `job.plan`."""
    frames = frames_in(folder)
    with open_source(frames[0]) as source:
        header = image.read_header(source, limits=settings.limits)
    size = output_size(header.size, settings)
    name = output_name(folder.name, "", output=size, source=header.size, settings=settings, of_episode=False)
    return Plan("sequence", header.size, size, name, output_is_folder=True, frames=len(frames))


def enlarge_sequence(
    folder: Path, part: Path, settings: Settings, *, planned: Plan, work_dir: Path, progress: Progress
) -> Report:
    """Enlarge every frame of `folder` into the new folder `part`, names kept. `work_dir` is not needed yet."""
    del work_dir
    started = time.monotonic()
    frames = frames_in(folder)
    model = load_model(settings, Fraction(planned.output_size.height, planned.source_size.height))
    with storing(part):
        part.mkdir()
    for done, path in enumerate(frames):
        progress(ProgressEvent("enlarge", done, len(frames), "frames"))
        with open_source(path) as source:
            header = image.read_header(source, limits=settings.limits)
            if header.size != planned.source_size:
                raise InputError(
                    f"is {header.size}, the first frame is {planned.source_size}",
                    remedy="keep one series in a folder",
                    path=path,
                )
            extension = output_extension(path, output_format(header.format, settings))
            enlarge_file(source, part / f"{path.stem}{extension}", planned.output_size, settings, model)
    with storing(part):
        flush_folder(part)
    progress(ProgressEvent("enlarge", len(frames), len(frames), "frames"))
    return Report(
        "sequence",
        len(frames),
        planned.source_size,
        planned.output_size,
        time.monotonic() - started,
        model.told(),
        planned.output_name,
    )
