"""`kakudai completion`: what a shell must know to complete commands, flags and their values (shtab writes it)."""

from __future__ import annotations

import argparse
import sys

import shtab

DESCRIPTION = """\
Print a script that makes a shell complete commands, flags and values. It is plain text that starts no program."""

EPILOG = """\
where it belongs:
  kakudai completion bash > ~/.local/share/bash-completion/completions/kakudai
  kakudai completion zsh  > ~/.zfunc/_kakudai            with `fpath+=~/.zfunc` before compinit in ~/.zshrc
  kakudai completion fish > ~/.config/fish/completions/kakudai.fish
"""

_SHELLS = ("bash", "zsh", "fish")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Everything that `kakudai completion` understands."""
    parser.epilog = EPILOG
    parser.add_argument("shell", choices=_SHELLS, help=", ".join(_SHELLS))


def run(arguments: argparse.Namespace) -> int:
    """Print the script."""
    from daemon.cli import whole_parser

    parser = whole_parser()
    complete_files(parser)
    sys.stdout.write(shtab.complete(parser, shell=arguments.shell))
    return 0


def complete_files(parser: argparse.ArgumentParser) -> None:
    """Tell shtab where a file's name belongs: wherever a path is expected."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                complete_files(command)
        elif getattr(action.type, "__name__", "") == "Path":
            action.complete = shtab.FILE  # type: ignore[attr-defined]
