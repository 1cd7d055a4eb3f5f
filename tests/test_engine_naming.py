"""Names follow the template; facts in release names are checked and kept true."""

from __future__ import annotations

import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InputError
from engine.job import enlarge
from engine.naming import check_checksum, may_become, output_name, release_name
from engine.plan import plan
from engine.settings import DEFAULT_NAME, Settings, Size
from engine.source import open_source


def named(stem: str, template: str = DEFAULT_NAME, checksum: str = "0A1B2C3D") -> str:
    output, source, settings = Size(1920, 1080), Size(640, 480), Settings(name=template)
    return output_name(stem, ".mkv", output=output, source=source, settings=settings, checksum=checksum)


@pytest.mark.parametrize(
    ("stem", "wanted"),
    [
        ("Title - 01", "Title - 01 [1080p]"),
        ("[Group] Title - 01v2 [1280x720 HEVC][05CB518E]", "[Group] Title - 01v2 [1920x1080 HEVC]"),
        ("[Group] Title - 02 [720p][ABCDEF01]", "[Group] Title - 02 [1080p]"),
        ("Title - 12 (BD 1280x720 x264 FLAC) [abcdef01]", "Title - 12 (BD 1920x1080 x264 FLAC)"),
        ("[Group] 1080 Degrees - 05 [05CB518E]", "[Group] 1080 Degrees - 05 [1080p]"),
        ("Festival [20231231]", "Festival [20231231] [1080p]"),
        ("50% {off} {name}", "50% {off} {name} [1080p]"),
        ("[05CB518E]", "[05CB518E] [1080p]"),
    ],
)
def test_facts_in_the_name_are_kept_true(stem: str, wanted: str) -> None:
    assert named(stem) == f"{wanted}.mkv"


def test_pictures_have_numbers_and_no_checksums(tmp_path: Path) -> None:
    path = tmp_path / "somebody - title (87654321).png"
    assert cv2.imwrite(str(path), np.zeros((4, 4), np.uint8))
    with open_source(path) as source:
        settings = Settings(model="bicubic")
        planned = plan(source, settings)
        assert planned.output_name == "somebody - title (87654321) [8p].png"
        part = tmp_path / "part"
        report = enlarge(source, part, settings, planned=planned, work_dir=tmp_path, progress=lambda _event: None)
        assert report.output_name == planned.output_name


def test_every_field_of_a_template_is_filled() -> None:
    template = "{name} {scale}x {width} {model} {mode} [{crc32}]"
    assert named("a", template) == "a 2.25x 1920 fine enlarge [0A1B2C3D].mkv"


@pytest.mark.parametrize("stem", ["x" * 255, "é" * 127, "拡大" * 42])
def test_a_name_that_is_too_long_is_shortened_and_leaves_room_for_the_part(stem: str) -> None:
    name = named(stem)
    assert name.endswith(" [1080p].mkv")
    assert len(f".{name}.0000000000.part".encode()) <= 255


@given(st.text(st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1, max_size=60))
def test_any_name_gives_a_plain_name(stem: str) -> None:
    name = named(stem)
    assert "/" not in name
    assert name.endswith(".mkv")
    assert release_name(stem).name


def test_a_checksum_in_the_name_is_held_against_the_file(tmp_path: Path) -> None:
    content = b"some episode"
    right = tmp_path / f"Title - 01 [{zlib.crc32(content):08x}].mkv"
    wrong = tmp_path / "Title - 01 [05CB518E].mkv"
    none = tmp_path / "Title - 01 [20231231].mkv"
    for path in (right, wrong, none):
        path.write_bytes(content)
    for path in (right, none):
        with open_source(path) as source:
            check_checksum(source)
    with open_source(wrong) as source, pytest.raises(InputError, match="not 05CB518E") as caught:
        check_checksum(source)
    assert "again" in caught.value.remedy


def test_a_planned_name_is_recognised_in_the_final_one() -> None:
    planned, final = (named("a", "{name} [{crc32}]", checksum) for checksum in ("-" * 8, "0A1B2C3D"))
    assert may_become(planned, final)
    assert may_become("b.mkv", "b.mkv")
    assert not may_become(planned, "b [0A1B2C3D].mkv")
    assert not may_become("b.mkv", "bXmkv")
