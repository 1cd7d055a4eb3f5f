"""HDF5 weights with a Lambda configuration, an external link, an external data set, a huge shape."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from shutil import which

import h5py
import numpy as np
import pytest

from engine import weights
from engine.network import NETWORKS
from tests.faults.conftest import Seen
from tests.service_runner import write_picture


def _lambda(opened: h5py.File, foreign: Path) -> None:
    code = f"__import__('pathlib').Path({str(foreign.with_name('pwned'))!r}).touch()"
    opened.attrs["model_config"] = json.dumps({"class_name": "Lambda", "config": {"function": code}})
    opened.create_group("evil_lambda").create_dataset("bias", data=np.zeros(1, np.float32))


def _external_link(opened: h5py.File, foreign: Path) -> None:
    del opened["convolution_1/bias"]
    opened["convolution_1/bias"] = h5py.ExternalLink(str(foreign), "bias")


def _external_data(opened: h5py.File, foreign: Path) -> None:
    del opened["convolution_1/bias"]
    opened["convolution_1"].create_dataset("bias", (64,), "f4", external=[(str(foreign), 0, 256)])


def _huge(opened: h5py.File, foreign: Path) -> None:
    del opened["convolution_1/kernel"]
    opened["convolution_1"].create_dataset("kernel", (1 << 40, 5, 1, 64), "f4", chunks=(1, 5, 1, 64))


@pytest.mark.slow
@pytest.mark.skipif(which("strace") is None, reason="strace is not installed")
def test_they_are_refused_and_nothing_is_run_or_read(tmp_path: Path, seen: Seen) -> None:
    write_picture(tmp_path / "cel.png")
    foreign = tmp_path / "foreign"
    foreign.write_bytes(bytes(1024))
    network = NETWORKS["msrcnn"]
    evils = (_lambda, _external_link, _external_data, _huge)
    for evil in evils:
        path = tmp_path / f"{evil.__name__}.h5"
        arrays = [np.zeros(shape, np.float32) for shape in weights.expected_shapes(network).values()]
        weights.save(path, network, arrays, {"scale": 2, "upsampling": "bicubic"})
        with h5py.File(path, "a") as opened:
            evil(opened, foreign)
        path.with_suffix(".json").unlink()  # its SHA-256 would refuse the file before anything in it is seen
        done = subprocess.run(
            ["strace", "-f", "-qq", "-o", str(tmp_path / "calls"), "-e", "trace=open,openat,openat2"]
            + [sys.executable, "-m", "daemon.cli", "upscale", str(tmp_path / "cel.png"), "-o", str(tmp_path / "o.png")]
            + ["--weights", str(path), "--device", "cpu"],
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 78, (evil.__name__, done.returncode, done.stderr)
        assert str(foreign) not in (tmp_path / "calls").read_text()
        assert not (tmp_path / "o.png").exists()
        assert not (tmp_path / "pwned").exists()
    seen("each refused; nothing executed, nothing foreign read", files=len(evils))
