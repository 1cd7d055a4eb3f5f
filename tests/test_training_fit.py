"""Training: the same result with and without interruption, what a run keeps, and what it refuses."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from engine import weights
from engine.errors import InputError, KakudaiError, ProcessingError, UsageError, WeightsError
from engine.network import NETWORKS
from tests.networks import random_weights
from tests.training_data import tiny_patches, tiny_recipe
from training.fit import fit, learning_rate
from training.recipe import plain
from training.run_folder import RunFolder

# Keras 3.15 hands its own variables to numpy in the old way when it saves them.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


@pytest.fixture(scope="module")
def patches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_patches(tmp_path_factory.mktemp("patches") / "p.h5", tiny_recipe())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, patches: Path) -> Path:
    """An uninterrupted run of three epochs, two of them with another loss than the third."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    assert fit(patches, folder, tiny_recipe())
    return folder


def _same(one: Path, other: Path) -> bool:
    first, second = (weights.load(folder / "best.h5").arrays for folder in (one, other))
    return all(np.array_equal(first[name], second[name]) for name in first)


def test_a_run_that_was_interrupted_after_every_epoch_ends_the_same(run: Path, patches: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe()
    sittings = [fit(patches, tmp_path / "run", recipe, time_limit_s=0) for _ in range(3)]
    assert sittings == [False, False, True]
    assert _same(run, tmp_path / "run")
    whole, resumed = (RunFolder(folder).log() for folder in (run, tmp_path / "run"))
    assert [(line.loss, line.validation_mse) for line in whole] == [(li.loss, li.validation_mse) for li in resumed]


def test_a_strict_limit_gives_up_an_epoch_and_nothing_is_lost(run: Path, patches: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe()
    assert not fit(patches, tmp_path / "run", recipe, time_limit_s=0, strict=True)
    assert not list((tmp_path / "run").glob("state-*"))
    assert fit(patches, tmp_path / "run", recipe)
    assert _same(run, tmp_path / "run")


def test_a_finished_run_is_left_as_it_is(run: Path, patches: Path) -> None:
    before = (run / "progress.json").read_bytes()
    assert fit(patches, run, tiny_recipe())
    assert (run / "progress.json").read_bytes() == before


def test_what_a_run_keeps(run: Path) -> None:
    folder = RunFolder(run)
    assert folder.recipe() == tiny_recipe()
    lines = folder.log()
    assert [(line.epoch, line.loss_kind) for line in lines] == [(1, "charbonnier"), (2, "charbonnier"), (3, "mse")]
    assert all(line.validation_psnr == pytest.approx(-10 * math.log10(line.validation_mse)) for line in lines)
    environment = folder.environment()
    assert environment["versions"]["keras"]
    assert environment["patches"]["counts"] == {"train": 48, "validation": 8}
    for plot in ("loss.png", "psnr.png"):
        assert cv2.imread(str(run / plot)) is not None
    assert weights.load(run / "best.h5").card.facts["validation"]["epoch"] in (1, 2, 3)
    assert len(list(run.glob("state-*"))) == 2
    assert not list(run.glob("*part*")) + list(run.glob(".*"))


def test_the_learning_rate_rises_and_falls() -> None:
    recipe = tiny_recipe(fit__warm_up_steps=4, fit__learning_rates={"msrcnn": 0.8})
    rates = [learning_rate(recipe, step, 100) for step in range(100)]
    assert rates[:5] == [pytest.approx(rate) for rate in (0.2, 0.4, 0.6, 0.8, 0.8)]
    assert rates[52] == pytest.approx(0.4)
    assert rates == sorted(rates[:4]) + sorted(rates[4:], reverse=True)
    assert rates[-1] < 0.001
    constant = tiny_recipe("paper", fit__warm_up_steps=0)
    assert {learning_rate(constant, step, 100) for step in range(100)} == {0.003}


def test_divergence_stops_with_the_last_good_checkpoint(patches: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(fit__phases=[{"loss": "mse", "epochs": 2}])
    assert not fit(patches, tmp_path / "run", recipe, time_limit_s=0)
    state = next((tmp_path / "run").glob("state-1.weights.h5")).read_bytes()
    # A second epoch on patches that are no numbers.
    broken = _broken_copy(patches, tmp_path / "broken.h5")
    with pytest.raises(ProcessingError, match="the loss is nan at batch 1 of epoch 2; last good checkpoint: epoch 1"):
        fit(broken, tmp_path / "run", recipe)
    assert (tmp_path / "run" / "state-1.weights.h5").read_bytes() == state
    assert weights.load(tmp_path / "run" / "best.h5")
    assert fit(patches, tmp_path / "run", recipe)  # and goes on from there once the patches are whole


def test_divergence_in_the_only_batch_of_the_first_epoch_is_told(patches: Path, tmp_path: Path) -> None:
    """Its loss was computed before the step that spoils the weights; the validation is the first to see it."""
    recipe = tiny_recipe(fit__learning_rates={"msrcnn": 1e38}, fit__steps_per_epoch=1, fit__warm_up_steps=0)
    with pytest.raises(ProcessingError, match=r"rose to nan in epoch 1; last good .*: none yet"):
        fit(patches, tmp_path / "run", recipe)


def _broken_copy(patches: Path, path: Path) -> Path:
    import h5py

    path.write_bytes(patches.read_bytes())
    with h5py.File(path, "a") as file:
        file["train"]["label"][:] = np.nan
    return path


@pytest.mark.parametrize(
    ("knobs", "error", "told"),
    [
        ({"fit__batch": 2}, UsageError, "begun with another recipe: fit.batch: 4, not 2"),
        ({"scale": 3}, UsageError, "patches for 2x after bicubic; the recipe says 3x"),
        ({"upsampling": "bilinear"}, UsageError, "the recipe says 2x after bilinear"),
    ],
)
def test_another_recipe_is_refused(
    run: Path, patches: Path, knobs: dict[str, Any], error: type[KakudaiError], told: str
) -> None:
    with pytest.raises(error, match=told):
        fit(patches, run, tiny_recipe(**knobs))


def test_an_unknown_network_and_precision_are_refused(patches: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no network 'resnet'"):
        fit(patches, tmp_path / "a", tiny_recipe(network="resnet", fit__learning_rates={"resnet": 0.1}))
    with pytest.raises(UsageError, match="no such precision"):
        fit(patches, tmp_path / "b", tiny_recipe(fit__precision="float31"))


def test_the_run_records_how_its_patches_were_made(tmp_path: Path) -> None:
    """`fit` may be given another recipe than `prepare` was; the run tells what is true."""
    made = tiny_recipe(prepare__step=4)
    path = tiny_patches(tmp_path / "p.h5", made, facts={"prepare": plain(made)["prepare"]})
    recipe = tiny_recipe(prepare__step=2, fit__phases=[{"loss": "mse", "epochs": 1}])
    fit(path, tmp_path / "run", recipe)
    assert RunFolder(tmp_path / "run").recipe().prepare == made.prepare
    assert fit(path, tmp_path / "run", recipe)


def test_a_folder_with_other_files_is_refused(patches: Path, tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(UsageError, match="holds other files"):
        fit(patches, tmp_path, tiny_recipe())


def _cut(state: Path) -> None:
    state.write_bytes(state.read_bytes()[:3000])


def _of_another_network(state: Path) -> None:
    import keras

    model = NETWORKS["srcnn"].build()
    model.compile(keras.optimizers.Adam())
    model.optimizer.build(model.trainable_variables)
    model.save_weights(state, overwrite=True)


@pytest.mark.parametrize("harm", [_cut, _of_another_network, Path.unlink])
def test_a_checkpoint_that_does_not_fit_is_refused(
    run: Path, patches: Path, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    for path in run.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    harm(next(tmp_path.glob("state-*.weights.h5")))
    with pytest.raises(InputError, match="damaged or of another network") as caught:
        fit(patches, tmp_path, tiny_recipe())
    assert "fresh --run" in caught.value.remedy


def test_training_may_start_from_weights(run: Path, patches: Path, tmp_path: Path) -> None:
    """With a learning rate of nearly nothing they come out as they went in."""
    knobs: dict[str, Any] = {
        "fit__initial_weights": str(run / "best.h5"),
        "fit__phases": [{"loss": "mse", "epochs": 1}],
    }
    recipe = tiny_recipe(fit__learning_rates={"msrcnn": 1e-12}, **knobs)
    fit(patches, tmp_path / "run", recipe)
    started, ended = (weights.load(folder / "best.h5").arrays for folder in (run, tmp_path / "run"))
    assert all(np.allclose(started[name], ended[name], atol=1e-9) for name in started)
    wrong = tiny_recipe(network="srcnn", fit__learning_rates={"srcnn": 1e-3}, **knobs)
    with pytest.raises(WeightsError, match="weights of msrcnn, not srcnn"):
        fit(patches, tmp_path / "wrong", wrong)


def test_a_network_that_enlarges_by_itself_is_trained_and_resumed(patches: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe("subpixel", fit__precision="mixed_bfloat16")
    own = tiny_patches(tmp_path / "own.h5", recipe)
    assert fit(own, tmp_path / "whole", recipe)
    assert [fit(own, tmp_path / "run", recipe, time_limit_s=0) for _ in range(3)] == [False, False, True]
    assert _same(tmp_path / "whole", tmp_path / "run")
    best = weights.load(tmp_path / "run" / "best.h5")
    assert (best.network.name, best.card.scale) == ("fast", 2)
    lines = RunFolder(tmp_path / "run").log()
    assert 15 < lines[0].interpolation_psnr < 60
    with pytest.raises(UsageError, match="patches for a network that enlarges 1x by itself; fast enlarges 2x"):
        fit(patches, tmp_path / "other", recipe)


def test_training_may_start_from_the_layers_of_another_scale(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a learning rate of nearly nothing they come out as they went in."""
    knobs: dict[str, Any] = {"fit__phases": [{"loss": "mse", "epochs": 1}], "fit__learning_rates": {"fast": 1e-12}}
    twice = random_weights(NETWORKS["fast"])
    weights.save(tmp_path / "2x.h5", twice.network, list(twice.arrays.values()), {"scale": 2, "upsampling": "bicubic"})
    knobs |= {"scale": 3, "prepare__patch_size": 24, "fit__initial_weights": str(tmp_path / "2x.h5")}
    recipe = tiny_recipe("subpixel", **knobs)
    assert fit(tiny_patches(tmp_path / "3x.h5", recipe), tmp_path / "run", recipe)
    assert "but for convolution_last: those weights are for 2x" in capsys.readouterr().out
    ended = weights.load(tmp_path / "run" / "best.h5")
    assert (ended.network.scale, ended.card.scale) == (3, 3)
    different = {
        name
        for name, array in ended.arrays.items()
        if array.shape != twice.arrays[name].shape or not np.allclose(array, twice.arrays[name], atol=1e-9)
    }
    assert different == {"convolution_last/kernel", "convolution_last/bias"}


def test_mixed_precision_trains_too(patches: Path, tmp_path: Path) -> None:
    import keras

    recipe = tiny_recipe(fit__precision="mixed_bfloat16", fit__phases=[{"loss": "mse", "epochs": 1}])
    assert fit(patches, tmp_path / "run", recipe)
    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed: pip install 'kakudai[jax]'")
def test_jax_trains_resumes_and_writes_weights_that_tensorflow_reads(patches: Path, tmp_path: Path) -> None:
    """The same recipe on the other backend: interrupted and whole are equal there too."""
    program = (
        "import json; from pathlib import Path;"
        "from training.fit import fit; from tests.training_data import tiny_recipe;"
        f"patches, runs = Path({str(patches)!r}), Path({str(tmp_path)!r});"
        "done = [fit(patches, runs / 'parts', tiny_recipe(), time_limit_s=0) for _ in range(3)];"
        "fit(patches, runs / 'whole', tiny_recipe()); print(json.dumps(done))"
    )
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False, timeout=250
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1]) == [False, False, True]
    assert _same(tmp_path / "whole", tmp_path / "parts")
    assert RunFolder(tmp_path / "whole").environment()["backend"] == "jax"
