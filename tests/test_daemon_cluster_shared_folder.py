"""The shared folder: proven from both sides, used for sources and segments, left clean."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from daemon.cluster.shared_folder import LostError, answered, collect, leave, place_source, prove, sharing
from engine.source import open_source


def test_who_sees_the_same_folder_can_prove_it_and_others_are_told_why_not(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    with sharing(here) as shared:
        assert prove(shared, "a") is None
        assert answered(shared, "a")
        assert not answered(shared, "b")
        elsewhere = replace(shared, place=there / shared.place.name)
        assert "not the same folder there, or not mounted" in str(prove(elsewhere, "a"))
        elsewhere.place.mkdir()
        (elsewhere.place / "token").write_text("of another")
        assert "holds something else there" in str(prove(elsewhere, "a"))
        (elsewhere.place / "token").write_text(shared.token)  # a copy: what is written there is not seen here
        assert prove(elsewhere, "b") is None
        assert not answered(shared, "b")
        (elsewhere.place / "token").unlink()
        (elsewhere.place / "token").symlink_to(shared.place / "token")  # never followed
        assert "cannot be used there" in str(prove(elsewhere, "a"))
    assert list(here.iterdir()) == []


def test_a_segment_is_left_and_collected(tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.write_bytes(b"a segment")
    with sharing(tmp_path) as shared:
        target = tmp_path / "part"
        collect(shared, leave(made, shared, 7), target)
        assert target.read_bytes() == b"a segment"
        assert not list(shared.place.glob("*.segment"))
        with pytest.raises(LostError):
            collect(shared, "7-gone.segment", target)
        (shared.place / "8-link.segment").symlink_to(made)
        with pytest.raises(LostError):
            collect(shared, "8-link.segment", target)
        far = Path("/dev/shm") / f"kakudai-test-{os.getpid()}"  # another file system
        try:
            collect(shared, leave(made, shared, 9), far)
            assert far.read_bytes() == b"a segment"
        finally:
            far.unlink(missing_ok=True)


def test_a_source_in_the_folder_stays_where_it_is_and_another_is_copied(tmp_path: Path) -> None:
    root = tmp_path / "shared"
    root.mkdir()
    for path in (root / "in.mkv", tmp_path / "out.mkv"):
        path.write_bytes(b"an episode" * 999_999)
        with open_source(path) as source, sharing(root) as shared:
            place = place_source(source.fd, source.size, path, shared, "hash")
            assert (place == path) == (path.parent == root)
            assert place.read_bytes() == path.read_bytes()


def test_what_killed_jobs_left_is_removed_and_what_others_use_is_not(tmp_path: Path) -> None:
    left = tmp_path / ".kakudai-0123"
    left.mkdir()
    (left / "lock").touch()
    (left / "1.segment").touch()
    with sharing(tmp_path) as one, sharing(tmp_path) as two:
        assert not left.exists()
        assert one.place.exists()
        assert two.place.exists()
