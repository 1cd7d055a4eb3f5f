"""What a fault test saw, kept for `tests.faults.table` when KAKUDAI_FAULTS names a folder."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

Seen = Callable[..., None]


@pytest.fixture
def seen(request: pytest.FixtureRequest) -> Seen:
    """`seen("what happened", kills=5, lost=0)`: the row's words and its counts, recorded once the test has passed."""

    def tell(words: str, **counts: int) -> None:
        request.node.user_properties.append(("seen", {"words": words, "counts": counts}))

    return tell


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """One file for each test, so that runs of single rows add up."""
    folder = os.environ.get("KAKUDAI_FAULTS")
    module = Path(report.nodeid.split("::", maxsplit=1)[0])
    if not folder or module.parent.name != "faults" or (report.when != "call" and report.passed):
        return
    Path(folder).mkdir(parents=True, exist_ok=True)
    name = report.nodeid.partition("::")[2].replace("/", "_")
    record = {
        "module": module.stem,
        "outcome": report.outcome,
        "seconds": round(report.duration, 1),
        "date": time.strftime("%Y-%m-%d"),
        "commit": _commit(),
        "seen": [value for key, value in report.user_properties if key == "seen"],
        "why": report.longrepr[2] if report.skipped and isinstance(report.longrepr, tuple) else "",
    }
    (Path(folder) / f"{module.stem}--{name}.json").write_text(json.dumps(record, indent=1))


@functools.cache
def _commit() -> str:
    """What was tested; with a `+` where the tree holds more than that."""
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty=+"]
    told = subprocess.run(git, check=False, capture_output=True, text=True)
    return told.stdout.strip() or "no commit"
