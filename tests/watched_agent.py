"""The real agent of `daemon.cluster.agent`, and what it does with the cluster written down, a JSON object a line.

    python -P -m tests.watched_agent FD PARENT LOG GATHERED

It leaves finished segments where they are until there are `GATHERED` of them, so that they compete for their way.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import ray

from daemon.cluster.agent import Agent, main
from daemon.cluster.roster import Slot


class Watched(Agent):
    """Also tells which GPU each worker sees, as soon as it may be given work."""

    def run(self) -> None:
        self._gathered = int(sys.argv[4])
        self._known: set[Slot] = set()
        call = self._workers.call

        def watched(slot: Slot, method: str, *arguments: object) -> Any:
            if method == "take":
                self._note(asked=arguments[1])
            return call(slot, method, *arguments)

        self._workers.call = watched  # type: ignore[method-assign]
        super().run()

    def _note(self, **facts: object) -> None:
        with Path(sys.argv[3]).open("a") as log:
            log.write(json.dumps(facts) + "\n")

    def _hand_out(self) -> None:
        for slot in self._roster.usable():
            if slot not in self._known:
                self._known.add(slot)
                seen = self._workers._actors[slot].__ray_call__.remote(lambda _: os.environ.get("CUDA_VISIBLE_DEVICES"))
                self._note(device=slot.device, sees=ray.get(seen), left=ray.available_resources().get("GPU", 0.0))
        super()._hand_out()

    def _take_finished(self) -> None:
        if self._taking or len(self._finished) >= self._gathered or not self._making:
            super()._take_finished()

    def _take_segment(self, ref: Any, work: Any) -> None:
        self._note(arrived=work.submit.order.index, bytes=work.made.bytes)
        super()._take_segment(ref, work)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:3], Watched))
