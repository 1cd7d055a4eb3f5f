"""Recipes: every knob, overridden, checked all at once."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from engine.errors import ConfigError, MissingInputError
from training.arguments import overrides_of, parser
from training.recipe import RECIPES, Draw, Loss, Preprocessing, differences, parse_recipe, plain, read_recipe


@pytest.mark.parametrize("name", ["paper", "kakudai", "subpixel", "restore"])
def test_shipped_recipes_survive_being_written_and_read(name: str) -> None:
    recipe = read_recipe(name)
    assert parse_recipe(yaml.safe_load(yaml.safe_dump(plain(recipe)))) == recipe


def test_the_papers_figures() -> None:
    """Section IV of the paper and the authors' code."""
    paper = read_recipe("paper")
    assert paper.learning_rate == 0.003
    assert read_recipe("paper", {"network": "srcnn"}).learning_rate == 0.0003
    assert (paper.fit.batch, paper.fit.epochs, paper.fit.phases[0].loss) == (32, 50, Loss.MSE)
    knobs = paper.prepare
    assert (knobs.patch_size, knobs.step, knobs.training_patches) == (32, 16, Draw.GRID)
    assert (knobs.validation_patches, knobs.validation_patches_per_picture) == (Draw.RANDOM, 1000)
    assert (knobs.split.training, knobs.split.validation, knobs.split.test) == (160, 20, 20)
    assert knobs.preprocessing is Preprocessing.PAPER


def test_the_command_line_overrides_the_recipe() -> None:
    words = ["fit", "--patches", "p.h5", "--run", "r", "--recipe", "paper", "--batch", "8", "--scale", "3"]
    arguments = parser().parse_args([*words, "--learning-rates", "{msrcnn: 0.5}"])
    recipe = read_recipe(arguments.recipe, overrides_of(arguments))
    assert differences(recipe, read_recipe("paper")) == [
        "fit.batch: 8, not 32",
        "fit.learning_rates.msrcnn: 0.5, not 0.003",
        "fit.learning_rates.srcnn: None, not 0.0003",
        "scale: 3, not 2",
    ]


def test_every_problem_is_told_at_once() -> None:
    wrong = {"fit.bach": 8, "scale": "3", "fit.batch": 0, "upsampling": "sinc", "prepare.split": {"training": 160}}
    with pytest.raises(ConfigError) as caught:
        read_recipe("kakudai", wrong)
    assert sorted(caught.value.problems) == [
        "fit.bach: no such knob; did you mean 'batch'?",
        "fit.batch: at least 1, not 0",
        "prepare.split.test: is missing",
        "prepare.split.validation: is missing",
        "scale: int is needed, not '3'",
        "upsampling: 'sinc' is none of bilinear, bicubic, lanczos",
    ]
    assert "knobs" in caught.value.remedy


@pytest.mark.parametrize(
    ("knobs", "told"),
    [
        ({"prepare.split": {"training": 0.5, "validation": 0.1, "test": 0.1}}, "shares add up to 1, not 0.7"),
        ({"prepare.split": {"training": 10.5, "validation": 2, "test": 2}}, "counts (160) or shares (0.8)"),
        ({"network": "waifu"}, "nothing for the network 'waifu'"),
        ({"fit.phases": []}, "at least one epoch"),
        ({"fit.average": 1}, "below 1"),
    ],
)
def test_contradictions_are_refused(knobs: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_recipe("kakudai", knobs)
    assert told in str(caught.value)


def test_an_unknown_recipe_names_the_shipped_ones() -> None:
    with pytest.raises(MissingInputError) as caught:
        read_recipe("papr")
    assert "paper" in caught.value.remedy


def test_a_recipe_file_of_ones_own(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text((RECIPES / "paper.yaml").read_text().replace("batch: 32", "batch: 7"))
    assert read_recipe(str(mine)).fit.batch == 7
    mine.write_text("- not a mapping")
    with pytest.raises(ConfigError):
        read_recipe(str(mine))
    mine.write_text("name: mine\nfit: []\n")
    with pytest.raises(ConfigError, match="fit: a mapping of knobs is needed"):
        read_recipe(str(mine), {"fit.batch": 7})


@pytest.mark.parametrize(("word", "told"), [("fit.batch", "not KNOB=VALUE"), ("fit.batch=[", "not a value in YAML")])
def test_a_knob_that_cannot_be_set_is_refused(word: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["fit-all", "--pack", "p.h5", "--runs", "r", "--set"]
    assert overrides_of(parser().parse_args([*command, "fit.batch=7", "scale=3"])) == {"fit.batch": 7, "scale": 3}
    with pytest.raises(SystemExit):
        parser().parse_args([*command, word])
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("command", ["prepare", "fit", "evaluate", "export", "pack", "fit-all"])
def test_every_command_teaches(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse_args([command, "--help"])
    assert ended.value.code == 0
    assert f"kakudai-train {command} --" in capsys.readouterr().out
