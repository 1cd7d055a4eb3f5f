"""mkdir -p a/b/c and a file in it at once, 200 times."""

from __future__ import annotations

from pathlib import Path

from tests.faults.conftest import Seen
from tests.faults.scene import jobs_of
from tests.service_runner import CONFIG, ServiceRunner, eventually, write_picture

_FILES = 200


def test_files_in_folders_made_this_moment_are_found(tmp_path: Path, seen: Seen) -> None:
    write_picture(tmp_path / "one.png")
    content = (tmp_path / "one.png").read_bytes()
    # no rescan within the test: the events alone must do
    with ServiceRunner(tmp_path, CONFIG.replace("rescan_s: 1", "rescan_s: 600")).start() as service:
        wanted = {f"a{number}/b/c/cel.png" for number in range(_FILES)}
        for name in wanted:
            (service.inbox / name).parent.mkdir(parents=True)
            (service.inbox / name).write_bytes(content + name.encode())
        eventually(lambda: sum(service.status()["counts"].values()) >= _FILES)
        eventually(lambda: service.count("delivered") >= 2)
        assert all(Path(name).parts[1:3] == ("b", "c") for name in service.delivered() if not name.endswith(".part"))
        service.stop()
    assert {str(job.relative) for job in jobs_of(tmp_path)} == wanted
    assert len(jobs_of(tmp_path)) == _FILES
    seen("200 jobs by events alone, the tree mirrored", jobs=_FILES, lost=0, duplicated=0)
