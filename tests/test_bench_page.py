"""The page of benchmarks: sections that are measured anew take their place, the others stay."""

from __future__ import annotations

from pathlib import Path

from tests.bench.__main__ import put
from tests.bench.growth import slope
from tests.bench.measure import best, table


def test_sections_are_replaced_in_their_order(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    put(page, "Memory", "## Memory\n\nmuch\n")
    put(page, "The network on the processor", "## The network on the processor\n\n| a |\n")
    put(page, "Memory", "## Memory\n\nless\n")
    text = page.read_text()
    assert text.startswith("# Benchmarks")
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        "## The network on the processor",
        "## Memory",
    ]
    assert "| a |" in text
    assert "less" in text
    assert "much" not in text


def test_slopes_are_those_of_a_power() -> None:
    assert round(slope([1, 10, 100], [3, 30, 300]), 6) == 1
    assert round(slope([1, 10, 100], [3, 300, 30_000]), 6) == 2


def test_a_cost_counts_the_processor() -> None:
    cost = best(lambda: sum(range(200_000)), times=2)
    assert cost.cpu_s > 0
    assert cost.wall_s > 0
    assert table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"
