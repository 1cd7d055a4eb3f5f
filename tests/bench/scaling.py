"""How far segments on a cluster go: measured on one machine, then reckoned to a hundred GPUs and ten thousand episodes.

    python -m tests.bench.scaling stages          # CPU seconds of each stage, once; a few minutes
    python -m tests.bench.scaling overhead CASE   # a clip here, and by a worker with the same processors
    python -m tests.bench.scaling speed           # a clip by one worker, and by two
    python -m tests.bench.scaling page            # docs/scaling.md from what was measured (docs/scaling.json)

Needs a machine that does nothing else. `tests/test_bench_scaling.py` holds the page against the figures, so that
neither changes alone.
"""

from __future__ import annotations

import argparse
import json
import platform
from datetime import date
from pathlib import Path
from typing import Any

from tests.bench.scaling_page import page
from tests.bench.scaling_speed import CASES, measure_overhead, measure_speed
from tests.bench.scaling_stages import measure_stages

CHECKOUT = Path(__file__).resolve().parents[2]
FIGURES, PAGE = CHECKOUT / "docs" / "scaling.json", CHECKOUT / "docs" / "scaling.md"


def machine() -> dict[str, str]:
    """Where and when it was measured."""
    import ray

    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": f"{len(names)} × {names[0]}",
        "date": date.today().isoformat(),
        "python": platform.python_version(),
        "ray": ray.__version__,
    }


def main() -> None:
    """See the module's description."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("what", choices=["stages", "overhead", "speed", "page"])
    parser.add_argument("case", nargs="*", choices=[*CASES, []], help="for overhead: which (default: all)")
    arguments = parser.parse_args()
    figures: dict[str, Any] = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    if arguments.what == "page":
        PAGE.write_text(page(figures))
        return
    if arguments.what == "overhead":
        found = {case: measure_overhead(case) for case in arguments.case or CASES if case != "speed"}
        figures["overhead"] = {**figures.get("overhead", {}), **found}
    else:
        figures[arguments.what] = measure_stages() if arguments.what == "stages" else measure_speed()
    figures["machine"] = machine()
    FIGURES.write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
