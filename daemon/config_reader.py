"""YAML read key by key: unknown keys, wrong types and doubled keys are collected, never raised one at a time.

A complaint is one line that starts with the path of the key: `folders[1].profile: no profile named "fst"; …`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import yaml

from daemon.knocks import resolved
from daemon.names import ignore_patterns
from engine.parse_settings import SettingError, did_you_mean

_T = TypeVar("_T")

LARGEST_FILE = 1 << 20
"""Bytes of a configuration: more is a mistake, such as an episode given as --config."""
_LONGEST_NAME, _LONGEST_PATH = 255, 4095
"""Bytes, on Linux."""


class _Loader(yaml.SafeLoader):
    """PyYAML lets the second of two equal keys win in silence; here both are told."""

    doubled: list[str]
    aliases: bool

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """A few aliases of aliases make a document of gigabytes: none in what strangers may write."""
        if not self.aliases and self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not read here")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:
        seen: dict[object, int] = {}
        for key_node, _ in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            line = key_node.start_mark.line + 1
            if key is not None and key in seen:
                self.doubled.append(f'line {line}: "{key}" is given twice (first in line {seen[key]}); keep one')
            seen.setdefault(key, line)
            if key_node.tag == "tag:yaml.org,2002:bool":
                key_node.tag = "tag:yaml.org,2002:str"  # YAML 1.1 reads the key `on` as true
        return super().construct_mapping(node, deep)


def _construct_int(loader: _Loader, node: yaml.ScalarNode) -> int:
    """One of thousands of digits (0xfff…) could not even be told in a complaint."""
    number: int = loader.construct_yaml_int(node)
    if abs(number) >= 1 << 64:
        raise yaml.constructor.ConstructorError(None, None, "a number too large for any setting", node.start_mark)
    return number


def _construct_text(loader: _Loader, node: yaml.ScalarNode) -> str:
    """What half a letter ("\\ud800") could name, no file system and no terminal takes."""
    text = str(loader.construct_scalar(node))
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        raise yaml.constructor.ConstructorError(
            None, None, "half a letter (a lone surrogate)", node.start_mark
        ) from None
    return text


_Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)
_Loader.add_constructor("tag:yaml.org,2002:str", _construct_text)

_STRANGE = (ValueError, ArithmeticError, LookupError, AttributeError, RecursionError)
"""What PyYAML raises beside its own errors: of 2026-99-99, 1:59:…:59.5, !!bool x, !!timestamp x, thousands of "["."""


def load_yaml(text: str, problems: list[str], *, aliases: bool = True) -> object:
    """The document in `text`; doubled keys and syntax errors are added to `problems`."""
    try:
        loader = _Loader(text)
    except yaml.YAMLError as error:
        problems.append(f"not YAML: {' '.join(str(error).split())}")
        return None
    loader.doubled, loader.aliases = [], aliases
    try:
        document: object = loader.get_single_data()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        problems.append(f"{where}not YAML: {error.problem or error}")
        return None
    except yaml.YAMLError as error:
        problems.append(f"not YAML: {' '.join(str(error).split())}")
        return None
    except _STRANGE as error:
        problems.append(f"not YAML that can be read: {error!r}")
        return None
    finally:
        problems.extend(loader.doubled)
        loader.dispose()
    return document


class Section:
    """One mapping of the document. `known` are the keys it may hold; any other is a complaint."""

    def __init__(self, value: object, *, path: str, base: Path, known: tuple[str, ...], problems: list[str]) -> None:
        """`base`: where relative paths in it start."""
        self.path = path
        self.base = base
        self._problems = problems
        self._values: Mapping[object, object] = {}
        if isinstance(value, Mapping):
            self._values = value
        elif value is not None:
            self.complain("", f"should hold keys ({', '.join(known)}), not {_kind(value)}")
        for key in self._values:
            if key not in known:
                self.complain(str(key), f"unknown key{did_you_mean(key, known) or '; there are ' + ', '.join(known)}")

    def complain(self, key: str, message: str) -> None:
        """Record a complaint about `key` (or about the section, when empty)."""
        where = ".".join(filter(None, (self.path, key)))
        self._problems.append(f"{where}: {message}" if where else message)

    def has(self, key: str) -> bool:
        """Whether `key` is given a value."""
        return self._values.get(key) is not None

    def raw(self, key: str) -> object:
        """The value as YAML gave it, None when absent."""
        return self._values.get(key)

    def take(self, key: str, parse: Callable[[object], _T], default: _T) -> _T:
        """The value of `key` as `parse` reads it; `default` where absent or refused (with a complaint)."""
        if not self.has(key):
            return default
        try:
            return parse(self._values[key])
        except SettingError as error:
            self.complain(key, str(error))
            return default

    def sections(self, key: str, *, known: tuple[str, ...]) -> Iterator[Section]:
        """The mappings of a list: `folders[0]`, `folders[1]`, …"""
        value = self.raw(key)
        if value is None:
            return
        if not isinstance(value, list):
            self.complain(key, f"should be a list (lines that start with a dash), not {_kind(value)}")
            return
        for index, entry in enumerate(value):
            path = ".".join(filter(None, (self.path, f"{key}[{index}]")))
            if entry is None:
                self._problems.append(f"{path}: is empty")
                continue
            yield Section(entry, path=path, base=self.base, known=known, problems=self._problems)

    def section(self, key: str, *, known: tuple[str, ...]) -> Section:
        """The mapping under `key`, an empty one where it is absent."""
        path = ".".join(filter(None, (self.path, key)))
        return Section(self.raw(key), path=path, base=self.base, known=known, problems=self._problems)

    def named_sections(self, key: str, *, known: tuple[str, ...]) -> Iterator[tuple[str, Section]]:
        """The mappings of a mapping: `profiles.fast`, `profiles.film`, …"""
        value = self.raw(key)
        if value is None:
            return
        if not isinstance(value, Mapping):
            self.complain(key, f"should hold names, each with its settings, not {_kind(value)}")
            return
        for name, entry in value.items():
            path = ".".join(filter(None, (self.path, key, str(name))))
            yield str(name), Section(entry, path=path, base=self.base, known=known, problems=self._problems)


def _kind(value: object) -> str:
    if isinstance(value, Mapping):
        return "keys"
    if isinstance(value, list):
        return "a list"
    return f'"{value}"'


def flag(value: object) -> bool:
    """true or false."""
    if not isinstance(value, bool):
        raise SettingError(f"should be true or false, not {_kind(value)}")
    return value


def number(lowest: float, highest: float) -> Callable[[object], float]:
    """A number between two bounds, both included."""

    def parse(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise SettingError(f"should be a number, not {_kind(value)}")
        if not lowest <= value <= highest:
            raise SettingError(f"{value} is out of range; between {lowest:g} and {highest:g}")
        return float(value)

    return parse


def whole(lowest: int, highest: int) -> Callable[[object], int]:
    """A whole number between two bounds, both included."""

    def parse(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise SettingError(f"should be a whole number, not {_kind(value)}")
        if not lowest <= value <= highest:
            raise SettingError(f"{value} is out of range; between {lowest:,} and {highest:,}")
        return value

    return parse


def word(value: object) -> str:
    """A non-empty text."""
    if not isinstance(value, str) or not value:
        raise SettingError(f"should be a text, not {_kind(value)}")
    return value


def words(value: object) -> tuple[str, ...]:
    """A list of texts."""
    if not isinstance(value, list):
        raise SettingError(f"should be a list, not {_kind(value)}")
    return tuple(word(entry) for entry in value)


def patterns(value: object) -> tuple[str, ...]:
    """A list of patterns as in a .gitignore."""
    given = words(value)
    for pattern in given:
        try:
            ignore_patterns((pattern,))
        except ValueError:
            raise SettingError(f'"{pattern}" is no pattern; write for example *.sample.mkv or /Extras/') from None
    return given


def path_below(base: Path) -> Callable[[object], Path]:
    """A path: `~` is the home folder, relative ones start at `base`; links on the way are resolved."""

    def parse(value: object) -> Path:
        text = word(value)
        if "\0" in text:
            raise SettingError("holds a NUL character")
        try:
            path = base / Path(text).expanduser()
            names = [os.fsencode(part) for part in path.absolute().parts]
        except RuntimeError as error:
            raise SettingError(f'"{text}": {error}') from None
        if max(map(len, names)) > _LONGEST_NAME or sum(map(len, names)) + len(names) > _LONGEST_PATH:
            raise SettingError("is longer than file systems take")
        return resolved(path.absolute())

    return parse
