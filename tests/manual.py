"""docs/cli.md from the parser, docs/configuration.md from the schema and config.yaml.

    make docs                    (or: .venv/bin/python -m tests.manual)

tests/test_docs_manual.py fails when they are not what this writes.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from daemon import config_schema
from daemon.cli import whole_parser
from daemon.config import parse_config
from daemon.config_schema import Key
from daemon.config_show import show
from daemon.exit_codes import EXIT_CODES
from training.arguments import parser as training_parser

CHECKOUT = Path(__file__).resolve().parent.parent
PAGES = ("cli.md", "configuration.md")


def page(name: str) -> str:
    """The text of one of `PAGES`."""
    return {"cli.md": cli_page, "configuration.md": configuration_page}[name]()


# --- the command line ---


def cli_page() -> str:
    """Every command and flag, and the exit codes."""
    lines = [
        "# The command line",
        "",
        "*Written by `make docs` from the parser; a test holds it to that.* `kakudai COMMAND --help` says the same.",
        "",
        *_parser_lines(whole_parser(), "##"),
        "## Exit codes",
        "",
        "| code | | |",
        "|---|---|---|",
        *(f"| {code} | {word} | {_cell(meaning)} |" for code, (word, meaning) in EXIT_CODES.items()),
        "",
        *_parser_lines(training_parser(), "##"),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _parser_lines(parser: argparse.ArgumentParser, mark: str) -> Iterator[str]:
    """A section for the parser, and one for each of its commands."""
    yield from (f"{mark} {parser.prog}", "")
    description = parser.description or ""
    if "\n  " in description:
        yield from ("```", *description.rstrip().splitlines(), "```", "")
    elif description:
        yield from (*description.rstrip().splitlines(), "")
    commands = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not commands:
        yield from ("```", _usage(parser), "```", "")
    rows = [_row(parser, action) for action in parser._actions if not _is_dull(action)]
    if rows:
        yield from ("| | |", "|---|---|", *rows, "")
    if parser.epilog:
        yield from ("```console", *parser.epilog.rstrip().splitlines(), "```", "")
    for action in commands:
        for name, command in action.choices.items():
            told = next((choice.help for choice in action._choices_actions if choice.dest == name), None)
            if command.description is None and told:
                command.description = f"{told[0].upper()}{told[1:]}."
            yield from _parser_lines(command, f"{mark}#" if len(mark) < 3 else mark)


def _is_dull(action: argparse.Action) -> bool:
    return isinstance(action, argparse._HelpAction | argparse._SubParsersAction) or action.help == argparse.SUPPRESS


def _usage(parser: argparse.ArgumentParser) -> str:
    words = [parser.prog]
    optional = [a for a in parser._actions if a.option_strings and not isinstance(a, argparse._HelpAction)]
    words += [f"{action.option_strings[-1]} {_value(action)}" for action in optional if action.required]
    words += ["[options]"] if any(not action.required for action in optional) else []
    words += [_value(action) for action in parser._actions if not action.option_strings and not _is_dull(action)]
    return " ".join(words)


def _row(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    names = " ".join(filter(None, (", ".join(action.option_strings), _value(action))))
    told = argparse.HelpFormatter(parser.prog)._expand_help(action) if action.help else ""
    return f"| `{_cell(names)}` | {_cell(told)} |"


def _value(action: argparse.Action) -> str:
    if action.nargs == 0:
        return ""
    metavar = action.metavar or ("|".join(map(str, action.choices)) if action.choices else None)
    name = str(metavar or (action.dest.upper() if action.option_strings else action.dest))
    forms = {"+": f"{name}…", "*": f"[{name}…]", "?": f"[{name}]"}
    return forms.get(str(action.nargs), name)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


# --- the configuration ---

_BEHIND = 12
"""Columns from which a comment belongs to the line above."""
_SECTIONS: tuple[tuple[str, str, tuple[Key, ...]], ...] = (
    ("At the top", "", config_schema.TOP),
    *((f"{name}:", name, keys) for name, keys in config_schema.SECTIONS.items()),
    ("profiles.NAME:", "profiles.default", config_schema.PROFILE),
    ("folders: a list of", "folders[0]", config_schema.FOLDER),
)


def configuration_page() -> str:
    """Every key: what may stand there, what stands there by default, what it is for."""
    document = (CHECKOUT / "config.yaml").read_text(encoding="utf-8")
    told = comments(document)
    defaults = _defaults()
    lines = [
        "# config.yaml, key by key",
        "",
        "*Written by `make docs` from the schema and the comments of [config.yaml](../config.yaml); a test holds it to",
        "that.* `kakudai init` writes a config.yaml, `kakudai config show` prints one as it is understood. A mistake",
        "stops the start (exit code 78), and every mistake is listed at once, with its key.",
        "",
    ]
    for title, place, keys in _SECTIONS:
        lines += [f"## {title}", "", *_introduction(told.get(place.partition(".")[0].partition("[")[0], ""))]
        lines += ["| key | may be | default | |", "|---|---|---|---|"]
        for key in keys:
            path = f"{place}.{key.name}" if place else key.name
            default = defaults.get(path)
            shown = f"`{_cell(default)}`" if default is not None else ""
            lines.append(f"| `{key.name}` | {_cell(key.values)} | {shown} | {_cell(told.get(path, ''))} |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _introduction(text: str) -> list[str]:
    return [text, ""] if text else []


def comments(document: str) -> dict[str, str]:
    """What config.yaml says above (or behind) each key: `retry.attempts` → its words."""
    found: dict[str, str] = {}
    above: list[str] = []
    places: list[tuple[int, str]] = []
    path = ""
    commented_out = False  # a whole section, such as cluster:
    for written in document.splitlines():
        commented_out = bool(re.fullmatch(r"#\w+:", written)) or (commented_out and written.startswith("#  "))
        line = written.removeprefix("#") if commented_out else written
        stripped = line.strip()
        match = re.fullmatch(r"(\s*)(- )?(#)?(\w+):(.*)", line)
        if stripped.startswith("#") and line.startswith(" " * _BEHIND):  # goes on below the end of a line
            found[path] = f"{found[path]} {stripped.removeprefix('#').strip()}"
            continue
        if match is None or (stripped.startswith("#") and not re.match(r"#\w+:( |$)", stripped)):
            above = [*above, stripped.removeprefix("#").strip()] if stripped.startswith("#") else []
            continue
        indent = len(match[1]) + (2 if match[2] else 0)
        places = [place for place in places if place[0] < indent]
        parent = places[-1][1] if places else ""
        path = f"{parent}{'[0]' if parent == 'folders' else ''}.{match[4]}".lstrip(".")
        places.append((indent, path))
        behind = re.search(r"\s# (.*)$", match[5])
        words = [*above, behind[1]] if behind else above
        if words and path not in found:
            found[path] = " ".join(words)
        above = []
    return found


def _defaults() -> dict[str, str]:
    """What a configuration that sets nothing but what it must is understood as, by path."""
    problems: list[str] = []
    least = "cluster: {address: auto}\nfolders: [{input: /in, output: /out}]"
    nothing = parse_config(least, path=Path("/config.yaml"), problems=problems)
    assert not problems, problems
    import yaml

    plain: dict[str, Any] = yaml.safe_load(show(nothing))
    for profile in plain["profiles"].values():
        profile["encoder"] = profile["encoder"]["name"]
    plain.pop("state_dir", None)  # depends on who runs it; the comment says
    for name in ("input", "output"):
        plain["folders"][0].pop(name)
    plain["cluster"].pop("address")
    return dict(_flat(plain, ""))


def _flat(value: object, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(inner, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        yield from _flat(value[0], f"{path}[0]")
    elif value is not None:
        words = {True: "true", False: "false"}
        yield path, words[value] if isinstance(value, bool) else "[]" if value == [] else _plain(value)


def _plain(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return f"{value:_}" if isinstance(value, int) and value >= 10_000 else str(value)


def main() -> int:
    """Write both pages."""
    for name in PAGES:
        (CHECKOUT / "docs" / name).write_text(page(name), encoding="utf-8")
        print(f"docs/{name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
