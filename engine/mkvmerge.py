"""MKVToolNix as child processes: mkvmerge joins and identifies, mkvextract reads tags, mkvpropedit corrects headers.

Files are given as `/proc/self/fd/N`: no name can be taken for an option, and a swapped path is not followed.
"""

from __future__ import annotations

import json
import re
import resource
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

from engine.errors import EnvironmentFault, ProcessingError
from engine.files import fault_in_message
from engine.process import run

_ERROR, _WARNING = "#GUI#error ", "#GUI#warning "
_DESCRIPTORS_BESIDE = 64
_STANDS_FOR = 0x10FF00
"""Control characters are no XML, but MKVToolNix writes and reads them as references; in between, these stand for them:
this and what follows it, at the very end of Unicode's private use."""
_CONTROL = re.compile(r"[\x01-\x08\x0b\x0c\x0e-\x1f]")
_REFERENCE = re.compile(r"&#0*([1-8]|1[124-9]|2[0-9]|3[01]);")
_STAND_INS = re.compile(f"[{chr(_STANDS_FOR)}-{chr(_STANDS_FOR + 0x1F)}]")


def descriptor_path(fd: int) -> str:
    """A path for a child that inherits `fd`."""
    return f"/proc/self/fd/{fd}"


def identify(fd: int, *, silence_s: float, subject: Path) -> dict[str, Any]:
    """What mkvmerge sees in a file (`mkvmerge --identify`, JSON). Raises `ProcessingError` where it sees nothing."""
    argv = ["mkvmerge", "--identify", "--identification-format", "json", descriptor_path(fd)]
    said, _ = run(argv, silence_s=silence_s, subject=subject, pass_fds=(fd,))
    found: dict[str, Any] = json.loads(said.decode(errors="replace") or "{}")
    if not found.get("container", {}).get("supported"):
        raise ProcessingError(
            f"mkvmerge does not understand it: {'; '.join(found.get('errors', [])) or 'no reason given'}",
            remedy="remux it with ffmpeg -c copy",
            path=subject,
        )
    return found


def read_tags(fd: int, *, silence_s: float, subject: Path) -> Xml.Element:
    """All Matroska tags of a file, as mkvextract's XML: `Tags` with one `Tag` for each set of targets."""
    argv = ["mkvextract", descriptor_path(fd), "tags", "-"]
    said, child = run(argv, silence_s=silence_s, subject=subject, pass_fds=(fd,))
    if child.status != 0:
        raise _failed("mkvextract", said.decode(errors="replace"), child.status, subject)
    if not said.strip():
        return Xml.Element("Tags")
    text = _REFERENCE.sub(lambda found: _stand_in(int(found[1])), said.decode("utf-8-sig", "replace"))
    return Xml.fromstring(text)  # noqa: S314  (written by mkvextract, not by the file's author)


def read_chapters(fd: int, *, silence_s: float, subject: Path) -> bytes:
    """All editions and chapters of a Matroska file, as mkvextract writes them."""
    argv = ["mkvextract", descriptor_path(fd), "chapters", "-"]
    said, child = run(argv, silence_s=silence_s, subject=subject, pass_fds=(fd,))
    if child.status != 0:
        raise _failed("mkvextract", said.decode(errors="replace"), child.status, subject)
    return said


def tags_document(*tags: Xml.Element) -> bytes:
    """An XML tags file for mkvmerge."""
    root = Xml.Element("Tags")
    root.extend(tags)
    text = Xml.tostring(root, encoding="unicode")
    return _STAND_INS.sub(lambda found: f"&#{ord(found[0]) - _STANDS_FOR};", text).encode()


def _stand_in(control: int) -> str:
    return chr(_STANDS_FOR + control)


def simple_tag(name: str, value: str) -> Xml.Element:
    """A global tag of one name and value."""
    tag = Xml.Element("Tag")
    Xml.SubElement(tag, "Targets")
    simple = Xml.SubElement(tag, "Simple")
    for element, text in (("Name", name), ("String", value)):
        Xml.SubElement(simple, element).text = _CONTROL.sub(lambda found: _stand_in(ord(found[0])), text)
    return tag


def merge(
    arguments: Sequence[str],
    *,
    output_fd: int,
    pass_fds: Sequence[int],
    opened: int,
    silence_s: float,
    subject: Path,
) -> list[str]:
    """Run mkvmerge into `output_fd`, with `opened` input files; its warnings.

    Raises `EnvironmentFault` for a full disk, `ProcessingError` for anything else that it calls an error.
    """
    _allow_descriptors(opened + _DESCRIPTORS_BESIDE)
    argv = ["mkvmerge", "--gui-mode", "--output", descriptor_path(output_fd), *arguments]
    said, child = run(argv, silence_s=silence_s, subject=subject, pass_fds=(*pass_fds, output_fd), writes=True)
    text = said.decode(errors="replace")
    if child.status not in (0, 1):
        raise _failed("mkvmerge", text, child.status, subject)
    return [line[len(_WARNING) :] for line in text.splitlines() if line.startswith(_WARNING)]


def edit(fd: int, arguments: Sequence[str], *, silence_s: float, subject: Path) -> None:
    """Change headers of a Matroska file in place with mkvpropedit."""
    argv = ["mkvpropedit", descriptor_path(fd), *arguments]
    said, child = run(argv, silence_s=silence_s, subject=subject, pass_fds=(fd,), writes=True)
    if child.status != 0:
        raise _failed("mkvpropedit", said.decode(errors="replace"), child.status, subject)


def _failed(tool: str, text: str, status: int | None, subject: Path) -> ProcessingError | EnvironmentFault:
    if fault := fault_in_message(text, subject):
        return fault
    errors = [line.removeprefix(_ERROR) for line in text.splitlines() if "rror" in line]
    return ProcessingError(
        f"{tool} ended with status {status}: {'; '.join(errors) or text[-500:].strip()}",
        remedy="remux the source with mkvmerge and try again",
        path=subject,
    )


def _allow_descriptors(count: int) -> None:
    """mkvmerge opens every segment at once, a long film has more than the usual 1,024: raise the soft limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < count:
        allowed = count if hard == resource.RLIM_INFINITY else min(count, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
