"""Patch files as they are read: opened and proven whole, then batch by batch in an order that a seed decides."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from engine.errors import InputError, MissingInputError
from training.patches import FORMAT, RUN


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """A patch file for reading. Raises `MissingInputError`, or `InputError` when it is not a whole patch file."""
    if not path.is_file():
        raise MissingInputError("no such patch file", remedy="make it with `kakudai-train prepare`", path=path)
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise _damaged(path, error) from error
    with file:
        try:
            own_scale = int(file.attrs.get("own_scale", 1))
            complete = file.attrs["format"] == FORMAT and all(
                _belong_together(file[name]["data"].shape, file[name]["label"].shape, own_scale)
                for name in ("train", "validation")
            )
        except (KeyError, ValueError, OSError, RuntimeError) as error:
            raise _damaged(path, error) from error
        if not complete:
            raise _damaged(path, "data and label do not belong together")
        try:
            yield file
        except OSError as error:
            if "read" in str(error).lower():
                raise _damaged(path, error) from error
            raise


def _belong_together(data: tuple[int, ...], label: tuple[int, ...], own_scale: int) -> bool:
    return data[:2] == label[:2] and data[0] > 0 and tuple(side * own_scale for side in data[2:]) == label[2:]


def _damaged(path: Path, error: object) -> InputError:
    return InputError(
        f"not a whole patch file ({error})", remedy="make it again with `kakudai-train prepare`", path=path
    )


class Order:
    """Which patches make up which batch: runs of neighbours, shuffled in blocks, so that memory is bounded.

    Blocks are large, since what a network sees for long should be as mixed as the whole: of the paper's patches, a
    block holds 65,536 from 2,048 places.
    A pass visits (nearly) every patch once. Batch `number` counts over all epochs; what it holds depends on nothing
    but the seed and that number.
    """

    def __init__(self, group: h5py.Group, *, batch: int, seed: int, block_bytes: int = 512 << 20) -> None:
        self._data, self._label = group["data"], group["label"]
        count = int(self._data.shape[0])
        if count < batch:
            raise InputError(
                f"{count} patches are fewer than a batch of {batch}",
                remedy="prepare more patches or lower --batch",
                path=Path(group.file.filename),
            )
        self._run = min(RUN, count)
        self._runs = count // self._run
        values = sum(int(np.prod(dataset.shape[1:])) for dataset in (self._data, self._label))
        per_block = max(-(-batch // self._run), block_bytes // (self._run * values * 4))
        self._blocks = max(1, self._runs // per_block)
        self._batch, self._seed = batch, seed
        sizes = [len(part) * self._run // batch for part in np.array_split(np.arange(self._runs), self._blocks)]
        self._first = np.concatenate([[0], np.cumsum(sizes)])
        self._held: tuple[int, int] | None = None
        self._patches: tuple[NDArray[np.float32], ...] = ()

    @property
    def batches_in_pass(self) -> int:
        return int(self._first[-1])

    def batch(self, number: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """`data` and `label` of one batch, each (batch, 1, size, size) of its own size."""
        passed, position = divmod(number, self.batches_in_pass)
        block = int(np.searchsorted(self._first, position, side="right")) - 1
        if self._held != (passed, block):
            self._load(passed, block)
        first = (position - int(self._first[block])) * self._batch
        data, label = (patches[first : first + self._batch] for patches in self._patches)
        return data, label

    def _load(self, passed: int, block: int) -> None:
        runs = np.random.default_rng((self._seed, passed)).permutation(self._runs)
        mine = np.sort(np.array_split(runs, self._blocks)[block])
        shuffled = np.random.default_rng((self._seed, passed, block)).permutation(len(mine) * self._run)
        self._held = None
        del self._patches  # never two blocks at a time
        loaded = [
            np.concatenate([dataset[run * self._run : (run + 1) * self._run] for run in mine])[shuffled]
            for dataset in (self._data, self._label)
        ]
        self._patches = (loaded[0], loaded[1])
        self._held = (passed, block)
