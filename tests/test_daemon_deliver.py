"""Delivery: nothing is replaced, nothing is lost, whatever step is the last before a death."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from shutil import which
from typing import Any

import pytest

from daemon import place
from daemon.config_model import Folder, Original, TakenName
from daemon.deliver import _copy_away, deliver, finish_original
from daemon.job import Found, Identity, Job
from daemon.ledger import Ledger
from daemon.place import (
    free_name,
    is_the_one,
    make_folder,
    numbered,
    part_path,
    read_back,
    remove,
    rename_without_replacing,
)
from daemon.settling import look
from engine.errors import EnvironmentFault, OutputError, ProcessingError
from engine.settings import Settings
from tests.service_runner import ServiceRunner, write_picture


class _Death(BaseException):
    """The service dies here."""


class _Desk:
    """A job whose part is finished, in a ledger on disk."""

    def __init__(self, base: Path, **options: Any) -> None:
        self.base = base
        self.folder = Folder(base / "in", base / "out", "fast", Settings(), **options)
        self.source = base / "in" / "sub" / "a.png"
        self.source.parent.mkdir(parents=True)
        self.source.write_bytes(b"source")
        self.wanted = base / "out" / "sub" / "a [64p].png"
        self.wanted.parent.mkdir(parents=True)
        self.part = part_path(self.wanted.parent, self.wanted.name, "1")
        self.part.write_bytes(b"enlarged")
        self.ledger = Ledger(base / "ledger.db")
        identity = Identity.of(self.source.lstat())
        self.ledger.queue([Found(self.folder.input, self.source, "file", identity)])
        (job,) = self.ledger.jobs("queued")
        self.ledger.start(job, profile="fast")
        self.ledger.planned(job, sha256="s", fingerprint="f", wanted=self.wanted, part=self.part)
        content = read_back(self.part)
        self.ledger.verifying(
            job,
            output=self.wanted,
            part_inode=content.inode,
            part_size=content.size,
            part_sha256=content.sha256,
            report="{}",
        )

    def job(self) -> Job:
        job = self.ledger.job(1)
        assert job is not None
        return job

    def go_on(self) -> None:
        """What the worker does between jobs, until nothing is left."""
        while self.job().state == "verifying" or self.job().original == "pending":
            if self.job().state == "verifying":
                deliver(self.job(), self.folder, self.ledger)
            else:
                finish_original(self.job(), self.folder, self.ledger)

    def restart(self) -> None:
        self.ledger.close()
        self.ledger = Ledger(self.base / "ledger.db")
        self.ledger.recover()

    def outputs(self) -> list[str]:
        return sorted(path.name for path in self.wanted.parent.iterdir())


@pytest.fixture
def desks(tmp_path: Path) -> Iterator[list[_Desk]]:
    made: list[_Desk] = []
    yield made
    for desk in made:
        desk.ledger.close()


@pytest.mark.parametrize("original", [Original.KEEP, Original.MOVE, Original.DELETE])
@pytest.mark.parametrize("taken", [False, True])
@pytest.mark.parametrize("flagless", [False, True])
def test_a_death_at_any_step_costs_nothing(
    tmp_path: Path,
    desks: list[_Desk],
    monkeypatch: pytest.MonkeyPatch,
    original: Original,
    taken: bool,
    flagless: bool,
) -> None:
    """Die before and after each rename, link, unlink, fsync and transition in turn, then start again."""
    if flagless:  # as on file systems without RENAME_NOREPLACE
        monkeypatch.setattr(place, "_libc", _LibraryWithoutTheFlag())
    deaths = 0
    for step in range(200):
        base = tmp_path / str(step)
        base.mkdir()
        moved_to = base / "done" if original is Original.MOVE else None
        desk = _Desk(base, original=original, moved_to=moved_to)
        desks.append(desk)
        if taken:
            desk.wanted.write_bytes(b"somebody else's")
        with monkeypatch.context() as patch:
            countdown = _Countdown(step)
            for holder, name in (
                (os, "fsync"),
                (Path, "unlink"),
                (Path, "rename"),
                (Path, "hardlink_to"),
                (Path, "mkdir"),
                (Ledger, "delivered"),
                (Ledger, "rename_output"),
                (Ledger, "original_done"),
                (place._libc, "renameat2"),
            ):
                patch.setattr(holder, name, countdown.around(getattr(holder, name)))
            try:
                desk.go_on()
                died = False
            except _Death:
                died = True
        if not died:
            break
        deaths += 1
        desk.restart()
        desk.go_on()
        _assert_delivered(desk, original=original, taken=taken)
    assert deaths >= 6, deaths
    _assert_delivered(desk, original=original, taken=taken)


def _assert_delivered(desk: _Desk, *, original: Original, taken: bool) -> None:
    expected = ["a [64p] (2).png", "a [64p].png"] if taken else ["a [64p].png"]
    assert desk.outputs() == expected
    assert (desk.wanted.parent / expected[0]).read_bytes() == b"enlarged"
    assert desk.job().state == "delivered"
    assert desk.job().output == desk.wanted.parent / expected[0]
    assert desk.source.exists() == (original is Original.KEEP)
    if original is Original.MOVE:
        assert (desk.base / "done" / "sub" / "a.png").read_bytes() == b"source"


class _Countdown:
    """Dies at the N-th of the calls it surrounds: before an even one, after an odd one."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def around(self, function: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            self._pass()
            result = function(*arguments, **options)
            self._pass()
            return result

        return call

    def _pass(self) -> None:
        if self.left == 0:
            raise _Death
        self.left -= 1


class _LibraryWithoutTheFlag:
    def renameat2(self, *_arguments: object) -> int:
        import ctypes

        ctypes.set_errno(errno.EINVAL)
        return -1


def test_a_taken_name_can_be_a_skip(tmp_path: Path, desks: list[_Desk]) -> None:
    desk = _Desk(tmp_path, taken_name=TakenName.SKIP)
    desks.append(desk)
    desk.wanted.write_bytes(b"somebody else's")
    desk.go_on()
    assert desk.job().state == "skipped"
    assert desk.job().reason == "the output holds a [64p].png already (taken_name: skip)"
    assert desk.outputs() == ["a [64p].png"]
    assert desk.wanted.read_bytes() == b"somebody else's"


def test_a_part_that_vanished_is_no_delivery(tmp_path: Path, desks: list[_Desk]) -> None:
    desk = _Desk(tmp_path)
    desks.append(desk)
    desk.part.unlink()
    desk.wanted.write_bytes(b"another file of that name")
    with pytest.raises(ProcessingError, match="removed before"):
        desk.go_on()


def test_an_original_that_changed_is_kept(tmp_path: Path, desks: list[_Desk]) -> None:
    desk = _Desk(tmp_path, original=Original.DELETE)
    desks.append(desk)
    desk.source.write_bytes(b"new content")
    desk.go_on()
    assert desk.source.read_bytes() == b"new content"
    assert (desk.job().original, desk.job().reason) == (
        "kept",
        "the source has changed since it was enlarged, and was kept",
    )


def test_an_original_is_not_taken_for_gone_while_its_mount_is_lost(tmp_path: Path, desks: list[_Desk]) -> None:
    desk = _Desk(tmp_path, original=Original.DELETE)
    desks.append(desk)
    deliver(desk.job(), desk.folder, desk.ledger)
    desk.folder.input.rename(tmp_path / "away")
    finish_original(desk.job(), desk.folder, desk.ledger)
    assert desk.job().original == "pending"
    (tmp_path / "away").rename(desk.folder.input)
    finish_original(desk.job(), desk.folder, desk.ledger)
    assert desk.job().original == "deleted"
    assert not desk.source.exists()


def test_an_original_moves_across_file_systems(
    tmp_path: Path, desks: list[_Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    shared_memory = Path("/dev/shm")
    if not os.access(shared_memory, os.W_OK) or shared_memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second file system to move to")
    target = shared_memory / f"kakudai-test-{os.getpid()}"
    desk = _Desk(tmp_path, original=Original.MOVE, moved_to=target)
    desks.append(desk)
    try:
        desk.go_on()
        assert (target / "sub" / "a.png").read_bytes() == b"source"
        assert not desk.source.exists()
        assert [path.name for path in (target / "sub").iterdir()] == ["a.png"]
    finally:
        remove(target)


@pytest.mark.parametrize("original", [Original.MOVE, Original.DELETE])
def test_a_folder_that_has_become_a_link_is_not_followed(
    tmp_path: Path, desks: list[_Desk], original: Original
) -> None:
    """Whoever writes to the inbox could have files elsewhere removed in the service's name."""
    desk = _Desk(tmp_path, original=original, moved_to=tmp_path / "done" if original is Original.MOVE else None)
    desks.append(desk)
    deliver(desk.job(), desk.folder, desk.ledger)
    desk.source.parent.rename(tmp_path / "elsewhere")
    desk.source.parent.symlink_to(tmp_path / "elsewhere")
    desk.go_on()
    assert (tmp_path / "elsewhere" / "a.png").read_bytes() == b"source"
    assert desk.job().original == "kept"
    assert "become a link" in str(desk.job().reason)


def test_frames_move_to_another_disk_without_what_came_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = tmp_path / "frames", tmp_path / "done" / "frames"
    (source / "more").mkdir(parents=True)
    for name in ("1.png", "2.png", "more/notes.txt"):
        (source / name).write_text(name)
    job = _sequence_job(source)
    os.mkfifo(source / "pipe")
    note = _copy_away(source, job, target)
    assert note is not None
    assert "a pipe" in note
    assert not target.parent.exists()
    (source / "pipe").unlink()
    renaming = rename_without_replacing

    def rename(part: Path, final: Path) -> None:
        renaming(part, final)
        (source / "late.txt").touch()

    target.parent.mkdir()
    monkeypatch.setattr("daemon.deliver.rename_without_replacing", rename)
    assert _copy_away(source, job, target) is None
    assert sorted(path.name for path in target.iterdir()) == ["1.png", "2.png", "more"]
    assert [path.name for path in source.iterdir()] == ["late.txt"]


def _sequence_job(source: Path) -> Job:
    seen = look(os.fspath(source), "sequence")
    assert seen is not None
    ledger = Ledger(source.parent / "ledger.db")
    ledger.queue([Found(source.parent, source, "sequence", seen.identity)])
    (job,) = ledger.jobs("queued")
    ledger.close()
    return job


def test_a_taken_name_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "new").write_text("new")
    (tmp_path / "old").write_text("old")
    with pytest.raises(FileExistsError):
        rename_without_replacing(tmp_path / "new", tmp_path / "old")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileExistsError):
        rename_without_replacing(tmp_path / "new", tmp_path / "dangling")
    assert (tmp_path / "old").read_text() == "old"


def test_numbered_names(tmp_path: Path) -> None:
    assert numbered(Path("/x/a.b.mkv"), 1).name == "a.b.mkv"
    assert numbered(Path("/x/a.b.mkv"), 2).name == "a.b (2).mkv"
    long = Path("/x") / ("拡" * 83 + ".png")
    assert len(os.fsencode(numbered(long, 12).name)) <= 255
    for name in ("a.png", "a (2).png"):
        (tmp_path / name).touch()
    assert free_name(tmp_path / "a.png").name == "a (3).png"
    assert free_name(tmp_path / "b.png").name == "b.png"


def test_parts_are_hidden_beside_their_name_and_fit() -> None:
    assert part_path(Path("/o"), "a.mkv", "7") == Path("/o/.a.mkv.7.part")
    assert len(os.fsencode(part_path(Path("/o"), "é" * 127, "123456").name)) <= 255


def test_a_folder_is_read_back_as_one(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames" / "1.png").write_bytes(b"one")
    first = read_back(tmp_path / "frames")
    assert is_the_one(tmp_path / "frames", 0, first.size, first.sha256)
    (tmp_path / "frames" / "1.png").write_bytes(b"two")
    assert not is_the_one(tmp_path / "frames", 0, first.size, first.sha256)
    assert not is_the_one(tmp_path / "nowhere", 0, first.size, first.sha256)


def test_what_cannot_be_made_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="Not a directory"):
        make_folder(tmp_path / "file" / "below")
    assert isinstance(_storage(errno.ENOSPC), EnvironmentFault)


def _storage(number: int) -> Exception:
    from engine.files import storage_error

    return storage_error(OSError(number, os.strerror(number)), Path("/x"))


def test_a_file_system_where_names_could_be_overwritten_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.refuse_unsafe(tmp_path)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(place, "_libc", _LibraryWithoutTheFlag())
    place.refuse_unsafe(tmp_path)  # links will do

    def refuse(_self: Path, _target: Path) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    with pytest.raises(OutputError, match="neither by renameat2"):
        place.refuse_unsafe(tmp_path)
    assert list(tmp_path.iterdir()) == []
    place.refuse_unsafe(tmp_path / "not there")


@pytest.mark.skipif(which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize(("renaming", "linking"), [("EINVAL", "EPERM"), ("EIO", "EIO")], ids=["fat", "rclone"])
def test_the_service_does_not_start_and_check_tells_where_names_could_be_overwritten(
    tmp_path: Path, renaming: str, linking: str
) -> None:
    wrapper = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=renameat2,link,linkat"]
    wrapper += ["-e", f"inject=renameat2:error={renaming}", "-e", f"inject=link,linkat:error={linking}"]
    with ServiceRunner(tmp_path, wrapper=wrapper) as service:
        process = service.launch().process
        assert process is not None
        assert process.wait(timeout=60) == 78
        assert "folders[0].output" in service.log()
        assert "choose a folder on another file system" in service.log()
        check = [*wrapper, sys.executable, "-m", "daemon.cli", "check", "--config", str(service.config)]
        told = subprocess.run(check, check=False, capture_output=True, text=True)
        assert told.returncode == 69
        assert "neither by renameat2" in told.stdout


def test_owner_mode_and_time_of_what_is_delivered(tmp_path: Path) -> None:
    as_root = os.geteuid() == 0
    with ServiceRunner(tmp_path, wrapper=["sh", "-c", 'umask 027; exec "$@"', "sh"]) as service:
        write_picture(service.inbox / "show" / "a.png")
        (service.inbox / "show" / "a.png").chmod(0o600)
        os.utime(service.inbox / "show" / "a.png", (1, 1))
        service.outbox.mkdir()
        if as_root:
            os.chown(service.outbox, 0, 4321)
        service.outbox.chmod(0o2770)
        began = time.time()
        service.start().wait_for(delivered=1)
        output = service.outbox / "show" / "a [64p].png"
        found, above = output.stat(), output.parent.stat()
        assert (found.st_mode & 0o777, above.st_mode & 0o7777) == (0o640, 0o2750)
        assert found.st_uid == os.geteuid()
        assert found.st_gid == above.st_gid == (4321 if as_root else service.outbox.stat().st_gid)
        assert found.st_mtime >= began - 1
