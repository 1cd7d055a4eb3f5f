"""What the exit codes of `kakudai` mean: sysexits.h where it has a fitting one."""

from __future__ import annotations

EXIT_CODES: dict[int, tuple[str, str]] = {
    0: ("done", "Done, or nothing was to be done. A failed service ends with another."),
    64: ("usage", "The command line asks for something unknown or impossible; or an order was refused for some job."),
    65: (
        "bad input",
        "A source is damaged, incomplete or refused; `verify` or `compare --at-least` is not content.",
    ),
    66: ("input missing", "A file or folder is not there or cannot be read; no service ever worked with this state."),
    69: ("program missing", "ffmpeg, ffprobe, mkvmerge, Keras' backend or the demanded GPU is missing."),
    70: ("failure", "The work itself failed: a program died, frames were lost. Worth a report if it happens again."),
    73: ("output refused", "The output exists already (`--force`), or cannot be written there."),
    75: (
        "try later",
        "The machine is at fault, not the file: disk full, mount lost, no answer. Or not all is done.",
    ),
    78: ("configuration", "config.yaml or a weights file is wrong; every mistake is listed at once."),
    130: ("interrupted", "Ctrl-C. What was finished of an episode is kept and used next time."),
}
"""Code → in a word, in a sentence."""


def in_one_line() -> str:
    """For the end of `--help`."""
    return ", ".join(f"{code} {word}" for code, (word, _) in EXIT_CODES.items())
