"""locks/*.txt: every package pinned with hashes, within the bounds of pyproject.toml, and no index named."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
_PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def _pinned(backend: str) -> dict[str, list[Requirement]]:
    """By name; one package may have several versions, for several versions of Python."""
    found: dict[str, list[Requirement]] = {}
    for entry in re.split(r"\n(?=\S)", (ROOT / "locks" / f"{backend}.txt").read_text()):
        if entry.startswith("#"):
            continue
        line, *rest = entry.split(" \\\n")
        requirement = Requirement(line)
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", "".join(rest)), line
        found.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    return found


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
def test_they_hold_what_the_project_asks_for(backend: str) -> None:
    pinned = _pinned(backend)
    wanted = [*_PROJECT["dependencies"], *_PROJECT["optional-dependencies"][backend], "hatchling>=1.27"]
    for requirement in map(Requirement, wanted):
        versions = pinned.get(canonicalize_name(requirement.name), [])
        assert versions, f"{requirement.name} is not in the lock: make locks"
        for found in versions:
            (pin,) = found.specifier
            assert pin.operator == "=="
            assert requirement.specifier.contains(Version(pin.version)), f"{found}, but wanted is {requirement}"


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
def test_they_name_no_index(backend: str) -> None:
    text = (ROOT / "locks" / f"{backend}.txt").read_text()
    assert "--index-url" not in text
    assert "--extra-index-url" not in text
    assert "://" not in text
