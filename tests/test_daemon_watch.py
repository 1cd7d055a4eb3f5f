"""Which files are finished and new, on a clock that the test turns."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory

import pytest

from daemon.config_model import Folder
from daemon.inotify import Event, Inotify
from daemon.job import Found, Identity
from daemon.settling import writer_of
from daemon.watch import Watcher
from engine.settings import Settings


class _Desk:
    """A watcher on one folder, its clock, and a ledger that remembers what was queued."""

    def __init__(self, root: Path, **options: object) -> None:
        self.now = 1000.0
        self.root = root
        self.ledger: set[tuple[Path, int, int, int]] = set()
        folder = Folder(root, root.parent / "out", "fast", Settings(), **{"settle_s": 5.0, **options})  # type: ignore[arg-type]
        self.left: list[str] = []
        self.watcher = Watcher([folder], known=self._known, let_go=self._let_go, rescan_s=60.0, clock=lambda: self.now)

    def _let_go(self, paths: list[Path]) -> None:
        self.left += [str(path.relative_to(self.root)) for path in paths]
        self.ledger = {row for row in self.ledger if not any(row[0].is_relative_to(path) for path in paths)}

    def _known(self, path: Path, identity: Identity) -> bool:
        return (path, identity.inode, identity.size, identity.mtime_ns) in self.ledger

    def after(self, seconds: float) -> list[str]:
        """Turn the clock, look, queue what is finished; the names of it."""
        self.now += seconds
        found = self.watcher.tick()
        for file in found:
            self.ledger.add((file.path, file.identity.inode, file.identity.size, file.identity.mtime_ns))
        self.watcher.queued(found)
        return [str(file.path.relative_to(self.root)) for file in found]


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    path = tmp_path / "in"
    path.mkdir()
    return path


@pytest.fixture
def desk_for(inbox: Path) -> Iterator[Callable[..., _Desk]]:
    desks = []

    def make(**options: object) -> _Desk:
        desks.append(_Desk(inbox, **options))
        return desks[-1]

    yield make
    for desk in desks:
        desk.watcher.close()


def test_a_file_is_found_once_after_it_settled(inbox: Path, desk_for: Callable[..., _Desk]) -> None:
    (inbox / "a.png").write_bytes(b"x")
    desk = desk_for()
    assert desk.after(0) == []
    assert desk.after(4.9) == []
    assert desk.after(0.2) == ["a.png"]
    assert desk.after(100) == []
    assert desk.watcher.settling() == 0


def test_a_file_that_grows_starts_its_wait_anew(inbox: Path, desk_for: Callable[..., _Desk]) -> None:
    desk = desk_for()
    (inbox / "a.mkv").write_bytes(b"x")
    assert desk.after(0) == []
    for _ in range(5):
        with (inbox / "a.mkv").open("ab") as file:
            file.write(b"more")
        assert desk.after(4.5) == []
    assert desk.after(4.5) == []
    assert desk.after(1) == ["a.mkv"]


def test_a_file_that_somebody_still_writes_waits_however_long(inbox: Path, desk_for: Callable[..., _Desk]) -> None:
    desk = desk_for()
    with (inbox / "a.mkv").open("wb") as file:
        file.write(b"x")
        file.flush()
        desk.after(0)
        for _ in range(20):
            assert desk.after(6) == []
    assert desk.after(6) == ["a.mkv"]


@pytest.mark.parametrize("note", ["season.aria2", "season/a.mkv.aria2"], ids=["torrent", "file"])
def test_a_download_that_is_paused_waits_however_long(inbox: Path, desk_for: Callable[..., _Desk], note: str) -> None:
    """Nobody has it open, and it has its full size already."""
    (inbox / "season").mkdir()
    (inbox / "season" / "a.mkv").write_bytes(bytes(1000))
    (inbox / note).touch()
    desk = desk_for()
    assert [desk.after(6) for _ in range(5)] == [[]] * 5
    (inbox / note).unlink()
    assert desk.after(6) == ["season/a.mkv"]


def test_a_writer_is_not_looked_for_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    with (tmp_path / "folder" / "a.mkv").open("wb"):
        assert writer_of(str(tmp_path / "folder" / "a.mkv"), "file") is True
        assert writer_of(str(tmp_path / "link" / "a.mkv"), "file") is False


def test_a_folder_that_does_not_answer_is_not_looked_at(
    inbox: Path, desk_for: Callable[..., _Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = desk_for()
    assert desk.after(0) == []
    (inbox / "a.png").write_bytes(b"x")
    with monkeypatch.context() as patches:
        for module, name in (("os", "scandir"), ("os", "lstat"), ("os", "stat"), ("pathlib.Path", "stat")):
            patches.setattr(f"{module}.{name}", lambda *_: pytest.fail("it would be caught"))
        desk.now += 120
        assert desk.watcher.tick({inbox: "does not answer"}) == []
        assert desk.watcher.missing() == {inbox: "does not answer"}
    assert desk.after(1) == []
    assert desk.watcher.missing() == {}
    assert desk.after(6) == ["a.png"]


def test_what_is_queued_and_not_confirmed_comes_again(inbox: Path, desk_for: Callable[..., _Desk]) -> None:
    (inbox / "a.png").write_bytes(b"x")
    desk = desk_for()
    desk.watcher.tick()
    desk.now += 6
    (once,) = desk.watcher.tick()
    (again,) = desk.watcher.tick()
    assert once == again == Found(inbox, inbox / "a.png", "file", once.identity)


def test_what_the_ledger_knows_is_not_found_again_but_new_bytes_are(
    inbox: Path, desk_for: Callable[..., _Desk]
) -> None:
    (inbox / "a.png").write_bytes(b"x")
    desk = desk_for()
    desk.after(0)
    desk.after(6)
    restarted = desk_for()
    restarted.ledger = desk.ledger
    assert restarted.after(0) == []
    assert restarted.watcher.settling() == 0
    (inbox / "a.png").write_bytes(b"xy")
    restarted.after(0)
    assert restarted.after(6) == ["a.png"]


@pytest.mark.parametrize(
    "name",
    [
        "a.mkv.part",
        "a.mkv.crdownload",
        "a.mkv.!qB",
        "a.mkv.aria2",
        "a.tmp",
        ".a.mkv.Xa3bQ1",
        ".a.png",
        ".a.png.12.part",
        "~$a.png",
        "a.png~",
        "a.txt",
        "png",
        ".png",
    ],
)
def test_temporary_names_are_left_alone_until_renamed(inbox: Path, desk_for: Callable[..., _Desk], name: str) -> None:
    desk = desk_for()
    (inbox / name).write_bytes(b"x")
    desk.after(0)
    assert desk.after(70) == []
    (inbox / name).rename(inbox / "done.MKV")
    desk.after(0)
    assert desk.after(6) == ["done.MKV"]


def test_special_files_and_links_are_never_touched(inbox: Path, tmp_path: Path, desk_for: Callable[..., _Desk]) -> None:
    os.mkfifo(inbox / "fifo.png")
    (tmp_path / "target.png").write_bytes(b"x")
    (inbox / "link.png").symlink_to(tmp_path / "target.png")
    (inbox / "loop").symlink_to(inbox)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "x.png").write_bytes(b"x")
    (inbox / "elsewhere").symlink_to(tmp_path / "outside")
    (inbox / "folder.png").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(inbox / "s.png"))
        desk = desk_for()
        desk.after(0)
        assert desk.after(6) == []
        assert desk.watcher.settling() == 0


def test_events_find_files_in_new_and_moved_folders(
    inbox: Path, tmp_path: Path, desk_for: Callable[..., _Desk]
) -> None:
    desk = desk_for()
    desk.after(0)
    (inbox / "a" / "b" / "c").mkdir(parents=True)
    (inbox / "a" / "b" / "c" / "1.png").write_bytes(b"x")
    (tmp_path / "moved").mkdir()
    (tmp_path / "moved" / "2.png").write_bytes(b"x")
    (tmp_path / "moved").rename(inbox / "moved")
    desk.after(0)
    assert desk.after(6) == ["a/b/c/1.png", "moved/2.png"]
    (inbox / "moved").rename(inbox / "a" / "again")
    desk.after(0)
    (inbox / "a" / "again" / "3.png").write_bytes(b"x")
    desk.after(0)
    # a renamed file is another path, and so another name for its result
    assert desk.after(6) == ["a/again/2.png", "a/again/3.png"]


def test_links_copies_and_renames_are_each_one_file(
    inbox: Path, tmp_path: Path, desk_for: Callable[..., _Desk]
) -> None:
    desk = desk_for()
    desk.after(0)
    (tmp_path / "source.png").write_bytes(b"x")
    (inbox / "linked.png").hardlink_to(tmp_path / "source.png")
    (tmp_path / "source.png").rename(inbox / "moved.png")
    desk.after(0)
    assert desk.after(6) == ["linked.png", "moved.png"]


def test_without_events_the_rescan_finds_all(inbox: Path, desk_for: Callable[..., _Desk]) -> None:
    desk = desk_for(polling=True)
    assert desk.watcher.fd is None
    desk.after(0)
    (inbox / "a").mkdir()
    (inbox / "a" / "1.png").write_bytes(b"x")
    assert desk.after(6) == []
    assert desk.watcher.settling() == 0
    desk.after(61)
    assert desk.after(6) == ["a/1.png"]


def test_without_events_a_file_that_grew_between_the_scans_waits_on(
    inbox: Path, desk_for: Callable[..., _Desk]
) -> None:
    desk = desk_for(polling=True)
    (inbox / "a.mkv").write_bytes(b"x")
    desk.after(0)
    (inbox / "a.mkv").write_bytes(b"xy")
    assert desk.after(6) == []
    assert desk.after(6) == ["a.mkv"]


def test_a_folder_that_leaves_is_watched_no_more(inbox: Path, tmp_path: Path, desk_for: Callable[..., _Desk]) -> None:
    (inbox / "a" / "b").mkdir(parents=True)
    desk = desk_for()
    desk.after(0)

    def watches() -> int:
        return Path(f"/proc/self/fdinfo/{desk.watcher.fd}").read_text().count("inotify wd:")

    assert watches() == 3
    (inbox / "a").rename(tmp_path / "a")
    desk.after(0)
    assert watches() == 1


def test_lost_events_are_made_up_for_at_once(
    inbox: Path, desk_for: Callable[..., _Desk], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    desk = desk_for()
    desk.after(0)
    (inbox / "a.png").write_bytes(b"x")
    answers = [[Event("", overflow=True)]]
    monkeypatch.setattr(Inotify, "read", lambda _self: answers.pop() if answers else [])
    desk.after(0)
    assert desk.after(6) == ["a.png"]
    assert "overflow" in caplog.text


def test_a_reached_limit_of_watches_is_told_once_and_the_rescan_finds_all(
    inbox: Path, desk_for: Callable[..., _Desk], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Inotify, "add", lambda _self, _path: False)
    for number in range(5):
        (inbox / str(number)).mkdir()
    desk = desk_for()
    desk.after(0)
    for number in range(5):
        (inbox / str(number) / "x.png").write_bytes(b"x")
    desk.after(67)
    assert len(desk.after(6)) == 5
    assert caplog.text.count("max_user_watches") == 1


def test_ignored_names_and_folders_are_left_alone(inbox: Path, desk_for: Callable[..., _Desk]) -> None:
    desk = desk_for(ignore=("*.sample.mkv", "Extras", "raw/*.png", "old/", "sketch*.png", "!sketch-final.png"))
    desk.after(0)
    ignored = ["a.sample.mkv", "x/Extras/b.png", "x/Extras/sketch-final.png", "raw/c.png", ".trash/f.png"]
    ignored += ["x/old/g.png", "sketch1.png"]
    ignored += ["x/@eaDir/d.png/SYNOPHOTO_THUMB_XL.jpg", "#recycle/i.png", "$RECYCLE.BIN/S-1-5/j.png"]
    taken = ["e.png", "old.png", "raw/deep/h.png", "sketch-final.png", "x/raw/d.png"]
    for wait_s in (0, 70):  # found by events, and by the rescan that follows
        for name in (*ignored, *taken):
            (inbox / name).parent.mkdir(parents=True, exist_ok=True)
            (inbox / name).write_bytes(b"x" * (wait_s + 1))
        assert desk.after(wait_s) == []
        assert desk.after(6) == taken


def test_a_lost_folder_is_told_and_drops_nothing(inbox: Path, tmp_path: Path, desk_for: Callable[..., _Desk]) -> None:
    (inbox / "a.png").write_bytes(b"x")
    desk = desk_for()
    desk.after(0)
    desk.after(6)
    inbox.rename(tmp_path / "unmounted")
    desk.after(70)
    assert "No such file" in desk.watcher.missing()[inbox]
    (tmp_path / "unmounted").rename(inbox)
    (inbox / "b.png").write_bytes(b"x")
    desk.after(70)
    assert desk.watcher.missing() == {}
    assert desk.after(6) == ["b.png"]


def test_a_folder_of_frames_settles_as_a_whole(inbox: Path, desk_for: Callable[..., _Desk]) -> None:
    desk = desk_for(sequence=True)
    desk.after(0)
    (inbox / "cut").mkdir()
    for number in range(4):
        (inbox / "cut" / f"{number}.png").write_bytes(b"x")
        assert desk.after(3) == []
    (inbox / "cut" / "readme.txt").write_bytes(b"x")
    (inbox / "alone.png").write_bytes(b"x")
    desk.after(0)
    assert desk.after(6) == ["alone.png", "cut"]
    (inbox / "cut" / "4.png").write_bytes(b"x")
    desk.after(0)
    assert desk.after(6) == ["cut"]


def test_ten_thousand_files_are_found_with_no_event_lost(inbox: Path, desk_for: Callable[..., _Desk]) -> None:
    desk = desk_for()
    desk.after(0)
    for number in range(10_000):
        (inbox / f"{number}.png").touch()
    desk.after(0)  # 20,000 events overflow the queue: the rescan that follows is what finds the rest
    desk.after(0)
    assert len(desk.after(6)) + len(desk.after(6)) == 10_000


def test_what_leaves_is_told_and_looked_at_anew_when_it_is_back(inbox: Path, desk_for: Callable[..., _Desk]) -> None:
    desk = desk_for()
    (inbox / "show").mkdir()
    for name in ("a.png", "show/b.png"):
        (inbox / name).write_bytes(b"x")
    desk.after(0)
    assert desk.after(6) == ["a.png", "show/b.png"]
    for name in ("a.png", "show"):
        (inbox / name).rename(inbox.parent / name)
        (inbox.parent / name).rename(inbox / name)
    assert desk.after(1) == []
    assert desk.left == ["a.png", "show"]
    assert desk.after(6) == ["a.png", "show/b.png"]
    (inbox / "a.png").unlink()
    desk.after(0)
    assert desk.left[2:] == ["a.png"]


_ASK = "import sys; from daemon.settling import writer_of; print(writer_of(sys.argv[1], 'file'))"


@pytest.mark.skipif(os.geteuid() != 0 or which("setpriv") is None, reason="needs root and setpriv, to be another user")
def test_another_users_file_is_told_only_with_the_lease_capability(tmp_path: Path) -> None:
    with TemporaryDirectory() as place:  # pytest's own folders are closed to others
        Path(place).chmod(0o755)
        path = Path(place) / "a.png"
        path.write_bytes(b"x")
        path.chmod(0o644)
        nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all,+lease"]
        ask = [sys.executable, "-c", _ASK, str(path)]
        granted = [*nobody, "--inh-caps=-all,+lease", "--ambient-caps=-all,+lease", *ask]

        def told(command: list[str]) -> str:
            return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

        assert told(granted) == "False"
        assert "no CAP_LEASE" in told([*nobody, "--inh-caps=-all", *ask])
        with path.open("ab"):
            assert told(granted) == "True"
            assert "no CAP_LEASE" in told([*nobody, "--inh-caps=-all", *ask])


def test_where_writers_cannot_be_told_that_is_said_once_and_time_decides(
    inbox: Path,
    desk_for: Callable[..., _Desk],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refuse(_fd: int, command: int, _argument: int) -> int:
        if command == fcntl.F_SETLEASE:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return 0

    monkeypatch.setattr("daemon.settling.fcntl.fcntl", refuse)
    desk = desk_for()
    for name in ("a.png", "b.png"):
        (inbox / name).write_bytes(b"x")
    desk.after(0)
    assert desk.watcher.how(inbox) == {"found_by": "events and rescan", "writers_unseen": None}
    assert desk.after(6) == ["a.png", "b.png"]
    assert caplog.text.count("whether a file is still written to cannot be told") == 1
    assert "another user's" in (desk.watcher.how(inbox)["writers_unseen"] or "")
    assert desk_for(polling=True).watcher.how(inbox)["found_by"] == "polling"
