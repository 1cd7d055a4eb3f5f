"""Drop, grow, rename, modify, delete, kill, restart, fill and free the disks, in any order, against a model."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.faults.conftest import Seen
from tests.faults.machine import People
from tests.faults.scene import needs_root

_STEPS = 45
_EASY = settings(
    deadline=None,
    stateful_step_count=_STEPS,
    database=None,
    phases=[Phase.generate],  # the steps that failed are printed; making them fewer would take hours
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)


def _run(how: settings, *, least: int = 1) -> Counter[str]:
    """How many steps of which kind were made; examples until there are `least`."""
    People.steps.clear()
    People.broken.clear()
    while People.steps.total() < least:
        try:
            run_state_machine_as_test(People, settings=how)
        except BaseException:
            print("\n".join(People.broken))
            raise
    return People.steps


@needs_root
def test_a_few_of_the_same_steps_every_time() -> None:
    assert _run(settings(_EASY, max_examples=3, derandomize=True)).total() >= 30


@needs_root
@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_thousands_of_random_steps_break_no_promise(seen: Seen) -> None:
    steps = _run(settings(_EASY, max_examples=20), least=2000)
    told = ", ".join(f"{what} {count}" for what, count in sorted(steps.items()))
    seen(f"no promise broken ({told})", steps=steps.total(), kills=steps["kill"], lost=0, duplicated=0, partial=0)
