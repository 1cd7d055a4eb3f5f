"""`kakudai upscale`: enlarge files here and now, by the same engine as the service, without its ledger."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import errno
import fcntl
import json
import os
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daemon.bar import bar
from daemon.names import sources_below
from daemon.place import make_folder, part_path, read_back, remove, rename_without_replacing
from daemon.report import assemble, beside, delivered, folder_facts, notes_of, source_facts, write_report
from daemon.text import duration, printable
from daemon.upscale_arguments import add_arguments, settings_from
from engine.errors import KakudaiError, MissingInputError, NothingToDo, OutputError, UsageError
from engine.files import flush_folder, storage_error, storing
from engine.job import Report, enlarge
from engine.plan import Plan, plan
from engine.sequence import enlarge_sequence, plan_sequence
from engine.settings import EPISODE_EXTENSIONS, PICTURE_EXTENSIONS, Container, Settings
from engine.source import Source, open_source

__all__ = ["add_arguments", "run"]


def run(arguments: argparse.Namespace) -> int:
    """Enlarge every file; returns 0, or the exit code of the first failure (the other files are still done)."""
    settings = settings_from(arguments)
    jobs = list(_jobs(arguments.files, arguments.output, sequence=arguments.sequence))
    exit_code = 0
    for job in jobs:
        try:
            result = _enlarge(job, _for_output(job, settings), arguments)
        except NothingToDo as nothing:
            _tell(arguments, {"file": printable(job.path), "state": "skipped", "reason": nothing.reason})
        except KakudaiError as error:
            if arguments.verbose:
                traceback.print_exc()
            exit_code = exit_code or error.exit_code
            _tell(
                arguments,
                {
                    "file": printable(job.path),
                    "state": "failed",
                    "reason": error.reason,
                    "remedy": error.remedy,
                    "exit_code": error.exit_code,
                },
            )
        else:
            _tell(arguments, result)
    return exit_code


@dataclass(frozen=True)
class _Job:
    """One source; its result goes to exactly `output`, or under a name of its own into `folder`."""

    path: Path
    folder: Path
    output: Path | None
    is_sequence: bool


def _jobs(files: list[Path], out: Path, *, sequence: bool) -> Iterator[_Job]:
    """Every job, in the order given; folders are walked, mirrored and sorted."""
    to_file = len(files) == 1 and out.suffix != "" and not out.is_dir() and not files[0].is_dir()
    for path in files:
        if to_file:
            yield _Job(path, out.parent, out, is_sequence=False)
        elif sequence or not path.is_dir():
            yield _Job(path, out, None, sequence)
        else:
            found = list(sources_below(path, leave_out=out.absolute()))
            if not found:
                raise MissingInputError("no pictures or episodes in this folder", remedy="check the folder", path=path)
            for source in found:
                yield _Job(source, out / source.parent.relative_to(path), None, is_sequence=False)


def _for_output(job: _Job, settings: Settings) -> Settings:
    """An output named by the user decides the format by its extension."""
    if job.output is None or job.is_sequence:
        return settings
    suffix = job.output.suffix.lower()
    if job.path.suffix.lower() in PICTURE_EXTENSIONS:
        if suffix not in PICTURE_EXTENSIONS:
            raise UsageError(
                f"a picture cannot be written as {suffix}",
                remedy=f"choose one of {', '.join(PICTURE_EXTENSIONS)}",
                path=job.output,
            )
        return dataclasses.replace(settings, image_format=PICTURE_EXTENSIONS[suffix])
    containers = {".mkv": Container.MKV, ".mp4": Container.MP4, ".m4v": Container.MP4}
    if job.path.suffix.lower() in EPISODE_EXTENSIONS and suffix not in containers:
        raise UsageError(
            f"an episode cannot be written as {suffix}", remedy="choose .mkv or .mp4, or a folder", path=job.output
        )
    return dataclasses.replace(settings, container=containers.get(suffix, settings.container))


def _enlarge(job: _Job, settings: Settings, arguments: argparse.Namespace) -> dict[str, object]:
    if job.is_sequence:
        planned = plan_sequence(job.path, settings)
        return _produce(job, None, planned, settings, arguments)
    with open_source(job.path) as source:
        planned = plan(source, settings)
        return _produce(job, source, planned, settings, arguments)


def _produce(
    job: _Job, source: Source | None, planned: Plan, settings: Settings, arguments: argparse.Namespace
) -> dict[str, object]:
    """Make the part, then give it its name. The work folder stays after a failure, so that a second try goes on."""
    output = job.output if job.output is not None else job.folder / planned.output_name
    if os.path.lexists(output) and not arguments.force:
        raise OutputError("exists already", remedy="add --force to replace it, or choose another -o", path=output)
    make_folder(output.parent)
    part = part_path(output.parent, output.name, str(os.getpid()))
    work_dir = output.parent / f".{output.name[:200]}.work"
    with _alone(work_dir, output):
        try:
            with bar(printable(job.path.name), quiet=arguments.json) as progress:
                if source is None:
                    report = enlarge_sequence(
                        job.path, part, settings, planned=planned, work_dir=work_dir, progress=progress
                    )
                else:
                    report = enlarge(source, part, settings, planned=planned, work_dir=work_dir, progress=progress)
            if job.output is None:
                output = job.folder / report.output_name
            facts = _facts(job, source) if arguments.report else {}
            content = read_back(part) if arguments.report else None
            _put(part, output, force=arguments.force)
            if content is not None:
                assembled = assemble(report, source=facts, settings=settings, content=content)
                write_report(delivered(assembled, output), beside(output))
        finally:
            remove(part)
            with contextlib.suppress(OSError):  # kept when segments are in it
                work_dir.rmdir()
        remove(work_dir)
    return _result(job, output, report)


@contextlib.contextmanager
def _alone(work_dir: Path, output: Path) -> Iterator[None]:
    """Make the work folder and hold it. Raises `OutputError` where another command makes the same output."""
    with storing(work_dir):
        work_dir.mkdir(exist_ok=True)
        held = os.open(work_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OutputError(
                "is being made by another kakudai", remedy="wait for its end, or choose another -o", path=output
            ) from error
        except OSError as error:  # a file system without locks
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
                raise storage_error(error, work_dir) from error
        yield
    finally:
        os.close(held)


def _facts(job: _Job, source: Source | None) -> dict[str, Any]:
    return source_facts(source) if source is not None else folder_facts(job.path)


def _put(part: Path, output: Path, *, force: bool) -> None:
    with storing(output):
        if force and not part.is_dir():
            part.replace(output)
        else:
            if force:
                remove(output)
            try:
                rename_without_replacing(part, output)
            except FileExistsError as error:
                raise OutputError(
                    "appeared while the file was being enlarged", remedy="move it away or add --force", path=output
                ) from error
        flush_folder(output.parent)


def _result(job: _Job, output: Path, report: Report) -> dict[str, object]:
    return {
        "file": printable(job.path),
        "state": "done",
        "output": printable(output),
        "kind": report.kind,
        "frames": report.frames,
        "source_size": str(report.source_size),
        "output_size": str(report.output_size),
        "seconds": round(report.seconds, 3),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "details": report.details,
    }


def _stages(details: Any) -> str:
    """How busy each stage was, one a line; nothing for what has no stages (pictures)."""
    lines = []
    for stage, share in details.get("stages", {}).items():
        seconds = details["stage_seconds"][stage]
        mark = "  ← holds the job back" if stage == details["bottleneck"] else ""
        lines.append(f"  {stage:<12}{share:>4.0%} busy, {seconds:.1f} s{mark}\n")
    if details.get("reused_share") is not None:
        lines.append(f"  {details['reused_share']:.0%} of the pixels were reused\n")
    return "".join(lines)


def _tell(arguments: argparse.Namespace, result: dict[str, object]) -> None:
    if arguments.json:
        sys.stdout.write(json.dumps(result) + "\n")
    elif result["state"] == "done":
        frames = f", {result['frames']} frames" if result["kind"] != "picture" else ""
        seconds = float(str(result["seconds"]))
        sys.stdout.write(
            f"{result['file']} → {result['output']} ({result['output_size']}{frames}, {duration(seconds)})\n"
        )
        for note in notes_of(result):
            sys.stdout.write(f"  note: {printable(note)}\n")
        if arguments.stages:
            sys.stdout.write(_stages(result["details"]))
    elif result["state"] == "skipped":
        sys.stdout.write(f"{result['file']}: skipped: {result['reason']}\n")
    else:
        sys.stderr.write(f"{result['file']}: {result['reason']}\n  remedy: {result['remedy']}\n")
    sys.stdout.flush()
