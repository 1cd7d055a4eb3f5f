"""The folders that a configuration names, made ready before a service watches them."""

from __future__ import annotations

import logging

from daemon.config_model import Config, Folder
from daemon.ledger import Ledger
from daemon.mounts import network_kind
from daemon.place import is_reachable, make_folder, refuse_unsafe
from daemon.text import printable
from engine.errors import ConfigError, OutputError

log = logging.getLogger(__name__)


def prepare_folders(config: Config, ledger: Ledger) -> None:
    """Make folders that were never there; one that was, and is not, is a lost mount, and is waited for.

    Raises `ConfigError` where results could overwrite each other, `EnvironmentFault` where a folder cannot be made.
    """
    for folder in config.folders:
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
    _refuse_unsafe_places(config)


def polling_advice(folder: Folder) -> str | None:
    """What to do where an input lies on a network mount, but is watched as if it did not; None where all is well."""
    try:
        kind = None if folder.polling else network_kind(folder.input.stat().st_dev)
    except OSError:
        return None
    if kind is None:
        return None
    return f"is a network mount ({kind}), which tells nothing of what other machines write there: set polling: true"


def _refuse_unsafe_places(config: Config) -> None:
    """Raise `ConfigError` for every folder where results could overwrite each other."""
    problems = []
    for number, folder in enumerate(config.folders):
        for key, place in (("output", folder.output), ("moved_to", folder.moved_to)):
            if place is not None and is_reachable(place):
                try:
                    refuse_unsafe(place)
                except OutputError as error:
                    problems.append(f"folders[{number}].{key}: {error}; {error.remedy}")
    if problems:
        raise ConfigError(problems, path=config.path)


def refuse_reload(old: Config, new: Config) -> None:
    """Raise `ConfigError` for what a running service cannot change."""
    if not new.folders:
        raise ConfigError(["folders: none is given, so there is nothing to watch"], path=new.path)
    for name in ("state_dir", "work_dir"):
        if getattr(old, name) != getattr(new, name):
            raise ConfigError([f"{name}: is another; that needs a restart"], path=new.path)
