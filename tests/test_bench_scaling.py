"""docs/scaling.md is what its script makes of the figures beside it."""

from __future__ import annotations

import json

from tests.bench.scaling import FIGURES, PAGE
from tests.bench.scaling_page import dearer, line, needs, page


def test_the_page_is_made_of_the_figures() -> None:
    assert PAGE.read_text() == page(json.loads(FIGURES.read_text()))


def test_the_line_through_two_lengths() -> None:
    each, beside = line([40, 120], [2.0 + frames * 0.5 for frames in (40, 120)])
    assert (round(each, 9), round(beside, 9)) == (0.5, 2.0)


def test_what_a_cluster_costs_is_all_that_anybody_spends() -> None:
    here = [{"wall_s": 5.0 + frames, "service": 2.0 * frames} for frames in (40, 120)]
    there = [
        {"wall_s": 8.0 + 1.1 * frames, "service": 0.2 * frames, "workers": 2.1 * frames, "Ray": 1.0 + 0.1 * frames}
        for frames in (40, 120)
    ]
    found = {"frames": [40, 120], "here": here, "cluster": there}
    assert [round(value, 9) for value in dearer(found, "wall")] == [0.1, 3.0]
    assert [round(value, 9) for value in dearer(found, "cpu")] == [0.2, 1.0]


def test_what_a_frame_takes_is_used_up_where_the_arithmetic_says() -> None:
    stages = {
        "cpu_s": {
            "decode for the proof": 0.010,
            "hash, a gigabyte": 0.0,
            "mux, a gigabyte": 0.0,
            "count packets, a segment": 0.24,
        },
        "source_bytes_per_frame": 1000,
        "output_bytes_per_frame": 125_000,
        "ledger_row_s": 0.024,
    }
    processor, arriving, leaving, ledger = needs(stages, gpus=100)
    assert round(processor.most_frames, 6) == round(16 / 0.011, 6)
    assert arriving.most_frames == 10_000
    assert round(leaving.most_frames, 6) == round(1.25e9 / 13_000, 6)
    assert round(ledger.most_frames, 6) == 10_000
