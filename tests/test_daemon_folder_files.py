"""Files that steer a folder: what they change, and that strangers who write them can do no harm."""

from __future__ import annotations

import os
import tempfile
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from daemon.config_model import Folder
from daemon.config_schema import PROFILE
from daemon.folder_files import PAUSE_FILE, SETTINGS_FILE, FolderFiles, Hold
from engine.settings import Container, EncoderSettings, Mode, Settings, Size
from tests.service_runner import ServiceRunner, eventually, write_picture

BASE = Settings(scale=Fraction(2), encoder=EncoderSettings("x264", (("crf", "12"),)))


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    (tmp_path / "in" / "show" / "extras").mkdir(parents=True)
    return Folder(tmp_path / "in", tmp_path / "out", "fast", BASE)


def _settings(folder: Folder, name: str) -> Settings:
    found = FolderFiles().steer(folder, folder.input / name, "file")
    assert isinstance(found, Folder), found
    return found.settings


def _held(folder: Folder, name: str) -> Hold:
    found = FolderFiles().steer(folder, folder.input / name, "file")
    assert isinstance(found, Hold)
    return found


def test_the_nearest_file_wins_key_by_key_and_neighbours_keep_the_profile(folder: Folder) -> None:
    (folder.input / SETTINGS_FILE).write_text("container: mkv\nencoder: ffv1\n")
    (folder.input / "show" / SETTINGS_FILE).write_text("target: 1080p\nencoder: {name: x265, crf: 9}\n")
    (folder.input / "show" / "extras" / SETTINGS_FILE).write_text("mode: enhance\n")
    assert _settings(folder, "a.mkv").encoder == EncoderSettings("ffv1")
    assert _settings(folder, "a.mkv").scale == 2
    show = _settings(folder, "show/a.mkv")
    assert (show.container, show.scale, show.target) == (Container.MKV, None, Size(1920, 1080))
    assert show.encoder == EncoderSettings("x265", (("crf", "9"),))
    extras = _settings(folder, "show/extras/a.mkv")
    assert (extras.mode, extras.scale) == (Mode.ENHANCE, Fraction(1))
    assert (extras.target, extras.container) == (None, Container.MKV)


def test_an_empty_file_changes_nothing_and_a_corrected_one_is_read_again(folder: Folder) -> None:
    files, source = FolderFiles(), folder.input / "a.png"
    (folder.input / SETTINGS_FILE).write_text("# nothing yet\n")
    assert files.steer(folder, source, "file") == folder
    (folder.input / SETTINGS_FILE).write_text("scale: 12\n")
    assert isinstance(files.steer(folder, source, "file"), Hold)
    (folder.input / SETTINGS_FILE).write_text("scale: 4\n")
    found = files.steer(folder, source, "file")
    assert isinstance(found, Folder)
    assert found.settings.scale == 4


def test_a_folder_of_frames_is_steered_by_what_lies_in_it(folder: Folder) -> None:
    (folder.input / "show" / SETTINGS_FILE).write_text("scale: 3\n")
    found = FolderFiles().steer(folder, folder.input / "show", "sequence")
    assert isinstance(found, Folder)
    assert found.settings.scale == 3


BILLION = "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi"))  # noqa: B905


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("scale: 9\nmode: big\nmodell: x\ntag: 7\n", "and 1 more"),
        ("weights: /etc/passwd\n", "weights: unknown key"),
        ("limits: {max_pixels: 1}\n", "limits: unknown key"),
        (BILLION, "aliases"),
        ("scale: " + "[" * 9000, "not YAML"),
        ("- scale\n", "should hold keys"),
        ("a" * 20_000, "surely no settings"),
        ("scale: \x07\n", "not YAML"),
        ("scale: 2\nscale: 3\n", "given twice"),
        ("scale: 1e999999999\n", "is not a factor"),
        (f"scale: 0x{'f' * 8000}\n", "a number too large for any setting"),
        (f"scale: 1{':59' * 5000}.5\n", "not YAML that can be read"),
        ("restore: !!bool x\n", "not YAML that can be read"),
        ("device: !!timestamp x\n", "not YAML that can be read"),
        ('name: "{name}\\ud800"\n', "half a letter"),
    ],
    ids=[
        *("mistakes", "weights", "limits", "bomb", "deep", "list", "large", "control", "doubled", "endless", "digits"),
        *("sixties", "tagged", "moment", "surrogate"),
    ],
)
def test_a_mistake_holds_the_folder_and_says_what_is_wrong(folder: Folder, text: str, told: str) -> None:
    (folder.input / "show" / SETTINGS_FILE).write_text(text)
    hold = _held(folder, "show/extras/a.png")
    assert hold.place == folder.input / "show"
    assert told in hold.reason
    assert hold.remedy
    assert hold.reason.isprintable()
    assert _settings(folder, "a.png") == BASE


_TAGS = ("", *(f"!!{name} " for name in ("binary", "bool", "float", "int", "null", "omap", "set", "str", "timestamp")))


@hypothesis_settings(max_examples=300, deadline=None)
@given(
    key=st.sampled_from([key.name for key in PROFILE]),
    tag=st.sampled_from(_TAGS),
    text=st.text("0123456789:._-+/ex~&*{}[]<>|?!'\"\\\n ntafopu\u00e9\u62e1", max_size=40),
)
def test_whatever_is_written_there_is_taken_or_refused(key: str, tag: str, text: str) -> None:
    """By an answer: what it raised would end the service."""
    with tempfile.TemporaryDirectory() as place:
        folder = Folder(Path(place), Path("/out"), "fast", BASE)
        (folder.input / SETTINGS_FILE).write_text(f"{key}: {tag}{text}\n")
        assert isinstance(FolderFiles().steer(folder, folder.input / "a.png", "file"), Folder | Hold)


def test_only_a_regular_file_is_read(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("scale: 3\n")
    place = folder.input / "show" / SETTINGS_FILE
    place.symlink_to(tmp_path / "elsewhere")
    assert "cannot be read" in _held(folder, "show/a.png").reason
    place.unlink()
    os.mkfifo(place)
    assert "no regular file" in _held(folder, "show/a.png").reason
    place.unlink()
    place.write_bytes(b"name: \xff\n")
    assert "not UTF-8" in _held(folder, "show/a.png").reason


def test_a_pause_file_is_enough_whatever_it_is(folder: Folder) -> None:
    (folder.input / "show" / PAUSE_FILE).symlink_to("nowhere")
    assert _held(folder, "show/extras/a.png").place == folder.input / "show"
    assert _settings(folder, "shown.png") == BASE


def test_a_subtree_is_paused_another_overridden_and_a_mistake_stops_nothing_else(tmp_path: Path) -> None:
    with ServiceRunner(tmp_path) as service:
        for name in ("big/a.png", "wrong/b.png", "paused/deep/c.png", "d.png"):
            write_picture(service.inbox / name, seed=len(name))
        (service.inbox / "big" / SETTINGS_FILE).write_text("scale: 3\n")
        (service.inbox / "wrong" / SETTINGS_FILE).write_text("scale: many\n")
        (service.inbox / "paused" / PAUSE_FILE).touch()
        service.start()
        status = service.wait_for(delivered=2, queued=2)
        assert service.delivered() == ["big/a [96p].png", "d [64p].png"]
        waiting = {Path(wait["folder"]).name: wait for wait in status["waiting"]}
        assert set(waiting) == {"wrong", "paused"}
        assert '"many" is not a factor' in waiting["wrong"]["reason"]
        assert "remove .pause" in waiting["paused"]["remedy"]
        assert all(job["held"] for job in status["queued"])
        (service.inbox / "paused" / PAUSE_FILE).unlink()
        (service.inbox / "wrong" / SETTINGS_FILE).write_text("scale: 4\n")
        service.wait_for(delivered=4)
        eventually(lambda: service.status()["waiting"] == [])
        assert "wrong/b [128p].png" in service.delivered()
        (service.inbox / "paused" / PAUSE_FILE).touch()
        write_picture(service.inbox / "paused" / "e.png", seed=9)
        service.wait_for(queued=1)
        service.stop()
        assert "paused by the file" in service.status()["waiting"][0]["reason"]


def test_many_held_folders_hold_up_nobody(tmp_path: Path) -> None:
    with ServiceRunner(tmp_path) as service:
        for number in range(300):
            place = service.inbox / f"{number:04}"
            place.mkdir()
            (place / (SETTINGS_FILE if number % 2 else PAUSE_FILE)).write_text("scale: many")
            (place / "a.png").touch()
        write_picture(service.inbox / "zz" / "z.png")
        service.start()
        service.wait_for(queued=300, delivered=1)
        eventually(lambda: len(service.status()["waiting"]) == 300)


def test_a_new_ledger_knows_a_delivery_with_a_folders_own_settings_though_it_is_paused_now(tmp_path: Path) -> None:
    with ServiceRunner(tmp_path) as service:
        write_picture(service.inbox / "big" / "a.png")
        (service.inbox / "big" / SETTINGS_FILE).write_text("scale: 3\n")
        service.start().wait_for(delivered=1)
        service.stop()
        (service.inbox / "big" / PAUSE_FILE).touch()
        (tmp_path / "state" / "ledger.db").write_bytes(b"no ledger" * 1000)
        service.start().wait_for(delivered=1, queued=1)
        (service.inbox / "big" / PAUSE_FILE).unlink()
        status = service.wait_for(delivered=1, skipped=1)
        assert "delivered already as a [96p].png" in status["skipped"][0]["reason"]
        assert service.delivered() == ["big/a [96p].png"]
