"""Every key of config.yaml, once: what may stand there and how it is read. config.yaml itself tells what each is for.

`daemon.config` reads these, `.kakudai.yaml` files in folders and the requests to a job's process those of a profile.
Defaults are those of the dataclasses that the values end up in (`daemon.config_model`, `engine.settings`).
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daemon.cluster.settings import WhenGone, Workers
from daemon.config_model import ErrorFiles, News, Original, Reports, TakenName
from daemon.config_reader import flag, number, path_below, patterns, whole, word, words
from daemon.schedule import parse_hours
from engine.parse_settings import (
    LARGEST_SCALE,
    MODELS,
    SettingError,
    parse_cache_bytes,
    parse_choice,
    parse_encoder,
    parse_model,
    parse_name,
    parse_scale,
    parse_stream_number,
    parse_tag,
    parse_target,
    parse_tolerance,
)
from engine.settings import (
    Chroma,
    Container,
    Damaged,
    Deinterlace,
    Denoise,
    Device,
    ImageFormat,
    Interpolation,
    Mode,
    Precision,
    Reuse,
    Rounding,
    Unfit,
)

HIGHEST_PRIORITY = 1_000_000

Parse = Callable[[object], Any]


@dataclass(frozen=True)
class Key:
    """`values`: what may stand there, in words. `parser`: for relative paths in it, given the folder they start at."""

    name: str
    values: str
    parser: Callable[[Path], Parse]


def _key(name: str, values: str, parse: Parse) -> Key:
    return Key(name, values, lambda _base: parse)


def _choice(name: str, choices: type[enum.StrEnum]) -> Key:
    return _key(name, " | ".join(choices), lambda value: parse_choice(value, choices))


def _number(name: str, lowest: float, highest: float) -> Key:
    return _key(name, f"a number from {lowest:g} to {highest:,.10g}", number(lowest, highest))


def _whole(name: str, lowest: int, highest: int) -> Key:
    return _key(name, f"a whole number from {lowest:,} to {highest:,}", whole(lowest, highest))


def _flag(name: str) -> Key:
    return _key(name, "true | false", flag)


def _path(name: str) -> Key:
    return Key(name, "a path", path_below)


def parse_addresses(value: object) -> tuple[str, ...]:
    """Addresses of notifications: `scheme://…`, `${NAME}` for the environment in them, or `file:/path` of such."""
    found = words(value)
    for number_, address in enumerate(found):
        if "://" not in address and not address.startswith(("file:/", "${")):
            raise SettingError(f"number {number_ + 1} is no address; write mailto://…, ${{NAME}} or file:/path")
    return found


def parse_news(value: object) -> tuple[News, ...]:
    """What is told."""
    return tuple(parse_choice(entry, News) for entry in words(value))


def _workers(value: object) -> Workers:
    if not isinstance(value, Mapping) or not set(value) <= {"gpus", "cpus"}:
        raise SettingError("should hold gpus and cpus, what one worker takes of a node, and nothing else")
    gpus, cpus = value.get("gpus", Workers.gpus), value.get("cpus", Workers.cpus)
    return Workers(number(0.05, 8)(gpus), whole(1, 1024)(cpus))


LIMITS = (
    _whole("max_pixels", 1, 2**31),
    _whole("max_output_pixels", 1, 2**33),
    _whole("max_work_bytes", 1, 2**50),
    _number("max_duration_s", 1, 31_622_400),
    _whole("max_streams", 1, 100_000),
    _whole("max_attachment_bytes", 0, 2**50),
    _number("silence_s", 1, 86_400),
)
RETENTION = (
    _number("work_days", 0, 36_500),
    _number("history_days", 0, 36_500),
)
RETRY = (
    _whole("attempts", 1, 100),
    _number("wait_s", 0, 86_400),
    _number("incomplete_wait_s", 0.1, 86_400),
    _number("incomplete_hours", 0, 8_760),
)
WORKER = (
    _whole("nice", 0, 19),
    _whole("memory_bytes", 1 << 26, 1 << 50),
    _number("stall_s", 1, 604_800),
)
CLUSTER = (
    _key("address", "auto, HOST:PORT or ray://HOST:PORT", word),
    _key("workers", "{gpus: a number, cpus: a whole number}", _workers),
    _choice("when_gone", WhenGone),
    _number("patience_s", 1, 86_400),
    _whole("episodes", 1, 64),
    _whole("in_flight_bytes", 1 << 20, 1 << 40),
    _flag("shared_sources"),
    _path("shared"),
)
"""Absent: all work is done here."""
PROFILE = (
    _choice("mode", Mode),
    _key("scale", f"a number from 1 to {LARGEST_SCALE}", parse_scale),
    _key("target", "1080p, 2160p or WIDTHxHEIGHT", parse_target),
    _key("model", " | ".join(MODELS), parse_model),
    _flag("restore"),
    _path("weights"),
    _choice("upsampling", Interpolation),
    _choice("chroma", Chroma),
    _choice("denoise", Denoise),
    _choice("rounding", Rounding),
    _choice("precision", Precision),
    _choice("reuse", Reuse),
    _key("reuse_tolerance", "a number from 0 to 16", parse_tolerance),
    _key("reuse_cache_bytes", "a whole number from 0", parse_cache_bytes),
    _key("encoder", "a name, or {name: …, OPTION: VALUE, …}", parse_encoder),
    _choice("container", Container),
    _choice("unfit", Unfit),
    _choice("damaged", Damaged),
    _choice("deinterlace", Deinterlace),
    _key("video_stream", "a whole number from 1", parse_stream_number),
    _flag("ass_layout"),
    _choice("image_format", ImageFormat),
    _key("name", "a template of a file's name", parse_name),
    _key("tag", "a template of one line", parse_tag),
)
FOLDER = (
    _path("input"),
    _path("output"),
    _key("profile", "the name of a profile", word),
    _number("settle_s", 0, 3600),
    _flag("polling"),
    _key("ignore", "a list of patterns, as in a .gitignore", patterns),
    _choice("original", Original),
    _path("moved_to"),
    _choice("taken_name", TakenName),
    _flag("sequence"),
    _choice("errors", ErrorFiles),
    _whole("priority", -HIGHEST_PRIORITY, HIGHEST_PRIORITY),
)
TOP = (
    _path("state_dir"),
    _path("work_dir"),
    _choice("device", Device),
    _number("rescan_s", 0.1, 3600),
    _flag("check_space"),
    _choice("reports", Reports),
    _key("hours", "HH:MM-HH:MM, or a list of such", parse_hours),
)
WEB = (
    _key("host", "a name or an address of this machine", word),
    _whole("port", 0, 65_535),
    _path("socket"),
    _key("names", "a list of host names", words),
)
"""Or `web: false`."""
NOTIFY = (
    _key("urls", "a list of Apprise addresses", parse_addresses),
    _key("on", f"a list of {' | '.join(News)}", parse_news),
)
"""Or the list of addresses alone."""
SECTIONS = {
    "limits": LIMITS,
    "retention": RETENTION,
    "retry": RETRY,
    "worker": WORKER,
    "web": WEB,
    "notify": NOTIFY,
    "cluster": CLUSTER,
}
"""Mappings at the top that hold fixed keys; beside them stand `profiles` (by name) and `folders` (a list)."""
