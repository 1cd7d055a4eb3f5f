"""Episodes that hold more, or last longer, than the limits allow are refused with the limit's name."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.completeness import prove_complete
from engine.errors import InputError
from engine.probe import probe_episode
from engine.settings import Limits
from engine.source import open_source
from tests import media


@pytest.fixture
def episode(tmp_path: Path) -> Path:
    """Two seconds, a font of 10,000 bytes."""
    (tmp_path / "font.ttf").write_bytes(bytes(10_000))
    media.ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=size=64x48:rate=24", "-frames:v", "48", "-c:v", "ffv1"),
        *("-attach", tmp_path / "font.ttf", "-metadata:s:1", "mimetype=font/ttf", tmp_path / "a.mkv"),
    )
    return tmp_path / "a.mkv"


@pytest.mark.parametrize(
    ("limits", "reason", "name"),
    [
        (Limits(max_duration_s=1.9), "lasts 2 s; the limit is 2", "max_duration_s"),
        (Limits(max_streams=1), "has 2 streams; the limit is 1", "max_streams"),
        (Limits(max_attachment_bytes=9_999), "take 10,000 bytes; the limit is 9,999", "max_attachment_bytes"),
    ],
)
def test_each_limit_is_held_and_named(episode: Path, limits: Limits, reason: str, name: str) -> None:
    with open_source(episode) as source:
        probe_episode(source, limits=Limits(max_duration_s=2.1, max_streams=2, max_attachment_bytes=10_000))
        with pytest.raises(InputError, match=reason) as refusal:
            probe_episode(source, limits=limits)
    assert name in refusal.value.remedy


def test_a_header_that_tells_of_less_does_not_help(episode: Path) -> None:
    """The packets are measured as well."""
    with open_source(episode) as source:
        info = probe_episode(source, limits=Limits())
        with pytest.raises(InputError, match="lasts 2 s"):
            prove_complete(source, info, limits=Limits(max_duration_s=1.9))
