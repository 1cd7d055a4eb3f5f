"""Tiny episodes for the tests of the engine, made by ffmpeg and mkvmerge; and ways to look into the results."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine.episode import EpisodeReport, enlarge_episode
from engine.planes import PlaneFormat, Planes
from engine.probe import EpisodeInfo
from engine.settings import Container, EncoderSettings, Settings, Size
from engine.source import open_source

FAST = EncoderSettings("x265", (("preset", "ultrafast"),))

_ASS = """[Script Info]
ScriptType: v4.00+
PlayResX: 96
PlayResY: 64

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, Alignment
Style: Default,Kakudai Test,20,&H00FFFFFF,2

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Dialogue: 0,0:00:00.20,0:00:00.70,Default,,0,0,0,,{\\an8}拡大
Dialogue: 0,0:00:00.80,0:00:01.20,Default,,0,0,0,,second line
"""
_CHAPTERS = "CHAPTER01=00:00:00.000\nCHAPTER01NAME=Opening\nCHAPTER02=00:00:00.750\nCHAPTER02NAME=Part A\n"


def call(*argv: object) -> bytes:
    """Run a program that must succeed; its stdout."""
    done = subprocess.run([str(word) for word in argv], capture_output=True, check=False)
    assert done.returncode == 0, f"{argv}\n{done.stdout.decode()}\n{done.stderr.decode()}"
    return done.stdout


def ffmpeg(*argv: object) -> bytes:
    return call("ffmpeg", "-nostdin", "-loglevel", "error", "-y", *argv)


def video(
    path: Path,
    *,
    frames: int = 24,
    size: str = "96x64",
    rate: str = "24000/1001",
    pix_fmt: str = "yuv420p",
    codec: Sequence[str] = ("-c:v", "libx264", "-preset", "ultrafast", "-bf", "2"),
    more: Sequence[str] = (),
) -> Path:
    """A clip of ffmpeg's moving test picture, without sound."""
    ffmpeg(
        *("-f", "lavfi", "-i", f"testsrc2=size={size}:rate={rate}", "-frames:v", str(frames)),
        *("-pix_fmt", pix_fmt, *codec, *more, path),
    )
    return path


def captioned(path: Path) -> Path:
    """A .mkv with CTA-708 in an SEI message of each frame (ATSC A/53-4, 6.2.3), as North America broadcasts them."""
    plain = path.with_suffix(".h264")
    video(plain, frames=12, codec=["-c:v", "libx264", "-x264-params", "bframes=0:aud=1"])
    delimiter = b"\0\0\0\1\x09"
    captions = b"\xb5\0\x31GA94\x03\x41\xff\xfc\x94\x2c\xff"
    message = b"\0\0\0\1\x06\x04" + bytes([len(captions)]) + captions + b"\x80"
    frames = [delimiter + rest[:1] + message + rest[1:] for rest in plain.read_bytes().split(delimiter)[1:]]
    plain.write_bytes(b"".join(frames))
    call("mkvmerge", "-q", "-o", path, "--default-duration", "0:24fps", plain)
    plain.unlink()
    return path


def global_tags(**tags: str) -> str:
    """A Matroska tags document of global tags."""
    simple = "".join(f"<Simple><Name>{name}</Name><String>{value}</String></Simple>" for name, value in tags.items())
    return f"<?xml version='1.0'?><Tags><Tag><Targets/>{simple}</Tag></Tags>"


def fansub(path: Path, *, timestamps: Sequence[float] | None = None, frames: int = 36) -> Path:
    """An .mkv as fansubs are: HEVC 10 bit with B-frames, two sound tracks, ASS, a font, chapters, tags, odd order.

    `timestamps`: when each frame is shown, in milliseconds, where the rate is not constant.
    """
    folder = path.with_suffix(".made")
    folder.mkdir()
    base = folder / "base.mkv"
    seconds = str(frames * 1001 / 24000)
    ffmpeg(
        *("-f", "lavfi", "-i", f"testsrc2=size=96x64:rate=24000/1001:duration={seconds}"),
        *("-f", "lavfi", "-i", f"sine=440:duration={seconds}", "-f", "lavfi", "-i", f"sine=880:duration={seconds}"),
        *("-map", "0", "-map", "1", "-map", "2", "-frames:v", str(frames), "-pix_fmt", "yuv420p10le"),
        *("-c:v", "libx265", "-x265-params", "log-level=error:bframes=4:keyint=12", "-color_range", "tv"),
        *("-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709"),
        *("-c:a:0", "flac", "-c:a:1", "aac", base),
    )
    written = {
        "s.ass": _ASS,
        "chapters.txt": _CHAPTERS,
        "global.xml": global_tags(DATE_RELEASED="2020", KEYWORDS="a, b"),
        "video.xml": global_tags(SOURCE="BD", BPS="1"),
        "v2.txt": "\n".join(["# timestamp format v2", *(f"{t:.6f}" for t in timestamps or ())]) + "\n",
    }
    for name, text in written.items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "font.ttf").write_bytes(np.random.default_rng(1).bytes(5000))
    timed = ["--timestamps", f"0:{folder}/v2.txt"] if timestamps else []
    call(
        *("mkvmerge", "--quiet", "-o", path, "--title", "拡大 第1話", "--global-tags", folder / "global.xml"),
        *("--chapters", folder / "chapters.txt", *timed, "--tags", f"0:{folder}/video.xml"),
        *("--track-name", "0:Main video", "--language", "0:ja", "--track-name", "1:日本語", "--language", "1:ja"),
        *("--default-track-flag", "2:no", "--commentary-flag", "2:yes", "--language", "2:en", base),
        *("--language", "0:en", "--forced-display-flag", "0:yes", "--track-name", "0:Signs", folder / "s.ass"),
        *("--attachment-mime-type", "font/ttf", "--attach-file", folder / "font.ttf"),
        *("--track-order", "0:1,0:0,1:0,0:2"),
    )
    return path


def mp4(path: Path, *, frames: int = 36) -> Path:
    """An .mp4 with H.264 and B-frames at 1/24000 s, AAC, timed text, chapters, title and comment."""
    notes, subtitles = path.with_suffix(".txt"), path.with_suffix(".ass")
    notes.write_text(
        ";FFMETADATA1\ntitle=Episode\ncomment=kept\n"
        "[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=700\ntitle=One\n"
        "[CHAPTER]\nTIMEBASE=1/1000\nSTART=700\nEND=1500\ntitle=Two\n",
        encoding="utf-8",
    )
    subtitles.write_text(_ASS, encoding="utf-8")
    ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=size=96x64:rate=24000/1001", "-f", "lavfi", "-i", "sine=440:duration=1.5"),
        *("-i", subtitles, "-i", notes, "-map", "0:v", "-map", "1:a", "-map", "2:s", "-map_metadata", "3"),
        *("-map_chapters", "3", "-frames:v", str(frames), "-pix_fmt", "yuv420p", "-c:v", "libx264", "-bf", "3"),
        *("-x264-params", "keyint=12", "-c:a", "aac", "-c:s", "mov_text", "-metadata:s:a", "language=jpn"),
        *("-video_track_timescale", "24000", path),
    )
    return path


def probe(path: Path) -> dict[str, Any]:
    """Everything that ffprobe's headers tell, with hashes of attachments."""
    shown = call(
        *("ffprobe", "-loglevel", "error", "-show_streams", "-show_format", "-show_chapters"),
        *("-show_data_hash", "sha256", "-of", "json", path),
    )
    found: dict[str, Any] = json.loads(shown)
    return found


def packets(path: Path) -> dict[int, list[tuple[int, int | None]]]:
    """PTS and duration of the packets of each stream that are shown, sorted by PTS."""
    shown = call(
        *("ffprobe", "-loglevel", "error", "-show_entries", "packet=stream_index,pts,duration,flags"),
        *("-of", "json", path),
    )
    found: dict[int, list[tuple[int, int | None]]] = {}
    for packet in json.loads(shown)["packets"]:
        if "pts" in packet and "D" not in packet["flags"]:
            found.setdefault(packet["stream_index"], []).append((packet["pts"], packet.get("duration")))
    return {index: sorted(times, key=lambda time: time[0]) for index, times in found.items()}


def stream_hashes(path: Path, kind: str) -> list[str]:
    """SHA-256 over the packets of each stream of a kind: `a`, `s`, `v`."""
    if not any(stream["codec_type"].startswith(kind) for stream in probe(path)["streams"]):
        return []
    shown = ffmpeg("-i", path, "-map", f"0:{kind}", "-c", "copy", "-f", "streamhash", "-")
    return [line.rpartition("=")[2] for line in shown.decode().splitlines()]


def frame_hashes(path: Path) -> list[str]:
    """MD5 of each decoded frame."""
    shown = ffmpeg("-i", path, "-map", "0:V:0", "-fps_mode", "passthrough", "-f", "framemd5", "-")
    return [line.split(",")[-1].strip() for line in shown.decode().splitlines() if not line.startswith("#")]


def doubled(info: EpisodeInfo, format_: PlaneFormat, planes: Planes) -> Planes:
    """Planes twice as wide and high, by repetition, in the output's depth."""
    shift = format_.depth - info.format.depth
    return tuple(np.repeat(np.repeat(plane.astype(format_.dtype) << shift, 2, 0), 2, 1) for plane in planes)


def enlarge(
    path: Path,
    part: Path,
    *,
    work_dir: Path,
    container: Container = Container.MKV,
    encoder: EncoderSettings = FAST,
    settings: Settings | None = None,
    fail_at: int | None = None,
    seen: list[int] | None = None,
    meanwhile: Callable[[], None] | None = None,
    each: Callable[[], None] | None = None,
) -> EpisodeReport:
    """Run the recipe with doubling in place of the network. `fail_at`: the frame at which the network dies.

    `seen` collects how many frames the network was given; `meanwhile` is called at the first, `each` at every one.
    """
    from engine.encoders import output_format, picture_format
    from engine.probe import probe_episode

    settings = settings or Settings(encoder=encoder)
    counted = [0]
    work_dir.mkdir(exist_ok=True)
    with open_source(path) as source:
        info = probe_episode(source, limits=settings.limits, settings=settings)
        leaving = (
            picture_format(info.format) if container is Container.PNG else output_format(info.format, settings.encoder)
        )

        def network(planes: Planes) -> Planes:
            if counted[0] == fail_at:
                raise RuntimeError("the network died")
            if meanwhile is not None and counted[0] == 0:
                meanwhile()
            if each is not None:
                each()
            counted[0] += 1
            return doubled(info, leaving, planes)

        try:
            return enlarge_episode(
                source,
                part,
                info=info,
                output_size=Size(info.size.width * 2, info.size.height * 2),
                output_format=leaving,
                enlarge=network,
                settings=settings,
                container=container,
                weights_sha256=None,
                work_dir=work_dir,
                progress=lambda event: None,
            )
        finally:
            if seen is not None:
                seen.append(counted[0])


def left_behind() -> list[str]:
    """Threads and child processes that should be gone when a test ends."""
    threads = [t.name for t in threading.enumerate() if t is not threading.main_thread() and not t.daemon]
    children: list[str] = []
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # a thread that has just ended
            children += (task / "children").read_text().split()
    return threads + children
