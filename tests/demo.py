"""The demo: a sample picture and a sample episode through the real service, from dropped in to delivered.

    make demo                    (or: .venv/bin/python -m tests.demo)

Everything lies in .work/demo afterwards; an earlier demo is moved aside to .work/demo-1, .work/demo-2, …
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daemon.control import ask
from engine.errors import KakudaiError, ProcessingError, ToolError
from engine.settings import Size
from tests.demo_compare import compare_episodes, read_frame, read_picture, write_before_after
from training.sample import FILE_NAME, cut_at, frames_in, write_episode, write_picture

CHECKOUT = Path(__file__).resolve().parent.parent
DEADLINE_S = 280.0
"""From the first file dropped in to the last one delivered."""
STOP_S = 30.0
POLL_S = 0.5
LINE_EVERY_S = 5.0
PICTURE_SIZE = Size(640, 360)
EPISODE_SIZE = Size(320, 180)
SECONDS = 6.0
FACE = (0.59, 0.50)
"""Where to look closely, in fractions of width and height: the face of the sample."""

CONFIG = """\
# Written by the demo. `kakudai run --config` with this file goes on where the demo ended.
state_dir: {state}
profiles:
  demo:
    scale: 2
    encoder: {{name: x265, preset: veryfast, crf: 16}}
folders:
  - input: {inbox}
    output: {outbox}
    profile: demo
    settle_s: 2
"""


@dataclass(frozen=True)
class Delivered:
    """A source and what came of it."""

    source: Path
    result: Path
    seconds: float


def fresh_folder() -> Path:
    """An empty .work/demo; what was there is moved aside, never deleted."""
    folder = CHECKOUT / ".work" / "demo"
    if folder.exists():
        number = next(n for n in range(1, 10_000) if not folder.with_name(f"demo-{n}").exists())
        folder.rename(folder.with_name(f"demo-{number}"))
        print(f"The earlier demo is now in {_shown(folder.with_name(f'demo-{number}'))}")
    for name in ("source", "inbox", "outbox", "state"):
        (folder / name).mkdir(parents=True)
    return folder


@contextlib.contextmanager
def service(config: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The real service as a child process; stopped by SIGTERM, and killed if it does not obey."""
    command = Path(sys.executable).with_name("kakudai")
    if not command.exists():
        raise ToolError("the command kakudai is not installed beside this Python", remedy="run `make demo`")
    with log.open("xb") as messages:
        process = subprocess.Popen(
            [str(command), "run", "--config", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=messages,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            status = process.wait(STOP_S)
        except subprocess.TimeoutExpired as error:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise ProcessingError(
                f"the service did not stop within {STOP_S:g} s{_last_lines(log)}", remedy="the lines above are its own"
            ) from error
    if status != 0:
        raise ProcessingError(
            f"the service ended with status {status} when it was asked to stop{_last_lines(log)}",
            remedy="the lines above are its own",
        )


def wait_until_delivered(
    state_dir: Path, sources: Sequence[Path], process: subprocess.Popen[bytes], log: Path
) -> list[Delivered]:
    """Show how far the service is until it has delivered every source. Raises `ProcessingError` when it does not."""
    began = time.monotonic()
    found: dict[str, Delivered] = {}
    line = ProgressLine()
    while len(found) < len(sources):
        if process.poll() is not None:
            raise ProcessingError(
                f"the service died with status {process.returncode}{_last_lines(log)}",
                remedy="the lines above are its own",
            )
        if time.monotonic() - began > DEADLINE_S:
            missing = [source.name for source in sources if source.name not in found]
            raise ProcessingError(
                f"not delivered within {DEADLINE_S:g} s: {', '.join(missing)}{_last_lines(log)}",
                remedy="look at the lines above; on a slow or busy machine, simply try again",
            )
        time.sleep(POLL_S)
        state = ask(state_dir, {"do": "status"})
        if state is None:
            continue
        for job in (*state["failed"], *state["skipped"]):
            raise ProcessingError(
                f"{Path(job['source']).name} was not enlarged: {job['reason']}",
                remedy=job["remedy"] or "this should not happen to a sample; please report it",
            )
        line.show(_doing(state))
        for job in state["delivered"]:
            source = next(source for source in sources if source.name == Path(job["source"]).name)
            if source.name not in found:
                found[source.name] = Delivered(source, Path(job["output"]), time.monotonic() - began)
                line.show(f"Delivered: {_shown(Path(job['output']))}", stays=True)
    return [found[source.name] for source in sources]


class ProgressLine:
    """One line that is written over on a terminal; elsewhere a line now and then."""

    def __init__(self) -> None:
        self._terminal = sys.stdout.isatty()
        self._last = ""
        self._shown_at = -LINE_EVERY_S

    def show(self, text: str, *, stays: bool = False) -> None:
        """Write `text` over the line before; what `stays` is written over by nothing."""
        if self._terminal:
            width = shutil.get_terminal_size().columns - 1
            print(f"\r{text[:width]:<{width}}", end="\n" if stays else "", flush=True)
        elif stays or (text != self._last and time.monotonic() - self._shown_at >= LINE_EVERY_S):
            print(text)
            self._last, self._shown_at = text, time.monotonic()


def _doing(state: Mapping[str, Any]) -> str:
    """What the service does at the moment, on one line."""
    running = state["running"]
    if running is None:
        for job in state["queued"]:
            if job["delayed"]:
                return f"{Path(job['source']).name}: tried again soon: {job['reason']}"
        seen = state["settling"] + state["counts"].get("queued", 0)
        return f"Waiting until {seen} files are finished …" if seen else "Looking …"
    text = f"{Path(running['source']).name}: {running.get('stage') or 'starting'}"
    if running.get("total"):
        text += (
            f" {100 * running['done'] // running['total']:3} %  {running['done']}/{running['total']} {running['unit']}"
        )
    if running.get("per_second"):
        text += f"  {running['per_second']:.1f}/s"
    if running.get("eta_s") is not None:
        text += f"  {running['eta_s']:.0f} s left"
    return text


def show(delivered: Delivered, folder: Path) -> None:
    """Print what became of one file, and write its before/after sheet. Raises `ProcessingError` if it is wrong."""
    sheet = folder / f"{delivered.source.stem} - before and after.png"
    print(f"\n{delivered.source.name}  →  {_shown(delivered.result)}  ({delivered.seconds:.0f} s)")
    if delivered.source.suffix == ".mkv":
        comparison = compare_episodes(delivered.source, delivered.result)
        print(comparison.table)
        if comparison.differences:
            raise ProcessingError(
                "the episode is not as it was: " + "; ".join(comparison.differences),
                remedy="please report it",
                path=delivered.result,
            )
        print(f"All {comparison.frames} frames are there, each at its time; every stream, tag and chapter is kept.")
        frame = cut_at(frames_in(SECONDS)) - 6
        before, after = read_frame(delivered.source, frame), read_frame(delivered.result, frame)
    else:
        before, after = read_picture(delivered.source), read_picture(delivered.result)
    sizes = [Size(pixels.shape[1], pixels.shape[0]) for pixels in (before, after)]
    print(f"{sizes[0]} became {sizes[1]}")
    if sizes[1] != Size(sizes[0].width * 2, sizes[0].height * 2):
        raise ProcessingError(f"{sizes[1]} is not twice {sizes[0]}", remedy="please report it", path=delivered.result)
    title = "a frame" if delivered.source.suffix == ".mkv" else "picture"
    write_before_after(sheet, before, after, focus=FACE, title=title)
    print(f"Before and after: {_shown(sheet)}")


def demonstrate() -> None:
    """The whole demo. Raises any `KakudaiError`."""
    began = time.monotonic()
    folder = fresh_folder()
    print("Drawing a picture and an episode …")
    sources = [folder / "source" / f"{FILE_NAME} - {kind}" for kind in ("Key Visual.png", "01.mkv")]
    write_picture(sources[0], PICTURE_SIZE)
    write_episode(sources[1], size=EPISODE_SIZE, seconds=SECONDS)
    config = folder / "config.yaml"
    config.write_text(
        CONFIG.format(**{name: json.dumps(str(folder / name)) for name in ("state", "inbox", "outbox")}),
        encoding="utf-8",
    )
    log = folder / "service.log"
    print(f"Starting the service on {_shown(folder / 'inbox')} and {_shown(folder / 'outbox')} …")
    with service(config, log) as process:
        for source in sources:
            shutil.copy(source, folder / "inbox")
            print(f"Dropped in: {source.name}")
        results = wait_until_delivered(folder / "state", sources, process, log)
    print("The service has stopped.")
    for delivered in results:
        show(delivered, folder)
    print(f"\nDone in {time.monotonic() - began:.0f} s. The results are in {_shown(folder / 'outbox')}")


def _last_lines(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-25:]
    return "".join(f"\n  {line}" for line in lines)


def _shown(path: Path) -> str:
    """A path the way the user would type it from the checkout."""
    return str(path.relative_to(CHECKOUT))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.demo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args(arguments)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    try:
        demonstrate()
    except KakudaiError as error:
        print(f"\nThe demo failed: {error}\n  cure: {error.remedy}", file=sys.stderr)
        return error.exit_code or 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
