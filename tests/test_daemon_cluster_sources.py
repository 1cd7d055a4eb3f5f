"""Sources on a node: fetched once, proven, shared, removed; and what is compared when a worker joins."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from daemon.cluster.node_sources import LEFT_OVER_S, held_source, node_folder, shared_source, sweep
from daemon.cluster.passport import differences, passport
from engine.errors import ProcessingError
from tests.service_runner import eventually

CONTENT = b"an episode" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Fetch:
    """Counts how often the content is sent."""

    def __init__(self, content: bytes = CONTENT) -> None:
        self.content = content
        self.times = 0

    def __call__(self) -> Iterator[bytes]:
        self.times += 1
        for offset in range(0, len(self.content), 999):
            yield self.content[offset : offset + 999]


def test_a_source_is_fetched_once_and_removed_after_its_last_use(tmp_path: Path) -> None:
    fetch = Fetch()
    with held_source(tmp_path, SHA256, fetch) as one:
        with held_source(tmp_path, SHA256, fetch) as two:
            assert one.sha256() == two.sha256() == SHA256
        assert fetch.times == 1
        assert (tmp_path / f"{SHA256}.source").exists()  # the first still has it
    assert not list(tmp_path.glob("*.source*"))


def test_workers_of_a_node_that_need_it_at_once_wait_for_one_of_them(tmp_path: Path) -> None:
    fetch = Fetch()
    held: list[str] = []

    def hold() -> None:
        with held_source(tmp_path, SHA256, fetch) as source:
            held.append(source.sha256())
            eventually(lambda: len(held) == 4)

    threads = [Thread(target=hold) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert held == [SHA256] * 4
    assert fetch.times == 1


def test_what_arrives_otherwise_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ProcessingError, match="another hash"), held_source(tmp_path, SHA256, Fetch(b"other")):
        pass
    assert not list(tmp_path.glob("*.source*"))


def test_what_killed_workers_left_is_swept(tmp_path: Path) -> None:
    old, new = tmp_path / "aa.source", tmp_path / "bb.source"
    for path in (old, new):
        path.write_bytes(CONTENT)
    os.utime(old, (0, old.stat().st_mtime - LEFT_OVER_S - 1))
    sweep(tmp_path)
    assert (old.exists(), new.exists()) == (False, True)
    with held_source(tmp_path, SHA256, Fetch()):
        held = tmp_path / f"{SHA256}.source"
        os.utime(held, (0, 0))
        sweep(tmp_path)
        assert held.exists()  # in use


def test_a_shared_path_is_believed_by_its_hash(tmp_path: Path) -> None:
    path = tmp_path / "Show.mkv"
    assert not shared_source(path, SHA256)
    path.write_bytes(b"another")
    assert not shared_source(path, SHA256)
    path.write_bytes(CONTENT)
    assert shared_source(path, SHA256)


def test_the_folder_of_a_node_is_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path / "cache"))
    assert node_folder().stat().st_mode & 0o777 == 0o700


def test_installations_are_compared_in_words() -> None:
    mine = passport()
    assert differences(mine, mine) == []
    assert all(mine.values())
    assert differences({**mine, "ffmpeg": "ffmpeg version 1"}, mine) == [
        f"ffmpeg is ffmpeg version 1 there, {mine['ffmpeg']} here"
    ]
    assert differences({**mine, "more": "1"}, mine) == ["more is 1 there, missing here"]
