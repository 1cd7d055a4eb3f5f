"""Encoders: options checked, formats chosen, planes and tags kept, failures told in the right words."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from engine.encode import Encoder, Video
from engine.encoders import (
    ENCODERS,
    check_available,
    check_size,
    encoder_arguments,
    encoder_problems,
    output_format,
    picture_format,
)
from engine.errors import ConfigError, EnvironmentFault, OutputError, ProcessingError, ToolError, UsageError
from engine.planes import PlaneFormat, Planes, plane_format
from engine.probe import ColorTags
from engine.settings import EncoderSettings, Size
from tests import media

HERE = Path("episode.mkv")


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    yield
    assert media.left_behind() == []


def form(pix_fmt: str) -> PlaneFormat:
    found = plane_format(pix_fmt)
    assert found is not None
    return found


def noise(format_: PlaneFormat, size: Size, seed: int) -> Planes:
    random = np.random.default_rng(seed)
    return tuple(random.integers(0, 1 << format_.depth, shape).astype(format_.dtype) for shape in format_.shapes(size))


def clip(format_: PlaneFormat, size: Size = Size(96, 64), colors: ColorTags = ColorTags()) -> Video:  # noqa: B008
    return Video(size, format_, Fraction(4, 3), colors, Fraction(24000, 1001))


def available(name: str) -> bool:
    try:
        check_available(name)
    except ToolError:
        return False
    return True


def feed(encoder: Encoder, format_: PlaneFormat, size: Size, count: int) -> None:
    for seed in range(count):
        encoder.write(noise(format_, size, seed))
    encoder.finish()


@pytest.mark.parametrize(
    ("name", "option", "value", "complaint"),
    [
        ("x265", "crf", "52", 'crf is "52", but must be a number from 0 to 51'),
        ("x265", "crf", "16:csv=/tmp/x", "must be a number"),
        ("x265", "preset", "slwo", "must be one of ultrafast"),
        ("x265", "crff", "1", 'no option "crff"; did you mean "crf"?'),
        ("x265", "params", "csv=/tmp/x", "name=value pairs"),
        ("x265", "params", "aq-mode=3:stats=/tmp/x", "name=value pairs"),
        ("x264", "params", "deblock=-1,-1;rm", "name=value pairs"),
        ("svtav1", "crf", "1.5", "a whole number from 1 to 63"),
        ("ffv1", "depth", "11", "one of 8, 10, 12, 16"),
        ("x266", "crf", "16", 'no encoder named "x266"; did you mean'),
    ],
)
def test_bad_options_are_told(name: str, option: str, value: str, complaint: str) -> None:
    settings = EncoderSettings(name, ((option, value),))
    assert complaint in " ".join(encoder_problems(settings))
    with pytest.raises(ConfigError):
        output_format(form("yuv420p"), settings)


def test_good_options_pass() -> None:
    options = (("crf", "14.5"), ("preset", "slow"), ("params", "aq-mode=3:no-sao:deblock=-1,-1"), ("tune", "animation"))
    assert encoder_problems(EncoderSettings("x265", options)) == []


@pytest.mark.parametrize(
    ("encoder", "option", "source", "output"),
    [
        ("x265", None, "yuv420p", "yuv420p10le"),
        ("x265", None, "yuvj420p", "yuv420p10le"),
        ("x265", "8", "yuv420p", "yuv420p"),
        ("x265", "8", "yuv420p10le", "yuv420p"),  # asked for
        ("svtav1", "10", "yuv420p12le", "yuv420p10le"),
        ("x265", None, "yuv444p9le", "yuv444p10le"),
        ("x265", "12", "yuv422p", "yuv422p12le"),
        ("x265", None, "gray", "gray10le"),
        ("x264", None, "yuv420p", "yuv420p"),
        ("x264", "10", "yuv420p", "yuv420p10le"),
        ("svtav1", None, "yuv420p", "yuv420p10le"),
        ("nvenc-hevc", None, "yuv420p", "yuv420p10le"),
        ("nvenc-hevc", None, "yuv444p", "yuv444p"),  # of which it has no more
        ("ffv1", None, "yuv440p", "yuv440p"),
        ("ffv1", None, "yuv420p14le", "yuv420p14le"),
        ("ffv1", None, "gray16le", "gray16le"),
    ],
)
def test_depth_is_never_reduced_unless_asked(encoder: str, option: str | None, source: str, output: str) -> None:
    options = (("depth", option),) if option else ()
    chosen = output_format(form(source), EncoderSettings(encoder, options))
    assert chosen.pix_fmt == output
    assert chosen.full_range is (source == "yuvj420p")


@pytest.mark.parametrize(
    ("encoder", "source", "remedy"),
    [
        ("svtav1", "yuv444p", "choose the encoder x265 or the encoder x264 or the encoder ffv1"),
        ("x264", "yuv420p12le", "choose the encoder x265 or the encoder ffv1 or depth: 10 (dithered)"),
        ("x265", "yuv420p16le", "choose the encoder ffv1 or depth: 12 (dithered)"),
        ("x265", "yuv440p", "choose the encoder ffv1"),
        ("x265", "yuv411p", "choose the encoder ffv1"),
    ],
)
def test_what_an_encoder_cannot_carry_is_refused_with_what_can(encoder: str, source: str, remedy: str) -> None:
    with pytest.raises(UsageError, match="without loss") as caught:
        output_format(form(source), EncoderSettings(encoder))
    assert caught.value.remedy == remedy


def test_pictures_are_8_bit_only_for_8_bit_sources() -> None:
    assert [picture_format(form(f)).depth for f in ("yuv420p", "yuv420p9le", "gray10le", "yuv444p14le")] == [
        8,
        10,
        10,
        16,
    ]


def test_sizes_that_an_encoder_cannot_write() -> None:
    check_size(Size(97, 65), form("yuv444p"), EncoderSettings("x265"))
    check_size(Size(97, 65), form("yuv420p"), EncoderSettings("ffv1"))
    for size, name in ((Size(97, 64), "x265"), (Size(96, 65), "x264"), (Size(8, 8), "x265")):
        with pytest.raises(UsageError):
            check_size(size, form("yuv420p"), EncoderSettings(name))


def raw(path: Path, format_: PlaneFormat) -> bytes:
    return media.ffmpeg("-i", path, "-f", "rawvideo", "-pix_fmt", format_.pix_fmt, "-")


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p10le", "yuv444p12le", "gray", "gray10le", "yuv440p"])
def test_planes_arrive_as_they_were_given(tmp_path: Path, pix_fmt: str, full: bool) -> None:
    format_, size = form(pix_fmt), Size(97, 65)
    colors = ColorTags(range="pc" if full else "tv", matrix="smpte170m")
    frames = [noise(format_, size, seed) for seed in range(3)]
    path = tmp_path / "a.mkv"
    with Encoder(
        path, video=clip(format_, size, colors), settings=EncoderSettings("ffv1"), silence_s=20, subject=HERE
    ) as encoder:
        for planes in frames:
            encoder.write(planes)
        done = encoder.finish()
    assert raw(path, format_) == b"".join(plane.tobytes() for planes in frames for plane in planes)
    assert (done.frames, done.bytes) == (3, path.stat().st_size)
    assert done.sha256 == media.call("sha256sum", path).decode().split()[0]


@pytest.mark.parametrize("name", ENCODERS)
def test_tags_are_written_as_the_sources(tmp_path: Path, name: str) -> None:
    colors = ColorTags("tv", "smpte170m", "bt470bg", "bt709", "topleft")
    if not available(name):
        pytest.skip(f"this ffmpeg cannot encode with {name} here")
    settings = EncoderSettings(name)
    format_ = output_format(form("yuv420p"), settings)
    path = tmp_path / "a.mkv"
    with Encoder(path, video=clip(format_, colors=colors), settings=settings, silence_s=20, subject=HERE) as encoder:
        for seed in range(3):
            encoder.write(noise(format_, Size(96, 64), seed))
        encoder.finish()
    stream = media.probe(path)["streams"][0]
    assert stream["pix_fmt"] == format_.pix_fmt
    assert stream["sample_aspect_ratio"] == "4:3"
    told = [stream[key] for key in ("color_range", "color_space", "color_primaries", "color_transfer")]
    assert [*told, stream["chroma_location"]] == ["tv", "smpte170m", "bt470bg", "bt709", "topleft"]


@pytest.mark.parametrize("transfer", ["bt470m", "bt470bg", "iec61966-2-1", "bt2020-10"])
def test_transfers_are_known_by_ffprobes_names(tmp_path: Path, transfer: str) -> None:
    format_ = form("yuv420p10le")
    video = clip(format_, colors=ColorTags(transfer=transfer))
    with Encoder(tmp_path / "a.mkv", video=video, settings=media.FAST, silence_s=20, subject=HERE) as encoder:
        feed(encoder, format_, Size(96, 64), 2)
    assert media.probe(tmp_path / "a.mkv")["streams"][0]["color_transfer"] == transfer


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("primaries", ["bt470m", "film", "smpte431", "ebu3213"])
def test_rare_primaries_are_written(tmp_path: Path, name: str, primaries: str) -> None:
    if not available(name):
        pytest.skip(f"this ffmpeg cannot encode with {name} here")
    settings = EncoderSettings(name)
    format_ = output_format(form("yuv420p"), settings)
    path = tmp_path / "a.mkv"
    video = clip(format_, colors=ColorTags(primaries=primaries))
    with Encoder(path, video=video, settings=settings, silence_s=20, subject=HERE) as encoder:
        feed(encoder, format_, Size(96, 64), 2)
    assert media.probe(path)["streams"][0].get("color_primaries") == primaries


def test_untagged_stays_untagged(tmp_path: Path) -> None:
    path, format_ = tmp_path / "a.mkv", form("yuv420p10le")
    with Encoder(path, video=clip(format_), settings=media.FAST, silence_s=20, subject=HERE) as encoder:
        encoder.write(noise(format_, Size(96, 64), 1))
        encoder.finish()
    stream = media.probe(path)["streams"][0]
    assert not {"color_space", "color_primaries", "color_transfer"} & set(stream)


def test_an_encoder_that_dies_is_told(tmp_path: Path) -> None:
    format_ = form("yuv420p10le")
    with Encoder(tmp_path / "a.mkv", video=clip(format_), settings=media.FAST, silence_s=20, subject=HERE) as encoder:
        os.kill(encoder._child.pid, signal.SIGKILL)
        with pytest.raises(ProcessingError, match="ffmpeg"):
            feed(encoder, format_, Size(96, 64), 200)


def test_an_encoder_that_refuses_says_why(tmp_path: Path) -> None:
    format_ = form("yuv420p10le")
    with (
        Encoder(
            tmp_path / "a.mkv",
            video=clip(format_, Size(10, 10)),
            settings=media.FAST,
            silence_s=20,
            subject=HERE,
        ) as encoder,
        pytest.raises(ProcessingError, match="too small"),
    ):
        feed(encoder, format_, Size(10, 10), 2000)


def test_an_encoder_that_hangs_at_the_end_is_stopped(tmp_path: Path) -> None:
    format_ = form("yuv420p10le")
    with Encoder(tmp_path / "a.mkv", video=clip(format_), settings=media.FAST, silence_s=1, subject=HERE) as encoder:
        encoder.write(noise(format_, Size(96, 64), 1))
        os.kill(encoder._child.pid, signal.SIGSTOP)
        with pytest.raises(ProcessingError, match="no sign of life"):
            encoder.finish()


def test_a_full_disk_is_a_fault_of_the_machine() -> None:
    format_ = form("yuv420p10le")
    with (
        Encoder(
            Path("/dev/full"), video=clip(format_), settings=EncoderSettings("ffv1"), silence_s=20, subject=HERE
        ) as encoder,
        pytest.raises(EnvironmentFault, match="No space left"),
    ):
        feed(encoder, format_, Size(96, 64), 500)


def test_a_folder_that_is_not_there_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        Encoder(
            tmp_path / "no" / "a.mkv",
            video=clip(form("yuv420p")),
            settings=media.FAST,
            silence_s=20,
            subject=HERE,
        )


def test_the_same_frames_give_the_same_bytes(tmp_path: Path) -> None:
    """A segment is a pure function of its frames: what resume relies on. (The Matroska header holds a random UID.)"""
    format_, hashes = form("yuv420p10le"), []
    for name in ("a.mkv", "b.mkv"):
        with Encoder(tmp_path / name, video=clip(format_), settings=media.FAST, silence_s=20, subject=HERE) as encoder:
            for seed in range(30):
                encoder.write(noise(format_, Size(96, 64), seed))
            encoder.finish()
        hashes.append(media.stream_hashes(tmp_path / name, "v"))
    assert hashes[0] == hashes[1]


def test_ffmpeg_is_there() -> None:
    listed = subprocess.run(["ffmpeg", "-hide_banner", "-encoders"], capture_output=True, check=True).stdout.decode()
    assert all(encoder.library in listed for encoder in ENCODERS.values() if encoder.device is None)


def test_an_encoder_without_its_device_is_told_with_a_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    check_available.cache_clear()
    with pytest.raises(ToolError, match="nvenc-hevc") as caught:
        check_available("nvenc-hevc")
    assert "x265" in caught.value.remedy
    check_available.cache_clear()
    check_available("x265")


def test_nvenc_is_given_constant_quality() -> None:
    settings = EncoderSettings("nvenc-hevc", (("cq", "20"), ("preset", "p7")))
    assert encoder_problems(settings) == []
    assert output_format(form("yuv420p10le"), settings).pix_fmt == "yuv420p10le"
    arguments = encoder_arguments(settings)
    assert (arguments["c:v"], arguments["cq"], arguments["preset"], arguments["rc"]) == (
        "hevc_nvenc",
        "20",
        "p7",
        "vbr",
    )
    assert encoder_problems(EncoderSettings("nvenc-av1", (("crf", "20"),)))


def test_encoding_leaves_room_for_the_network() -> None:
    half = max(1, len(os.sched_getaffinity(0)) // 2)
    assert f"pools={half}" in encoder_arguments(EncoderSettings("x265"))["x265-params"].split(":")
    assert encoder_arguments(EncoderSettings("svtav1"))["svtav1-params"] == f"lp={half}"
    own = encoder_arguments(EncoderSettings("x265", (("params", "pools=7"),)))["x265-params"]
    assert own.endswith("pools=7")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "parameter"), [("x265", "pools"), ("svtav1", "lp")])
def test_the_number_of_threads_changes_no_bit(tmp_path: Path, name: str, parameter: str) -> None:
    hashes, size = [], Size(256, 192)
    for count in (1, 2, 4):
        settings = EncoderSettings(name, (("params", f"{parameter}={count}"),))
        format_ = output_format(form("yuv420p"), settings)
        path = tmp_path / f"{count}.mkv"
        with Encoder(path, video=clip(format_, size), settings=settings, silence_s=60, subject=HERE) as encoder:
            feed(encoder, format_, size, 20)
        hashes.append(media.stream_hashes(path, "v"))
    assert hashes[0] == hashes[1] == hashes[2]
