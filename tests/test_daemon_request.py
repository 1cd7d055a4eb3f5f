"""Every setting reaches the process of its job as it was."""

from __future__ import annotations

import dataclasses
import json
from fractions import Fraction
from pathlib import Path

import pytest

from daemon.config import load_config
from daemon.request import settings_from_plain, settings_to_plain
from engine.errors import ConfigError
from engine.settings import Damaged, Deinterlace, EncoderSettings, Settings, Size, Unfit

EVERY = Settings(
    scale=None,
    target=Size(1920, 1080),
    weights=Path("a.h5"),
    encoder=EncoderSettings("nvenc-hevc", (("cq", "20"),)),
    unfit=Unfit.MKV,
    damaged=Damaged.ACCEPT,
    deinterlace=Deinterlace.BWDIF,
    video_stream=2,
    ass_layout=True,
)


@pytest.mark.parametrize("settings", [Settings(), EVERY, dataclasses.replace(EVERY, scale=Fraction(9, 4), target=None)])
def test_settings_come_through_json(settings: Settings) -> None:
    assert settings_from_plain(json.loads(json.dumps(settings_to_plain(settings)))) == settings


def test_settings_of_an_episode_are_read(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(
        "profiles:\n  default:\n    unfit: mkv\n    damaged: accept\n    deinterlace: bwdif\n"
        "    video_stream: 2\n    ass_layout: true\n",
        encoding="utf-8",
    )
    found = load_config(path).profiles["default"]
    told = (found.unfit, found.damaged, found.deinterlace, found.video_stream, found.ass_layout)
    assert told == (Unfit.MKV, Damaged.ACCEPT, Deinterlace.BWDIF, 2, True)
    path.write_text(
        "profiles:\n  default:\n    unfit: avi\n    damaged: maybe\n    deinterlace: yadif\n    video_stream: 0\n",
        encoding="utf-8",
    )
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert len(caught.value.problems) == 4
