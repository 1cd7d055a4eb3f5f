"""The report of a delivered output: what it was made of, how, and what `kakudai verify` holds it against later.

JSON. The process of the job gathers the facts, the service adds where the output went and writes the file durably,
between the rename and the row `delivered`: whatever was delivered has its report.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daemon.config_model import Config, Reports
from daemon.place import Content, make_folder
from daemon.request import settings_to_plain
from engine import __version__
from engine.errors import InputError, MissingInputError
from engine.files import content_hashes, write_durably
from engine.process import tool_version
from engine.settings import Settings
from engine.source import Source, open_source

if TYPE_CHECKING:
    from engine.job import Report  # loads OpenCV, which the service does without

FORMAT = 1
"""Of the report. Fields may be added; a change of meaning raises it."""

_BESIDE = ".kakudai.json"
_LONGEST_NAME = 255 - len("..part")
_LARGEST = 1 << 26
_YEAR_1000, _YEAR_9999 = -30_610_224_000, 253_402_300_799
_LONGEST_FIELD, _LARGEST_NUMBER = 100, 1 << 62
_MOST_NOTES, _LONGEST_NOTE = 100, 1000
_PACKAGES = ("keras", "tensorflow", "tensorflow-cpu", "jax", "numpy", "opencv-python-headless", "pyvips")


def source_facts(source: Source, *, read: Callable[[int], object] = lambda _count: None) -> dict[str, Any]:
    """Path, size, time of change and hashes of a source file; it is read once, and `read` told of its bytes."""
    sha256, crc32 = content_hashes(source.fd, read=read)
    return {
        "path": str(source.path.absolute()),
        "size": source.size,
        "modified": _moment(source.mtime_ns / 1e9),
        "sha256": sha256,
        "crc32": crc32,
    }


def folder_facts(folder: Path) -> dict[str, Any]:
    """The same for a folder of numbered frames: SHA-256 over the names and SHA-256s of the frames."""
    from engine.sequence import frames_in

    digest = hashlib.sha256()
    size = 0
    for frame in frames_in(folder):
        with open_source(frame) as source:
            digest.update(f"{frame.name}\0{source.sha256()}\n".encode("utf-8", "surrogateescape"))
            size += source.size
    return {"path": str(folder.absolute()), "size": size, "sha256": digest.hexdigest(), "crc32": None}


def assemble(report: Report, *, source: Mapping[str, Any], settings: Settings, content: Content) -> dict[str, Any]:
    """Everything but where the output went. `content` is the finished part, read back."""
    plain = settings_to_plain(settings)
    return {
        "format": FORMAT,
        "kind": report.kind,
        "frames": report.frames,
        "source_size": str(report.source_size),
        "output_size": str(report.output_size),
        "seconds": round(report.seconds, 3),
        "source": dict(source),
        "output": {"size": content.size, "sha256": content.sha256, "crc32": content.crc32},
        "settings": {name: value for name, value in plain.items() if name != "limits" and value is not None},
        "versions": versions(tools=("ffmpeg", "mkvmerge") if report.kind == "episode" else ()),
        "details": report.details,
    }


def versions(*, tools: Sequence[str]) -> dict[str, str]:
    """Of everything that has a part in the result, as far as it is installed, and of the programs `tools`."""
    found = {"kakudai": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {**found, **{tool: tool_version(tool) for tool in tools}}


def delivered(assembled: Mapping[str, Any], output: Path, *, job: int | None = None) -> dict[str, Any]:
    """The whole report of an output under its final name."""
    where = {"job": job, "delivered": _moment(time.time())}
    return {**assembled, **where, "output": {"path": str(output.absolute()), **assembled["output"]}}


def believable(report: dict[str, Any]) -> dict[str, Any]:
    """What a job's process says of its work, if all that the service itself makes use of is of its kind.

    Raises ValueError, or what else comes of one that is not.
    """
    details = report["details"]
    texts = [report["source_size"], report["output_size"], report["source"]["sha256"], report["output"]["sha256"]]
    times = [(details.get(name) or {}).values() for name in ("stage_seconds", "seconds")]
    numbers = [report["frames"], report["seconds"], report["output"]["size"], *chain(*times)]
    if not all(isinstance(text, str) and len(text) <= _LONGEST_FIELD for text in texts):
        raise ValueError(texts)
    if not all(isinstance(number, int | float) and 0 <= number < _LARGEST_NUMBER for number in numbers):
        raise ValueError(numbers)
    return report


def notes_of(report: Mapping[str, Any]) -> list[str]:
    """What its owner should know of a delivery, in words: what the source had, and the output has not.

    At most 100, of 1,000 characters each.
    """
    details = report["details"]
    notes = [f"damage accepted: {each}" for each in details.get("damage", ())]
    if dropped := details.get("leading_pictures_dropped", 0):
        notes.append(
            f"{dropped} frames at its start, which lean on others that are not there, are left out as in players"
        )
    notes += [*details.get("warnings", ()), *details.get("differences", ())]
    return [str(note)[:_LONGEST_NOTE] for note in notes[:_MOST_NOTES]]


def write_report(document: Mapping[str, Any], path: Path) -> None:
    """Durably. A report of an earlier output of that name gives way. Raises `EnvironmentFault`, `OutputError`."""
    make_folder(path.parent)
    write_durably(path, (json.dumps(document, indent=1) + "\n").encode("ascii"))


def report_path(config: Config, output: Path, job: int) -> Path | None:
    """Where the report of a job's output goes; None when none is wanted."""
    match config.reports:
        case Reports.OFF:
            return None
        case Reports.BESIDE:
            return beside(output)
        case Reports.FOLDER:
            return _named(config.state_dir / "reports", f"{job} ", output, ".json")


def beside(output: Path) -> Path:
    """The report's place next to the output."""
    return _named(output.parent, "", output, _BESIDE)


def find_report(output: Path, config: Config | None) -> Path:
    """The report of an output: beside it, else the newest of that name in the configuration's folder.

    Raises `MissingInputError`.
    """
    if beside(output).is_file():
        return beside(output)
    folder = None if config is None else config.state_dir / "reports"
    if folder is not None and folder.is_dir():
        wanted = _named(folder, "", output, ".json").name
        found = [path for path in folder.iterdir() if path.name.partition(" ")[2] == wanted]
        if found:
            return max(found, key=lambda path: path.stat().st_mtime_ns)
    looked = f"{beside(output)}" + (f" nor in {folder}" if folder is not None else "")
    raise MissingInputError(
        f"its report is not there: neither {looked}" if folder is not None else f"its report {looked} is not there",
        remedy="give it with --report FILE, or the service's configuration with --config FILE",
        path=output,
    )


def read_report(path: Path) -> dict[str, Any]:
    """Raises `MissingInputError`, `InputError` for what is no report."""
    try:
        with path.open("rb") as file:
            document = json.loads(file.read(_LARGEST))
    except OSError as error:
        raise MissingInputError(
            f"the report cannot be read: {error.strerror}", remedy="check --report", path=path
        ) from error
    except (ValueError, RecursionError) as error:
        raise InputError("is no report of Kakudai", remedy="check --report", path=path) from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise InputError("is no report that this Kakudai knows", remedy="check --report", path=path)
    return document


def _named(folder: Path, before: str, output: Path, after: str) -> Path:
    room = _LONGEST_NAME - len(after) - 20  # for the job's number
    return folder / (before + os.fsdecode(os.fsencode(output.name)[:room]) + after)


def _moment(seconds: float) -> str:
    """As RFC 3339 has it, with a year of four digits: some file systems know more."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(min(max(seconds, _YEAR_1000), _YEAR_9999)))
