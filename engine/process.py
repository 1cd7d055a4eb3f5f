"""Child processes: started without a shell, watched for silence, never left behind.

Each child leads its own session, so that it and what it started can be killed together, and is killed by the kernel
when the thread that started it dies (`setpriv --pdeathsig`, where util-linux has it; no Python runs between fork and
exec, so this is safe beside TensorFlow's threads). Start children from a thread that outlives them.
"""

from __future__ import annotations

import contextlib
import functools
import os
import select
import signal
import subprocess
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from engine.errors import EnvironmentFault, ProcessingError
from engine.files import fault_in_message
from engine.programs import dying_with_us, find_tool, printable

KEPT_LINES = 25
"""Last lines of a child's messages that go into the error."""

_ERROR_MARKS = ("[error]", "[fatal]", "[panic]", "corrupt decoded frame", "corrupt input packet")
"""What makes a line of ffmpeg an error: its level, or a warning that is none."""

_LINE_LENGTH = 500
_POLL_S = 1.0


class Child:
    """A running child process. Use as a context manager: whatever happens, it is gone afterwards.

    Its stderr is drained by a thread; the last lines are kept, and lines that ffmpeg marks `[error]` or `[fatal]` are
    counted (`first_error` is the first, `complaints` has each without its prefix). `silence_s` without a byte from or
    to the child, while one is waited for, kills it.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        silence_s: float,
        subject: Path,
        pass_fds: Sequence[int] = (),
        feed: bool = False,
        writes: bool = False,
        unheard: Iterable[str] = (),
        folder: Path | None = None,
        excused: Mapping[str, int] | None = None,
    ) -> None:
        """`argv[0]` is the bare name of a program; `subject` is the file that errors are about.

        `feed` opens a pipe to the child's stdin; `writes` says that it writes files itself, so that a full disk is
        looked for in its messages; `unheard` are decoders of other streams, whose errors do not count; `folder` is its
        working directory; `excused` are errors that do not count either, as often as said.
        Raises `ToolError` where the program is missing.
        """
        self.name = argv[0]
        self.subject = subject
        self.silence_s = silence_s
        self.status: int | None = None
        self.error_lines = 0
        self.first_error = ""
        self.complaints: Counter[str] = Counter()
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._last_byte_at = time.monotonic()
        self._hung = False
        self._writes = writes
        self._excused = Counter(excused or {})
        self._unheard = tuple(f"[{codec}" for codec in unheard)
        environment = {name: value for name, value in os.environ.items() if name != "FFREPORT"}
        environment["LC_ALL"] = "C.UTF-8"  # messages are read: they must not be translated
        command = [*dying_with_us(), find_tool(argv[0]), *argv[1:]]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE if feed else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=tuple(pass_fds),
                start_new_session=True,
                env=environment,
                cwd=folder,
            )
        except OSError as error:
            raise EnvironmentFault(
                f"{self.name} cannot be started: {error.strerror}",
                remedy="free memory or processes",
                path=subject,
            ) from error
        self._stderr_reader = threading.Thread(target=self._read_messages, name=f"{self.name} messages", daemon=True)
        self._stderr_reader.start()
        if feed:
            os.set_blocking(self._stdin.fileno(), False)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def _stdin(self) -> IO[bytes]:
        assert self._process.stdin is not None
        return self._process.stdin

    @property
    def stdout_fd(self) -> int:
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def _read_messages(self) -> None:
        assert self._process.stderr is not None
        while line := self._process.stderr.readline(_LINE_LENGTH):
            self.add_message(line.decode(errors="replace"))

    def add_message(self, line: str) -> None:
        """Keep one line of what the child says (mkvmerge says it on stdout)."""
        text = printable(line.strip())
        if text in {"", "[error]", "[warning]"}:
            return
        self._lines.append(text)
        if text.startswith(self._unheard):
            return
        if any(mark in text for mark in _ERROR_MARKS):
            complaint = text.rpartition("[error] ")[2]
            if self._excused[complaint] > 0:
                self._excused[complaint] -= 1
                return
            self.complaints[complaint] += 1
            self.error_lines += 1
            self.first_error = self.first_error or text

    @property
    def messages(self) -> str:
        """The last lines of stderr, one below the other."""
        return "\n".join(list(self._lines))

    def _wait_for(self, fd: int, event: int) -> None:
        """Wait until `fd` is ready; kill the child when neither it nor its other pipes moved for `silence_s`."""
        waiting_since = time.monotonic()
        poller = select.poll()
        poller.register(fd, event)
        while not poller.poll(_POLL_S * 1000):
            self._check_silence(waiting_since)

    def _check_silence(self, waiting_since: float) -> None:
        if time.monotonic() - max(waiting_since, self._last_byte_at) > self.silence_s:
            self._hung = True
            self.kill()
            raise self.hung()

    def heard(self) -> None:
        """Note that the child gave a sign of life on a pipe that somebody else reads."""
        self._last_byte_at = time.monotonic()

    def join(self, reader: threading.Thread) -> None:
        """Wait for a thread that reads one of the child's pipes to its end, as long as the child shows life."""
        waiting_since = time.monotonic()
        while reader.is_alive():
            reader.join(_POLL_S)
            if reader.is_alive():
                self._check_silence(waiting_since)

    def read(self, fd: int, limit: int) -> bytes:
        """The next bytes from one of the child's pipes, at most `limit`; empty at the end."""
        self._wait_for(fd, select.POLLIN)
        chunk = os.read(fd, limit)
        self._last_byte_at = time.monotonic()
        return chunk

    def read_into(self, fd: int, view: memoryview) -> int:
        """Fill `view` from one of the child's pipes. Returns how many bytes there were before the end."""
        filled = 0
        while filled < len(view):
            self._wait_for(fd, select.POLLIN)
            count = os.readv(fd, [view[filled:]])
            if count == 0:
                break
            filled += count
            self._last_byte_at = time.monotonic()
        return filled

    def write(self, data: memoryview) -> None:
        """Send all of `data` to the child's stdin. Raises `ProcessingError` with its last lines when it died."""
        fd = self._stdin.fileno()
        sent = 0
        while sent < len(data):
            self._wait_for(fd, select.POLLOUT)
            try:
                sent += os.write(fd, data[sent : sent + (1 << 20)])
            except BlockingIOError:
                continue
            except BrokenPipeError as error:
                self.finish(check=False)
                raise self.failed("stopped reading") from error
            self._last_byte_at = time.monotonic()

    def end_input(self) -> None:
        """Tell the child that there is no more to read."""
        with contextlib.suppress(BrokenPipeError):
            self._stdin.close()

    def finish(self, *, check: bool = True) -> None:
        """Wait for the child's end, once its pipes are read to theirs; `status` is its exit status then.

        Raises `ProcessingError` (or `EnvironmentFault`) where `check` is set and the status is not 0.
        """
        try:
            self.status = self._process.wait(timeout=self.silence_s)
        except subprocess.TimeoutExpired as error:
            self._hung = True
            self.kill()
            raise self.hung() from error
        self._stderr_reader.join()
        if check and self.status != 0:
            raise self.failed(f"ended with status {self.status}")

    def hung(self) -> ProcessingError:
        return ProcessingError(
            f"{self.name} gave no sign of life for {self.silence_s:g} s and was stopped{self._last_words()}",
            remedy="try again; if it happens each time, the file is damaged or the machine overloaded",
            path=self.subject,
        )

    def failed(self, what: str) -> ProcessingError | EnvironmentFault:
        """The error for a child that died, in its own last words."""
        if self._hung:
            return self.hung()
        if self._writes and (fault := fault_in_message(self.messages, self.subject)):
            return fault
        return ProcessingError(
            f"{self.name} {what}{self._last_words()}",
            remedy="the lines above are its own; try again, and check the file with another player",
            path=self.subject,
        )

    def _last_words(self) -> str:
        return f":\n{self.messages}" if self._lines else ""

    def kill(self) -> None:
        """Kill the child and all it started; wait until it is gone."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kill()
        self._stderr_reader.join()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


def run(
    argv: Sequence[str],
    *,
    silence_s: float,
    subject: Path,
    pass_fds: Sequence[int] = (),
    writes: bool = False,
    folder: Path | None = None,
    max_bytes: int = 64 << 20,
) -> tuple[bytes, Child]:
    """Run a child to its end without judging its exit status; its stdout, and the ended child for messages.

    Raises `ProcessingError` when it hangs or says more than `max_bytes`, `ToolError` where it is missing.
    """
    with Child(argv, silence_s=silence_s, subject=subject, pass_fds=pass_fds, writes=writes, folder=folder) as child:
        said = bytearray()
        while chunk := child.read(child.stdout_fd, 1 << 16):
            said += chunk
            if len(said) > max_bytes:
                raise ProcessingError(
                    f"{child.name} said more than {max_bytes} bytes",
                    remedy="the file is damaged or hostile; remux it with mkvmerge",
                    path=subject,
                )
        child.finish(check=False)
        return bytes(said), child


@functools.cache
def tool_version(name: str) -> str:
    """The first line of `NAME -version`: decides, with the settings, what bytes come out."""
    said, child = run([name, "-version"], silence_s=30, subject=Path(name))
    return printable(said.decode(errors="replace").partition("\n")[0]) or child.name
