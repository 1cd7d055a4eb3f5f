"""docs/fidelity.md names tests that are there, and every line of its table."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests import media
from tests.fidelity import DOCUMENT, ROWS, Row, document

HERE = Path(__file__).parent


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.claim[:40])
def test_every_proof_is_there(row: Row) -> None:
    assert row.tests
    for proof in row.tests:
        file, _, name = proof.partition("::")
        assert re.search(rf"^def {name}\(", (HERE / file).read_text(encoding="utf-8"), re.MULTILINE), proof


def test_the_page_has_every_line() -> None:
    page = DOCUMENT.read_text(encoding="utf-8")
    for row in ROWS:
        assert f"| {row.claim} |" in page
        assert all(f"`{proof}`" in page for proof in row.tests)


@pytest.mark.slow
def test_the_page_is_what_is_measured() -> None:
    page, version = DOCUMENT.read_text(encoding="utf-8"), media.call("ffmpeg", "-version").decode().split()[2]
    if f"({version})" not in page:
        pytest.skip(f"measured with another ffmpeg than {version}")
    assert document() == page
