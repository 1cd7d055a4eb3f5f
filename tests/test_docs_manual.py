"""docs/cli.md and docs/configuration.md are what the parser, the schema and config.yaml say; nothing is left out."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import pytest
import yaml

from daemon import config_schema
from daemon.cli import whole_parser
from daemon.exit_codes import EXIT_CODES, in_one_line
from engine.errors import KakudaiError
from tests import manual


@pytest.mark.parametrize("name", manual.PAGES)
def test_the_page_is_what_the_code_says(name: str) -> None:
    written = (manual.CHECKOUT / "docs" / name).read_text(encoding="utf-8")
    assert written == manual.page(name), f"docs/{name} is behind the code: run `make docs`, and look at the diff"


def _commands(text: str) -> Iterator[list[str]]:
    """Every call of kakudai in the code blocks and examples of a page."""
    for block in re.findall(r"^```.*?\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            call = re.match(r"\s*(?:sudo )?(?:\S*/)?kakudai(?= [a-z-])(.*)", line.removeprefix("$ "))
            words = shlex.split(call[1].replace("…", ""), comments=True) if call else []
            if words and "[options]" not in words:
                yield _without_remarks(words)


def _without_remarks(words: list[str]) -> list[str]:
    return words[: words.index(">")] if ">" in words else words


@pytest.mark.parametrize("page", ["README.md", "models/README.md", "docs/reliability.md", "docs/fidelity.md"])
def test_every_command_that_a_page_shows_is_understood(page: str) -> None:
    commands = list(_commands((manual.CHECKOUT / page).read_text(encoding="utf-8")))
    if page == "README.md":
        assert len(commands) > 12
    parser = whole_parser()
    for words in commands:
        assert callable(parser.parse_args(words).command), words


def test_every_key_is_explained_in_the_documented_configuration() -> None:
    told = manual.comments((manual.CHECKOUT / "config.yaml").read_text(encoding="utf-8"))
    text = (manual.CHECKOUT / "config.yaml").read_text(encoding="utf-8")
    for keys in (config_schema.TOP, config_schema.PROFILE, config_schema.FOLDER, *config_schema.SECTIONS.values()):
        for key in keys:
            assert re.search(rf"^[ #-]*{key.name}:|`{key.name}`|\b{key.name}\b.*:", text, re.MULTILINE), key.name
    assert told["state_dir"].startswith("Where the ledger")
    assert told["limits.max_pixels"] == "of a source picture or frame"


def test_comments_are_found_above_and_behind() -> None:
    document = "# one\n# two\na: 1\n\nb:\n  c: 2  # behind\n              # and on\n  #d: 3\n"
    assert manual.comments(document) == {"a": "one two", "b.c": "behind and on"}
    assert manual.comments("# all\n#e:\n#  f: 4  # inside\n\n#  g: 5  # no key\n") == {"e": "all", "e.f": "inside"}
    assert yaml.safe_load(document) == {"a": 1, "b": {"c": 2}}


def _kinds(kind: type[KakudaiError]) -> Iterator[type[KakudaiError]]:
    for inner in kind.__subclasses__():
        yield inner
        yield from _kinds(inner)


def test_every_exit_code_is_in_the_table() -> None:
    assert {kind.exit_code for kind in _kinds(KakudaiError)} <= set(EXIT_CODES)
    assert in_one_line().startswith("0 done, 64 usage")
