"""Where things that are not part of the project may lie. Tests that need them skip with a clear reason."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).parent.parent.parent / "shared"
PAPER = SHARED / "paper"

needs_paper = pytest.mark.skipif(
    not (PAPER / "weights").is_dir(), reason="the authors' weights and pictures (../shared/paper) are not here"
)
