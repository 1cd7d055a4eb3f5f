"""Frames and timestamps of one decode; ends, damage and hangs."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.decode import Decoder, queue_frames
from engine.errors import InputError, ProcessingError
from engine.planes import Planes
from engine.probe import probe_episode
from engine.settings import Limits
from engine.source import open_source
from tests import media

VFR = [500 + 41.708333 * i + (200 if i > 10 else 0) for i in range(36)]


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    yield
    assert media.left_behind() == []


def md5(planes: Planes) -> str:
    return hashlib.md5(b"".join(plane.tobytes() for plane in planes)).hexdigest()


@pytest.mark.parametrize(
    ("pix_fmt", "codec"),
    [
        ("yuv420p", ["-c:v", "libx264", "-bf", "3"]),
        ("yuv444p12le", ["-c:v", "libx265", "-x265-params", "log-level=error"]),
        ("gray10le", ["-c:v", "ffv1"]),
        ("yuv422p", ["-c:v", "ffv1"]),
    ],
)
def test_frames_and_times_are_the_sources(tmp_path: Path, pix_fmt: str, codec: list[str]) -> None:
    path = media.video(
        tmp_path / "a.mkv", frames=20, size="97x65" if codec[1] == "ffv1" else "96x64", pix_fmt=pix_fmt, codec=codec
    )
    with open_source(path) as source:
        info = probe_episode(source, limits=Limits())
        with Decoder(source, info, limits=Limits()) as decoder:
            frames = [md5(planes) for planes in decoder]
    assert frames == media.frame_hashes(path)
    assert list(decoder.timestamps) == [pts for pts, _ in media.packets(path)[0]]
    assert decoder.frames == 20


def test_uneven_times_and_a_late_start_are_kept(tmp_path: Path) -> None:
    path = media.fansub(tmp_path / "a.mkv", timestamps=VFR)
    with open_source(path) as source:
        info = probe_episode(source, limits=Limits())
        with Decoder(source, info, limits=Limits()) as decoder:
            assert sum(1 for _ in decoder) == 36
    assert list(decoder.timestamps) == [round(t) for t in VFR]


def test_edit_lists_of_an_mp4_hide_frames(tmp_path: Path) -> None:
    whole, later = media.mp4(tmp_path / "whole.mp4"), tmp_path / "later.mp4"
    media.ffmpeg("-ss", "0.3", "-i", whole, "-map", "0:v", "-c", "copy", later)
    shown = [pts for pts, _ in media.packets(later)[0]]
    with open_source(later) as source:
        info = probe_episode(source, limits=Limits())
        with Decoder(source, info, limits=Limits()) as decoder:
            assert sum(1 for _ in decoder) == len(shown) < 36
    assert list(decoder.timestamps) == shown


def test_a_slow_reader_bounds_what_waits(tmp_path: Path) -> None:
    path = media.video(tmp_path / "a.mkv", frames=100)
    frame_bytes = 96 * 64 * 3 // 2
    with open_source(path) as source:
        info = probe_episode(source, limits=Limits())
        with Decoder(source, info, limits=Limits(), queue_bytes=4 * frame_bytes) as decoder:
            frames = iter(decoder)
            next(frames)
            deadline = time.monotonic() + 10
            while decoder.frames < 6:  # one taken, four waiting, one in the reader's hand
                assert time.monotonic() < deadline
                time.sleep(0.01)
            assert decoder.frames == 6
            assert 1 + sum(1 for _ in frames) == 100


def test_queue_holds_at_least_two_frames_and_never_many() -> None:
    assert queue_frames(1 << 40) == 2
    assert queue_frames(1) == 64


def test_stopping_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    path = media.video(tmp_path / "a.mkv", frames=100)
    with open_source(path) as source:
        info = probe_episode(source, limits=Limits())
        with Decoder(source, info, limits=Limits()) as decoder:
            next(iter(decoder))


def test_a_hanging_ffmpeg_is_stopped(tmp_path: Path) -> None:
    path = media.video(tmp_path / "a.mkv", frames=400, size="640x480")
    with open_source(path) as source:
        info = probe_episode(source, limits=Limits())
        with Decoder(source, info, limits=Limits(silence_s=1), queue_bytes=1) as decoder:
            os.kill(decoder._child.pid, signal.SIGSTOP)
            with pytest.raises(ProcessingError, match="no sign of life"):
                sum(1 for _ in decoder)


def test_a_killed_ffmpeg_is_an_error(tmp_path: Path) -> None:
    path = media.video(tmp_path / "a.mkv", frames=400, size="640x480")
    with open_source(path) as source:
        info = probe_episode(source, limits=Limits())
        with Decoder(source, info, limits=Limits(), queue_bytes=1) as decoder:
            os.kill(decoder._child.pid, signal.SIGKILL)
            with pytest.raises((ProcessingError, InputError)):
                sum(1 for _ in decoder)


@pytest.mark.parametrize(("size", "pix_fmt"), [("128x96", "yuv420p"), ("96x64", "yuv420p10le"), ("96x64", "yuv422p")])
def test_a_change_of_size_or_format_in_midstream_is_refused(tmp_path: Path, size: str, pix_fmt: str) -> None:
    """ffmpeg would convert the format of all that follows to the first's, without a word."""
    media.video(tmp_path / "a.ts", frames=5)
    media.video(tmp_path / "b.ts", frames=5, size=size, pix_fmt=pix_fmt)
    (tmp_path / "both.txt").write_text("file 'a.ts'\nfile 'b.ts'\n")
    path = tmp_path / "both.mkv"
    media.ffmpeg("-f", "concat", "-i", tmp_path / "both.txt", "-c", "copy", path)
    with open_source(path) as source:
        info = probe_episode(source, limits=Limits())
        with Decoder(source, info, limits=Limits()) as decoder, pytest.raises(InputError, match="size or pixel"):
            sum(1 for _ in decoder)


def test_damage_that_ffmpeg_reports_is_refused(tmp_path: Path) -> None:
    path = media.video(tmp_path / "a.mkv", frames=30)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 200] = bytes(b ^ 0xFF for b in data[middle : middle + 200])
    path.write_bytes(data)
    with open_source(path) as source:
        info = probe_episode(source, limits=Limits())
        with Decoder(source, info, limits=Limits()) as decoder, pytest.raises(InputError):
            sum(1 for _ in decoder)
