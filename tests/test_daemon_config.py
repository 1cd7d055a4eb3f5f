"""config.yaml: what is accepted, and that every mistake is told at once with its path."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from daemon.config import load_config
from daemon.config_model import Config, ErrorFiles, Original, TakenName, Web, WorkerLimits
from daemon.schedule import Span
from engine.errors import ConfigError, MissingInputError
from engine.settings import Container, EncoderSettings, ImageFormat, Mode, Size

REPOSITORY = Path(__file__).parent.parent


def _load(folder: Path, text: str) -> Config:
    path = folder / "config.yaml"
    path.write_text(text)
    return load_config(path)


def _problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        _load(folder, text)
    assert caught.value.exit_code == 78
    return caught.value.problems


def test_the_documented_default_works_as_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    config = load_config(REPOSITORY / "config.yaml")
    assert config.state_dir == tmp_path / "state"
    assert [folder.input for folder in config.folders] == [tmp_path / "Kakudai" / "in"]
    assert config.folders[0].settings.encoder.options == (("crf", "16"), ("preset", "medium"))


def test_every_key_is_read(tmp_path: Path) -> None:
    (tmp_path / "w.h5").touch()
    config = _load(
        tmp_path,
        """
state_dir: state
device: cpu
rescan_s: 7
limits: {max_pixels: 1000, max_output_pixels: 4000, silence_s: 9}
retention: {work_days: 1, history_days: 2}
retry: {attempts: 5, wait_s: 0.5}
worker: {nice: 5, memory_bytes: 100_000_000, stall_s: 60}
hours: ["22:00-08:00", "12:00-13:00"]
profiles:
  tv: {mode: double-enlarge, target: 1080p, model: srcnn, weights: w.h5, upsampling: bilinear, denoise: none,
       rounding: paper, encoder: {name: svtav1, crf: 30}, container: png, image_format: webp,
       name: "{name} x"}
folders:
  - {input: in, output: out, profile: tv, settle_s: 2, polling: true, ignore: ["*.tmp.png"], original: move,
     moved_to: done, taken_name: skip, sequence: true, errors: off, priority: -3}
""",
    )
    assert (config.state_dir, config.rescan_s) == (tmp_path / "state", 7)
    assert (config.retention.history_days, config.retry.attempts) == (2, 5)
    assert config.worker == WorkerLimits(5, 100_000_000, 60)
    assert config.hours == (Span(22 * 60, 8 * 60), Span(12 * 60, 13 * 60))
    (folder,) = config.folders
    assert (folder.input, folder.output, folder.moved_to) == (
        tmp_path / "in",
        tmp_path / "out",
        tmp_path / "done",
    )
    assert (folder.original, folder.taken_name) == (Original.MOVE, TakenName.SKIP)
    assert (folder.errors, folder.priority) == (ErrorFiles.OFF, -3)
    assert (folder.settle_s, folder.polling, folder.sequence) == (2, True, True)
    settings = folder.settings
    assert (settings.mode, settings.scale, settings.target) == (Mode.DOUBLE_ENLARGE, None, Size(1920, 1080))
    assert settings.weights == tmp_path / "w.h5"
    assert settings.encoder == EncoderSettings("svtav1", (("crf", "30"),))
    assert (settings.container, settings.image_format) == (Container.PNG, ImageFormat.WEBP)
    assert settings.limits.max_pixels == 1000
    assert settings.denoise == "none"


def test_an_exact_fraction_stays_exact(tmp_path: Path) -> None:
    config = _load(tmp_path, "profiles: {a: {scale: 2.25}, b: {mode: enhance}}")
    assert config.profiles["a"].scale == Fraction(9, 4)
    assert config.profiles["b"].scale == 1


def test_all_problems_are_reported_at_once_with_their_paths(tmp_path: Path) -> None:
    problems = _problems(
        tmp_path,
        """
stat_dir: x
hours: 9 to 5
worker: {nice: -1}
retention: {work_days: soon}
profiles:
  fast: {scale: 9, encoder: {name: x265, crff: 3}}
  both: {scale: 2, target: 1080p}
  still: {mode: enhance, scale: 2}
  old: {model: msrcnn, restore: true}
  short: {model: msrcnn, precision: bfloat16}
folders:
  - {input: in, output: out, profile: fast, settle_s: yes, ignore: "*.x"}
  - {input: in2, output: out, profile: fst}
  - {output: out3, original: move, profile: fast}
""",
    )
    text = "\n".join(problems)
    assert 'stat_dir: unknown key; did you mean "state_dir"?' in problems
    assert 'folders[1].profile: no profile named "fst"; did you mean "fast"?' in problems
    for start in (
        'hours: "9 to 5" is no span of hours',
        "worker.nice: -1 is out of range",
        'retention.work_days: should be a number, not "soon"',
        "profiles.fast.scale: 9 is out of range",
        'profiles.fast.encoder: x265 has no option "crff"; did you mean "crf"?',
        "profiles.both.scale: scale and target exclude each other",
        "profiles.still.scale: mode enhance keeps the size",
        "profiles.old.restore: msrcnn has no weights that restore",
        "profiles.short.precision: bfloat16 is for fast and fine",
        "folders[0].settle_s: should be a number",
        "folders[0].ignore: should be a list",
        "folders[1].output: is the output of folders[0] as well",
        "folders[2].input: is missing",
        "folders[2].moved_to: is missing",
    ):
        assert f"\n{start}" in f"\n{text}", start
    assert len(problems) == 16


@pytest.mark.parametrize(
    ("folders", "complaint"),
    [
        ("[{input: a, output: a/out}]", "folders[0].output: lies inside the input of folders[0]"),
        ("[{input: a/in, output: a}]", "folders[0].input: lies inside the output"),
        ("[{input: a, output: a}]", "folders[0].output: is the input folder"),
        ("[{input: a, output: b}, {input: a, output: c}]", "folders[1].input: is the input of folders[0]"),
        (
            "[{input: a, output: b}, {input: a/x, output: c}]",
            "folders[1].input: overlaps the input of folders[0]",
        ),
        ("[{input: a, output: b}, {input: b, output: c}]", "folders[0].output: is the input of folders[1]"),
        ("[{input: ., output: ../b}]", "folders[0].input: holds state_dir"),
        (
            "[{input: a, output: b, original: move, moved_to: a/done}]",
            "folders[0].moved_to: lies inside the input",
        ),
        ("[{input: a, output: b, moved_to: c}]", "folders[0].moved_to: does nothing with original: keep"),
        ("[{input: link/x, output: a}]", "folders[0].input: lies inside the output"),
    ],
)
def test_impossible_places_are_refused(tmp_path: Path, folders: str, complaint: str) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "a")
    problems = _problems(tmp_path, f"state_dir: state\nfolders: {folders}")
    assert any(problem.startswith(complaint) for problem in problems), problems


def test_doubled_keys_and_broken_yaml_are_told_by_line(tmp_path: Path) -> None:
    assert _problems(tmp_path, "device: cpu\ndevice: gpu") == [
        'line 2: "device" is given twice (first in line 1); keep one'
    ]
    (problem,) = _problems(tmp_path, "device: [cpu\nrescan_s: 3")
    assert problem.startswith("line 2, column ")


@pytest.mark.parametrize("text", ["2026-99-99", "9" * 5000, "0x" + "f" * 5000, "!!bool x", "[" * 5000])
def test_what_the_yaml_reader_itself_chokes_on_is_told(tmp_path: Path, text: str) -> None:
    (problem,) = _problems(tmp_path, f"device: {text}")
    assert "not YAML" in problem


@pytest.mark.parametrize("name", ["a" * 300, "a/" * 3000])
def test_a_path_that_no_file_system_takes_is_refused(tmp_path: Path, name: str) -> None:
    text = f"profiles: {{default: {{weights: {name}}}}}\nwork_dir: {name}\n"
    assert _problems(tmp_path, text) == [
        "work_dir: is longer than file systems take",
        "profiles.default.weights: is longer than file systems take",
    ]


@pytest.mark.parametrize("text", ["- a\n- b", "device", "folders: {input: a}", "folders: [a]", "profiles: [x]"])
def test_a_wrong_shape_is_a_problem_not_a_crash(tmp_path: Path, text: str) -> None:
    assert _problems(tmp_path, text)


def test_an_empty_file_is_all_defaults(tmp_path: Path) -> None:
    config = _load(tmp_path, "")
    assert list(config.profiles) == ["default"]
    assert config.folders == ()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match=r"nowhere\.yaml"):
        load_config(tmp_path / "nowhere.yaml")


def test_where_the_page_is(tmp_path: Path) -> None:
    assert _load(tmp_path, "").web == Web("127.0.0.1", 8640)
    assert _load(tmp_path, "web: false").web is None
    assert _load(tmp_path, "web: {socket: page.sock, names: [a.example]}").web == Web(
        socket=tmp_path / "page.sock", names=("a.example",)
    )
    assert _problems(tmp_path, "web: {socket: page.sock, port: 80}") == [
        "web.port: does nothing beside socket; drop one of them"
    ]
    assert _problems(tmp_path, "web: {port: 65536}") == ["web.port: 65536 is out of range; between 0 and 65,535"]
    assert "host, port, socket, names" in _problems(tmp_path, "web: true")[0]
