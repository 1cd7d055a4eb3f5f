"""Cut, overwritten and flipped files: refused, or delivered whole. Never delivered short."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.completeness import prove_complete
from engine.errors import InputError, ProcessingError
from engine.probe import probe_episode
from engine.settings import Container, EncoderSettings, Limits
from engine.source import open_source
from tests import media

FRAMES = 36


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("whole")
    found = {"mkv": media.fansub(folder / "a.mkv", frames=FRAMES), "mp4": media.mp4(folder / "a.mp4", frames=FRAMES)}
    found["faststart"] = folder / "faststart.mp4"
    media.ffmpeg(
        "-i", found["mp4"], "-map", "0:v", "-map", "0:a", "-c", "copy", "-movflags", "+faststart", found["faststart"]
    )
    return found


def attempt(path: Path, tmp_path: Path) -> str | None:
    """Why it was refused; None when it was delivered, which must then be whole."""
    part = tmp_path / "part"
    container = Container.MKV if path.suffix == ".mkv" else Container.MP4
    try:
        media.enlarge(
            path,
            part,
            work_dir=tmp_path / "work",
            container=container,
            encoder=EncoderSettings("x264", (("preset", "ultrafast"),)),
        )
    except (InputError, ProcessingError) as error:
        part.unlink(missing_ok=True)
        return error.reason
    assert len(media.frame_hashes(part)) == FRAMES
    assert [pts for pts, _ in media.packets(path)[1 if path.suffix == ".mkv" else 0]] == [
        pts for pts, _ in media.packets(part)[1 if path.suffix == ".mkv" else 0]
    ]
    part.unlink()
    return None


def cut(data: bytearray, at: float) -> None:
    del data[int(len(data) * at) :]


def zero_tail(data: bytearray, at: float) -> None:
    start = int(len(data) * at)
    data[start:] = bytes(len(data) - start)


@pytest.mark.parametrize("kind", ["mkv", "mp4", "faststart"])
@pytest.mark.parametrize("damage", [cut, zero_tail])
@pytest.mark.parametrize("at", [0.3, 0.9])
def test_missing_parts_are_noticed(
    sources: dict[str, Path], tmp_path: Path, kind: str, damage: Callable[[bytearray, float], None], at: float
) -> None:
    data = bytearray(sources[kind].read_bytes())
    damage(data, at)
    path = tmp_path / f"damaged{sources[kind].suffix}"
    path.write_bytes(data)
    assert attempt(path, tmp_path) is not None


def test_sound_may_outlast_the_picture_by_a_packet_that_does_not_say_how_long_it_is(tmp_path: Path) -> None:
    source = tmp_path / "a.mkv"
    media.ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=size=96x64:rate=24:duration=3"),
        *("-f", "lavfi", "-i", "sine=r=48000:duration=3.7", "-c:v", "libx264", "-c:a", "wavpack", source),
    )
    with open_source(source) as opened:
        packets = prove_complete(opened, probe_episode(opened, limits=Limits()), limits=Limits())
    assert packets.streams[1].longest == 0


@pytest.mark.parametrize("kind", ["mkv", "faststart"])
def test_a_cut_that_the_header_was_made_to_fit_is_noticed(sources: dict[str, Path], tmp_path: Path, kind: str) -> None:
    """The outermost length corrected, as a bad repair tool leaves it: the packets still tell."""
    data = bytearray(sources[kind].read_bytes())
    if kind == "mkv":
        del data[len(data) // 2 :]
        at = data.index(b"\x18\x53\x80\x67") + 4
        assert data[at] == 0x01
        data[at : at + 8] = (len(data) - at - 8 | 1 << 56).to_bytes(8, "big")
    else:
        at = data.index(b"mdat") - 4
        del data[at + (len(data) - at) // 2 :]
        data[at : at + 4] = (len(data) - at).to_bytes(4, "big")
    path = tmp_path / f"cut{sources[kind].suffix}"
    path.write_bytes(data)
    assert attempt(path, tmp_path) is not None


@pytest.mark.parametrize("kind", ["mkv", "mp4"])
@pytest.mark.parametrize("seed", range(2))
def test_flipped_bits_are_refused_or_harmless(sources: dict[str, Path], tmp_path: Path, kind: str, seed: int) -> None:
    flipped(sources[kind], tmp_path, seed)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mkv", "mp4"])
def test_a_corpus_of_damage_is_refused_or_harmless(sources: dict[str, Path], tmp_path: Path, kind: str) -> None:
    refused = sum(flipped(sources[kind], tmp_path, seed) is not None for seed in range(100, 200))
    assert refused > 20


def flipped(source: Path, tmp_path: Path, seed: int) -> str | None:
    chance = random.Random(seed)
    data = bytearray(source.read_bytes())
    if chance.random() < 0.3:
        start = chance.randrange(len(data))
        data[start : start + 3000] = bytes(len(data[start : start + 3000]))
    for _ in range(chance.choice((1, 3, 30))):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path = tmp_path / f"flipped{source.suffix}"
    path.write_bytes(data)
    return attempt(path, tmp_path)
