"""`kakudai init`: a commented config.yaml from the documented one and the answers to three questions."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from daemon.config import LOCAL_CONFIG, parse_config
from engine.errors import ConfigError, OutputError, ProcessingError, UsageError
from engine.files import write_durably
from engine.parse_settings import SettingError, parse_scale, parse_target

DESCRIPTION = """\
Write a config.yaml that explains every key, with your folders and size in it. Asks three questions; --yes, or a flag
for each, answers them. Nothing is written that `kakudai run` would not read."""

EPILOG = """\
examples:
  kakudai init                                               asks, writes ./config.yaml
  kakudai init --yes                                         ~/Kakudai/in to ~/Kakudai/out, twice as large
  kakudai init /etc/kakudai/config.yaml --input /srv/anime/in --output /srv/anime/out --size 1080p
"""

_DOCUMENTED = (Path(__file__).parent.parent / LOCAL_CONFIG, Path(__file__).parent / LOCAL_CONFIG)
"""Where the documented configuration lies: in a checkout, and inside an installed package."""
_HEAD = "It works as it stands: drop files into ~/Kakudai/in, fetch them from ~/Kakudai/out."


@dataclass(frozen=True)
class _Question:
    """`check` raises `SettingError` for an answer that will not do."""

    name: str
    asked: str
    default: str
    check: Callable[[str], object]


def _a_path(text: str) -> str:
    if not text.strip() or "\0" in text or "\n" in text:
        raise SettingError("give the path of a folder")
    return text


def size_of(text: str) -> tuple[str, str]:
    """The key and the value that `2x`, `1080p` or `1920x1080` stand for. Raises `SettingError`."""
    if match := re.fullmatch(r"\s*([\d.]+)\s*[x×]?\s*", text):
        parse_scale(match[1])
        return "scale", match[1]
    parse_target(text)
    return "target", text.strip().lower().replace("×", "x")


QUESTIONS = (
    _Question("input", "Which folder are files dropped into?", "~/Kakudai/in", _a_path),
    _Question("output", "Which folder do the results go to?", "~/Kakudai/out", _a_path),
    _Question("size", "How large? A factor such as 2x, or a target such as 1080p or 2160p.", "2x", size_of),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Everything that `kakudai init` understands."""
    parser.epilog = EPILOG
    parser.add_argument(
        "file",
        type=Path,
        nargs="?",
        default=LOCAL_CONFIG,
        metavar="FILE",
        help="what to write (default: ./config.yaml)",
    )
    parser.add_argument("--yes", action="store_true", help="ask nothing: defaults where no flag answers")
    parser.add_argument("--input", metavar="FOLDER", help="where files are dropped (default: ~/Kakudai/in)")
    parser.add_argument("--output", metavar="FOLDER", help="where results go (default: ~/Kakudai/out)")
    parser.add_argument("--size", metavar="SIZE", help="2x, 1080p, 1920x1080, … (default: 2x)")
    parser.add_argument("--force", action="store_true", help="replace a file that exists")


def run(arguments: argparse.Namespace) -> int:
    """Ask, write, say what comes next."""
    path: Path = arguments.file
    if os.path.lexists(path) and not arguments.force:
        raise OutputError("exists already", remedy="edit it, add --force to replace it, or give another", path=path)
    answers = {question.name: _answer(question, arguments) for question in QUESTIONS}
    text = configuration(answers["input"], answers["output"], answers["size"])
    problems: list[str] = []
    parse_config(text, path=path, problems=problems)
    if problems:
        raise ConfigError(problems, path=path)
    if not path.absolute().parent.is_dir():
        raise OutputError("its folder is not there", remedy=f"mkdir -p {path.absolute().parent}", path=path)
    write_durably(path, text.encode())
    sys.stdout.write(
        f"{path}: written. Next:\n"
        f"  kakudai check --config {path}    what is missing, and how to get it\n"
        f"  kakudai run --config {path}      then drop files into {_placed(answers['input'])}\n"
    )
    return 0


def _answer(question: _Question, arguments: argparse.Namespace) -> str:
    given: str | None = getattr(arguments, question.name)
    if given is None and arguments.yes:
        given = question.default
    if given is not None:
        try:
            question.check(given)
        except SettingError as error:
            raise UsageError(f"--{question.name}: {error}", remedy="see `kakudai init --help`") from error
        return given
    if not sys.stdin.isatty():
        raise UsageError(
            "there is nobody to ask: stdin is no terminal", remedy="add --yes, or --input, --output and --size"
        )
    while True:
        sys.stderr.write(f"{question.asked}\n[{question.default}] ")
        sys.stderr.flush()
        line = sys.stdin.readline()
        if not line:
            raise UsageError("no answer", remedy="add --yes, or --input, --output and --size")
        answer = line.strip() or question.default
        try:
            question.check(answer)
        except SettingError as error:
            sys.stderr.write(f"  {error}\n")
            continue
        return answer


def configuration(input_: str, output: str, size: str) -> str:
    """The documented configuration with these answers in it."""
    key, value = size_of(size)
    places = [_placed(where) for where in (input_, output)]
    text = _documented()
    for old, new in (
        (_HEAD, f"Drop files into {places[0]}, fetch them from {places[1]}."),
        ("    scale: 2\n", f"    {key}: {value}\n"),
        ("  - input: ~/Kakudai/in\n", f"  - input: {_quoted(places[0])}\n"),
        ("    output: ~/Kakudai/out\n", f"    output: {_quoted(places[1])}\n"),
    ):
        if text.count(old) != 1:
            raise ProcessingError(f"config.yaml holds {old.strip()!r} not once", remedy="report this as a bug")
        text = text.replace(old, new)
    return text


def _placed(folder: str) -> str:
    """A relative folder is meant as seen from here, not from the file."""
    return folder if folder.startswith("~") else str(Path(folder).absolute())


def _quoted(text: str) -> str:
    """As YAML takes it: plain where that is safe, else in quotes."""
    return text if re.fullmatch(r"[~/][\w./+-]*", text) else json.dumps(text, ensure_ascii=False)


def _documented() -> str:
    for path in _DOCUMENTED:
        if path.is_file():
            return path.read_text(encoding="utf-8")
    raise ProcessingError("the documented config.yaml is not installed", remedy="install Kakudai again")
