"""The `kakudai` command. Every error says what, where, why and how to cure it; `-v` adds the traceback."""

from __future__ import annotations

import argparse
import io
import json
import logging
import math
import os
import sys
import textwrap
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from daemon.config_model import Config
from daemon.exit_codes import in_one_line
from daemon.order_commands import ORDERS
from engine import __version__
from engine.errors import EnvironmentFault, KakudaiError, UsageError

_EXAMPLES = """\
examples:
  kakudai init                              write a config.yaml: asks for folders and size
  kakudai run --config config.yaml          watch the folders in config.yaml and enlarge what is dropped there
  kakudai status                            what is done now, what waits, what failed and why
  kakudai retry 12 13                       try failed jobs again
  kakudai pause --reason "gaming"           let all work wait, until: kakudai resume
  kakudai priority 14 front                 job 14 is next; kakudai cancel 15 ends job 15
  kakudai upscale cel.png -o big.png        enlarge one picture, without the service
  kakudai upscale episode.mkv -o out/ --target 1080p
  kakudai preview episode.mkv               a few frames by every model and mode, side by side
  kakudai plan episode.mkv --target 1080p   time, disk and refusals, before anything is spent
  kakudai compare a.mkv b.mkv -o compared/  how near are they, frame by frame? the worst ones as crops
  kakudai verify big.mkv episode.mkv        is it still what was delivered, and made of that file?
  kakudai check                             what is installed, what is missing, how to get it
  kakudai config show                       what is understood of the configuration

Without --config: /etc/kakudai/config.yaml, else ./config.yaml. Exit codes:
"""

_FOREIGN = {
    "init": "write a config.yaml with your folders in it",
    "upscale": "enlarge files without the service",
    "preview": "a few frames by every model, mode and denoise, as a page and a sheet",
    "plan": "what would be done with files, how long, how large",
    "compare": "how near two files are: PSNR, SSIM, VMAF, the worst frames",
    "verify": "check a delivered output against its report",
    "check": "what is installed, what is missing, how to get it",
    "completion": "make a shell complete commands and flags",
}
_CONFIG_HELP = "the configuration (default: /etc/kakudai/config.yaml, else ./config.yaml)"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal that cannot show a name is no error
    words = sys.argv[1:] if arguments is None else list(arguments)
    parsed = build_parser(words).parse_args(words)
    command: Callable[[argparse.Namespace], int] = parsed.command
    try:
        return command(parsed)
    except KakudaiError as error:
        _tell(error, verbose=parsed.verbose)
        return error.exit_code
    except KeyboardInterrupt:
        print("kakudai: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # the reader of a pipe (head, less) has left: that is its right
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        # a mount whose other end has died raises already where one asks whether a folder is there
        if error.filename is None:
            raise
        fault = EnvironmentFault(
            f"the file system refuses: {error.strerror}",
            remedy="check the disk or mount it lies on, and its permissions",
            path=Path(os.fsdecode(error.filename)),
        )
        fault.__cause__ = error
        _tell(fault, verbose=parsed.verbose)
        return fault.exit_code


def _tell(error: KakudaiError, *, verbose: bool) -> None:
    if verbose:
        traceback.print_exception(error)
    print(f"kakudai: error: {error}", file=sys.stderr)
    print(f"  → {error.remedy}", file=sys.stderr)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """As every other error: what, where, how to cure it, and the exit code for usage."""
        print(f"kakudai: error: {message}\n  → {self.prog} --help shows what is possible", file=sys.stderr)
        sys.exit(UsageError.exit_code)


def build_parser(words: Sequence[str] = ()) -> _Parser:
    """The command line. Commands of their own modules are loaded only if `words` name them."""
    parser = _Parser(
        prog="kakudai",
        description="Enlarge anime pictures and episodes by super-resolution; all else in the file stays as it was.",
        epilog=_EXAMPLES + textwrap.fill(in_one_line(), 110) + ".",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"kakudai {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add(commands, "run", _run, "watch folders and enlarge what is dropped there", config=True)
    status = _add(commands, "status", _status, "what is done now, what waits, what failed and why", config=True)
    status.add_argument("--json", action="store_true", help="as JSON, for programs")
    status.add_argument(
        "--watch",
        type=_interval,
        nargs="?",
        const=2.0,
        metavar="SECONDS",
        help="show it again every so many seconds (default: 2), until Ctrl-C; with --json one line each time",
    )
    status.add_argument(
        "--url", action="store_true", help="the status page's address instead, with the token that lets a browser steer"
    )
    for name, order in ORDERS.items():
        parser_of_order = _add(commands, name, _order, order.help, config=True)
        parser_of_order.set_defaults(order=name)
        order.add_arguments(parser_of_order)
        parser_of_order.add_argument("--json", action="store_true", help="the answer as JSON")
    config = commands.add_parser("config", help="look at the configuration", description="Look at the configuration.")
    actions = config.add_subparsers(title="actions", metavar="ACTION", required=True)
    shown = _add(actions, "show", _config_show, "print what is understood, defaults included", config=True)
    shown.add_argument("--json", action="store_true", help="as JSON instead of YAML")
    for name, text in _FOREIGN.items():
        if name in words:
            _add_foreign(commands, name, text)
        else:
            commands.add_parser(name, help=text)
    return parser


def whole_parser() -> _Parser:
    """The command line with all it has, for completion and documentation. Loads every command's module."""
    return build_parser(list(_FOREIGN))


def _add(
    commands: argparse._SubParsersAction[_Parser],
    name: str,
    command: Callable[[argparse.Namespace], int],
    text: str,
    *,
    config: bool,
) -> _Parser:
    parser = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    parser.add_argument("-v", "--verbose", action="store_true", help="more messages; errors with their traceback")
    if config:
        parser.add_argument("--config", type=Path, metavar="FILE", help=_CONFIG_HELP)
    parser.set_defaults(command=command)
    return parser


def _add_foreign(commands: argparse._SubParsersAction[_Parser], name: str, text: str) -> None:
    """A command that lives in its own module, `daemon.<name>`, with `add_arguments` and `run`."""
    module = import_module(f"daemon.{name}")
    parser = commands.add_parser(
        name,
        help=text,
        description=getattr(module, "DESCRIPTION", f"{text[0].upper()}{text[1:]}."),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_arguments(parser)
    if not any("--verbose" in action.option_strings for action in parser._actions):
        parser.add_argument("-v", "--verbose", action="store_true", help="more messages; errors with their traceback")
    parser.set_defaults(command=module.run)


def _load(arguments: argparse.Namespace, *, tell: bool = True) -> Config:
    from daemon.config import default_config_path, load_config

    path: Path = arguments.config or default_config_path()
    if tell and arguments.config is None:
        print(f"kakudai: using {path.absolute()}", file=sys.stderr)
    return load_config(path)


def _run(arguments: argparse.Namespace) -> int:
    from daemon.service import run_service

    _log_to_stderr(verbose=arguments.verbose)
    return run_service(_load(arguments))


def _status(arguments: argparse.Namespace) -> int:
    from daemon.asking import page_address, status_of
    from daemon.status import render

    if arguments.url:
        print(page_address(_load(arguments, tell=False)))
        return 0
    config = _load(arguments, tell=False)
    if arguments.watch is not None:
        from daemon.status_watch import watch

        return watch(lambda: status_of(config), every_s=arguments.watch, as_json=arguments.json)
    state = status_of(config)
    print(json.dumps(state, indent=2, ensure_ascii=False) if arguments.json else render(state))
    return 0


def _interval(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0.1 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f'"{text}" is not a number of seconds from 0.1 to 3600')
    return seconds


def _order(arguments: argparse.Namespace) -> int:
    from daemon.order_commands import give

    return give(arguments.order, arguments, _load(arguments, tell=False))


def _config_show(arguments: argparse.Namespace) -> int:
    from daemon.config_show import show

    print(show(_load(arguments), as_json=arguments.json), end="")
    return 0


def _log_to_stderr(*, verbose: bool) -> None:
    from daemon.text import OneLineFormatter

    # the journal has its own clock
    stamp = "" if "JOURNAL_STREAM" in os.environ else "%(asctime)s "
    handler = logging.StreamHandler()
    handler.setFormatter(OneLineFormatter(f"{stamp}%(levelname)s %(message)s"))
    logging.basicConfig(level=logging.DEBUG if verbose else logging.INFO, handlers=[handler])


if __name__ == "__main__":
    sys.exit(main())
