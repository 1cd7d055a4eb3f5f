"""Settings from the words of users: shared by config.yaml and the command line.

Every function takes what YAML or argparse gives and raises `SettingError` with a message that names the cure.
"""

from __future__ import annotations

import difflib
import enum
import math
import re
import string
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from typing import TypeVar

from engine.encoders import encoder_problems
from engine.settings import AUTO, RESTORING, Chroma, EncoderSettings, Interpolation, Mode, Precision, Settings, Size

LARGEST_SCALE = 8
LARGEST_SIDE = 65_535
"""Pixels of a side that the formats in use can hold."""

NETWORKS = ("fast", "fine", "msrcnn", "srcnn")
MODELS = (AUTO, *NETWORKS, *(interpolation.value for interpolation in Interpolation))
"""What is left to Kakudai, networks, then the classical resamplings, which stand for "network off"."""

NAME_FIELDS = frozenset({"name", "width", "height", "scale", "model", "mode", "crc32"})
"""What a name template may hold in braces; `engine.naming` fills it in."""

TAG_FIELDS = frozenset({"version", "width", "height", "scale", "model", "mode"})
"""What the text of the tag may hold in braces."""

_FACTOR = re.compile(r"[0-9]{1,9}(\.[0-9]{0,20})?|[0-9]{1,9}/[0-9]{1,9}")
_LONGEST_TAG = 200
SizeAsked = tuple[Fraction | None, Size | None]
"""`scale` and `target` of `Settings`: exactly one is set."""
_Word = TypeVar("_Word", bound=enum.StrEnum)


class SettingError(ValueError):
    """A setting that cannot be understood. The message says why and what is possible."""


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """`; did you mean "fast"?` where `word` looks like one of `known`, else an empty string."""
    close = difflib.get_close_matches(str(word).lower(), [str(name) for name in known], n=1, cutoff=0.5)
    return f'; did you mean "{close[0]}"?' if close else ""


def parse_choice(value: object, choices: type[_Word]) -> _Word:
    """A member of `choices` by its value."""
    # YAML 1.1 reads off and no as false, on and yes as true
    word = {False: "off", True: "on"}.get(value, value) if isinstance(value, bool) else value
    try:
        return choices(str(word))
    except ValueError:
        known = [member.value for member in choices]
        raise SettingError(f'"{word}" is not one of {", ".join(known)}{did_you_mean(word, known)}') from None


def parse_scale(value: object) -> Fraction:
    """A factor from 1 to 8, exact: 2, "2.25", "9/4"."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Fraction):
        raise SettingError(f"{value!r} is not a factor; give a number from 1 to {LARGEST_SCALE} such as 2 or 2.25")
    scale = _factor(str(value).strip())
    if scale is None:
        hint = "; sizes go under target" if isinstance(value, str) and re.search(r"\d[px×]", value) else ""
        raise SettingError(
            f'"{value}" is not a factor; give a number from 1 to {LARGEST_SCALE} such as 2 or 2.25{hint}'
        )
    if not 1 <= scale <= LARGEST_SCALE:
        raise SettingError(f"{value} is out of range; a factor is between 1 and {LARGEST_SCALE}")
    if scale.denominator > 1000:
        raise SettingError(f"{value} is too fine; give at most three decimals")
    return scale


def _factor(text: str) -> Fraction | None:
    """Not all that Fraction reads: 1e999999999 would keep it busy for ever, and strangers may write settings."""
    try:
        return Fraction(text) if _FACTOR.fullmatch(text) else None
    except ZeroDivisionError:
        return None


def parse_target(value: object) -> Size:
    """The box that the result fits in: "1080p" (16:9 at that height) or "1920x1080". Sides in pixels."""
    text = str(value).strip().lower().replace("×", "x")
    if match := re.fullmatch(r"(\d{1,6})p", text):
        height = int(match[1])
        size = Size(2 * math.ceil(height * 8 / 9), height)
    elif match := re.fullmatch(r"(\d{1,6})\s*x\s*(\d{1,6})", text):
        size = Size(int(match[1]), int(match[2]))
    else:
        raise SettingError(f'"{value}" is not a target; give a height such as 1080p or a size such as 1920x1080')
    if not (1 <= size.width <= LARGEST_SIDE and 1 <= size.height <= LARGEST_SIDE):
        raise SettingError(f"{value} is out of range; a side is between 1 and {LARGEST_SIDE} pixels")
    return size


def parse_size(*, mode: Mode, scale: object = None, target: object = None) -> SizeAsked:
    """`(scale, target)` for `Settings`: exactly one is set. Without either, 2× (1× in mode enhance)."""
    if scale is not None and target is not None:
        raise SettingError("scale and target exclude each other; keep one of them")
    if mode is Mode.ENHANCE:
        if target is not None:
            raise SettingError('mode enhance keeps the size, so target means nothing; use "enlarge" or drop target')
        if scale is not None and parse_scale(scale) != 1:
            raise SettingError('mode enhance keeps the size, so scale can only be 1; use "enlarge" or drop scale')
        return Fraction(1), None
    if target is not None:
        return None, parse_target(target)
    return (parse_scale(scale) if scale is not None else Fraction(2)), None


def size_over(base: Settings, *, mode: Mode, scale: object = None, target: object = None) -> SizeAsked:
    """`parse_size`; where neither is asked for, `base` decides, unless it has another idea of size (mode enhance)."""
    if scale is None and target is None and (mode is Mode.ENHANCE) == (base.mode is Mode.ENHANCE):
        scale, target = base.scale, base.target
    return parse_size(mode=mode, scale=scale, target=target)


def parse_model(value: object) -> str:
    """The name of a network or of a classical resampling."""
    if value not in MODELS:
        raise SettingError(f'no model named "{value}"; there are {", ".join(MODELS)}{did_you_mean(value, MODELS)}')
    return str(value)


def check_weights(settings: Settings) -> None:
    """Raises `SettingError` where weights are given, and there is no network to take them."""
    if settings.weights is not None and settings.model in {entry.value for entry in Interpolation}:
        raise SettingError(f"model {settings.model} is no network and takes no weights; drop one of them")


def check_chroma(settings: Settings) -> None:
    """Raises `SettingError` where chroma is to be guided by the luma of a network, and there is none."""
    if settings.chroma is Chroma.JOINT and settings.model in {entry.value for entry in Interpolation}:
        raise SettingError(f"joint chroma needs the luma of a network, and {settings.model} is none; drop one of them")


def check_restore(settings: Settings) -> None:
    """Raises `SettingError` where `restore` asks for weights that there are not."""
    if settings.restore and settings.weights is not None:
        raise SettingError("restore chooses among the weights that come with Kakudai; drop it, or weights")
    if settings.restore and settings.chosen_model not in RESTORING:
        raise SettingError(
            f"{settings.chosen_model} has no weights that restore; "
            f"drop it, or use the model {', '.join(RESTORING)} or {AUTO}"
        )
    if settings.restore and settings.upsampling is not None:
        raise SettingError(f"{settings.chosen_model} enlarges by itself: upsampling does nothing there; drop it")


def check_precision(settings: Settings) -> None:
    """Raises `SettingError` where bfloat16 is asked for and would bring nothing."""
    if settings.precision is Precision.BFLOAT16 and settings.model not in (AUTO, "fast", "fine"):
        raise SettingError(
            f"bfloat16 is for fast and fine; {settings.model} is no faster by it. Drop it, or use one of those models"
        )


CHECKS: Mapping[str, Callable[[Settings], None]] = {
    "weights": check_weights,
    "chroma": check_chroma,
    "restore": check_restore,
    "precision": check_precision,
}
"""What settings must not contradict, by the key that is to be told."""


def parse_stream_number(value: object) -> int:
    """Which of several video streams: counted from 1."""
    text = str(value).strip()
    if isinstance(value, bool) or not re.fullmatch(r"[1-9][0-9]?", text):
        raise SettingError(f'"{value}" is not the number of a video stream; the first is 1')
    return int(text)


def parse_tolerance(value: object) -> float:
    """Levels of 255 that `reuse: near` may leave out, 0 to 16."""
    return _bounded(value, 16, "a tolerance", float)


def parse_cache_bytes(value: object) -> int:
    """Bytes for what earlier frames were enlarged to, 0 to 2^40."""
    return int(_bounded(value, 1 << 40, "a number of bytes", int))


def _bounded(value: object, highest: int, what: str, kind: Callable[[str], float]) -> float:
    try:
        number = math.nan if isinstance(value, bool) else kind(str(value).strip())
    except ValueError:
        number = math.nan
    if not 0 <= number <= highest:
        raise SettingError(f'"{value}" is not {what} from 0 to {highest}')
    return number


def parse_encoder(value: object) -> EncoderSettings:
    """`x265`, or a mapping `{name: x265, crf: 16}`. Options are checked by `engine.encoders`."""
    fields: Mapping[object, object] = value if isinstance(value, Mapping) else {"name": value}
    options = []
    for key, option in fields.items():
        if isinstance(option, bool) or not isinstance(option, int | float | str):
            raise SettingError(f"{key}: {option!r} is not a number or a word")
        if key != "name":
            options.append((str(key), str(option)))
    encoder = EncoderSettings(str(fields.get("name", EncoderSettings.name)), tuple(sorted(options)))
    if problems := encoder_problems(encoder):
        raise SettingError("; ".join(problems))
    return encoder


def parse_encoder_words(text: str) -> EncoderSettings:
    """The command line's form: `x265`, `x265:crf=18,preset=slow`."""
    name, _, rest = text.partition(":")
    fields: dict[object, object] = {"name": name}
    for word in filter(None, rest.split(",")):
        key, equals, option = word.partition("=")
        if not equals:
            raise SettingError(f'"{word}" is not an option; write {name}:crf=18,preset=slow')
        fields[key] = option
    return parse_encoder(fields)


def parse_name(value: object) -> str:
    """A template for the delivered file's name without its extension, such as `{name} [{height}p]`."""
    if not isinstance(value, str) or not value.strip():
        raise SettingError(f"{value!r} is not a name template; write for example {{name}} [{{height}}p]")
    if "name" not in _fields_of(value, NAME_FIELDS):
        raise SettingError(f'"{value}" lacks {{name}}: all results would get one name')
    if "/" in value or value.startswith(".") or any(ord(letter) < 32 for letter in value):
        raise SettingError(f'"{value}" is no plain file name; leave out slashes, leading dots and control characters')
    return value


def parse_tag(value: object) -> str:
    """A template for the text of the tag that says what was done, such as `upscaled {scale}x by Kakudai {version}`."""
    if not isinstance(value, str) or not value.strip():
        raise SettingError(f"{value!r} is not a tag; write for example {{version}} {{model}} {{scale}}x")
    _fields_of(value, TAG_FIELDS)
    if len(value) > _LONGEST_TAG or not value.isprintable():
        raise SettingError(f"a tag is one line of at most {_LONGEST_TAG} letters; write it shorter")
    return value


def _fields_of(template: str, fields: Iterable[str]) -> set[str]:
    """The fields that stand in `template`. Raises `SettingError` where one is none of `fields`, or takes a format."""
    known = ", ".join(f"{{{field}}}" for field in sorted(fields))
    try:
        found = [(field, spec, conversion) for _, field, spec, conversion in string.Formatter().parse(template)]
    except ValueError as error:
        raise SettingError(f'"{template}": {error}; there are {known}') from None
    names = set()
    for field, spec, conversion in found:
        if field is None:
            continue
        if field not in fields:
            raise SettingError(f'"{template}": no field "{field}"; there are {known}{did_you_mean(field, fields)}')
        if spec or conversion:
            raise SettingError(f'"{template}": "{field}" takes no format; write {{{field}}}')
        names.add(field)
    return names
