"""`kakudai verify`: hold a delivered output, and its source, against the report that was written with it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

from daemon.bar import bar
from daemon.config import default_config_path, load_config
from daemon.config_model import Config
from daemon.place import read_back
from daemon.report import find_report, folder_facts, read_report, source_facts
from daemon.text import printable
from engine.errors import InputError, KakudaiError, MissingInputError
from engine.progress import ProgressEvent
from engine.report import differences, episode_facts
from engine.settings import PICTURE_EXTENSIONS, Limits
from engine.source import open_source

DESCRIPTION = """\
Check a delivered output against the report that was written with it: hashes, number of frames, the time of every frame,
and the content of every stream. With SOURCE, also that this is the file it was made of. Exit code 65 when anything
differs."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Everything that `kakudai verify` understands."""
    parser.add_argument("output", type=Path, metavar="OUT", help="what was delivered: a file, or a folder of frames")
    parser.add_argument("source", type=Path, metavar="SOURCE", nargs="?", help="what it was made of")
    parser.add_argument(
        "--report", type=Path, metavar="FILE", help="its report (default: beside it, or as --config says)"
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="the service's configuration, which knows the reports"
    )
    parser.add_argument("--json", action="store_true", help="the result as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Returns 0 when everything is as delivered, else 65 (EX_DATAERR)."""
    if not arguments.output.exists():
        raise MissingInputError("no such file", remedy="check the path", path=arguments.output)
    path = arguments.report or find_report(arguments.output, _config(arguments.config))
    report = read_report(path)
    try:
        with _Reading(arguments) as reading:
            problems = list(_output_problems(report, arguments.output, reading))
            if arguments.source is not None:
                problems += _source_problems(report, arguments.source, reading)
    except (KeyError, TypeError, AttributeError, ValueError, ZeroDivisionError) as error:
        raise InputError(f"is damaged: {error!r}", remedy="give the report as it was written", path=path) from error
    _tell(arguments, path, report, problems)
    return InputError.exit_code if problems else 0


class _Reading:
    """A bar over the bytes that are still to be read: each file once for its hash, an episode twice for its streams."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._files = [path for path in (arguments.output, arguments.source) if path is not None and path.is_file()]
        self._total = 3 * sum(path.stat().st_size for path in self._files)
        self._bar = bar("verify", quiet=arguments.json)
        self._done = 0

    def __enter__(self) -> Self:
        self._progress = self._bar.__enter__()
        return self

    def __exit__(self, *ending: Any) -> None:
        self._bar.__exit__(*ending)

    def hashed(self, count: int) -> None:
        """So many bytes of a file were read for its hash."""
        self._done += count
        self._tell("hashes")

    def compared(self, path: Path) -> None:
        """The streams of a file were looked at."""
        self._done += 2 * path.stat().st_size
        self._tell("streams")

    def _tell(self, stage: str) -> None:
        self._progress(ProgressEvent(stage, self._done >> 20, max(self._total, self._done) >> 20, "MiB"))


def _config(given: Path | None) -> Config | None:
    if given is not None:
        return load_config(given)
    with suppress(KakudaiError):
        return load_config(default_config_path())
    return None


def _output_problems(report: Mapping[str, Any], output: Path, reading: _Reading) -> Iterator[str]:
    recorded = report["output"]
    content = read_back(output, read=reading.hashed)
    for name, found in (("size", content.size), ("sha256", content.sha256), ("crc32", content.crc32)):
        if recorded[name] != found:
            yield f"output {name}: {found}, not {recorded[name]}"
    if output.is_dir():
        pictures = sum(path.suffix.lower() in PICTURE_EXTENSIONS for path in output.iterdir())
        if pictures != report["frames"]:
            yield f"output: {pictures} pictures, not {report['frames']}"
    after = report["details"].get("streams", {}).get("after")
    if after is None:
        return
    try:
        with open_source(output) as file:
            found_facts = episode_facts(file, limits=Limits(), video_stream=after["video_stream"])
    except KakudaiError as error:
        yield f"output: {error.reason}"
        return
    reading.compared(output)
    yield from differences(after, found_facts)


def _source_problems(report: Mapping[str, Any], source: Path, reading: _Reading) -> Iterator[str]:
    """Whether it is the same file; of an episode that is not, whether it has the same frames and streams."""
    recorded = report["source"]
    if source.is_dir():
        if (found := folder_facts(source)["sha256"]) != recorded["sha256"]:
            yield f"source sha256: {found}, not {recorded['sha256']}"
        return
    with open_source(source) as file:
        facts = source_facts(file, read=reading.hashed)
        unequal = [name for name in ("size", "sha256", "crc32") if facts[name] != recorded[name]]
        yield from (f"source {name}: {facts[name]}, not {recorded[name]}" for name in unequal)
        streams = report["details"].get("streams")
        if streams is None:
            return
        try:
            found_facts = episode_facts(file, limits=Limits(), video_stream=streams["before"]["video_stream"])
        except KakudaiError as error:
            yield f"source: {error.reason}"
            return
        reading.compared(source)
    if unequal:
        yield from (f"source, {line}" for line in differences(streams["before"], found_facts))
    if report["details"].get("damage"):
        return  # what of it could be decoded, only the job knew
    dropped = int(report["details"].get("leading_pictures_dropped", 0))
    if found_facts["frames"] - dropped != report["frames"]:
        yield f"source: {found_facts['frames']} frames ({dropped} not shown), {report['frames']} were delivered"
    if streams["after"] is not None:
        last = [Fraction(facts["time_base"]) * facts["last_pts"] for facts in (found_facts, streams["after"])]
        if abs(last[0] - last[1]) > Fraction(1, 1_000_000):
            yield f"source: its last frame is shown at {float(last[0]):.6f} s, not {float(last[1]):.6f} s"


def _tell(arguments: argparse.Namespace, path: Path, report: Mapping[str, Any], problems: list[str]) -> None:
    output = printable(arguments.output)
    if arguments.json:
        result = {"output": output, "report": printable(path), "as_delivered": not problems, "differences": problems}
        sys.stdout.write(json.dumps(result, indent=2) + "\n")
        return
    if problems:
        sys.stdout.write(f"{output}: is not as it was delivered\n")
        sys.stdout.writelines(f"  {printable(line)}\n" for line in problems)
        sys.stdout.write(f"  → enlarge it again, or compare with {printable(path)}\n")
        return
    told = [f"SHA-256 {report['output']['sha256'][:16]}…"]
    if streams := report["details"].get("streams"):
        told += [f"{report['frames']} frames at their times"]
        told += [f"all its streams ({len(streams['after']['streams'])})"] if streams["after"] else []
    told += ["the source is the one it was made of"] if arguments.source is not None else []
    sys.stdout.write(f"{output}: as delivered ({', '.join(told)})\n")
