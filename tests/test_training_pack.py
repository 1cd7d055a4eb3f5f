"""Packs and `fit-all`: one small file, several sittings, everything to go on from in one tar."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import pytest
import yaml

from engine import weights
from engine.errors import ConfigError, InputError, MissingInputError, ProcessingError, UsageError
from tests.training_data import TINY, blobs, tiny_recipe, write_blobs
from training.fit import fit
from training.fit_all import Job, fit_all, keep_results, read_jobs, take_up
from training.pack import pack
from training.unpack import TILE, patches_from_pack, planes_of

# Keras 3.15 hands its own variables to numpy in the old way when it saves them.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

KNOBS: dict[str, Any] = {**TINY, "fit.phases": [{"loss": "mse", "epochs": 2}]}
JOBS = [
    Job("two", "kakudai", None, {**KNOBS, "scale": 2}),
    Job("three", "kakudai", "two", {**KNOBS, "scale": 3, "fit.steps_per_epoch": 1}),
]


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pack")
    write_blobs(folder / "in", 8, width=230, height=200)
    pack(folder / "in", folder / "pack.h5", [tiny_recipe()], limit_bytes=400_000)
    return folder / "pack.h5"


def test_a_pack_stays_under_its_limit_and_loses_nothing(packed: Path) -> None:
    assert packed.stat().st_size <= 400_000
    lumas = [cv2.cvtColor(blobs(seed, 230, 200), cv2.COLOR_BGR2YCrCb)[..., 0] for seed in range(8)]
    windows = [luma[y : y + TILE, x : x + TILE] for luma in lumas for y in range(0, 9, 8) for x in range(0, 39, 8)]
    with h5py.File(packed) as file:
        tiles = [plane.luma for plane in planes_of(file["none"]["train"])]
    assert len(tiles) > 8
    for tile in tiles:
        assert any(np.array_equal(tile, window) for window in windows)


def test_a_pack_too_small_for_every_side_is_refused(tmp_path: Path) -> None:
    write_blobs(tmp_path / "in", 8)
    with pytest.raises(InputError, match="no pack of 3000 bytes can be made"):
        pack(tmp_path / "in", tmp_path / "pack.h5", [tiny_recipe()], limit_bytes=3000)
    assert not list(tmp_path.glob("*.h5"))


def test_a_pack_for_another_recipe_is_refused(packed: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a pack for the preprocessing 'paper'"):
        patches_from_pack(packed, tmp_path / "p.h5", tiny_recipe("paper"))
    with pytest.raises(MissingInputError):
        patches_from_pack(tmp_path / "none.h5", tmp_path / "p.h5", tiny_recipe())


def test_a_job_waits_for_the_weights_it_starts_from(
    packed: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """They are there after one epoch already, and not yet what they will be."""
    two, three = JOBS
    assert fit_all(packed, tmp_path, [three], overrides={}) == ["three"]
    patches_from_pack(packed, tmp_path / "two.patches.h5", two.resolved(tmp_path, {}))
    assert not fit(tmp_path / "two.patches.h5", tmp_path / "two", two.resolved(tmp_path, {}), time_limit_s=0)
    assert fit_all(packed, tmp_path, [three], overrides={}) == ["three"]
    assert "three: waits for two" in "".join(capfd.readouterr())
    assert not (tmp_path / "three").exists()
    assert fit_all(packed, tmp_path, JOBS, overrides={}) == []


def test_a_job_that_diverges_does_not_stop_the_others(
    packed: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    wild = {"fit.learning_rates": {"msrcnn": 1e38}, "fit.steps_per_epoch": 1, "fit.warm_up_steps": 0}
    jobs = [
        Job("wild", "kakudai", None, {**JOBS[0].knobs, **wild}),
        Job("after-wild", "kakudai", "wild", JOBS[1].knobs),
        Job("calm", "kakudai", None, {**JOBS[0].knobs, "fit.phases": [{"loss": "mse", "epochs": 1}]}),
    ]
    with pytest.raises(ProcessingError, match="diverged"):
        fit_all(packed, tmp_path, jobs, overrides={})
    said = "".join(capfd.readouterr())
    assert "wild: training has diverged" in said
    assert "after-wild: waits for wild" in said
    assert (tmp_path / "calm" / "best.h5").is_file()
    assert not (tmp_path / "calm.patches.h5").exists()


@pytest.mark.slow
def test_sittings_on_two_machines_end_as_one_sitting(packed: Path, tmp_path: Path) -> None:
    """The first machine trains one job and a part of the next; the second goes on elsewhere from the tar alone."""
    first, second, whole = (tmp_path / name for name in ("first", "second", "whole"))
    assert fit_all(packed, first, JOBS, overrides={}, time_limit_s=0) == ["two", "three"]
    assert fit_all(packed, first, JOBS[:1], overrides={}) == []
    patches_from_pack(packed, first / "three.patches.h5", JOBS[1].resolved(first, {}))
    assert not fit(first / "three.patches.h5", first / "three", JOBS[1].resolved(first, {}), time_limit_s=0)
    keep_results(first, tmp_path / "results.tar", JOBS)
    take_up(tmp_path / "results.tar", second)
    assert list(second.glob("*/state-*")) == sorted(second.glob("three/state-*"))
    assert fit_all(packed, second, JOBS, overrides={}) == []
    assert fit_all(packed, whole, JOBS, overrides={}) == []
    for job in JOBS:
        one, other = (weights.load(runs / job.name / "best.h5").arrays for runs in (second, whole))
        assert all(np.array_equal(one[name], other[name]) for name in one)
    keep_results(second, tmp_path / "done.tar", JOBS)
    assert (tmp_path / "done.tar").stat().st_size < (tmp_path / "results.tar").stat().st_size * 2
    assert not list(second.glob("*.patches.h5"))


def test_the_shipped_plan_can_be_read() -> None:
    jobs = read_jobs()
    names = [job.name for job in jobs]
    assert len(set(names)) == len(names)
    for job in jobs:
        recipe = job.resolved(Path("runs"), {})
        assert job.start_from is None or names.index(job.start_from) < names.index(job.name)
        assert TILE % recipe.scale == 0
    assert [job.name for job in read_jobs(only=["msrcnn-3x"])] == ["msrcnn-3x"]
    with pytest.raises(UsageError, match="no job 'msrcnn-5x'"):
        read_jobs(only=["msrcnn-5x"])


def test_a_plan_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump([{"name": "x"}]))
    with pytest.raises(ConfigError, match="not a plan"):
        read_jobs(path)
    with pytest.raises(InputError, match="not the results of fit-all"):
        take_up(path, tmp_path / "runs")


def test_nothing_for_picture_files_is_needed_where_a_pack_is_carried_to() -> None:
    """A machine lent with a GPU may have neither libvips nor the pictures."""
    program = "import sys; sys.modules['pyvips'] = None; import training.__main__, training.fit_all"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
