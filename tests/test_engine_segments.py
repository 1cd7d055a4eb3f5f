"""Segments: proven before they are reused, published only when whole."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.channel import Channel, ChannelClosed
from engine.encode import EncodedSegment
from engine.errors import InputError, ProcessingError
from engine.segments import SegmentStore, segment_length


def stored(folder: Path, frames: list[int], *, key: str = "key") -> SegmentStore:
    store = SegmentStore(folder, key=key, frames_each=10)
    for index, count in enumerate(frames):
        content = f"segment {index}".encode()
        store.part(index).write_bytes(content)
        store.record(index, EncodedSegment(count, len(content), hashlib.sha256(content).hexdigest()))
    return store


def reopened(folder: Path, *, key: str = "key") -> SegmentStore:
    return SegmentStore(folder, key=key, frames_each=10)


def test_finished_segments_are_found_again(tmp_path: Path) -> None:
    stored(tmp_path / "s", [10, 10, 4])
    store = reopened(tmp_path / "s")
    assert store.indexes() == {0, 1, 2}
    assert [segment.frames for segment in store.all(frames=24)] == [10, 10, 4]


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[3] ^= 1
    path.write_bytes(data)


def shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def link(path: Path) -> None:
    aside = path.with_suffix(".aside")
    path.rename(aside)
    path.symlink_to(aside)


@pytest.mark.parametrize("damage", [flip, shorten, link, Path.unlink])
def test_a_damaged_segment_is_not_reused(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    damage(stored(tmp_path / "s", [10, 10, 4]).path(1))
    store = reopened(tmp_path / "s")
    assert store.indexes() == {0, 2}
    assert not store.path(1).exists()
    with pytest.raises(ProcessingError, match="segment 1 has no frames, 10 were decoded"):
        store.all(frames=24)


def test_a_damaged_note_is_not_believed(tmp_path: Path) -> None:
    stored(tmp_path / "s", [10, 10])
    note = tmp_path / "s" / "segment_00000.json"
    for text in ("", "[]", "{}", json.dumps({**json.loads(note.read_text()), "frames": 11}), '{"index": 1e99}'):
        note.write_text(text)
        assert reopened(tmp_path / "s").indexes() == {1}


def test_other_settings_never_mix(tmp_path: Path) -> None:
    stored(tmp_path / "s", [10, 10])
    assert reopened(tmp_path / "s", key="other").indexes() == set()
    assert list((tmp_path / "s").iterdir()) == []


def test_unfinished_parts_are_removed(tmp_path: Path) -> None:
    stored(tmp_path / "s", [10]).part(1).write_bytes(b"half")
    assert not reopened(tmp_path / "s").part(1).exists()


def test_a_short_segment_in_the_middle_is_forgotten(tmp_path: Path) -> None:
    store = stored(tmp_path / "s", [10, 4, 10])
    with pytest.raises(ProcessingError, match="segment 1 has 4 frames, 10 were decoded"):
        store.all(frames=30)
    assert reopened(tmp_path / "s").indexes() == {0, 2}


def test_work_files_are_bounded(tmp_path: Path) -> None:
    store = SegmentStore(tmp_path, key="key", frames_each=10, largest_bytes=15)
    for index in range(2):
        store.part(index).write_bytes(b"12345678")
    store.record(0, EncodedSegment(10, 8, ""))
    with pytest.raises(InputError, match="max_work_bytes"):
        store.record(1, EncodedSegment(10, 8, ""))


@given(st.fractions(Fraction(1, 10), 1000))
def test_segments_are_about_ten_seconds_and_bounded(rate: Fraction) -> None:
    length = segment_length(rate)
    assert 1 <= length <= 600
    assert length == 600 or abs(length / rate - 10) <= 1 / rate


def test_a_channel_ends_fails_and_closes() -> None:
    ended: Channel[int] = Channel(3)
    ended.put(1)
    ended.end()
    assert list(ended) == [1]
    failed: Channel[int] = Channel(3)
    failed.put(1)
    failed.fail(ValueError("lost"))
    received: list[int] = []
    with pytest.raises(ValueError, match="lost"):
        received.extend(failed)
    closed: Channel[int] = Channel(1)
    closed.put(1)
    closed.close()
    with pytest.raises(ChannelClosed):
        closed.put(2)
    assert list(closed) == []
