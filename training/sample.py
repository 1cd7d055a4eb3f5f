"""A sample picture and a sample episode, drawn by code (`training.scene`) and put together the way fansub releases are.

    python -m training.sample samples                       # a 320x180 picture and a 6 s episode
    python -m training.sample samples --size 1280x720 --seconds 20 --all

The episode: HEVC 10 bit, BT.709, left-sited chroma; variable frame times (24000/1001, a stretch of 30000/1001, one long
hold); Japanese stereo and an English commentary; an ASS subtitle, the font it names, chapters, tags. All of it is
synthetic and free to share.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyvips
from numpy.typing import NDArray

from engine.errors import KakudaiError, OutputError, ProcessingError, UsageError
from engine.files import storing
from engine.parse_settings import SettingError, parse_target
from engine.process import Child, run
from engine.settings import Size
from training.sample_tracks import (
    EPISODE_TITLE,
    SAMPLE_RATE,
    TITLE,
    chapters_xml,
    commentary,
    font,
    music,
    subtitles,
    tags_xml,
)
from training.scene import draw_cel, draw_frames, draw_picture, drawing_at

FILE_NAME = "Yuyake no Machi"
"""What the files are named after: the title in plain letters."""
DEFAULT_SIZE = Size(320, 180)
DEFAULT_SECONDS = 6.0

_SILENCE_S = 120.0
_FILM = Fraction(1001, 24000)
_VIDEO = Fraction(1001, 30000)
_LONG_HOLD = 8
"""How many frames' time the last frame of the first shot stands."""


def write_picture(path: Path, size: Size, *, seed: int = 0, alpha: bool = False, metadata: bool = False) -> None:
    """Draw a picture into a new file; its suffix names the format.

    `alpha`: the characters alone on a transparent sheet. `metadata`: with an sRGB ICC profile and EXIF.
    Raises `OutputError` where it cannot be written.
    """
    _refuse_existing(path)
    pixels = draw_cel(size, seed=seed) if alpha else draw_picture(size, seed=seed)
    image = pyvips.Image.new_from_array(pixels, interpretation="srgb")
    if metadata:
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", pyvips.Operation.call("profile_load", "srgb"))
        for field, text in (("ImageDescription", TITLE), ("Artist", "Kakudai"), ("Copyright", "CC0")):
            image.set_type(pyvips.GValue.gstr_type, f"exif-ifd0-{field}", text)
    try:
        image.write_to_file(str(path))
    except pyvips.Error as error:
        raise OutputError(f"cannot be written: {error}", remedy="check the folder and its space", path=path) from error


def frame_times(frames: int) -> list[Fraction]:
    """When each of `frames` frames appears, in seconds, and as the last entry when the episode ends.

    24000/1001 frames a second, 30000/1001 in the middle of the second shot, and one long hold before the cut.
    """
    cut = cut_at(frames)
    times = [Fraction(0)]
    for i in range(frames):
        fast = (i - cut) * 4 in range(frames - cut, 3 * (frames - cut))
        duration = _VIDEO if fast else _FILM
        times.append(times[-1] + (duration * _LONG_HOLD if i == cut - 1 else duration))
    return times


def frames_in(seconds: float) -> int:
    """How many frames make an episode of about `seconds`."""
    frames = 2
    while frame_times(frames)[-1] < seconds:
        frames += 1
    return frames


def cut_at(frames: int) -> int:
    """The first frame of the second shot."""
    return next((i for i in range(frames) if drawing_at(i, frames=frames).shot == 1), frames - 1)


def write_episode(
    path: Path,
    *,
    size: Size = DEFAULT_SIZE,
    seconds: float = DEFAULT_SECONDS,
    frames: int | None = None,
    seed: int = 0,
    codec: Literal["x265", "x264"] = "x265",
    preset: str = "veryfast",
) -> None:
    """Draw, encode and assemble an episode into a new file.

    `.mkv`: by mkvmerge, with all that the module's description names; `x264` is 8 bit. `.mp4`: always x264 8 bit and
    AAC, with the same frame times in 1/120000 s, chapters and a timed-text subtitle, but no attachment.
    `frames` takes the place of `seconds`. Sizes must be even (4:2:0) and at least 32x32.
    Raises `UsageError`, `OutputError`, `ToolError` (ffmpeg, mkvmerge or a font missing), `ProcessingError`.
    """
    if size.width % 2 or size.height % 2 or min(size.width, size.height) < 32:
        raise UsageError(f"{size} is no size for 4:2:0 video", remedy="give even numbers, at least 32x32")
    if path.suffix not in (".mkv", ".mp4"):
        raise UsageError(f"no container is called {path.suffix!r}", remedy="name it .mkv or .mp4", path=path)
    _refuse_existing(path)
    count = frames_in(seconds) if frames is None else frames
    if count < 2:
        raise UsageError("an episode needs two frames at least", remedy="make it longer", path=path)
    times = frame_times(count)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".sample-") as folder:
        work = Path(folder)
        mp4 = path.suffix == ".mp4"
        _encode_video(work / "video.mkv", size, count, seed, "x264" if mp4 else codec, preset)
        length_s = float(times[-1])
        japanese, english = ("ja.m4a", "en.m4a") if mp4 else ("ja.opus", "en.flac")
        _encode_audio(work / japanese, music(length_s), ["aac", "-b:a", "160k"] if mp4 else ["libopus", "-b:a", "128k"])
        _encode_audio(
            work / english, commentary(length_s), ["aac", "-b:a", "96k"] if mp4 else ["flac", "-sample_fmt", "s16"]
        )
        _write_texts(work, size, times, cut_at(count))
        if mp4:
            _assemble_mp4(work, path)
        else:
            _assemble_mkv(work, path)


def _encode_video(path: Path, size: Size, frames: int, seed: int, codec: Literal["x265", "x264"], preset: str) -> None:
    """Video alone, at a constant rate; the container gives the frames their times."""
    deep = codec == "x265"
    pictures = draw_frames(size, frames=frames, seed=seed, deep=deep)
    encoder = (
        ["libx265", "-crf", "18", "-x265-params", "log-level=error:keyint=48:min-keyint=4"]
        if deep
        else ["libx264", "-crf", "18", "-g", "48"]
    )
    conversion = (
        "zscale=matrixin=gbr:rangein=full:primariesin=709:transferin=709"
        ":matrix=709:range=limited:primaries=709:transfer=709:chromal=left,"
        f"format={'yuv420p10le' if deep else 'yuv420p'}"
    )
    tags = ["-color_range", "tv", "-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709"]
    source = ["-f", "rawvideo", "-pix_fmt", "rgb48le" if deep else "rgb24", "-s", str(size), "-r", "24", "-i", "pipe:0"]
    siting = ["-chroma_sample_location", "left"]
    _feed([*source, "-vf", conversion, "-c:v", *encoder, "-preset", preset, *tags, *siting], pictures, path)


def _encode_audio(path: Path, waves: NDArray[np.float32], encoder: Sequence[str]) -> None:
    source = ["-f", "f32le", "-ar", str(SAMPLE_RATE), "-ac", str(waves.shape[1]), "-i", "pipe:0"]
    _feed([*source, "-c:a", *encoder], [waves], path)


def _feed(arguments: Sequence[str], arrays: Iterable[NDArray[Any]], path: Path) -> None:
    """Let ffmpeg make `path` from raw samples."""
    argv = ["ffmpeg", "-hide_banner", "-nostats", "-loglevel", "level+warning", *arguments, "-bitexact", f"file:{path}"]
    with Child(argv, silence_s=_SILENCE_S, subject=path, feed=True, writes=True) as child:
        for array in arrays:
            child.write(np.ascontiguousarray(array).data.cast("B"))
        child.end_input()
        child.finish()


def _write_texts(work: Path, size: Size, times: Sequence[Fraction], cut: int) -> None:
    _, family = font()
    texts = {
        "times.txt": "# timestamp format v2\n" + "\n".join(f"{float(time * 1000):.6f}" for time in times) + "\n",
        "subtitles.ass": subtitles(size, times, cut=cut, family=family),
        "chapters.xml": chapters_xml([(times[0], "Rooftop"), (times[cut], "The Gate")], end=times[-1]),
        "tags.xml": tags_xml({"TITLE": f"{TITLE} - 01", "DATE_RELEASED": "2024", "COMMENT": "Drawn by code; CC0"}),
        "video-tags.xml": tags_xml({"DIRECTOR": "Nobody", "ENCODER_SETTINGS": "quick"}),
        "audio-tags.xml": tags_xml({"COMPOSER": "Numbers"}),
    }
    for name, text in texts.items():
        (work / name).write_text(text, encoding="utf-8")


def _assemble_mkv(work: Path, path: Path) -> None:
    """Mux as release groups do: names, languages, flags, tags, font, chapters."""
    attached, _ = font()
    track = {
        "video.mkv": ["--language", "0:ja", "--track-name", f"0:{EPISODE_TITLE}", "--default-track-flag", "0:yes",
                      "--timestamps", f"0:{work}/times.txt",
                      "--tags", f"0:{work}/video-tags.xml", "--no-global-tags", "--no-track-tags"],
        "ja.opus": ["--language", "0:ja", "--track-name", "0:Stereo", "--default-track-flag", "0:yes",
                    "--original-flag", "0:yes", "--tags", f"0:{work}/audio-tags.xml", "--no-track-tags"],
        "en.flac": ["--language", "0:en", "--track-name", "0:Commentary", "--default-track-flag", "0:no",
                    "--commentary-flag", "0:yes", "--sync", "0:40", "--no-track-tags"],
        "subtitles.ass": ["--language", "0:en", "--track-name", "0:Dialogue & Signs", "--default-track-flag", "0:yes"],
    }  # fmt: skip
    inputs = [word for name, options in track.items() for word in (*options, str(work / name))]
    _merge(
        [
            "--title", f"{TITLE} - 01 - {EPISODE_TITLE}", "--global-tags", str(work / "tags.xml"),
            "--chapters", str(work / "chapters.xml"), "--attachment-name", attached.name,
            "--attachment-mime-type", "font/ttf", "--attach-file", str(attached), *inputs,
        ],
        path,
    )  # fmt: skip


def _assemble_mp4(work: Path, path: Path) -> None:
    """Give the frames their times in a Matroska file that keeps microseconds, then let ffmpeg write the MP4."""
    timed = work / "timed.mkv"
    _merge(
        ["--timestamp-scale", "1000", "--chapters", str(work / "chapters.xml"),
         "--timestamps", f"0:{work}/times.txt", str(work / "video.mkv")],
        timed,
    )  # fmt: skip
    inputs = [
        word for name in ("timed.mkv", "ja.m4a", "en.m4a", "subtitles.ass") for word in ("-i", f"file:{work / name}")
    ]
    maps = [word for i in range(4) for word in ("-map", f"{i}:0")]
    about = [
        "-metadata", f"title={TITLE} - 01", "-metadata", "date=2024", "-metadata:s:v:0", "language=jpn",
        "-metadata:s:a:0", "language=jpn", "-metadata:s:a:0", "handler_name=Stereo",
        "-metadata:s:a:1", "language=eng", "-metadata:s:a:1", "handler_name=Commentary", "-disposition:a:1", "comment",
        "-metadata:s:s:0", "language=eng",
    ]  # fmt: skip
    argv = [
        "ffmpeg", "-nostdin", "-hide_banner", "-nostats", "-loglevel", "level+warning", *inputs, *maps, "-c", "copy",
        "-c:s", "mov_text", *about, "-video_track_timescale", "120000", "-movflags", "+faststart", f"file:{path}",
    ]  # fmt: skip
    _, child = run(argv, silence_s=_SILENCE_S, subject=path, writes=True)
    if child.status != 0:
        raise child.failed(f"ended with status {child.status}")


def _merge(arguments: Sequence[str], path: Path) -> None:
    """Run mkvmerge, whose status is 1 for a warning and 2 for an error, and which complains on stdout."""
    argv = ["mkvmerge", "--deterministic", "kakudai", "--output", str(path), *arguments]
    said, child = run(argv, silence_s=_SILENCE_S, subject=path, writes=True)
    if child.status != 0:
        raise ProcessingError(
            f"mkvmerge ended with status {child.status}:\n{said.decode(errors='replace').strip()}",
            remedy="the lines above are its own",
            path=path,
        )


def _refuse_existing(path: Path) -> None:
    if path.exists():
        raise OutputError("exists already", remedy="name another file, or remove this one first", path=path)
    if not path.parent.is_dir():
        raise OutputError("its folder does not exist", remedy=f"make it: mkdir -p {path.parent}", path=path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the samples into a folder; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m training.sample",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="where to write; made if missing, nothing in it is replaced")
    parser.add_argument("--size", default=str(DEFAULT_SIZE), help="WIDTHxHEIGHT or 720p (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=DEFAULT_SECONDS, help="length (default %(default)g)")
    parser.add_argument("--seed", type=int, default=0, help="another number, another scene (default: the sample's)")
    parser.add_argument(
        "--all", action="store_true", help="also a picture with alpha, ICC and EXIF, an x264 .mkv and an .mp4"
    )
    options = parser.parse_args(arguments)
    try:
        size = parse_target(options.size)
    except SettingError as error:
        parser.error(f"--size: {error}")
    try:
        for path in write_samples(options.folder, size, seconds=options.seconds, seed=options.seed, every=options.all):
            print(path)
    except KakudaiError as error:
        print(f"{error}\n  cure: {error.remedy}", file=sys.stderr)
        return error.exit_code
    return 0


def write_samples(folder: Path, size: Size, *, seconds: float, seed: int = 0, every: bool = False) -> Iterator[Path]:
    """Write the sample picture and episode, and with `every` their variants; yields each path when it is there."""
    with storing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    picture, episode = folder / f"{FILE_NAME} - Key Visual.png", folder / f"{FILE_NAME} - 01.mkv"
    write_picture(picture, size, seed=seed)
    yield picture
    write_episode(episode, size=size, seconds=seconds, seed=seed)
    yield episode
    if not every:
        return
    cel = folder / f"{FILE_NAME} - Cel.png"
    write_picture(cel, size, seed=seed, alpha=True, metadata=True)
    yield cel
    for variant in (folder / f"{FILE_NAME} - 01 [x264].mkv", folder / f"{FILE_NAME} - 01.mp4"):
        write_episode(variant, size=size, seconds=seconds, seed=seed, codec="x264")
        yield variant


if __name__ == "__main__":
    sys.exit(main())
