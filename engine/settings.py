"""What one job is asked to do: the part of a profile that decides the pixels and the file.

Parsed from config.yaml by `daemon.config` and from flags by the command line. Plain data: no I/O here.
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import json
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path


class Mode(enum.StrEnum):
    """The paper's four modes (section III-D)."""

    ENHANCE = "enhance"
    ENLARGE = "enlarge"
    DOUBLE_ENHANCE = "double-enhance"
    DOUBLE_ENLARGE = "double-enlarge"


class Denoise(enum.StrEnum):
    """The last stage of a mode: nothing, the paper's denoise, or the paper's final denoise."""

    NONE = "none"
    STANDARD = "standard"
    STRONG = "strong"


class Rounding(enum.StrEnum):
    """How a float level becomes an integer: to the nearest, or truncated as the authors' code does."""

    NEAREST = "nearest"
    PAPER = "paper"


class Interpolation(enum.StrEnum):
    """The classical resamplings that can stand before a network, or alone (`--model bicubic`)."""

    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    LANCZOS = "lanczos"


class Precision(enum.StrEnum):
    """How networks that enlarge by themselves compute on a CPU: bfloat16 moves luma by a level or two in places."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


class Chroma(enum.StrEnum):
    """What enlarges the chroma of stills: interpolation, or luma and a network beside it (joint upsampling)."""

    BICUBIC = "bicubic"
    JOINT = "joint"


class Reuse(enum.StrEnum):
    """Whether what did not change since earlier frames is taken from there. `exact` changes no bit of the output.

    `near` takes changes of a few levels for none.
    """

    OFF = "off"
    EXACT = "exact"
    NEAR = "near"


EPISODE_EXTENSIONS = frozenset({".mkv", ".webm", ".mp4", ".m4v"})
"""Files that are taken for episodes by their names, in lower case."""


class Container(enum.StrEnum):
    """What an episode is delivered as. `same`: as it came; `png`: numbered frames and a timecodes file."""

    SAME = "same"
    MKV = "mkv"
    MP4 = "mp4"
    PNG = "png"


class Damaged(enum.StrEnum):
    """An episode that is damaged or incomplete: refused, or enlarged as far as it can be decoded, and reported."""

    REFUSE = "refuse"
    ACCEPT = "accept"


class Deinterlace(enum.StrEnum):
    """An interlaced or telecined episode: refused, deinterlaced by ffmpeg's bwdif, or enlarged with its combs."""

    REFUSE = "refuse"
    BWDIF = "bwdif"
    NEVER = "never"


class Unfit(enum.StrEnum):
    """An episode with a stream that an .mp4 cannot carry: refused, or delivered as .mkv."""

    REFUSE = "refuse"
    MKV = "mkv"


class ImageFormat(enum.StrEnum):
    """What a picture is delivered as. `same`: as it came."""

    SAME = "same"
    PNG = "png"
    JPEG = "jpg"
    WEBP = "webp"
    TIFF = "tiff"
    BMP = "bmp"


PICTURE_EXTENSIONS = {
    ".png": ImageFormat.PNG,
    ".jpg": ImageFormat.JPEG,
    ".jpeg": ImageFormat.JPEG,
    ".webp": ImageFormat.WEBP,
    ".tif": ImageFormat.TIFF,
    ".tiff": ImageFormat.TIFF,
    ".bmp": ImageFormat.BMP,
}
"""Files that are taken for pictures by their names, in lower case, and what an output of such a name is written as."""

SOURCE_EXTENSIONS = EPISODE_EXTENSIONS | PICTURE_EXTENSIONS.keys()
"""All that is taken up."""


class Device(enum.StrEnum):
    """Where the network runs. `gpu` refuses when none is usable; `auto` warns when it falls to the CPU."""

    AUTO = "auto"
    GPU = "gpu"
    CPU = "cpu"


@dataclass(frozen=True, order=True)
class Size:
    """Width and height in pixels."""

    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"

    @property
    def pixels(self) -> int:
        return self.width * self.height


@dataclass(frozen=True)
class EncoderSettings:
    """A video encoder by its short name (`x265`, `x264`, `svtav1`, `ffv1`) and its options (`crf`, `preset`, …)."""

    name: str = "x265"
    options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Limits:
    """Bounds on hostile or absurd input. Exceeding one refuses the file with the reason."""

    max_pixels: int = 100_000_000
    """Pixels of one source picture or frame."""
    max_output_pixels: int = 400_000_000
    """Pixels of one enlarged picture or frame."""
    max_work_bytes: int = 500_000_000_000
    """Bytes that the work files (segments) of one episode may take."""
    max_duration_s: float = 86_400.0
    """Seconds that an episode may last."""
    max_streams: int = 1_000
    """Streams of an episode, attachments included."""
    max_attachment_bytes: int = 2_000_000_000
    """Bytes of an episode's attachments (fonts, pictures) together."""
    silence_s: float = 60.0
    """Seconds without a byte from a child process after which it counts as hung."""


AUTO = "auto"
"""The model that is left to Kakudai: `Settings.chosen_model`."""
RESTORING = ("fine", "fast")
"""Networks that have weights which restore, the best first."""
DEFAULT_NAME = "{name} [{height}p]"
DEFAULT_TAG = "{version} {model} {mode} {scale}x"

_NOT_THE_OUTPUT = frozenset({"limits", "device", "name", "reuse", "reuse_tolerance", "reuse_cache_bytes"})
"""Fields that never change a byte of the result: left out of the fingerprint."""
_TOLD_WHERE_SET = frozenset({"chroma", "restore", "precision"})
"""Fields that came later: where they are as they always were, the fingerprint is what it always was."""


@dataclass(frozen=True)
class Settings:
    """One profile, as the engine needs it. Exactly one of `scale` and `target` is set."""

    mode: Mode = Mode.ENLARGE
    scale: Fraction | None = Fraction(2)
    target: Size | None = None
    model: str = AUTO
    restore: bool = False
    """Whether the weights undo compression and unknown reductions as well."""
    weights: Path | None = None
    upsampling: Interpolation | None = None
    chroma: Chroma | None = None
    """None: joint beside a network that enlarges by itself, else bicubic. Of stills: episodes have it bicubic."""
    denoise: Denoise | None = None
    rounding: Rounding = Rounding.NEAREST
    precision: Precision = Precision.FLOAT32
    reuse: Reuse = Reuse.EXACT
    reuse_tolerance: float = 1.0
    """For `near`: by how much luma may differ from its source, in levels of 255."""
    reuse_cache_bytes: int = 256 << 20
    """Memory for what earlier frames were enlarged to, beside the frame before."""
    encoder: EncoderSettings = field(default_factory=EncoderSettings)
    container: Container = Container.SAME
    unfit: Unfit = Unfit.REFUSE
    damaged: Damaged = Damaged.REFUSE
    deinterlace: Deinterlace = Deinterlace.REFUSE
    video_stream: int | None = None
    """Which of several video streams is enlarged, counted from 1; the others are kept as they are."""
    ass_layout: bool = False
    """Whether ASS subtitles are told the size they were written for (`LayoutResX` and `LayoutResY`)."""
    image_format: ImageFormat = ImageFormat.SAME
    name: str = DEFAULT_NAME
    tag: str = DEFAULT_TAG
    """Of an episode: the text of the tag that says what was done. The tag itself is always there."""
    device: Device = Device.AUTO
    limits: Limits = field(default_factory=Limits)

    @property
    def chosen_model(self) -> str:
        """The model that does the work.

        `auto` is the most faithful one. What a network that enlarges by itself makes is, reduced again, the picture
        that it was given; so where sharpening at the same size is asked for (the paper's modes beside `enlarge`), or
        what stands before the network, it is the paper's network.
        """
        if self.model != AUTO:
            return self.model
        if self.restore:
            return RESTORING[0]
        same_size = self.mode is not Mode.ENLARGE or self.scale == 1
        return "msrcnn" if same_size or self.upsampling is not None else "fine"

    @property
    def model_name(self) -> str:
        """What names, tags and lists call it: of weights of one's own that no model was named for, the file."""
        if self.weights is not None and self.model == AUTO:
            return self.weights.stem
        return f"{self.chosen_model}-restore" if self.restore else self.chosen_model

    def fingerprint(self) -> str:
        """SHA-256 (hex) over every field that can change the output. Equal fingerprints, equal results."""
        fields = {
            f.name: _plain(getattr(self, f.name))
            for f in dataclasses.fields(self)
            if f.name not in _NOT_THE_OUTPUT and (f.name not in _TOLD_WHERE_SET or getattr(self, f.name) != f.default)
        }
        fields["model"] = self.chosen_model
        if self.reuse is Reuse.NEAR:
            fields["near"] = self.reuse_tolerance
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def _plain(value: object) -> object:
    if isinstance(value, Size | Fraction | Path):
        return str(value)
    if isinstance(value, EncoderSettings):
        return [value.name, sorted(value.options)]
    return value
