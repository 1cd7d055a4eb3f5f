"""`kakudai plan`: what would be done with files, how long it would take, what disk it needs, what would be refused."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from daemon.asking import rates_of
from daemon.bar import above_bars, bar
from daemon.config import default_config_path, load_config
from daemon.config_model import Config, Folder
from daemon.folder_files import FolderFiles, Hold
from daemon.names import sources_below
from daemon.rates import KnownRate
from daemon.space import shortage, size
from daemon.text import duration, printable
from daemon.upscale_arguments import add_settings, settings_from
from engine.completeness import Damage, prove_complete
from engine.errors import ConfigError, EnvironmentFault, KakudaiError, MissingInputError, NothingToDo
from engine.estimate import Rate, Space, expected_seconds, expected_space
from engine.interlace import check_interlacing
from engine.naming import check_checksum
from engine.plan import Plan, plan
from engine.probe import probe_episode
from engine.progress import ProgressEvent
from engine.sequence import frames_in, plan_sequence
from engine.settings import Container, Damaged, Settings
from engine.source import Source, open_source

DESCRIPTION = """\
Tell what `upscale` or the service would do with each file, before anything is spent: the result's name and size, the
time, the disk, and what would be refused. Files are read to their end (a checksum in the name, damage), nothing is
written. Times and sizes come from earlier jobs of the service with the same settings, else from a few frames that are
enlarged here and now. Exit code 75 when a disk has no room for it, else that of the first refusal."""

_NOTHING = Space(0, 0)
_Rates = dict[tuple[str, str], KnownRate]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Everything that `kakudai plan` understands."""
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help="picture, episode or folder")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="OUT", help="the folder for the results (for its free space)"
    )
    parser.add_argument("--sequence", action="store_true", help="each folder given holds numbered frames: one job")
    parser.add_argument("--quick", action="store_true", help="measure nothing: times from earlier jobs alone")
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="the service's configuration: a watched file gets its folder's profile",
    )
    parser.add_argument("--profile", metavar="NAME", help="profile to start from (default: the folder's, else default)")
    parser.add_argument("--json", action="store_true", help="the plan as JSON")
    add_settings(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the plan of every file, then of all together."""
    config = load_config(arguments.config) if arguments.config is not None else None
    planner = _Planner(arguments, config, _known_rates(config))
    entries = []
    files = list(_files(arguments))
    with bar("plan", quiet=arguments.json) as progress:
        for number, path in enumerate(files):
            progress(ProgressEvent(printable(path.name), number, len(files), "files"))
            entry = planner.look_at(path)
            entries.append(entry)
            if not arguments.json:
                above_bars(_page(entry))
    total, short = _together(entries)
    if arguments.json:
        sys.stdout.write(json.dumps({"files": [_plain(entry) for entry in entries], "total": total}, indent=2) + "\n")
    else:
        sys.stdout.write(_last_line(total))
    refused = next((entry.exit_code for entry in entries if entry.exit_code), 0)
    return refused or (EnvironmentFault.exit_code if short else 0)


@dataclasses.dataclass(frozen=True)
class _Entry:
    """One file. `state`: planned, skipped or refused."""

    file: str
    state: str
    exit_code: int = 0
    reason: str | None = None
    remedy: str | None = None
    planned: Plan | None = None
    settings: Settings | None = None
    space: Space = _NOTHING
    seconds: float | None = None
    frames_per_second: float | None = None
    basis: str = "nothing was measured"
    """What the time rests on."""
    output_dir: Path = Path()
    work_dir: Path = Path()


class _Planner:
    """Looks at files; what is measured for one holds for the next with the same settings."""

    def __init__(self, arguments: argparse.Namespace, config: Config | None, rates: _Rates) -> None:
        self._arguments = arguments
        self._config = config
        self._rates = rates
        self._measured: dict[tuple[str, str], tuple[Rate, str]] = {}
        self._given = settings_from(arguments)
        self._folder_files = FolderFiles()

    def look_at(self, path: Path) -> _Entry:
        """Raises nothing of a file's own: that is its entry."""
        name = printable(path)
        try:
            return self._entry(path)
        except NothingToDo as nothing:
            return _Entry(name, "skipped", reason=nothing.reason)
        except KakudaiError as error:
            if self._arguments.verbose:
                traceback.print_exc()
            return _Entry(name, "refused", error.exit_code, error.reason, error.remedy)

    def _entry(self, path: Path) -> _Entry:
        folder = self._folder_of(path)
        is_sequence = self._arguments.sequence or path.is_dir()
        settings = self._given
        if folder is not None and self._arguments.profile is None:
            settings = self._steered(folder, path, is_sequence=is_sequence)
        if is_sequence:
            planned = plan_sequence(path, settings)
            with open_source(frames_in(path)[0]) as source:
                rate, basis = self._rate(source, planned, settings)
        else:
            with open_source(path) as source:
                planned = _proven_plan(source, settings)
                rate, basis = self._rate(source, planned, settings)
        weight = rate.bytes_per_pixel if rate is not None else None
        seconds = expected_seconds(planned, rate) if rate is not None else None
        output_dir = folder.output if folder is not None else self._arguments.output or path.absolute().parent
        return _Entry(
            printable(path),
            "planned",
            planned=planned,
            settings=settings,
            space=expected_space(planned, settings, bytes_per_pixel=weight),
            seconds=seconds,
            frames_per_second=rate.pixels_per_second / planned.output_size.pixels if rate is not None else None,
            basis=basis,
            output_dir=output_dir,
            work_dir=self._config.work_dir if folder is not None and self._config is not None else output_dir,
        )

    def _steered(self, folder: Folder, path: Path, *, is_sequence: bool) -> Settings:
        """The folder's, with what `.kakudai.yaml` files change. Raises `ConfigError` where one has a mistake."""
        found = self._folder_files.override(folder, path.resolve(), "sequence" if is_sequence else "file")
        if isinstance(found, Hold):
            raise ConfigError([found.reason], path=found.place)
        return found.settings

    def _folder_of(self, path: Path) -> Folder | None:
        """The watched folder that `path` lies in."""
        folders = self._config.folders if self._config is not None else ()
        return next((folder for folder in folders if path.resolve().is_relative_to(folder.input)), None)

    def _rate(self, source: Source, planned: Plan, settings: Settings) -> tuple[Rate | None, str]:
        """What such a job takes, and how that is known."""
        key = (settings.fingerprint(), planned.kind)
        if known := self._rates.get(key):
            return known.rate, f"as measured on {known.jobs} earlier job{'s' if known.jobs != 1 else ''}"
        if self._arguments.quick:
            return None, "no such job was measured yet"
        if key not in self._measured:
            from engine.calibrate import calibrate

            found = calibrate(source, planned, settings)
            what = "a part of the picture" if planned.kind != "episode" else f"{found.frames} frames"
            share = f"; {found.denoise_share:.0%} of it is denoising" if found.denoise_share >= 0.01 else ""
            self._measured[key] = found.rate, f"measured now on {what}, device {found.device}{share}"
        return self._measured[key]


def _proven_plan(source: Source, settings: Settings) -> Plan:
    """The plan, and every refusal that the job itself would make before it begins."""
    planned = plan(source, settings)
    if planned.kind == "episode":
        check_checksum(source)
        info = probe_episode(source, limits=settings.limits, settings=settings)
        damage = Damage(accept=settings.damaged is Damaged.ACCEPT)
        frames = len(prove_complete(source, info, limits=settings.limits, damage=damage).timestamps)
        check_interlacing(source, info, deinterlace=settings.deinterlace, limits=settings.limits)
        planned = dataclasses.replace(planned, frames=frames)
    return planned


def _files(arguments: argparse.Namespace) -> Iterator[Path]:
    for path in arguments.files:
        if arguments.sequence or not path.is_dir():
            yield path
            continue
        found = list(sources_below(path, leave_out=(arguments.output or path).absolute()))
        if not found:
            raise MissingInputError("no pictures or episodes in this folder", remedy="check the folder", path=path)
        yield from found


def _known_rates(config: Config | None) -> _Rates:
    """Of the service, if one ever worked. Without --config, of the one that `kakudai run` would be."""
    with suppress(KakudaiError):
        return rates_of(config if config is not None else load_config(default_config_path()))
    return {}


def _together(entries: list[_Entry]) -> tuple[dict[str, Any], bool]:
    """All jobs one after the other: outputs add up, work files follow each other."""
    done = [entry for entry in entries if entry.state == "planned"]
    needs: dict[Path, int] = {}
    for entry in done:
        needs[entry.output_dir] = needs.get(entry.output_dir, 0) + entry.space.output_bytes
    for work_dir in {entry.work_dir for entry in done}:
        most = max(entry.space.work_bytes for entry in done if entry.work_dir == work_dir)
        needs[work_dir] = needs.get(work_dir, 0) + most
    short = shortage(needs)
    times = [entry.seconds for entry in done]
    total = {
        "planned": len(done),
        "skipped": sum(entry.state == "skipped" for entry in entries),
        "refused": sum(entry.state == "refused" for entry in entries),
        "seconds": None if None in times else round(sum(time for time in times if time is not None), 1),
        "output_bytes": sum(entry.space.output_bytes for entry in done),
        "work_bytes": max((entry.space.work_bytes for entry in done), default=0),
        "short_of_space": None if short is None else str(short),
    }
    return total, short is not None


def _plain(entry: _Entry) -> dict[str, Any]:
    plain: dict[str, Any] = {"file": entry.file, "state": entry.state, "reason": entry.reason, "remedy": entry.remedy}
    if entry.planned is None or entry.settings is None:
        return {**plain, "exit_code": entry.exit_code}
    planned, settings = entry.planned, entry.settings
    return {
        **plain,
        "kind": planned.kind,
        "output": printable(planned.output_name),
        "source_size": str(planned.source_size),
        "output_size": str(planned.output_size),
        "frames": planned.frames,
        "mode": settings.mode.value,
        "model": settings.model_name,
        "encoder": settings.encoder.name if planned.kind == "episode" else None,
        "container": planned.container.value if planned.container is not None else None,
        "seconds": None if entry.seconds is None else round(entry.seconds, 1),
        "frames_per_second": None if entry.frames_per_second is None else round(entry.frames_per_second, 3),
        "basis": entry.basis,
        "output_bytes": entry.space.output_bytes,
        "work_bytes": entry.space.work_bytes,
        "output_dir": printable(entry.output_dir),
        "work_dir": printable(entry.work_dir),
    }


def _page(entry: _Entry) -> str:
    if entry.planned is None or entry.settings is None:
        cure = f"  → {entry.remedy}\n" if entry.remedy else ""
        return f"{entry.file}: {entry.state}: {entry.reason}\n{cure}"
    planned, settings = entry.planned, entry.settings
    frames = f", {planned.frames} frames" if planned.kind != "picture" and planned.frames is not None else ""
    encoder = ""
    if planned.kind == "episode":
        encoder = ", PNG frames" if planned.container is Container.PNG else f", {settings.encoder.name}"
    sizes = f"{planned.source_size} → {planned.output_size}"
    lines = [
        f"{entry.file} → {printable(planned.output_name)}",
        f"  what   {sizes}{frames}, {settings.mode.value} by {settings.model_name}{encoder}",
    ]
    if entry.seconds is not None and entry.frames_per_second is not None:
        rate = entry.frames_per_second
        told = f"{rate:.3g}" if rate < 1000 else f"{rate:,.0f}"
        speed = f"{told} frames/s, " if planned.kind != "picture" else ""
        lines.append(f"  time   about {_time(entry.seconds)} ({speed}{entry.basis})")
    else:
        lines.append(f"  time   unknown: {entry.basis}")
    lines.append(f"  size   about {size(entry.space.output_bytes)} in {printable(entry.output_dir)}")
    if entry.space.work_bytes:
        lines.append(
            f"  work   up to about {size(entry.space.work_bytes)} in {printable(entry.work_dir)}, until delivered"
        )
    return "\n".join(lines) + "\n"


def _time(seconds: float) -> str:
    return duration(seconds) if seconds >= 1 else "a second"


def _last_line(total: Mapping[str, Any]) -> str:
    told = [f"{total[state]} {state}" for state in ("planned", "skipped", "refused") if total[state]]
    if total["planned"]:
        told.append("time unknown" if total["seconds"] is None else f"about {_time(total['seconds'])}")
        told.append(f"at most about {size(total['output_bytes'] + total['work_bytes'])} of disk at once")
    line = f"\nTogether: {', '.join(told)}.\n"
    if total["short_of_space"]:
        line += f"Not enough room: {printable(total['short_of_space'])}; the service would wait.\n"
    return line
