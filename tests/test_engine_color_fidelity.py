"""Colours through the whole pipeline: a chart comes back within a level of an exact resize, tags and all."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.color import PlaneEnlarger
from engine.encode import output_colors
from engine.job import enlarge, plan
from engine.levels import dither_pattern, to_levels
from engine.models import Model, load_model
from engine.planes import PlaneFormat, Planes, plane_format
from engine.probe import ColorTags, probe_episode, read_headers
from engine.progress import ProgressEvent
from engine.resample import ChromaResampler
from engine.settings import EncoderSettings, Interpolation, Limits, Rounding, Settings, Size
from engine.source import open_source
from tests import media
from tests.same_episode import compare

SIZE, FRAMES = Size(96, 64), 2
_QUIET = ("-x265-params", "log-level=error")
LOSSLESS = EncoderSettings("ffv1")
OFF = Model(Interpolation.BICUBIC, None, None, "cpu")


def form(pix_fmt: str, *, full: bool = False, siting: str = "left") -> PlaneFormat:
    found = plane_format(pix_fmt, full_range=full, chroma_location=siting)
    assert found is not None
    return found


def chart(format_: PlaneFormat, seed: int = 0) -> Planes:
    """Patches, ramps and edges over all code values: below black and above white as well."""
    random = np.random.default_rng(seed)
    top = (1 << format_.depth) - 1
    planes = []
    for height, width in format_.shapes(SIZE):
        ramp = np.linspace(0, top, width)[None, :].repeat(height, 0)
        patches = random.integers(0, top + 1, (-(-height // 8), -(-width // 8))).repeat(8, 0).repeat(8, 1)
        plane = np.where(np.arange(height)[:, None] < height // 3, ramp, patches[:height, :width])
        planes.append(np.rint(plane).astype(format_.dtype))
    return tuple(planes)


def written(folder: Path, format_: PlaneFormat, planes: Planes, tags: ColorTags, *, size: Size = SIZE) -> Path:
    raw, path = folder / "raw", folder / "a.mkv"
    raw.write_bytes(b"".join(plane.tobytes() for plane in planes) * FRAMES)
    told = {
        "-color_range": tags.range,
        "-colorspace": tags.matrix,
        "-color_primaries": tags.primaries,
        "-color_trc": tags.transfer,
        "-chroma_sample_location": tags.chroma_location,
    }
    media.ffmpeg(
        *("-f", "rawvideo", "-pixel_format", format_.pix_fmt, "-video_size", str(size), "-i", raw, "-c:v", "ffv1"),
        *(word for name, value in told.items() if value for word in (name, value)),
        path,
    )
    return path


def through(path: Path, folder: Path, settings: Settings) -> Path:
    """The job as the command does it, network and all."""
    (folder / "work").mkdir()
    with open_source(path) as source:
        planned = plan(source, settings)
        enlarge(source, folder / "part", settings, planned=planned, work_dir=folder / "work", progress=ignore)
    return folder / "part"


def ignore(event: ProgressEvent) -> None:
    """Progress is of no interest here."""


def decoded(path: Path, format_: PlaneFormat, size: Size) -> Planes:
    raw = media.ffmpeg("-i", path, "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", format_.pix_fmt, "-")
    return format_.split(raw, size)


def exact(format_: PlaneFormat, planes: Planes, size: Size) -> list[NDArray[np.float64]]:
    """Bicubic in double precision: OpenCV's for luma, ours (proven in test_engine_color) at the chroma's siting."""
    luma = cv2.resize(planes[0].astype(np.float64), (size.width, size.height), interpolation=cv2.INTER_CUBIC)
    found: list[NDArray[np.float64]] = [np.asarray(luma)]
    if format_.chroma_shift is not None:
        resample = ChromaResampler(
            luma=SIZE,
            out_luma=size,
            shift=format_.chroma_shift,
            sited_left=format_.chroma_location in {"left", "topleft"},
            sited_top=format_.chroma_location in {"topleft", "top"},
        )
        found += [resample(plane).astype(np.float64) for plane in planes[1:]]
    return [plane.clip(0, (1 << format_.depth) - 1) for plane in found]


@pytest.mark.parametrize(
    ("pix_fmt", "full", "siting", "scale"),
    [
        ("yuv420p", False, "left", "2"),
        ("yuv420p", True, "center", "3"),
        ("yuv420p10le", False, "topleft", "9/4"),
        ("yuv422p", False, "left", "2"),
        ("yuv422p12le", True, "left", "2"),
        ("yuv444p", False, "left", "3/2"),
        ("yuv444p12le", False, "left", "2"),
        ("gray", False, "left", "2"),
        ("gray10le", True, "left", "2"),
    ],
)
def test_a_chart_with_the_network_off_is_an_exact_resize(
    tmp_path: Path, pix_fmt: str, full: bool, siting: str, scale: str
) -> None:
    format_ = form(pix_fmt, full=full, siting=siting)
    planes, factor = chart(format_), Fraction(scale)
    tags = ColorTags(
        "pc" if full else "tv", "bt709", "bt709", "bt709", siting if format_.chroma_shift is not None else None
    )
    source = written(tmp_path, format_, planes, tags)
    part = through(source, tmp_path, Settings(model="bicubic", scale=factor, encoder=LOSSLESS))
    size = Size(int(SIZE.width * factor), int(SIZE.height * factor))
    for got, wanted in zip(decoded(part, format_, size), exact(format_, planes, size), strict=True):
        assert np.abs(got - wanted).max() < 1
    with open_source(source) as before, open_source(part) as after:
        old, new = probe_episode(before, limits=Limits()), read_headers(after, limits=Limits())
    assert old.colors == new.colors == tags
    assert old.format == new.format


@given(st.sampled_from(["yuv420p", "yuv422p10le", "yuv444p12le", "gray"]), st.booleans(), st.integers(0, 99))
@hypothesis_settings(deadline=None, max_examples=25)
def test_sub_black_and_super_white_survive(pix_fmt: str, full: bool, seed: int) -> None:
    """A flat field of any code value comes back as that value; the network changes none that lies outside 0..1."""
    format_ = form(pix_fmt, full=full)
    random = np.random.default_rng(seed)
    top = (1 << format_.depth) - 1
    level = (0, 1, top, int(random.integers(0, top)))[seed % 4]
    planes = tuple(np.full(shape, level, format_.dtype) for shape in format_.shapes(SIZE))
    out = Size(2 * SIZE.width, 2 * SIZE.height)
    for plane in PlaneEnlarger(format_, SIZE, format_, out, Settings(model="bicubic"), OFF)(planes):
        assert (plane == level).all()


@pytest.mark.parametrize("level", [1, 4, 8, 15, 236, 240, 254])
def test_the_network_leaves_what_is_blacker_than_black_and_whiter_than_white(level: int) -> None:
    format_ = form("yuv420p")
    planes = tuple(np.full(shape, level, format_.dtype) for shape in format_.shapes(Size(32, 32)))
    model = load_model(Settings(), Fraction(2))
    for plane in PlaneEnlarger(format_, Size(32, 32), format_, Size(64, 64), Settings(), model)(planes):
        assert (plane == level).all()


def natural(limit: int) -> list[tuple[str, Planes]]:
    """Frames of real films at half size, as yuv420p."""
    found = []
    format_, size = form("yuv420p"), Size(320, 180)
    for path in sorted(Path("../shared/data/video").glob("*.mkv")):
        raw = media.ffmpeg(
            *("-i", path, "-vf", "select=not(mod(n\\,20)),scale=320:180:flags=area", "-fps_mode", "passthrough"),
            *("-frames:v", str(limit), "-pix_fmt", "yuv420p", "-f", "rawvideo", "-"),
        )
        each = format_.frame_bytes(size)
        found += [(path.stem, format_.split(raw[at : at + each], size)) for at in range(0, len(raw), each)]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["x264 8 bit", "x265 10 bit"])
@pytest.mark.parametrize("film", sorted(Path("../shared/data/video").glob("*.mkv")) or [None], ids=str)
def test_episodes_of_real_films_keep_everything(tmp_path: Path, film: Path | None, codec: str) -> None:
    if film is None:
        pytest.skip("the films of ../shared are not here")
    eight = codec.startswith("x264")
    source, made = tmp_path / "a.mkv", tmp_path / "made.mkv"
    media.ffmpeg(
        *("-i", film, "-f", "lavfi", "-i", "sine=440:duration=1", "-map", "0:v", "-map", "1:a", "-frames:v", "24"),
        *(
            "-vf",
            "scale=320:180:flags=area,setsar=1",
            "-pix_fmt",
            "yuv420p" if eight else "yuv420p10le",
            "-c:a",
            "flac",
        ),
        *("-c:v", "libx264" if eight else "libx265", "-preset", "veryfast", *(() if eight else _QUIET), made),
    )
    media.call("mkvmerge", "--quiet", "-o", source, made)
    compare(source, through(source, tmp_path, Settings(model="bicubic", encoder=media.FAST)))


def test_with_our_weights_no_colour_moves() -> None:
    frames = natural(3)
    if not frames:
        pytest.skip("the films of ../shared are not here")
    model, size, out = load_model(Settings(), Fraction(2)), Size(320, 180), Size(640, 360)
    shifts = []
    for _, planes in frames:
        run = PlaneEnlarger(form("yuv420p"), size, form("yuv420p"), out, Settings(), model)
        run(planes)
        shifts.append([float(str(run.mean_shift[name])) for name in ("luma", "u", "v")])
    luma, *chroma = np.abs(shifts).max(axis=0)  # of each frame: shifts of opposite sign must not cancel
    assert luma <= 0.3
    assert max(chroma) <= 0.1


def test_the_report_states_the_shift(tmp_path: Path) -> None:
    class Brighter:
        scale = 1

        def __call__(self, luma: NDArray[np.float32]) -> NDArray[np.float32]:
            return luma + np.float32(2 / 219)

    format_ = form("yuv420p10le")
    planes = tuple(np.full(shape, 400, format_.dtype) for shape in format_.shapes(SIZE))
    out = Size(2 * SIZE.width, 2 * SIZE.height)
    model = Model(Interpolation.BICUBIC, Brighter(), None, "cpu")  # type: ignore[arg-type]
    run = PlaneEnlarger(format_, SIZE, format_, out, Settings(), model)
    for _ in range(30):
        run(planes)
    assert run.mean_shift == {"frames": 2, "luma": 2.0, "u": 0.0, "v": 0.0}
    source = written(tmp_path, form("yuv420p"), chart(form("yuv420p")), ColorTags("tv"))
    (tmp_path / "work").mkdir()
    settings = Settings(model="bicubic", encoder=LOSSLESS)
    with open_source(source) as opened:
        planned = plan(opened, settings)
        report = enlarge(
            opened, tmp_path / "part", settings, planned=planned, work_dir=tmp_path / "work", progress=ignore
        )
    shift = report.details["mean_shift"]
    assert isinstance(shift, dict)
    assert set(shift) == {"frames", "luma", "u", "v"}
    assert abs(shift["luma"]) < 0.05


@given(st.integers(0, 4095), st.sampled_from([8, 10]))
@hypothesis_settings(deadline=None, max_examples=60)
def test_dither_keeps_every_level_on_average(level: int, depth: int) -> None:
    """Of a flat 12-bit field in fewer bits, 64x64: the mean is within 1/100 of a level, and no value is a level off."""
    wanted = min(level / (1 << (12 - depth)), (1 << depth) - 1)
    field = np.full((64, 64), wanted, np.float32)
    got = to_levels(field, depth=depth, rounding=Rounding.NEAREST, dither=dither_pattern(64, 64))
    assert abs(got.mean() - wanted) < 0.02
    assert np.abs(got - wanted).max() < 1
    if wanted == int(wanted):
        assert (got == int(wanted)).all()


def test_reduced_depth_is_dithered_and_only_where_asked(tmp_path: Path) -> None:
    format_ = form("yuv420p10le")
    ramp = np.linspace(300, 304, SIZE.width)[None, :].repeat(SIZE.height, 0)
    planes = (np.rint(ramp).astype("<u2"), *(np.full((32, 48), 514, "<u2") for _ in range(2)))
    source = written(tmp_path, format_, planes, ColorTags("tv", "bt709"))
    settings = Settings(model="bicubic", encoder=EncoderSettings("ffv1", (("depth", "8"),)))
    part = through(source, tmp_path, settings)
    assert media.probe(part)["streams"][0]["pix_fmt"] == "yuv420p"
    got = decoded(part, form("yuv420p"), Size(192, 128))
    assert abs(got[0].mean() - 302 / 4) < 0.1
    assert np.isin(got[0], [75, 76]).mean() > 0.95
    assert abs(got[1].mean() - 514 / 4) < 0.02
    columns = got[0].mean(axis=0)
    assert ((columns > 75.1) & (columns < 75.9)).sum() > 48  # between the levels it is a mixture, not a step


@pytest.mark.parametrize(
    ("size", "output", "matrix", "primaries"),
    [
        (Size(720, 480), Size(1440, 960), "smpte170m", "smpte170m"),
        (Size(720, 576), Size(1440, 1152), "smpte170m", "bt470bg"),
        (Size(640, 240), Size(1280, 480), "smpte170m", "smpte170m"),
        (Size(480, 272), Size(960, 544), None, None),
        (Size(1280, 720), Size(2560, 1440), None, None),
    ],
)
def test_untagged_sd_is_tagged_where_players_would_guess_anew(
    tmp_path: Path, size: Size, output: Size, matrix: str | None, primaries: str | None
) -> None:
    path = media.video(tmp_path / "a.mkv", frames=1, size=str(size))
    with open_source(path) as source:
        info = probe_episode(source, limits=Limits())
    colors = output_colors(info, output)
    assert (colors.matrix, colors.primaries, colors.transfer) == (matrix, primaries, matrix)


def test_untagged_sd_arrives_with_tags(tmp_path: Path) -> None:
    path = media.video(tmp_path / "a.mkv", frames=2, size="48x400", more=["-vf", "setsar=1"])
    part = through(path, tmp_path, Settings(model="bicubic", encoder=media.FAST))
    stream = media.probe(part)["streams"][0]
    told = [stream.get(name) for name in ("color_space", "color_primaries", "color_transfer")]
    assert told == ["smpte170m", "smpte170m", "smpte170m"]
