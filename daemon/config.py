"""config.yaml → `daemon.config_model`. Every problem at once, each with its path (exit code 78)."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from daemon.cluster.settings import Cluster
from daemon.config_model import (
    POLLING_SETTLE_S,
    Config,
    Folder,
    Notify,
    Original,
    Retention,
    Retry,
    Web,
    WorkerLimits,
)
from daemon.config_reader import LARGEST_FILE, Section, load_yaml
from daemon.config_schema import FOLDER, PROFILE, SECTIONS, TOP, Key, parse_addresses
from engine.errors import ConfigError, MissingInputError
from engine.parse_settings import CHECKS, SettingError, did_you_mean, size_over
from engine.settings import Limits, Settings

SYSTEM_CONFIG = Path("/etc/kakudai/config.yaml")
LOCAL_CONFIG = Path("config.yaml")

_Fixed = TypeVar("_Fixed", Limits, Retention, Retry, Web, Notify, WorkerLimits, Cluster)


def default_config_path() -> Path:
    """/etc/kakudai/config.yaml, else ./config.yaml. Raises `MissingInputError` when neither is there."""
    for candidate in (SYSTEM_CONFIG, LOCAL_CONFIG):
        if candidate.is_file():
            return candidate
    raise MissingInputError(
        f"no configuration: neither {SYSTEM_CONFIG} nor ./{LOCAL_CONFIG} is there",
        remedy="write one (kakudai init), or give --config FILE",
    )


def default_state_dir() -> Path:
    """Where systemd says (StateDirectory=), else the user's own state folder."""
    given = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    if given:
        return Path(given)
    base = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(base).expanduser() / "kakudai"


def load_config(path: Path) -> Config:
    """Read `path`. Raises `MissingInputError` (not there or not readable), `ConfigError` (all problems)."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise MissingInputError(
            f"the configuration cannot be read: {error.strerror}", remedy="check --config", path=path
        ) from error
    problems: list[str] = []
    if len(data) > LARGEST_FILE:
        raise ConfigError([f"the file is larger than {LARGEST_FILE:,} bytes: surely no configuration"], path=path)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise ConfigError([f"not UTF-8: {error.reason} at byte {error.start}"], path=path) from error
    config = parse_config(text, path=path, problems=problems)
    if problems:
        raise ConfigError(problems, path=path)
    return config


def parse_config(text: str, *, path: Path, problems: list[str]) -> Config:
    """The configuration in `text`; what is wrong goes to `problems`, and a default stands in."""
    base = path.absolute().parent
    known = (*_names(TOP), *SECTIONS, "profiles", "folders")
    top = Section(load_yaml(text, problems), path="", base=base, known=known, problems=problems)
    given = take(top, TOP, {"state_dir": default_state_dir(), "work_dir": None} | _defaults(Config))
    limits = _read_fixed(top, "limits", Limits)
    plain = Settings(device=given["device"], limits=limits)
    profiles = {
        name: read_settings(section, plain) for name, section in top.named_sections("profiles", known=_names(PROFILE))
    }
    if not top.has("profiles"):
        profiles["default"] = plain
    sections = list(top.sections("folders", known=_names(FOLDER)))
    config = Config(
        path=path,
        work_base=given.pop("work_dir"),
        **given,
        limits=limits,
        retention=_read_fixed(top, "retention", Retention),
        retry=_read_fixed(top, "retry", Retry),
        web=_read_web(top),
        notify=_read_notify(top),
        worker=_read_fixed(top, "worker", WorkerLimits),
        cluster=_read_fixed(top, "cluster", Cluster) if top.has("cluster") else None,
        profiles=profiles,
        folders=tuple(_read_folder(section, profiles) for section in sections),
    )
    _check_places(config, sections)
    return config


def take(section: Section, keys: tuple[Key, ...], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The values of `keys`; those of `defaults` where they are absent or refused."""
    return {key.name: section.take(key.name, key.parser(section.base), defaults[key.name]) for key in keys}


def read_settings(section: Section, base: Settings) -> Settings:
    """The keys of a profile, over `base`."""
    given = take(section, PROFILE, {**_values(base), "scale": None, "target": None})
    try:
        given["scale"], given["target"] = size_over(
            base, mode=given["mode"], scale=given["scale"], target=given["target"]
        )
    except SettingError as error:
        section.complain("target" if section.has("target") and not section.has("scale") else "scale", str(error))
        given |= {"scale": base.scale, "target": base.target}
    if section.has("model") and not section.has("weights"):
        given["weights"] = None  # another model's
    weights = given["weights"]
    if section.has("weights") and weights is not None and not weights.is_file():
        section.complain("weights", f"no such file: {weights}")
    settings = dataclasses.replace(base, **given)
    for key, check in CHECKS.items():
        try:
            check(settings)
        except SettingError as error:
            section.complain(key, str(error))
    return settings


def _names(keys: tuple[Key, ...]) -> tuple[str, ...]:
    return tuple(key.name for key in keys)


def _values(of: Settings) -> dict[str, Any]:
    return {field.name: getattr(of, field.name) for field in dataclasses.fields(of)}


def _defaults(kind: type[Config | Folder | _Fixed]) -> dict[str, Any]:
    return {field.name: field.default for field in dataclasses.fields(kind) if field.default is not dataclasses.MISSING}


def _read_fixed(top: Section, name: str, kind: type[_Fixed]) -> _Fixed:
    keys = SECTIONS[name]
    return kind(**take(top.section(name, known=_names(keys)), keys, _defaults(kind)))


def _read_web(top: Section) -> Web | None:
    if top.raw("web") is False:
        return None
    web = _read_fixed(top, "web", Web)
    given = top.raw("web")
    for key in ("host", "port"):
        if web.socket is not None and isinstance(given, Mapping) and key in given:
            top.complain(f"web.{key}", "does nothing beside socket; drop one of them")
    return web


def _read_notify(top: Section) -> Notify | None:
    """Keys, or the list of addresses alone."""
    if not top.has("notify"):
        return None
    if isinstance(top.raw("notify"), list):
        return Notify(top.take("notify", parse_addresses, ()))
    notify = _read_fixed(top, "notify", Notify)
    if not notify.urls:
        top.complain("notify.urls", "is missing: whom to tell")
    return notify


def _read_folder(section: Section, profiles: Mapping[str, Settings]) -> Folder:
    for key in ("input", "output"):
        if not section.has(key):
            section.complain(key, "is missing")
    given = take(section, FOLDER, {"input": Path(), "output": Path(), "profile": "default"} | _defaults(Folder))
    if given["polling"] and not section.has("settle_s"):
        given["settle_s"] = POLLING_SETTLE_S
    profile, original, moved_to = given["profile"], given["original"], given["moved_to"]
    if profile not in profiles:
        known = ", ".join(profiles) or "none"
        hint = did_you_mean(profile, profiles) or f"; there are: {known}"
        section.complain("profile", f'no profile named "{profile}"{hint}')
    if original is Original.MOVE and moved_to is None:
        section.complain("moved_to", "is missing: original: move needs to know where to")
    if original is not Original.MOVE and moved_to is not None:
        section.complain("moved_to", f"does nothing with original: {original}; write original: move or drop it")
    return Folder(**given, settings=profiles.get(profile, Settings()))


def _check_places(config: Config, sections: list[Section]) -> None:
    """No result, original or ledger lies where new files are looked for; no two folders share a place."""
    complete = [
        (section, folder)
        for section, folder in zip(sections, config.folders, strict=True)
        if folder.input.is_absolute() and folder.output.is_absolute()
    ]
    for number_, (section, folder) in enumerate(complete):
        if folder.input == folder.output:
            section.complain("output", "is the input folder; results need a folder of their own")
        elif folder.input.is_relative_to(folder.output):
            section.complain("input", f"lies inside the output {folder.output}; give them separate folders")
        for other_section, other in complete:
            if folder.output != other.input and folder.output.is_relative_to(other.input):
                section.complain(
                    "output",
                    f"lies inside the input of {other_section.path} ({other.input}): "
                    "results would be taken for new files; give it a folder of its own",
                )
            elif folder is not other and folder.output == other.input:
                section.complain(
                    "output", f"is the input of {other_section.path}: results would be taken for new files"
                )
            if folder.moved_to is not None and folder.moved_to.is_relative_to(other.input):
                section.complain(
                    "moved_to",
                    f"lies inside the input of {other_section.path}: originals would be taken anew",
                )
        for other_section, other in complete[:number_]:
            if folder.output == other.output:
                section.complain("output", f"is the output of {other_section.path} as well; give each its own")
            if folder.input == other.input:
                section.complain("input", f"is the input of {other_section.path} as well; give each its own")
            elif folder.input.is_relative_to(other.input) or other.input.is_relative_to(folder.input):
                section.complain(
                    "input",
                    f"overlaps the input of {other_section.path} ({other.input}): files would be taken twice",
                )
        if config.work_base is not None and config.work_base.is_relative_to(folder.input):
            section.complain("input", f"holds work_dir ({config.work_base}); give the work files a folder elsewhere")
        if config.state_dir.is_relative_to(folder.input):
            section.complain("input", f"holds state_dir ({config.state_dir}); give the state a folder elsewhere")
        shared = config.cluster.shared if config.cluster is not None else None
        if shared is not None and shared.is_relative_to(folder.input):
            section.complain("input", f"holds cluster.shared ({shared}); share the folder above it, or another")
