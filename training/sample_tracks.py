"""What a sample episode carries beside its pictures: music, a commentary, subtitles, a font, chapters and tags."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray

from engine.errors import ToolError
from engine.settings import Size

SAMPLE_RATE = 48_000
TITLE = "Yūyake no Machi"
EPISODE_TITLE = "The Town at Dusk"

_FONT_FOLDERS = (Path("/usr/share/fonts"), Path("/usr/local/share/fonts"))
_FONTS = {
    "DejaVuSans.ttf": "DejaVu Sans",
    "LiberationSans-Regular.ttf": "Liberation Sans",
    "FreeSans.ttf": "FreeSans",
    "NotoSans-Regular.ttf": "Noto Sans",
    "Vera.ttf": "Bitstream Vera Sans",
}
"""Openly licensed fonts that may be attached, and their family names. Debian's ffmpeg brings the first."""

_CHORDS = ((57, 60, 64, 69), (53, 57, 60, 65), (48, 55, 60, 64), (55, 59, 62, 67))
"""A minor, F, C, G as MIDI notes: two seconds each."""
_MELODY = (76, 74, 72, 74, 76, 79, 81, 79, 76, 72, 74, 76, 74, 71, 67, 71)
"""One note every half second."""


def font() -> tuple[Path, str]:
    """A font file of the system and its family name. Raises `ToolError` where there is none."""
    for name, family in _FONTS.items():
        for folder in _FONT_FOLDERS:
            if found := sorted(folder.rglob(name)):
                return found[0], family
    raise ToolError(
        f"none of the fonts {', '.join(_FONTS)} is installed",
        remedy="install one to attach to the sample: apt install fonts-dejavu-core",
    )


def music(seconds: float) -> NDArray[np.float32]:
    """A quiet tune: (samples, 2) stereo in -1..1, as long as `seconds`."""
    total = round(seconds * SAMPLE_RATE)
    both = np.zeros((total, 2))
    for i in range(int(seconds / 2) + 1):
        for voice, note in enumerate(_CHORDS[i % len(_CHORDS)]):
            _add(both, _tone(note, 2.2, attack_s=0.25, decay_s=3.0) * 0.085, at_s=2.0 * i, pan=0.3 + 0.13 * voice)
    for i in range(int(seconds * 2) + 1):
        note = _MELODY[i % len(_MELODY)]
        _add(both, _tone(note, 1.1, attack_s=0.008, decay_s=0.35) * 0.20, at_s=0.5 * i, pan=0.4 + 0.2 * (i % 2))
    return _faded(both)


def commentary(seconds: float) -> NDArray[np.float32]:
    """Somebody who talks over it without words: (samples, 1) mono in -1..1."""
    total = round(seconds * SAMPLE_RATE)
    mono = np.zeros((total, 1))
    rng = np.random.default_rng(7)
    at_s = 0.3
    while at_s < seconds - 0.3:
        length_s = float(rng.uniform(0.12, 0.30))
        vowel = _tone(float(rng.uniform(45, 52)), length_s, attack_s=0.03, decay_s=0.25, overtones=12)
        _add(mono, vowel * 0.16, at_s=at_s, pan=0.5)
        at_s += length_s + float(rng.choice([0.02, 0.05, 0.35], p=[0.6, 0.25, 0.15]))
    return _faded(mono + 0.25 * music(seconds).mean(axis=1, keepdims=True))


def _tone(note: float, seconds: float, *, attack_s: float, decay_s: float, overtones: int = 4) -> NDArray[np.float64]:
    """A MIDI note with a few overtones that rises and dies away."""
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    pitch = 440.0 * 2 ** ((note - 69) / 12)
    wave = sum(np.sin(2 * np.pi * pitch * n * time) / n**1.7 for n in range(1, overtones + 1))
    envelope = np.minimum(time / attack_s, 1) * np.exp(-time / decay_s) * np.minimum((seconds - time) / 0.05, 1)
    return np.asarray(wave * envelope)


def _add(target: NDArray[Any], wave: NDArray[np.float64], *, at_s: float, pan: float) -> None:
    start = round(at_s * SAMPLE_RATE)
    wave = wave[: max(len(target) - start, 0)]
    sides = np.array([1 - pan, pan]) * 2 if target.shape[1] == 2 else np.array([1.0])
    target[start : start + len(wave)] += wave[:, None] * sides


def _faded(waves: NDArray[Any]) -> NDArray[np.float32]:
    fade = min(SAMPLE_RATE // 5, len(waves))
    waves[len(waves) - fade :] *= np.linspace(1, 0, fade)[:, None]
    return np.clip(waves, -1, 1).astype(np.float32)


def subtitles(size: Size, times: Sequence[Fraction], *, cut: int, family: str) -> str:
    """An ASS script: a style of its own, dialogue, a sign at its place, a fade. `times` are the frames' in seconds."""
    end, scene = times[-1], times[cut]
    margin = round(size.height * 0.06)
    font_size = round(size.height * 0.085)
    lines = [
        ("Default", 0, times[0], scene * Fraction(1, 2), "Haru", "The sky looks as if somebody painted it."),
        ("Default", 0, scene * Fraction(1, 2), scene, "Haru", "Every line of it\\Nby hand. {\\i1}Every one.{\\i0}"),
        ("Sign", 1, times[0], scene, "sign", f"{{\\an7\\pos({margin},{margin})\\fad(200,200)}}Enlargements"),
        ("Default", 0, scene, end, "Haru", "{\\fad(120,0)}Shall we go and see?"),
    ]
    events = "\n".join(
        f"Dialogue: {layer},{_ass_time(start)},{_ass_time(stop)},{style},{actor},0,0,0,,{text}"
        for style, layer, start, stop, actor, text in lines
    )
    styles = "\n".join(
        f"Style: {name},{family},{height},&H00{color},&H000000FF,&H00{edge},&H64000000,{bold},0,0,0,100,100,0,0,1,"
        f"{size.height / 180:.1f},{size.height / 300:.1f},{alignment},{margin},{margin},{margin},1"
        for name, height, color, edge, bold, alignment in (
            ("Default", font_size, "F4FAFF", "3A1E2A", -1, 2),
            ("Sign", round(font_size * 0.7), "FFFFFF", "4E43D8", 0, 7),
        )
    )
    return f"""[Script Info]
; Drawn and timed by code
Title: {TITLE} - 01
ScriptType: v4.00+
WrapStyle: 0
ScaledBorderAndShadow: yes
YCbCr Matrix: TV.709
PlayResX: {size.width}
PlayResY: {size.height}

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, \
StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding
{styles}

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
{events}
"""


def _ass_time(time: Fraction) -> str:
    hundredths = round(time * 100)
    return f"{hundredths // 360000}:{hundredths // 6000 % 60:02}:{hundredths // 100 % 60:02}.{hundredths % 100:02}"


def chapters_xml(starts: Sequence[tuple[Fraction, str]], *, end: Fraction) -> str:
    """Matroska chapters with fixed identifiers, so that their survival can be checked."""
    ends = [start for start, _ in starts[1:]] + [end]
    atoms = "".join(
        f"""
    <ChapterAtom>
      <ChapterUID>{1001 + i}</ChapterUID>
      <ChapterTimeStart>{_clock(start)}</ChapterTimeStart>
      <ChapterTimeEnd>{_clock(stop)}</ChapterTimeEnd>
      <ChapterDisplay><ChapterString>{escape(name)}</ChapterString><ChapterLanguage>eng</ChapterLanguage></ChapterDisplay>
    </ChapterAtom>"""
        for i, ((start, name), stop) in enumerate(zip(starts, ends, strict=True))
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<Chapters>
  <EditionEntry>
    <EditionUID>1000</EditionUID>{atoms}
  </EditionEntry>
</Chapters>
"""


def _clock(time: Fraction) -> str:
    nanoseconds = round(time * 1_000_000_000)
    seconds = nanoseconds // 1_000_000_000
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{nanoseconds % 1_000_000_000:09}"


def tags_xml(values: dict[str, str]) -> str:
    """Matroska tags; for a whole file (`--global-tags`) or, given to a track (`--tags`), for that track."""
    simple = "".join(
        f"\n    <Simple><Name>{escape(name)}</Name><String>{escape(text)}</String></Simple>"
        for name, text in values.items()
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<Tags>
  <Tag>
    <Targets><TargetTypeValue>50</TargetTypeValue></Targets>{simple}
  </Tag>
</Tags>
"""
