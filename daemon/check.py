"""`kakudai check`: what is installed, what is missing, and how to get it."""

from __future__ import annotations

import argparse
import json
import platform
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

from daemon.announce import check_installed, send_now
from daemon.cluster.settings import Cluster, check_cluster
from daemon.cluster.shared_folder import sharing
from daemon.config import default_config_path, load_config
from daemon.config_model import Folder, Notify
from daemon.knocks import Knocks
from daemon.place import is_reachable, refuse_unsafe
from daemon.places import SILENT_REMEDY, polling_advice
from daemon.space import free_bytes, size
from engine import __version__
from engine.encoders import ENCODERS
from engine.errors import KakudaiError, MissingInputError, OutputError, ToolError

_LEAST_FFMPEG = (5, 1)
"""The first that has -fps_mode."""
_NOTEWORTHY = ("numpy", "opencv-python-headless", "pyvips", "h5py", "keras")


@dataclass(frozen=True)
class Finding:
    """One line of the report. `state`: ok, missing (needed), or absent (optional)."""

    what: str
    state: str
    told: str
    cure: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Everything that `kakudai check` understands."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="also check this configuration and its folders")
    parser.add_argument(
        "--notify", action="store_true", help="send a message to the configuration's `notify` addresses, as a test"
    )
    parser.add_argument("--json", action="store_true", help="the report as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print the report; returns 0 when nothing needed is missing, else 69 (EX_UNAVAILABLE)."""
    findings = []
    for finding in findings_for(arguments.config, send=arguments.notify):
        findings.append(finding)
        if not arguments.json:  # as it is found: looking for a GPU takes a while
            sys.stdout.write(f"{finding.state:8} {finding.what:24} {finding.told}\n")
            if finding.cure:
                sys.stdout.write(f"{'':8} {'':24} → {finding.cure}\n")
            sys.stdout.flush()
    if arguments.json:
        sys.stdout.write(json.dumps([asdict(finding) for finding in findings], indent=2) + "\n")
    return ToolError.exit_code if any(finding.state == "missing" for finding in findings) else 0


def findings_for(config: Path | None, *, send: bool = False) -> Iterator[Finding]:
    """Every finding, programs first. `config` None: the one that `kakudai run` would use, if there is one.

    `send`: whether a message goes to whom the configuration wants told.
    """
    yield Finding("kakudai", "ok", f"{__version__}, Python {platform.python_version()}")
    for name in _NOTEWORTHY:
        yield Finding(name, "ok", metadata.version(name))
    yield from _programs()
    yield from _network()
    yield from _weights()
    yield from _configuration(config, send=send)


def _programs() -> Iterator[Finding]:
    for name, package, pattern in (
        ("ffmpeg", "ffmpeg", r"ffmpeg version (\S+)"),
        ("ffprobe", "ffmpeg", r"ffprobe version (\S+)"),
        ("mkvmerge", "mkvtoolnix", r"mkvmerge v(\S+)"),
    ):
        text = _output(name, "-version" if name != "mkvmerge" else "--version")
        found = re.search(pattern, text)
        number = re.match(r"n?(\d+)\.(\d+)", found[1]) if found else None  # one built from the repository has none
        if found is None:
            yield Finding(name, "missing", "not found", f"apt install {package}")
        elif package == "ffmpeg" and number and (int(number[1]), int(number[2])) < _LEAST_FFMPEG:
            yield Finding(
                name, "missing", f"{found[1]} is too old", "install 5.1 or later: Debian 12 and Ubuntu 24.04 have it"
            )
        else:
            yield Finding(name, "ok", found[1])
    have = set(re.findall(r"^ V\S+ (\S+)", _output("ffmpeg", "-hide_banner", "-encoders"), re.MULTILINE))
    for name, encoder in ENCODERS.items():
        if encoder.library in have:
            yield Finding(f"encoder {name}", "ok", encoder.library)
        else:
            cure = f"install an ffmpeg with {encoder.library} to use it"
            yield Finding(f"encoder {name}", "missing" if name == "x265" else "absent", "not in ffmpeg", cure)


def _output(*command: str) -> str:
    if shutil.which(command[0]) is None:
        return ""
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stdout


def _network() -> Iterator[Finding]:
    try:
        from engine import backend
    except ToolError as error:
        yield Finding("Keras backend", "missing", error.reason, error.remedy)
        return
    yield Finding("Keras backend", "ok", f"{backend.BACKEND} {_version_of(backend.BACKEND)}")
    gpus = backend.gpus()
    if gpus:
        yield Finding("GPU", "ok", ", ".join(gpus))
    else:
        cure = "for a GPU: an NVIDIA driver and pip install 'kakudai[gpu]'; the CPU works, many times slower"
        yield Finding("GPU", "absent", "none usable", cure)
    try:
        backend.check_bfloat16()
    except ToolError as error:
        yield Finding("bfloat16", "absent", error.reason, error.remedy)
    else:
        yield Finding("bfloat16", "ok", "the processor computes in it: precision: bfloat16 is for fast and fine")


def _version_of(backend: str) -> str:
    """`tensorflow-cpu` and `tensorflow` both give the module tensorflow."""
    for name in (backend, f"{backend}-cpu"):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return "(version unknown)"


def _weights() -> Iterator[Finding]:
    from engine import weights
    from engine.network import scales_of

    try:
        cards = weights.shipped()
        if not cards:
            yield Finding("weights", "missing", "models/ is empty", "install Kakudai again, or train: kakudai-train")
        for path, card in cards.items():
            weights.load(path)
            scores = card.facts.get("scores", {}).get(card.network, {})
            told = f"{card.scale}x" + (f", after {card.upsampling}" if scales_of(card.network) == (1,) else "")
            told += ", restores" if card.restore else ""
            told += f", {scores['bgr']} dB" if scores else ""
            yield Finding(f"weights {path.stem}", "ok", told)
    except KakudaiError as error:
        yield Finding("weights", "missing", str(error), error.remedy)


def _cluster(cluster: Cluster | None) -> Iterator[Finding]:
    if cluster is None:
        return
    try:
        check_cluster(cluster)
    except ToolError as error:
        yield Finding("cluster", "missing", error.reason, error.remedy)
        return
    ray = metadata.version("ray")
    has_token = tuple(map(int, re.findall(r"\d+", ray)[:2])) >= (2, 52)
    no_token = "" if has_token else "; it ignores RAY_AUTH_MODE=token, which Ray 2.52 does not: upgrade it"
    yield Finding("cluster", "ok", f"{cluster.address}, Ray {ray}; its nodes are seen when it works{no_token}")
    if cluster.shared is not None:
        try:
            with sharing(cluster.shared):
                told = f"{cluster.shared}; the nodes prove that they see it when they join"
                yield Finding("shared folder", "ok", told)
        except (OSError, KakudaiError) as error:
            remedy = "mount or make it, for the user that runs the service; without it all goes through Ray"
            yield Finding("shared folder", "missing", f"{cluster.shared}: {error}", remedy)


def _configuration(config: Path | None, *, send: bool) -> Iterator[Finding]:
    try:
        loaded = load_config(config or default_config_path())
    except MissingInputError as error:
        yield Finding("configuration", "missing" if config else "absent", str(error), error.remedy)
        return
    except KakudaiError as error:
        yield Finding("configuration", "missing", str(error), error.remedy)
        return
    yield Finding("configuration", "ok", str(loaded.path))
    yield from _notifications(loaded.notify, send=send)
    silent = Knocks().silent(
        [loaded.work_dir, *(path for folder in loaded.folders for path in (folder.input, folder.output))]
    )
    yield _silent("work files", loaded.work_dir) if loaded.work_dir in silent else _found_work_dir(loaded.work_dir)
    yield from _cluster(loaded.cluster)
    for folder in loaded.folders:
        for name, path in (("input", folder.input), ("output", folder.output)):
            if path in silent:
                yield _silent(name, path)
            elif is_reachable(path):
                yield _found_output(path) if name == "output" else _found_input(folder)
            else:
                yield Finding(
                    name, "absent", f"{path} is not there", "it is made, or waited for, when the service runs"
                )


def _silent(name: str, path: Path) -> Finding:
    return Finding(name, "missing", f"{path} does not answer", SILENT_REMEDY)


def _found_work_dir(path: Path) -> Finding:
    try:
        return Finding("work files", "ok", f"{path}, {size(free_bytes(path))} free")
    except KakudaiError as error:
        return Finding("work files", "missing", str(error), error.remedy)


def _notifications(wanted: Notify | None, *, send: bool) -> Iterator[Finding]:
    if wanted is None:
        if send:
            yield Finding("notify", "missing", "not in the configuration", "add `notify` to it")
        return
    try:
        check_installed(wanted)
    except ToolError as error:
        yield Finding("notify", "missing", error.reason, error.remedy)
        return
    told = f"{len(wanted.urls)} address{'' if len(wanted.urls) == 1 else 'es'}"
    if send:
        title, body = f"Kakudai on {socket.gethostname()}: a test", "kakudai check --notify sent this."
        problem = send_now(wanted, title, body)
        if problem:
            yield Finding("notify", "missing", problem, "check the address with Apprise's own documentation")
            return
        told += ", a message was sent"
    yield Finding("notify", "ok", told)


def _found_input(folder: Folder) -> Finding:
    return Finding("input", "ok", str(folder.input), polling_advice(folder) or "")


def _found_output(path: Path) -> Finding:
    try:
        refuse_unsafe(path)
    except OutputError as error:
        return Finding("output", "missing", str(error), error.remedy)
    return Finding("output", "ok", f"{path}, {size(free_bytes(path))} free")
