"""HDF5 weights with a Lambda configuration, an external link, an external data set, a huge shape."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from shutil import which

import h5py
import numpy as np
import pytest

from engine import weights
from engine.network import NETWORKS
from tests.faults.conftest import Seen
from tests.service_runner import ServiceRunner, eventually, write_picture


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
@pytest.mark.timeout(900)
@pytest.mark.skipif(which("strace") is None, reason="strace is not installed")
def test_they_are_refused_and_nothing_is_run_or_read(tmp_path: Path, seen: Seen) -> None:
    foreign = tmp_path / "foreign"
    foreign.write_bytes(bytes(1024))
    evils = (_lambda, _external_link, _external_data, _huge)
    for evil in evils:
        _write(tmp_path / f"{evil.__name__}.h5", evil, foreign)
    calls = tmp_path / "calls"
    traced = ["strace", "-D", "-f", "--seccomp-bpf", "-qq", "-o", str(calls), "-e", "trace=open,openat,openat2"]
    with ServiceRunner(tmp_path, _config([evil.__name__ for evil in evils]), wrapper=traced) as service:
        for evil in evils:
            write_picture(tmp_path / f"in{evil.__name__}" / "cel.png")
        service.start()
        eventually(lambda: service.count("failed") + service.count("delivered") == len(evils), patience_s=600)
        failed = service.status()["failed"]
        assert len(failed) == len(evils)
        assert all(job["error"] == "WeightsError" and job["reason"] and job["remedy"] for job in failed)
        service.stop()
    traced_calls = calls.read_text()
    assert all(f"{evil.__name__}.h5" in traced_calls for evil in evils)
    assert str(foreign) not in traced_calls
    assert not (tmp_path / "pwned").exists()
    seen("each refused; nothing executed, nothing foreign read", files=len(evils))


def _write(path: Path, evil: Callable[[h5py.File, Path], None], foreign: Path) -> None:
    network = NETWORKS["msrcnn"]
    arrays = [np.zeros(shape, np.float32) for shape in weights.expected_shapes(network).values()]
    weights.save(path, network, arrays, {"scale": 2, "upsampling": "bicubic"})
    with h5py.File(path, "a") as opened:
        evil(opened, foreign)
    path.with_suffix(".json").unlink()  # its SHA-256 would refuse the file before anything in it is seen


def _config(names: list[str]) -> str:
    """A profile and a folder for each."""
    profiles = "".join(f"  {name}: {{weights: {name}.h5}}\n" for name in names)
    folders = "".join(f"  - {{input: in{name}, output: out{name}, profile: {name}, settle_s: 0.2}}\n" for name in names)
    return f"state_dir: state\ndevice: cpu\nweb: false\nprofiles:\n{profiles}folders:\n{folders}"
