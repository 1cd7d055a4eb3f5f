"""What every frame is: told by one decode without pixels, by the decoder beside its frames, and from a key frame on."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from engine.decode import Decoder
from engine.errors import InputError
from engine.frame_facts import FrameFacts
from engine.probe import probe_episode
from engine.settings import Limits
from engine.source import open_source
from engine.timeline import Timeline
from tests import media
from tests.service_runner import eventually


def _timeline(path: Path) -> list[FrameFacts]:
    with open_source(path) as source:
        info = probe_episode(source, limits=Limits())
        with Timeline(source, info, limits=Limits()) as timeline:
            eventually(lambda: timeline.ended)
            return timeline.facts


def _decoded(path: Path, start_s: Fraction | None) -> list[FrameFacts]:
    with open_source(path) as source:
        info = probe_episode(source, limits=Limits())
        with Decoder(source, info, limits=Limits(), hashed=True, accept_damage=True, start_s=start_s) as decoder:
            return [facts for _, facts in decoder.with_facts()]


def test_the_decoder_and_the_timeline_tell_the_same(tmp_path: Path) -> None:
    path = media.fansub(tmp_path / "a.mkv", timestamps=[40.0 * n + 7 * (n % 3) for n in range(36)])
    facts = _timeline(path)
    assert facts == _decoded(path, None)
    assert [each.pts for each in facts] == [pts for pts, _ in media.packets(path)[1]]
    assert len({each.checksum for each in facts}) > 30


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4"])
def test_from_a_key_frame_on_the_frames_are_the_same(tmp_path: Path, name: str) -> None:
    path = media.fansub(tmp_path / name) if name == "a.mkv" else media.mp4(tmp_path / name)
    with open_source(path) as source:
        time_base = probe_episode(source, limits=Limits()).time_base
    facts = _timeline(path)
    found = _decoded(path, facts[20].pts * time_base)
    assert len(found) < 36  # it did begin later
    wanted = [each for each in found if each.pts >= facts[20].pts]
    assert wanted == facts[20:]


def test_the_timeline_finds_the_damage_that_the_decoder_finds(tmp_path: Path) -> None:
    path = media.video(tmp_path / "a.mkv", frames=48, more=("-g", "12"))
    content = bytearray(path.read_bytes())
    for offset in range(len(content) // 2, len(content) // 2 + 400):
        content[offset] ^= 0x55
    path.write_bytes(content)
    with open_source(path) as source:
        info = probe_episode(source, limits=Limits())
        with Timeline(source, info, limits=Limits()) as timeline, pytest.raises(InputError, match="damaged"):
            eventually(lambda: timeline.ended)
        with Timeline(source, info, limits=Limits(), accept_damage=True) as timeline:
            eventually(lambda: timeline.ended)
            assert timeline.damage
