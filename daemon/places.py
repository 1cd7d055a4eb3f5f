"""The folders that a configuration names, made ready before a service watches them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

from daemon.config_model import Config, Folder
from daemon.knocks import Knocks
from daemon.ledger import Ledger
from daemon.mounts import network_kind
from daemon.place import is_reachable, make_folder, refuse_unsafe
from daemon.text import printable
from engine.errors import ConfigError, OutputError

log = logging.getLogger(__name__)

SILENT_REMEDY = "bring its server back"
"""Of a folder that does not answer."""


def silent_folders(config: Config, knocks: Knocks) -> dict[Path, str]:
    """Watched folders (their inputs) that are not to be touched, and why: a place of theirs does not answer."""
    places = {folder.input: _places_of(folder, config) for folder in config.folders}
    silent = knocks.silent(place for several in places.values() for place in several)
    return {
        folder: "does not answer" if place == folder else f"{printable(place)} does not answer"
        for folder, several in places.items()
        if (place := next(filter(silent.__contains__, several), None)) is not None
    }


def _places_of(folder: Folder, config: Config) -> list[Path]:
    moved_to = [] if folder.moved_to is None else [folder.moved_to]
    return [folder.input, folder.output, *moved_to, config.work_dir]


def prepare_folders(config: Config, ledger: Ledger, *, silent: Mapping[Path, str]) -> None:
    """Make folders that were never there; one that was, and is not, is a lost mount, and is waited for.

    What is `silent` (as `silent_folders` has it) is left as it is. Raises `ConfigError` where results could overwrite
    each other, `EnvironmentFault` where a folder cannot be made.
    """
    answering = [(number, folder) for number, folder in enumerate(config.folders) if folder.input not in silent]
    for _, folder in answering:
        for place in (folder.input, folder.output):
            if not is_reachable(place):
                if ledger.place_seen(place):
                    log.warning("%s: is not there; is a mount lost?", printable(place))
                    continue
                make_folder(place)
                log.info("%s: made", printable(place))
            ledger.see_place(place)
        if advice := polling_advice(folder):
            log.warning("%s: %s", printable(folder.input), advice)
    _refuse_unsafe_places(answering, config.path)


def polling_advice(folder: Folder) -> str | None:
    """What to do where an input lies on a network mount, but is watched as if it did not; None where all is well."""
    try:
        kind = None if folder.polling else network_kind(folder.input.stat().st_dev)
    except OSError:
        return None
    if kind is None:
        return None
    return f"is a network mount ({kind}), which tells nothing of what other machines write there: set polling: true"


def _refuse_unsafe_places(folders: Iterable[tuple[int, Folder]], path: Path) -> None:
    """Raise `ConfigError` for every folder where results could overwrite each other; with their places in the file."""
    problems = []
    for number, folder in folders:
        for key, place in (("output", folder.output), ("moved_to", folder.moved_to)):
            if place is not None and is_reachable(place):
                try:
                    refuse_unsafe(place)
                except OutputError as error:
                    problems.append(f"folders[{number}].{key}: {error}; {error.remedy}")
    if problems:
        raise ConfigError(problems, path=path)


def refuse_reload(old: Config, new: Config) -> None:
    """Raise `ConfigError` for what a running service cannot change."""
    if not new.folders:
        raise ConfigError(["folders: none is given, so there is nothing to watch"], path=new.path)
    for name in ("state_dir", "work_dir"):
        if getattr(old, name) != getattr(new, name):
            raise ConfigError([f"{name}: is another; that needs a restart"], path=new.path)
