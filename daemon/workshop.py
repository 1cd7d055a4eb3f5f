"""What the parts of the worker share: the configuration, the ledger, and which folders and jobs wait."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from daemon.cluster.view import ClusterView
from daemon.config_model import Config, Folder
from daemon.folder_files import FolderFiles
from daemon.job import Job
from daemon.ledger import Ledger
from daemon.pauses import Pauses
from daemon.tally import Tally
from daemon.text import printable
from engine.errors import KakudaiError

log = logging.getLogger(__name__)


class Workshop:
    """`forget` tells the watcher to look at a source anew; `news` is told of each job that is delivered or failed."""

    def __init__(
        self,
        config: Config,
        ledger: Ledger,
        *,
        clock: Callable[[], float],
        forget: Callable[[Path], None],
        news: Callable[[Job], None],
    ) -> None:
        self.config = config
        self.ledger = ledger
        self.clock = clock
        self.forget = forget
        self.news = news
        self.files = FolderFiles()
        self.tally = Tally()
        self.cluster = ClusterView()
        self.silent: Collection[Path] = ()
        """Watched folders whose places do not answer, and are not to be touched."""
        self.pauses = Pauses(config.state_dir, config.work_dir, clock=clock)

    @property
    def folders(self) -> Mapping[Path, Folder]:
        """By their input."""
        return {folder.input: folder for folder in self.config.folders}

    def leave_alone(self, silent: Collection[Path]) -> None:
        """These do not answer now; all others do."""
        self.silent = self.files.silent = silent

    def waits(self, folder: Folder) -> bool:
        """Whether nothing of a folder is to be touched now."""
        return folder.input in self.silent or self.pauses.is_paused(folder)

    def pause(self, folder: Folder, fault: KakudaiError) -> None:
        """Let the folder's jobs wait until the fault is over; told once."""
        if self.pauses.pause(folder, fault):
            log.warning("%s: waits: %s; %s", printable(folder.input), fault, fault.remedy)

    def work_dir(self, job: Job) -> Path:
        """The folder for a job's intermediate files."""
        return self.config.work_dir / str(job.id)

    def log_path(self, job: Job) -> Path:
        """Where the output of a job's process goes."""
        return self.config.state_dir / "logs" / f"job-{job.id}.log"
