"""Sends one message: a process of its own, which alone loads Apprise and alone sees the secrets in addresses.

Asked by one JSON object on stdin: `urls` as they stand in the configuration, `title`, `body`. Ends with status 0 when
every address took the message; else stderr says in one line which did not, by their numbers and never by their text.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

_LARGEST_FILE = 1 << 16
_VARIABLE = re.compile(r"\$\{(\w+)\}")


class UnusableAddress(Exception):  # noqa: N818  (told, not raised further)
    """Why an address cannot be used, without its text."""


def addresses(url: str, environment: Mapping[str, str]) -> Iterator[str]:
    """`url` with its variables put in; of `file:/path`, each line of the file that is no comment.

    Raises `UnusableAddress`.
    """
    if url.startswith("file:"):
        try:
            with Path(url.removeprefix("file:")).open(encoding="utf-8") as file:
                lines = file.read(_LARGEST_FILE).splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UnusableAddress(f"its file cannot be read ({type(error).__name__})") from error
        found = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
        if not found:
            raise UnusableAddress("its file holds no address")
        yield from (_filled(line, environment) for line in found)
    else:
        yield _filled(url, environment)


def _filled(url: str, environment: Mapping[str, str]) -> str:
    for name in _VARIABLE.findall(url):
        if name not in environment:
            raise UnusableAddress(f"the variable {name} is not set")
    return _VARIABLE.sub(lambda match: environment[match[1]], url)


def send(urls: Sequence[str], *, title: str, body: str, environment: Mapping[str, str]) -> list[str]:
    """Send to every address; what went wrong, one phrase for each that did."""
    import apprise

    logging.getLogger("apprise").addHandler(logging.NullHandler())
    logging.getLogger("apprise").propagate = False  # its messages may hold addresses
    problems = []
    for number, url in enumerate(urls):
        try:
            for address in addresses(url, environment):
                receiver = apprise.Apprise()
                if not receiver.add(address):
                    problems.append(f"notify.urls[{number}]: is no address that Apprise knows")
                elif not receiver.notify(title=title, body=body, body_format=apprise.NotifyFormat.TEXT):
                    problems.append(f"notify.urls[{number}]: the message was not taken")
        except UnusableAddress as problem:
            problems.append(f"notify.urls[{number}]: {problem}")
        except Exception as error:  # noqa: BLE001  (of any of a hundred senders; its words may hold the address)
            problems.append(f"notify.urls[{number}]: {type(error).__name__}")
    return problems


def main() -> int:
    """Read the request, send, tell."""
    request = json.load(sys.stdin.buffer)
    problems = send(request["urls"], title=request["title"], body=request["body"], environment=os.environ)
    sys.stderr.write("; ".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
