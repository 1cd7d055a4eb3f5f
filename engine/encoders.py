"""The video encoders and the options that a profile may give them. Checked here: ffmpeg's errors are no validation."""

from __future__ import annotations

import difflib
import functools
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import ConfigError, ToolError, UsageError
from engine.process import run
from engine.settings import EncoderSettings, Size

if TYPE_CHECKING:
    from engine.planes import PlaneFormat  # loads NumPy, which the service does without

Check = Callable[[str], str | None]
"""None when the value will do, else what would."""


def _number(low: float, high: float) -> Check:
    def check(value: str) -> str | None:
        try:
            fits = low <= float(value) <= high
        except ValueError:
            fits = False
        return None if fits else f"a number from {low:g} to {high:g}"

    return check


def _whole(low: int, high: int) -> Check:
    def check(value: str) -> str | None:
        fits = re.fullmatch(r"-?[0-9]{1,9}", value) is not None and low <= int(value) <= high
        return None if fits else f"a whole number from {low} to {high}"

    return check


def _one_of(*names: str) -> Check:
    return lambda value: None if value in names else f"one of {', '.join(names)}"


def _parameters(*names: str) -> Check:
    """`name=value:name=value`, each name known to change the picture only (others write files or change the frames)."""

    def check(value: str) -> str | None:
        for part in value.split(":"):
            name, equals, setting = part.partition("=")
            if name not in names:
                return f"name=value pairs joined by ':', the names among {', '.join(names)}"
            if equals and not re.fullmatch(r"[0-9A-Za-z.,+-]{1,40}", setting):
                return "name=value pairs joined by ':', the values of letters, digits and . , + -"
        return None

    return check


_FRAME_THREADS = 2
_X264_THREADS = 4
"""Fixed, because they change what x265 and x264 write."""
_X26X_PRESETS = _one_of(
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo"
)
_SHARED_PARAMETERS = (
    *("aq-mode", "aq-strength", "bframes", "b-adapt", "deblock", "me", "merange", "psy-rd", "qcomp", "rc-lookahead"),
    *("ref", "scenecut", "subme", "weightb"),
)
_X265_PARAMETERS = _parameters(
    *_SHARED_PARAMETERS,
    *("cbqpoffs", "crqpoffs", "ctu", "cutree", "early-skip", "hist-scenecut", "limit-modes", "limit-refs"),
    *("limit-sao", "max-merge", "no-cutree", "no-open-gop", "no-rect", "no-sao", "no-strong-intra-smoothing"),
    *("nr-inter", "nr-intra", "psy-rdoq", "rd", "rdoq-level", "rect", "rskip", "sao", "selective-sao"),
    *("strong-intra-smoothing", "tskip", "tu-inter-depth", "tu-intra-depth", "weightp"),
    *("pools", "frame-threads"),
)
_X264_PARAMETERS = _parameters(
    *_SHARED_PARAMETERS,
    *("b-pyramid", "chroma-qp-offset", "direct", "mbtree", "mixed-refs", "no-dct-decimate", "no-fast-pskip"),
    *("no-mbtree", "partitions", "trellis", "weightp", "8x8dct", "threads"),
)


@dataclass(frozen=True)
class Encoder:
    """One encoder. `library` is ffmpeg's name; `depths` are the bits it takes for each chroma subsampling.

    `depth` is the least it writes by default: more than the source's is no loss, and 10 bit bands less.
    """

    library: str
    options: Mapping[str, Check]
    defaults: Mapping[str, str]
    depths: Mapping[tuple[int, int] | None, tuple[int, ...]]
    depth: int = 8
    threads: str | None = None
    """The parameter that bounds its threads without changing a bit of what it writes."""
    device: str | None = None
    """What it needs beside ffmpeg; such an encoder may be missing at run time."""


_420, _422, _444, _440 = (1, 1), (1, 0), (0, 0), (0, 1)
_NVENC_OPTIONS = {
    "cq": _number(1, 51),
    "preset": _one_of("p1", "p2", "p3", "p4", "p5", "p6", "p7"),
    "depth": _one_of("8", "10"),
    "keyint": _whole(1, 1000),
    "gpu": _whole(0, 63),
}
_FFV1_DEPTHS = (8, 9, 10, 12, 14, 16)

ENCODERS: dict[str, Encoder] = {
    "x265": Encoder(
        library="libx265",
        options={
            "crf": _number(0, 51),
            "preset": _X26X_PRESETS,
            "tune": _one_of("animation", "grain", "psnr", "ssim", "fastdecode"),
            "depth": _one_of("8", "10", "12"),
            "keyint": _whole(1, 1000),
            "params": _X265_PARAMETERS,
        },
        defaults={"crf": "16", "preset": "medium"},
        threads="pools",
        depths={_420: (8, 10, 12), _422: (8, 10, 12), _444: (8, 10, 12), None: (8, 10, 12)},
        depth=10,
    ),
    "x264": Encoder(
        library="libx264",
        options={
            "crf": _number(0, 51),
            "preset": _X26X_PRESETS,
            "tune": _one_of("animation", "film", "grain", "stillimage", "psnr", "ssim", "fastdecode"),
            "depth": _one_of("8", "10"),
            "keyint": _whole(1, 1000),
            "params": _X264_PARAMETERS,
        },
        defaults={"crf": "16", "preset": "medium"},
        depths={_420: (8, 10), _422: (8, 10), _444: (8, 10), None: (8, 10)},
    ),
    "svtav1": Encoder(
        library="libsvtav1",
        options={
            "crf": _whole(1, 63),
            "preset": _whole(0, 13),
            "depth": _one_of("8", "10"),
            "keyint": _whole(1, 1000),
            "params": _parameters("film-grain", "film-grain-denoise", "enable-overlays", "enable-tf", "tune", "lp"),
        },
        defaults={"crf": "20", "preset": "6"},
        threads="lp",
        depths={_420: (8, 10)},
        depth=10,
    ),
    "nvenc-hevc": Encoder(
        library="hevc_nvenc",
        options=_NVENC_OPTIONS,
        defaults={"cq": "18", "preset": "p6"},
        depths={_420: (8, 10), _444: (8,)},
        depth=10,
        device="NVIDIA GPU with NVENC",
    ),
    "nvenc-av1": Encoder(
        library="av1_nvenc",
        options=_NVENC_OPTIONS,
        defaults={"cq": "22", "preset": "p6"},
        depths={_420: (8, 10)},
        depth=10,
        device="NVIDIA GPU with NVENC for AV1",
    ),
    "ffv1": Encoder(
        library="ffv1",
        options={"depth": _one_of("8", "10", "12", "16"), "slices": _one_of("4", "6", "9", "12", "16", "24", "30")},
        defaults={"slices": "4"},
        depths={
            **dict.fromkeys((_420, _422, _444), _FFV1_DEPTHS),
            _440: (8, 10, 12),
            (2, 0): (8,),
            (2, 2): (8,),
            None: (8, 9, 10, 12, 16),
        },
    ),
}


def encoder_problems(settings: EncoderSettings) -> list[str]:
    """Everything wrong with an encoder's name or options, one line each; empty when all is well."""
    encoder = ENCODERS.get(settings.name)
    if encoder is None:
        return [f'no encoder named "{settings.name}"{_meant(settings.name, ENCODERS)}']
    problems = []
    for name, value in settings.options:
        check = encoder.options.get(name)
        if check is None:
            problems.append(f'{settings.name} has no option "{name}"{_meant(name, encoder.options)}')
        elif wanted := check(value):
            problems.append(f'{settings.name}: {name} is "{value}", but must be {wanted}')
    return problems


def _meant(name: str, known: Mapping[str, object]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f'; did you mean "{near[0]}"?' if near else f"; known are {', '.join(known)}"


def output_format(source: PlaneFormat, settings: EncoderSettings) -> PlaneFormat:
    """The format of the planes that the encoder is to be given for a source: its subsampling, range and siting.

    The depth is the `depth` option's where there is one, and only then may it be less than the source's (the planes are
    dithered then); else the source's, and at least the encoder's own default (10 bit for x265 and SVT-AV1).
    Raises `ConfigError` for bad options, `UsageError` where the encoder cannot carry the format.
    """
    if problems := encoder_problems(settings):
        raise ConfigError(problems)
    encoder = ENCODERS[settings.name]
    asked = dict(settings.options).get("depth")
    possible = _depths(encoder, source, least=int(asked) if asked else source.depth)
    if not possible:
        others = [n for n, e in ENCODERS.items() if e.device is None and _depths(e, source, least=source.depth)]
        less = max(_depths(encoder, source, least=0), default=source.depth)
        fewer_bits = [f"depth: {less} (dithered)"] if less < source.depth else []
        raise UsageError(
            f"the encoder {settings.name} cannot carry {source.pix_fmt} without loss of depth or colour",
            remedy=f"choose {' or '.join([f'the encoder {name}' for name in others] + fewer_bits)}",
        )
    return _with_depth(source, next((d for d in possible if asked or d >= encoder.depth), possible[-1]))


def _depths(encoder: Encoder, source: PlaneFormat, *, least: int) -> list[int]:
    """What it can write of the source's chroma, of `least` bits or more."""
    return [depth for depth in encoder.depths.get(source.chroma_shift, ()) if depth >= least]


def check_size(size: Size, format_: PlaneFormat, settings: EncoderSettings) -> None:
    """Raise `UsageError` for a size that the encoder cannot be given: with shared chroma, most want even numbers."""
    shift_x, shift_y = format_.chroma_shift or (0, 0)
    if settings.name != "ffv1" and (size.width % (1 << shift_x) or size.height % (1 << shift_y)):
        raise UsageError(
            f"the encoder {settings.name} cannot write {format_.pix_fmt} frames of {size}",
            remedy="choose a scale or target that gives even numbers, or the encoder ffv1",
        )
    least = 64 if settings.name == "svtav1" else 16
    if settings.name != "ffv1" and min(size.width, size.height) < least:
        raise UsageError(
            f"the encoder {settings.name} cannot write frames of {size}: the least is {least}x{least}",
            remedy="choose a larger scale or target, or the encoder ffv1",
        )


def picture_format(source: PlaneFormat) -> PlaneFormat:
    """The format of planes on the way to numbered PNG frames: 8 bit for an 8-bit source, else 16."""
    return _with_depth(source, 8 if source.depth == 8 else min(d for d in (10, 12, 16) if d >= source.depth))


def _with_depth(source: PlaneFormat, depth: int) -> PlaneFormat:
    name = re.sub(r"(?<=p)\d*(le)?$|(?<=gray)\d*(le)?$", "", source.pix_fmt.replace("yuvj", "yuv", 1))
    if depth > 8:
        name += f"{depth}le"
    from engine.planes import plane_format

    found = plane_format(name, full_range=source.full_range, chroma_location=source.chroma_location)
    assert found is not None
    return replace(found, depth=depth)


@functools.cache
def check_available(name: str) -> None:
    """Raise `ToolError` where this ffmpeg, or this machine, has not what the encoder needs."""
    encoder = ENCODERS[name]
    argv = ["ffmpeg", "-nostdin", "-hide_banner", "-loglevel", "error", "-f", "lavfi", "-i", "color=black:size=256x256"]
    argv += ["-frames:v", "1", "-pix_fmt", "yuv420p", "-c:v", encoder.library, "-f", "null", "-"]
    _, child = run(argv, silence_s=60, subject=Path(encoder.library))
    if child.status != 0:
        needs = f"; it needs an {encoder.device}" if encoder.device else ""
        raise ToolError(
            f"ffmpeg cannot encode with {name} ({encoder.library}) here{needs}: {child.messages.partition(chr(10))[0]}",
            remedy="choose another encoder, such as x265; `kakudai check` lists what is there",
        )


def _usable_threads() -> int:
    """Half of the processors: the other half is the network's and the decoder's."""
    return max(1, len(os.sched_getaffinity(0)) // 2)


def encoder_arguments(settings: EncoderSettings) -> dict[str, str]:
    """ffmpeg's output options for an encoder whose settings have been checked.

    Encoding runs beside the network, so threads are bounded. Only by what leaves the bits as they are, or by a fixed
    number: a segment is the same on every machine.
    """
    encoder = ENCODERS[settings.name]
    chosen = {**encoder.defaults, **dict(settings.options)}
    arguments = {"c:v": encoder.library}
    for name in ("crf", "cq", "preset", "tune", "slices", "gpu"):
        if name in chosen:
            arguments[name] = chosen[name]
    if "keyint" in chosen:
        arguments["g"] = chosen["keyint"]
    parameters = [chosen["params"]] if "params" in chosen else []
    if encoder.threads is not None:
        parameters.insert(0, f"{encoder.threads}={_usable_threads()}")  # what a profile says comes later and holds
    if settings.name == "x265":
        arguments["x265-params"] = ":".join(["log-level=error", f"frame-threads={_FRAME_THREADS}", *parameters])
    elif settings.name == "x264":
        arguments["x264-params"] = ":".join([f"threads={_X264_THREADS}", *parameters])
    elif settings.name == "svtav1":
        arguments["svtav1-params"] = ":".join(parameters)
    elif encoder.device is not None:
        arguments |= {"rc": "vbr", "b:v": "0", "tune": "hq"}
    elif settings.name == "ffv1":
        arguments |= {"level": "3", "slicecrc": "1", "g": "1"}
    return arguments
