"""Commands that change what the service does next: they go to it, or to the ledger itself while none runs."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from daemon.config_model import Config
from engine.errors import UsageError

FRONT = "front"


@dataclass(frozen=True)
class Order:
    """One command: its help, its arguments, the request they make, and what is said of each job it was done to."""

    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    request: Callable[[argparse.Namespace], dict[str, Any]]
    done: str = ""
    nothing: str = "nothing to do"


def give(name: str, arguments: argparse.Namespace, config: Config) -> int:
    """Give the order; returns the exit code: 64 when it was refused for some job."""
    from daemon.asking import order  # sqlite and sockets are loaded only where they are needed

    wanted = ORDERS[name]
    answer = order(config, wanted.request(arguments))
    if arguments.json:
        print(json.dumps(answer, indent=2, ensure_ascii=False))
        return UsageError.exit_code if answer.get("refused") else 0
    if "paused" in answer:
        paused = answer["paused"]
        print(f"all work is paused: {paused['reason']}; kakudai resume lets it go on" if paused else "work goes on")
        return 0
    for number in answer["jobs"]:
        print(f"job {number}: {wanted.done}")
    for number, why in answer["refused"].items():
        print(f"job {number}: not {wanted.done}: {why}", file=sys.stderr)
    if not answer["jobs"] and not answer["refused"]:
        print(wanted.nothing)
    return UsageError.exit_code if answer["refused"] else 0


def _retry_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("jobs", metavar="ID", type=int, nargs="*", help="numbers of jobs, as status shows them")
    parser.add_argument("--all", action="store_true", help="every failed job")


def _retry(arguments: argparse.Namespace) -> dict[str, Any]:
    if bool(arguments.jobs) == arguments.all:
        raise UsageError(
            "which jobs?", remedy="give their numbers (kakudai status shows them), or --all for every failed one"
        )
    return {"do": "retry", "jobs": None if arguments.all else arguments.jobs}


def _pause_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Let all work wait, across restarts too, until `kakudai resume`. The running episode goes on to the end of its "
        "segment (about ten seconds of it), a picture to its own; nothing is lost and no attempt is used. New files "
        "are still found and queued. To pause one folder, put an empty file named .pause into it."
    )
    parser.add_argument("--reason", metavar="TEXT", help="shown by status until work goes on")


def _cancel_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "End queued, incomplete or running jobs: they count as skipped, their sources stay where they are and are not "
        "taken up again. `kakudai retry ID` takes it back."
    )
    _some_jobs(parser)


def _priority_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Queued jobs with a higher priority are done first (0 at first, negative ones last), those of one priority in "
        f"the order they came. `{FRONT}` instead of a number moves jobs before all others, once."
    )
    _some_jobs(parser)
    parser.add_argument("priority", metavar=f"N|{FRONT}", type=_priority_word, help=f"a whole number, or {FRONT}")


def _some_jobs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("jobs", metavar="ID", type=int, nargs="+", help="numbers of jobs, as status shows them")


def _priority_word(text: str) -> int | str:
    if text == FRONT:
        return text
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f'"{text}" is neither a whole number nor {FRONT}') from None


def _priority(arguments: argparse.Namespace) -> dict[str, Any]:
    if arguments.priority == FRONT:
        return {"do": "front", "jobs": arguments.jobs}
    return {"do": "priority", "jobs": arguments.jobs, "priority": arguments.priority}


ORDERS: Mapping[str, Order] = {
    "retry": Order("try failed or skipped jobs again", _retry_arguments, _retry, "queued again", "no job has failed"),
    "pause": Order(
        "let all work wait", _pause_arguments, lambda arguments: {"do": "pause", "reason": arguments.reason}
    ),
    "resume": Order("let paused work go on", lambda _parser: None, lambda _arguments: {"do": "resume"}),
    "cancel": Order(
        "end jobs that are not delivered yet",
        _cancel_arguments,
        lambda arguments: {"do": "cancel", "jobs": arguments.jobs},
        "cancelled",
    ),
    "priority": Order("which queued jobs come first", _priority_arguments, _priority, "moved"),
}
"""By the command's name."""
