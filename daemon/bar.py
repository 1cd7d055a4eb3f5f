"""A progress bar with the time left, for whatever takes longer than a moment."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from tqdm import tqdm

from engine.progress import Progress, ProgressEvent


@contextlib.contextmanager
def bar(name: str, *, quiet: bool) -> Iterator[Progress]:
    """A bar that follows the stages of one job; none when quiet or when stderr is no terminal."""
    counted = ""
    with tqdm(desc=name, leave=False, dynamic_ncols=True, disable=True if quiet else None) as shown:

        def progress(event: ProgressEvent) -> None:
            nonlocal counted
            if event.unit != counted or event.done < shown.n:
                counted = event.unit
                shown.reset()
            shown.set_description_str(f"{name}: {event.stage}", refresh=False)
            shown.unit, shown.total = f" {event.unit}", event.total
            shown.update(event.done - shown.n)

        yield progress


def above_bars(text: str) -> None:
    """Write to stdout without a bar getting into it."""
    tqdm.write(text, file=sys.stdout, end="")
    sys.stdout.flush()
