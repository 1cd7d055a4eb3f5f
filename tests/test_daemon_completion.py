"""`kakudai completion`: bash itself completes commands, flags and values by what it prints."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from daemon.cli import main


def _completed(script: Path, *words: str) -> list[str]:
    """What bash offers for the last of `words`."""
    program = (
        f'source "{script}"; COMP_WORDS=("$@"); COMP_CWORD=$(($#-1)); '
        '_shtab_kakudai kakudai "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"; '
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    argv = ["bash", "-c", program, "bash", "kakudai", *words]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, cwd=script.parent)
    return sorted(line.strip() for line in done.stdout.splitlines())


def test_bash_completes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "bash"]) == 0
    script = tmp_path / "kakudai.bash"
    script.write_text(capsys.readouterr().out)
    (tmp_path / "page.png").touch()
    assert _completed(script, "com") == ["compare", "completion"]
    assert "--target" in _completed(script, "upscale", "--t")
    assert _completed(script, "upscale", "--denoise", "st") == ["standard", "strong"]
    assert _completed(script, "upscale", "pa") == ["page.png"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_take_it(shell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for command in ("upscale", "compare", "preview", "status"):
        assert command in script
    if shutil.which(shell):
        (tmp_path / "script").write_text(script)
        subprocess.run([shell, "-n", str(tmp_path / "script")], check=True)
