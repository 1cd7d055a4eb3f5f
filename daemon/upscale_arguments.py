"""What `kakudai upscale` understands: its flags, and the settings that they make with a profile."""

from __future__ import annotations

import argparse
import dataclasses
import enum
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from daemon.config import load_config
from daemon.config_schema import PROFILE
from engine.errors import UsageError
from engine.parse_settings import (
    CHECKS,
    SettingError,
    parse_cache_bytes,
    parse_encoder_words,
    parse_model,
    parse_name,
    parse_scale,
    parse_stream_number,
    parse_tag,
    parse_target,
    parse_tolerance,
    size_over,
)
from engine.settings import (
    Chroma,
    Container,
    Damaged,
    Deinterlace,
    Denoise,
    Device,
    ImageFormat,
    Interpolation,
    Mode,
    Precision,
    Reuse,
    Rounding,
    Settings,
    Unfit,
)

_Value = TypeVar("_Value")

_EXAMPLES = """\
examples:
  kakudai upscale page.png -o page-large.png               twice as large
  kakudai upscale "Title - 01.mkv" -o enlarged/ --target 1080p
  kakudai upscale season/ -o enlarged/                     a whole tree, mirrored
  kakudai upscale frames/ -o enlarged/ --sequence          a folder of numbered frames
  kakudai upscale old.png -o new.png --mode double-enhance
  kakudai upscale clip.mkv -o clip-large.mkv --encoder x265:crf=14,preset=slow
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Everything that `kakudai upscale` understands."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EXAMPLES
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help="picture, episode or folder")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="OUT", help="a file (for one input) or a folder"
    )
    parser.add_argument("--force", action="store_true", help="replace outputs that exist")
    parser.add_argument(
        "--report", action="store_true", help="write a report for `kakudai verify` beside each output (.kakudai.json)"
    )
    parser.add_argument("--sequence", action="store_true", help="each folder given holds numbered frames: one job")
    parser.add_argument("--config", type=Path, metavar="FILE", help="config.yaml to take the profile from")
    parser.add_argument("--profile", metavar="NAME", help="profile to start from (default: default)")
    parser.add_argument(
        "--stages",
        action="store_true",
        help="tell how busy decode, planes, network and encode were, and which holds the job back (episodes)",
    )
    parser.add_argument("--json", action="store_true", help="one line of JSON for each file, no progress bar")
    add_settings(parser)


def add_settings(parser: argparse.ArgumentParser) -> None:
    """The flags that override a profile."""
    what = parser.add_argument_group("what is done (each overrides the profile)")
    what.add_argument("--mode", type=Mode, choices=list(Mode), metavar="MODE", help=_values(Mode))
    size = what.add_mutually_exclusive_group()
    size.add_argument("--scale", type=_checked(parse_scale), metavar="N", help="1 to 8, such as 2 or 2.25 (default: 2)")
    size.add_argument(
        "--target", type=_checked(parse_target), metavar="SIZE", help="fit inside 1080p, 2160p or WIDTHxHEIGHT"
    )
    what.add_argument(
        "--model",
        type=_checked(parse_model),
        help="auto (default: fine; at the same size and in double modes msrcnn), fast, fine, msrcnn, srcnn; bicubic, "
        "bilinear, lanczos: no network",
    )
    what.add_argument(
        "--restore",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="weights that undo mild compression too (JPEG, x264), for sources that were not well kept (fine, fast)",
    )
    what.add_argument("--weights", type=Path, metavar="FILE.h5", help="weights to use instead of the shipped ones")
    what.add_argument(
        "--upsampling",
        type=Interpolation,
        choices=[Interpolation.BILINEAR, Interpolation.BICUBIC],
        metavar="NAME",
        help="bilinear, bicubic: what enlarges before the network (default: as the weights were trained)",
    )
    what.add_argument(
        "--chroma",
        type=Chroma,
        choices=list(Chroma),
        metavar="NAME",
        help="of pictures: joint (guided by luma; default beside fast and fine) or bicubic (default beside msrcnn)",
    )
    what.add_argument(
        "--denoise", type=Denoise, choices=list(Denoise), metavar="NAME", help=f"the last stage: {_values(Denoise)}"
    )
    what.add_argument(
        "--rounding",
        type=Rounding,
        choices=list(Rounding),
        metavar="NAME",
        help="nearest (default), or paper: truncate levels as the authors' code does",
    )
    what.add_argument(
        "--precision",
        type=Precision,
        choices=list(Precision),
        metavar="NAME",
        help="of fast and fine on a CPU: float32 (default), or bfloat16: almost twice as fast on processors that have "
        "it, luma a level or two off here and there",
    )
    what.add_argument(
        "--deinterlace",
        type=Deinterlace,
        choices=list(Deinterlace),
        metavar="NAME",
        help="interlaced episodes: refuse (default), bwdif, never (enlarge them combs and all)",
    )
    what.add_argument(
        "--damaged",
        type=Damaged,
        choices=list(Damaged),
        metavar="NAME",
        help="damaged or incomplete episodes: refuse (default), accept (what can be decoded, and say what is missing)",
    )
    what.add_argument(
        "--video-stream",
        type=_checked(parse_stream_number),
        metavar="N",
        help="which of several video streams, counted from 1; the others are kept as they are",
    )
    what.add_argument(
        "--reuse",
        type=Reuse,
        choices=list(Reuse),
        metavar="NAME",
        help="exact (default): frames are computed only where they changed, to the same bits; near: changes of luma up "
        "to --reuse-tolerance count as none; off",
    )
    what.add_argument(
        "--reuse-tolerance",
        type=_checked(parse_tolerance),
        metavar="LEVELS",
        help="for near: by how much luma may differ from its source, 0 to 16 levels of 255 (default: 1)",
    )
    what.add_argument(
        "--reuse-cache-bytes",
        type=_checked(parse_cache_bytes),
        metavar="BYTES",
        help="memory for what was enlarged earlier and may return (default: 256 MiB)",
    )
    what.add_argument("--device", type=Device, choices=list(Device), metavar="NAME", help=_values(Device))
    form = parser.add_argument_group("the file that comes out (each overrides the profile)")
    form.add_argument(
        "--encoder",
        type=_checked(parse_encoder_words),
        metavar="NAME[:OPTION=VALUE,…]",
        help="x265 (default), x264, svtav1, ffv1, nvenc-hevc, nvenc-av1; for example x265:crf=14,preset=slow",
    )
    form.add_argument(
        "--container", type=Container, choices=list(Container), metavar="NAME", help=f"episodes: {_values(Container)}"
    )
    form.add_argument(
        "--unfit",
        type=Unfit,
        choices=list(Unfit),
        metavar="NAME",
        help="a stream that an .mp4 cannot carry: refuse, mkv",
    )
    form.add_argument(
        "--ass-layout", action="store_true", default=None, help="tell ASS subtitles the size they were written for"
    )
    form.add_argument(
        "--image-format",
        type=ImageFormat,
        choices=list(ImageFormat),
        metavar="NAME",
        help=f"pictures: {_values(ImageFormat)}",
    )
    form.add_argument(
        "--name",
        type=_checked(parse_name),
        metavar="TEMPLATE",
        help="names in a folder (default: {name} [{height}p])",
    )
    form.add_argument(
        "--tag",
        type=_checked(parse_tag),
        metavar="TEXT",
        help="episodes: the tag KAKUDAI (default: {version} {model} {mode} {scale}x)",
    )


def settings_from(arguments: argparse.Namespace) -> Settings:
    """The profile (the one named, else `default`, else Kakudai's own defaults), then the flags.

    Raises `UsageError`, `ConfigError`.
    """
    base = _profile(arguments.config, arguments.profile)
    given = {
        name: getattr(arguments, name)
        for name in ("device", *(key.name for key in PROFILE if key.name not in ("scale", "target")))
        if getattr(arguments, name) is not None
    }
    settings = dataclasses.replace(base, **given)
    try:
        scale, target = size_over(base, mode=settings.mode, scale=arguments.scale, target=arguments.target)
        for check in CHECKS.values():
            check(settings)
    except SettingError as error:
        raise UsageError(str(error), remedy="see `kakudai upscale --help`") from error
    return dataclasses.replace(settings, scale=scale, target=target)


def _profile(config: Path | None, name: str | None) -> Settings:
    if config is None:
        if name is not None:
            raise UsageError("--profile needs a configuration", remedy="add --config FILE")
        return Settings()
    profiles = load_config(config).profiles
    wanted = name or "default"
    if wanted not in profiles:
        if name is None:
            return Settings()
        raise UsageError(f"no profile named {name!r} in {config}", remedy=f"there are: {', '.join(sorted(profiles))}")
    return profiles[wanted]


def _checked(parse: Callable[[object], _Value] | Callable[[str], _Value]) -> Callable[[str], _Value]:
    """`parse` for argparse, which shows the message of an ArgumentTypeError as it is."""

    def checked(text: str) -> _Value:
        try:
            return parse(text)
        except SettingError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return checked


def _values(choices: type[enum.StrEnum]) -> str:
    return ", ".join(choices)
