"""docs/reliability.md from what the fault tests recorded: `python -m tests.faults.table RECORDS docs/reliability.md`.

Each row's words on how it is provoked are the first line of its test module; what was seen comes from the run alone.
"""

from __future__ import annotations

import ast
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROWS = (
    "slow_copy",
    "preallocated",
    "zero_tail",
    "arrivals",
    "smb_upload",
    "temporary_names",
    "startup_race",
    "new_directory_race",
    "burst",
    "watch_limit",
    "no_events",
    "folder_vanishes",
    "same_bytes_twice",
    "same_path_new_bytes",
    "modified_while_running",
    "deleted_while_running",
    "kill_everywhere",
    "kill_random",
    "power_cut",
    "sigterm",
    "resume",
    "segment_damaged",
    "output_full",
    "state_full",
    "no_permission",
    "fsync_error",
    "ledger_locked,ledger_corrupt",
    "schema",
    "two_services",
    "ffmpeg_hangs",
    "poison",
    "corrupt_corpus",
    "odd_sizes",
    "bombs",
    "names",
    "special_files",
    "playlist",
    "evil_weights",
    "out_of_memory",
    "service",
    "state_machine",
    "unit_limits",
    "idle",
    "mount_dies",
    "foreign_modes",
    "inodes_change",
    "mount_hangs",
)

_INTRODUCTION = """# Reliability

What Kakudai was put through, and what was seen. Every row is a test in `tests/faults` that provokes the fault against
the real service and its ledger; 34 against `kakudai upscale` as well, 39 against the upscaler with a backend that is
made to refuse, half of 28 against the ledger alone. Pictures and episodes are enlarged without a network there
(`model: bicubic`), except in 38 and under the unit's limits. This page is written by `make reliability` from the
records of tests that ran. A 0 for lost, duplicated or partial is what a test asserts: any other ends it as FAILED.
`make test` runs the short tests, `make test-all` all of them. Rows from 41 on go beyond the list of faults.

| # | fault | provoked | seen | counts |
|--:|---|---|---|---|
"""


def main(arguments: Sequence[str]) -> int:
    """Write the page; returns the exit code."""
    records, page = Path(arguments[0]), Path(arguments[1])
    found = [json.loads(file.read_text()) for file in sorted(records.glob("*.json"))]
    commits = Counter(record["commit"] for record in found).most_common()
    usual = commits[0][0] if commits else "none"
    lines = []
    for number, names in enumerate(ROWS, start=1):
        for name in names.split(","):
            lines.append(_row(number, name, [record for record in found if record["module"] == f"test_{name}"], usual))
    dates = sorted({record["date"] for record in found})
    when = " to ".join(dict.fromkeys((dates[0], dates[-1]))) if dates else "never"
    page.write_text(
        f"{_INTRODUCTION}{''.join(lines)}\n{_sums(found)}\n\n"
        f"Run: {when}, at commit {usual} where a row does not name another.\n"
    )
    return 0


def _row(number: int, name: str, records: Sequence[Mapping[str, Any]], usual: str) -> str:
    module = Path(__file__).with_name(f"test_{name}.py")
    if not module.exists():
        return f"| {number} | {name} | | not proven yet | |\n"
    provoked = (ast.get_docstring(ast.parse(module.read_text())) or "").split("\n")[0].rstrip(".")
    words: list[str] = []
    counts: dict[str, int] = {}
    for record in records:
        if record["outcome"] == "failed":
            words.append("**FAILED**")
        elif record["outcome"] == "skipped":
            words.append(f"skipped here: {record['why'].removeprefix('Skipped: ')}")
        for told in record["seen"]:
            words.append(told["words"])
            for key, count in told["counts"].items():
                counts[key] = counts.get(key, 0) + count
    if others := sorted({record["commit"] for record in records} - {usual}):
        words.append(f"(at {', '.join(others)})")
    told_counts = ", ".join(f"{key.replace('_', ' ')} {count:,}" for key, count in counts.items())
    return f"| {number} | {name} | {provoked} | {'; '.join(words) or 'not run'} | {told_counts} |\n"


def _sums(found: Sequence[Mapping[str, Any]]) -> str:
    sums = dict.fromkeys(("kills", "corrupt_files", "lost", "duplicated", "partial"), 0)
    for record in found:
        for told in record["seen"]:
            for key in sums:
                sums[key] += told["counts"].get(key, 0)
    passed = sum(record["outcome"] == "passed" for record in found)
    return (
        f"{passed} of {len(found)} tests passed. Kills survived {sums['kills']}, corrupt files tried "
        f"{sums['corrupt_files']}; lost {sums['lost']}, duplicated {sums['duplicated']}, partial {sums['partial']}."
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
