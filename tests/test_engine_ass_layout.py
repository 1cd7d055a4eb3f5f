"""ASS subtitles are told the size they were written for, where asked, and nothing else changes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from engine.ass_layout import _element, _elements, _void, layout_header
from engine.settings import Settings, Size
from tests import media
from tests.same_episode import compare

SIZE = Size(96, 64)


def script_of(path: Path) -> bytes:
    return media.ffmpeg("-i", path, "-map", "0:s:0", "-c", "copy", "-f", "ass", "-")


@pytest.mark.parametrize("asked", [False, True])
def test_scripts_are_untouched_unless_asked(tmp_path: Path, asked: bool) -> None:
    source, part = media.fansub(tmp_path / "a.mkv"), tmp_path / "part"
    settings = Settings(encoder=media.FAST, ass_layout=asked)
    media.enlarge(source, part, work_dir=tmp_path / "work", settings=settings)
    before, after = script_of(source), script_of(part)
    if not asked:
        assert before == after
        compare(source, part)
        return
    lines = after.splitlines()
    assert lines[:3] == [b"[Script Info]", b"LayoutResX: 96", b"LayoutResY: 64"]
    assert [line for line in lines if not line.startswith(b"LayoutRes")] == before.splitlines()
    again = tmp_path / "again.mkv"
    media.call("mkvmerge", "--quiet", "-o", again, part)  # no warning: the file is sound
    assert media.frame_hashes(again) == media.frame_hashes(part)
    assert media.stream_hashes(source, "s") == media.stream_hashes(part, "s")


def test_what_a_script_says_already_holds() -> None:
    assert layout_header(b"[Script Info]\r\nTitle: x\r\n", SIZE) == (
        b"[Script Info]\r\nLayoutResX: 96\r\nLayoutResY: 64\r\nTitle: x\r\n"
    )
    assert layout_header(b"[Script Info]\nlayoutresx: 640\n", SIZE) is None
    assert layout_header(b"[V4+ Styles]\n", SIZE) is None


@given(st.integers(2, 70_000))
@hypothesis_settings(deadline=None, max_examples=50)
def test_empty_elements_take_exactly_their_room(total: int) -> None:
    void = _void(total)
    assert len(void) == total
    ((name, body, end),) = _elements(void, 0, len(void))
    assert (name, end) == (b"\xec", total)
    assert _element(b"\xae", bytes(total))[-total:] == bytes(total)
    assert body > 1
