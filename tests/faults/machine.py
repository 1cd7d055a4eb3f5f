"""A hypothesis state machine: people and faults at work on one inbox, the real service, and a model of the promises.

A picture's content is told by its size alone (no two contents have one), so every output tells what it was made of.
At any moment: originals are as people left them, what is visible in the outbox is whole, never changes and never goes,
and no content is there twice under one name. In the end, with the faults gone: every whole file has its one output,
nothing else has, no attempt was used for a fault, and no part is left.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, ClassVar

import cv2
import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.faults.scene import jobs_of
from tests.service_runner import ServiceRunner, eventually

_CONFIG = """
state_dir: state
device: cpu
rescan_s: 1
web: false
retry: {attempts: 3, wait_s: 0.1}
profiles:
  fast: {model: bicubic, name: "{name}"}
folders:
  - {input: in, output: out, profile: fast, settle_s: 0.05}
"""
_NAMES = ("a.png", "b.png", "deep/a.png")
_CONTENTS = 4
"""Contents that people choose from: few, so that the same bytes come again."""
_DISKS = {"out": "size=4m", "state": "size=8m"}
_FILLER = ".filler"
_LONGEST_LOOK_S = 5.0

names = st.sampled_from(_NAMES)
contents = st.integers(0, _CONTENTS - 1)
moments = st.sampled_from(("quiet", "at once", "at work", "quiet", "at once"))
"""How far the service gets before the next step."""


def picture(content: int) -> bytes:
    """A flat grey picture of a size that no other content has."""
    pixels = np.full((8 + content, 20 - content, 3), _grey(content), np.uint8)
    return cv2.imencode(".png", pixels)[1].tobytes()


def _grey(content: int) -> int:
    return 20 * content + 10


def content_of(output: Path) -> int | None:
    """Which content an output was made of; None for anything but a whole one."""
    pixels = cv2.imdecode(np.frombuffer(output.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        return None
    content = pixels.shape[0] // 2 - 8
    whole = pixels.shape[:2] == (16 + 2 * content, 40 - 2 * content)
    return content if whole and np.abs(pixels.astype(int) - _grey(content)).max() <= 1 else None


class People(RuleBasedStateMachine):
    """One example: a fresh base with the outbox and the state on small disks of their own."""

    steps: ClassVar[Counter[str]] = Counter()
    """Steps of all examples, by kind."""
    broken: ClassVar[list[str]] = []
    """Promises that were broken. When hypothesis makes the same steps again, moments differ, and it may not see it."""

    def __init__(self) -> None:
        super().__init__()
        self.base = Path(mkdtemp(prefix="kakudai-machine-"))
        for disk, size in _DISKS.items():
            (self.base / disk).mkdir()
            subprocess.run(["mount", "-t", "tmpfs", "-o", size, "none", str(self.base / disk)], check=True)
        self.service = ServiceRunner(self.base, _CONFIG)
        self.here: dict[str, bytes] = {}
        """What people left in the inbox."""
        self.arrived: set[tuple[str, int]] = set()
        """Every (name, whole content) that ever lay there."""
        self.visible: dict[str, tuple[int | None, int, int]] = {}
        """What was seen in the outbox: content, inode and time of change."""

    @initialize()
    def begin(self) -> None:
        self.service.start()

    # one rule for everything: hypothesis leaves out some rules in each example, and these are to meet each other
    @rule(data=st.data(), moment=moments)
    def step(self, data: Any, moment: str) -> None:
        """Something that people do or that befalls the service, as often as it stands here."""
        possible = ["drop", "drop", "begin_copy", "grow", "rename", "modify", "modify", "delete"]
        possible += ["kill", "kill", "restart", "fill_disk", "free_disk", "free_disk", "free_disk"]
        halves, full = self._halves(), self._full()
        hindered = {
            "grow": not halves,
            "rename": not self.here,
            "modify": not self.here,
            "delete": not self.here,
            "kill": not self._lives(),
            "restart": "state" in full,  # it would wait until there is room
            "fill_disk": len(full) == len(_DISKS),
            "free_disk": not full,
        }
        what = data.draw(st.sampled_from([name for name in possible if not hindered.get(name)]), label="step")
        self.steps[what] += 1
        match what:
            case "drop" | "begin_copy":
                words = [data.draw(names), data.draw(contents)]
            case "grow":
                words = list(data.draw(st.sampled_from(halves)))
            case "rename":
                words = [data.draw(st.sampled_from(sorted(self.here))), data.draw(names)]
            case "modify":
                words = [data.draw(st.sampled_from(sorted(self.here))), data.draw(contents)]
            case "delete":
                words = [data.draw(st.sampled_from(sorted(self.here)))]
            case "fill_disk":
                words = [data.draw(st.sampled_from(sorted(set(_DISKS) - full)))]
            case "free_disk":
                words = [data.draw(st.sampled_from(sorted(full)))]
            case _:
                words = []
        getattr(self, what)(*words)
        self._go_on(moment)

    # --- people ---

    def drop(self, name: str, content: int) -> None:
        """A whole file by rename, as most programs do."""
        hidden = self.base / "arriving"
        hidden.write_bytes(picture(content))
        hidden.rename(self._path(name))
        self._lies_there(name, picture(content))

    def begin_copy(self, name: str, content: int) -> None:
        """The first half of a file under its name: a copy that stalls."""
        data = picture(content)
        self._path(name).write_bytes(data[: len(data) // 2])
        self._lies_there(name, data[: len(data) // 2])

    def grow(self, name: str, content: int) -> None:
        """The rest of such a file."""
        whole = picture(content)
        with self._path(name).open("ab") as file:
            file.write(whole[len(whole) // 2 :])
        self._lies_there(name, whole)

    def rename(self, name: str, to: str) -> None:
        """Also onto another file, which is gone then."""
        self._path(name).rename(self._path(to))
        self._lies_there(to, self.here.pop(name))

    def modify(self, name: str, content: int) -> None:
        """Other bytes into the same file."""
        self._path(name).write_bytes(picture(content))
        self._lies_there(name, picture(content))

    def delete(self, name: str) -> None:
        self._path(name).unlink()
        del self.here[name]

    # --- faults ---

    def kill(self) -> None:
        self.service.kill()

    def restart(self) -> None:
        """In order where it runs."""
        if self._lives():
            assert self.service.stop() == 0
        self.service.start()

    def fill_disk(self, disk: str) -> None:
        """To the last block."""
        free = os.statvfs(self.base / disk)
        with (self.base / disk / _FILLER).open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize)

    def free_disk(self, disk: str) -> None:
        (self.base / disk / _FILLER).unlink()

    # --- promises, at any moment ---

    @invariant()
    def originals_are_as_people_left_them(self) -> None:
        files = {path for path in self.service.inbox.rglob("*") if path.is_file()}
        now = {str(path.relative_to(self.service.inbox)): path.read_bytes() for path in files}
        self._promise(now == self.here, f"originals are {sorted(now)}, and were {sorted(self.here)}")

    @invariant()
    def what_is_visible_is_whole_and_stays(self) -> None:
        now = {}
        for path in self.service.outbox.rglob("*"):
            if path.is_file() and not path.name.startswith("."):
                name, status = str(path.relative_to(self.service.outbox)), path.stat()
                known = self.visible.get(name)
                identity = (status.st_ino, status.st_mtime_ns)
                now[name] = known if known and known[1:] == identity else (content_of(path), *identity)
        partial = [name for name, (content, *_) in now.items() if content is None]
        self._promise(not partial, f"visible, but not whole: {partial}")
        gone = {name for name, seen in self.visible.items() if now.get(name) != seen}
        self._promise(not gone, f"{gone} went, or changed")
        self.visible = now
        twice = {key: count for key, count in self._outputs().items() if count > 1}
        self._promise(not twice, f"delivered twice: {twice}")
        foreign = set(self._outputs()) - self.arrived
        self._promise(not foreign, f"never dropped: {foreign}")

    # --- promises, in the end ---

    def teardown(self) -> None:
        """With the faults gone, everything comes to its end."""
        try:
            if not self.broken:
                self._end()
        except BaseException as error:
            self.broken.append(f"{error}\n{self.service.log()}")
            raise
        finally:
            self._remove()

    def _end(self) -> None:
        for disk in self._full():
            self.free_disk(disk)
        if not self._lives():
            self.service.start()
        eventually(self._all_done, patience_s=150)
        self.what_is_visible_is_whole_and_stays()
        self.originals_are_as_people_left_them()
        self._promise(self.service.stop() == 0, "the service did not end in order")
        self._promise(not list(self.service.outbox.rglob(".*")), "a part is left")
        for job in jobs_of(self.base):
            name = str(job.relative)
            self._promise(job.state in ("delivered", "skipped", "failed"), f"{name}: {job.state}")
            if job.state == "delivered":
                self._promise(job.failures == 0, f"{name}: a fault used an attempt: {job.reason}")
            if job.state == "failed":
                self._promise(_whole(self.here.get(name, b"")) is None, f"{name} is whole, but failed: {job.reason}")

    def _all_done(self) -> bool:
        wanted = {(name, whole) for name, data in self.here.items() if (whole := _whole(data)) is not None}
        self.what_is_visible_is_whole_and_stays()
        status = self.service.status()
        busy = sum(status["counts"].get(state, 0) for state in ("queued", "running", "verifying"))
        failed = {Path(job["source"]).relative_to(self.service.inbox) for job in status["failed"]}
        halves = {Path(name) for name, _ in self._halves()}
        return wanted <= set(self._outputs()) and halves <= failed and not busy and not status["settling"]

    def _remove(self) -> None:
        self.service.__exit__(None, None, None)
        for disk in _DISKS:
            subprocess.run(["umount", "--lazy", str(self.base / disk)], check=True)
        shutil.rmtree(self.base)

    # --- how ---

    def _promise(self, kept: bool, words: str) -> None:
        if not kept:
            self.broken.append(f"{words}\n{self.service.log()}")
        assert kept, words

    def _outputs(self) -> Counter[tuple[str, int | None]]:
        """How many outputs there are of each content under each name: `a (2).png` is one of a.png."""
        counts: Counter[tuple[str, int | None]] = Counter()
        for name, (content, _, _) in self.visible.items():
            path = Path(name)
            counts[str(path.with_stem(path.stem.partition(" (")[0])), content] += 1
        return counts

    def _path(self, name: str) -> Path:
        path = self.service.inbox / name
        path.parent.mkdir(exist_ok=True)
        return path

    def _lies_there(self, name: str, data: bytes) -> None:
        self.here[name] = data
        if (content := _whole(data)) is not None:
            self.arrived.add((name, content))

    def _halves(self) -> list[tuple[str, int]]:
        """Names of files of which only the first half is there, with what they are to become."""
        return [(name, _HALF[data]) for name, data in sorted(self.here.items()) if data in _HALF]

    def _full(self) -> set[str]:
        return {disk for disk in _DISKS if (self.base / disk / _FILLER).exists()}

    def _lives(self) -> bool:
        return self.service.process is not None and self.service.process.poll() is None

    def _go_on(self, moment: str) -> None:
        """Let the service get so far, if it does: a full disk may keep it from that."""
        if moment == "at once" or not self._lives():
            return
        try:
            eventually(lambda: self._is(moment), patience_s=_LONGEST_LOOK_S)
        except AssertionError:
            assert self._lives(), self.service.log()

    def _is(self, moment: str) -> object:
        status = self.service.status()
        if moment == "at work":
            return status["running"] is not None or status["waiting"]
        busy = status["settling"] or status["counts"].get("queued")
        return status["running"] is None and (not busy or status["waiting"])


_HALF = {(data := picture(content))[: len(data) // 2]: content for content in range(_CONTENTS)}
_WHOLE = {picture(content): content for content in range(_CONTENTS)}


def _whole(data: bytes) -> int | None:
    return _WHOLE.get(data)
