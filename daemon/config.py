"""config.yaml → `daemon.config_model`. Every problem at once, each with its path (exit code 78)."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path

from daemon.config_model import Config, Folder, Original, Reports, Retention, Retry, TakenName
from daemon.config_reader import (
    LARGEST_FILE,
    Section,
    flag,
    load_yaml,
    number,
    path_below,
    whole,
    word,
    words,
)
from engine.errors import ConfigError, MissingInputError
from engine.parse_settings import (
    SettingError,
    did_you_mean,
    parse_choice,
    parse_encoder,
    parse_model,
    parse_name,
    parse_size,
    parse_stream_number,
    parse_tag,
)
from engine.settings import (
    DEFAULT_NAME,
    DEFAULT_TAG,
    Container,
    Damaged,
    Deinterlace,
    Denoise,
    Device,
    EncoderSettings,
    ImageFormat,
    Interpolation,
    Limits,
    Mode,
    Reuse,
    Rounding,
    Settings,
    Unfit,
)

SYSTEM_CONFIG = Path("/etc/kakudai/config.yaml")
LOCAL_CONFIG = Path("config.yaml")

_TOP = (
    "state_dir",
    "work_dir",
    "device",
    "rescan_s",
    "check_space",
    "reports",
    "limits",
    "retention",
    "retry",
    "profiles",
    "folders",
)
_PROFILE = (
    "mode",
    "scale",
    "target",
    "model",
    "restore",
    "weights",
    "upsampling",
    "denoise",
    "rounding",
    "reuse",
    "encoder",
    "container",
    "unfit",
    "damaged",
    "deinterlace",
    "video_stream",
    "ass_layout",
    "image_format",
    "name",
    "tag",
)
_FOLDER = (
    "input",
    "output",
    "profile",
    "settle_s",
    "polling",
    "ignore",
    "original",
    "moved_to",
    "taken_name",
    "sequence",
)


def default_config_path() -> Path:
    """/etc/kakudai/config.yaml, else ./config.yaml. Raises `MissingInputError` when neither is there."""
    for candidate in (SYSTEM_CONFIG, LOCAL_CONFIG):
        if candidate.is_file():
            return candidate
    raise MissingInputError(
        f"no configuration: neither {SYSTEM_CONFIG} nor ./{LOCAL_CONFIG} is there",
        remedy="copy the documented config.yaml to one of them, or give --config FILE",
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
    top = Section(load_yaml(text, problems), path="", known=_TOP, problems=problems)
    device = top.take("device", lambda value: parse_choice(value, Device), Device.AUTO)
    limits = _read_limits(Section(top.raw("limits"), path="limits", known=_fields(Limits), problems=problems))
    profiles = {
        name: _read_profile(section, base=base, device=device, limits=limits)
        for name, section in top.named_sections("profiles", known=_PROFILE)
    }
    if not top.has("profiles"):
        profiles["default"] = Settings(device=device, limits=limits)
    sections = list(top.sections("folders", known=_FOLDER))
    folders = [_read_folder(section, base=base, profiles=profiles) for section in sections]
    config = Config(
        path=path,
        state_dir=top.take("state_dir", path_below(base), default_state_dir()),
        device=device,
        rescan_s=top.take("rescan_s", number(0.1, 3600), Config.rescan_s),
        limits=limits,
        retention=_read_retention(
            Section(top.raw("retention"), path="retention", known=_fields(Retention), problems=problems)
        ),
        retry=_read_retry(Section(top.raw("retry"), path="retry", known=_fields(Retry), problems=problems)),
        profiles=profiles,
        folders=tuple(folders),
        reports=top.take("reports", lambda value: parse_choice(value, Reports), Reports.FOLDER),
        check_space=top.take("check_space", flag, True),
        work_base=top.take("work_dir", path_below(base), None),
    )
    _check_places(config, sections)
    return config


def _fields(kind: type[Limits] | type[Retention] | type[Retry]) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind))


def _read_limits(section: Section) -> Limits:
    return Limits(
        max_pixels=section.take("max_pixels", whole(1, 2**31), Limits.max_pixels),
        max_output_pixels=section.take("max_output_pixels", whole(1, 2**33), Limits.max_output_pixels),
        max_work_bytes=section.take("max_work_bytes", whole(1, 2**50), Limits.max_work_bytes),
        silence_s=section.take("silence_s", number(1, 86_400), Limits.silence_s),
    )


def _read_retention(section: Section) -> Retention:
    return Retention(
        work_days=section.take("work_days", number(0, 36_500), Retention.work_days),
        history_days=section.take("history_days", number(0, 36_500), Retention.history_days),
    )


def _read_retry(section: Section) -> Retry:
    return Retry(
        attempts=section.take("attempts", whole(1, 100), Retry.attempts),
        wait_s=section.take("wait_s", number(0, 86_400), Retry.wait_s),
        incomplete_wait_s=section.take("incomplete_wait_s", number(0.1, 86_400), Retry.incomplete_wait_s),
        incomplete_hours=section.take("incomplete_hours", number(0, 8_760), Retry.incomplete_hours),
    )


def _read_profile(section: Section, *, base: Path, device: Device, limits: Limits) -> Settings:
    mode = section.take("mode", lambda value: parse_choice(value, Mode), Mode.ENLARGE)
    scale, target = parse_size(mode=mode)
    try:
        scale, target = parse_size(mode=mode, scale=section.raw("scale"), target=section.raw("target"))
    except SettingError as error:
        section.complain("target" if section.has("target") and not section.has("scale") else "scale", str(error))
    weights = section.take("weights", path_below(base), None)
    if weights is not None and not weights.is_file():
        section.complain("weights", f"no such file: {weights}")
    model = section.take("model", parse_model, Settings.model)
    if weights is not None and model in {entry.value for entry in Interpolation}:
        section.complain("weights", f"model {model} is no network and takes no weights; drop one of them")
    restore = section.take("restore", flag, False)
    if restore and model in {entry.value for entry in Interpolation}:
        section.complain("restore", f"model {model} is no network and restores nothing; drop one of them")
    return Settings(
        mode=mode,
        scale=scale,
        target=target,
        model=model,
        restore=restore,
        weights=weights,
        upsampling=section.take("upsampling", lambda value: parse_choice(value, Interpolation), None),
        denoise=section.take("denoise", lambda value: parse_choice(value, Denoise), None),
        rounding=section.take("rounding", lambda value: parse_choice(value, Rounding), Rounding.NEAREST),
        reuse=section.take("reuse", lambda value: parse_choice(value, Reuse), Reuse.EXACT),
        encoder=section.take("encoder", parse_encoder, EncoderSettings()),
        container=section.take("container", lambda value: parse_choice(value, Container), Container.SAME),
        unfit=section.take("unfit", lambda value: parse_choice(value, Unfit), Unfit.REFUSE),
        damaged=section.take("damaged", lambda value: parse_choice(value, Damaged), Damaged.REFUSE),
        deinterlace=section.take("deinterlace", lambda value: parse_choice(value, Deinterlace), Deinterlace.REFUSE),
        video_stream=section.take("video_stream", parse_stream_number, None),
        ass_layout=section.take("ass_layout", flag, False),
        image_format=section.take("image_format", lambda value: parse_choice(value, ImageFormat), ImageFormat.SAME),
        name=section.take("name", parse_name, DEFAULT_NAME),
        tag=section.take("tag", parse_tag, DEFAULT_TAG),
        device=device,
        limits=limits,
    )


def _read_folder(section: Section, *, base: Path, profiles: Mapping[str, Settings]) -> Folder:
    for key in ("input", "output"):
        if not section.has(key):
            section.complain(key, "is missing")
    profile = section.take("profile", word, "default")
    if profile not in profiles:
        known = ", ".join(profiles) or "none"
        hint = did_you_mean(profile, profiles) or f"; there are: {known}"
        section.complain("profile", f'no profile named "{profile}"{hint}')
    original = section.take("original", lambda value: parse_choice(value, Original), Original.KEEP)
    moved_to = section.take("moved_to", path_below(base), None)
    if original is Original.MOVE and moved_to is None:
        section.complain("moved_to", "is missing: original: move needs to know where to")
    if original is not Original.MOVE and moved_to is not None:
        section.complain("moved_to", f"does nothing with original: {original}; write original: move or drop it")
    polling = section.take("polling", flag, False)
    return Folder(
        input=section.take("input", path_below(base), Path()),
        output=section.take("output", path_below(base), Path()),
        profile=profile,
        settings=profiles.get(profile, Settings()),
        settle_s=section.take("settle_s", number(0, 3600), 30.0 if polling else Folder.settle_s),
        polling=polling,
        ignore=section.take("ignore", words, ()),
        original=original,
        moved_to=moved_to,
        taken_name=section.take("taken_name", lambda value: parse_choice(value, TakenName), TakenName.NUMBER),
        sequence=section.take("sequence", flag, False),
    )


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
