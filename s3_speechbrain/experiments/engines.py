"""Where tasks run: as processes of this machine, or on a cluster through submitit."""

import os
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from s3_speechbrain.errors import UserError
from s3_speechbrain.experiments.locks import BEAT, LOG, beat, drop_lock, is_locked, take_lock, write_lock
from s3_speechbrain.experiments.work import Task, Work, launch, stop


class Engine(Protocol):
    """Starts tasks and tells when they have ended."""

    def start(self, task: Task) -> Any | None:
        """Start a task; None if another process is at work on its job."""

    def status(self, handle: Any) -> int | None:
        """Return the exit status of what `start` returned; None while it runs."""

    def stop(self, handles: list[Any]) -> None:
        """End what runs."""


@dataclass
class Process:
    """A running task of this machine."""

    task: Task
    process: subprocess.Popen
    beaten: float


class LocalEngine:
    """Tasks as processes of this machine."""

    def start(self, task: Task) -> Process | None:
        """Start a task; None if another process is at work on its job."""
        if not take_lock(task.folder):
            return None
        process = launch(task)
        # a start that is killed leaves its processes at work; the lock lives as long as they do
        write_lock(task.folder, [os.getpid(), process.pid])
        return Process(task, process, time.monotonic())

    def status(self, handle: Process) -> int | None:
        """Return the exit status; None while it runs."""
        status = handle.process.poll()
        if status is not None:
            drop_lock(handle.task.folder)
        elif time.monotonic() - handle.beaten > BEAT:
            handle.beaten = time.monotonic()
            beat(handle.task.folder)
        return status

    def stop(self, handles: list[Process]) -> None:
        """End processes and give their jobs back."""
        stop([handle.process for handle in handles])
        for handle in handles:
            drop_lock(handle.task.folder)


class SubmititEngine:
    """Tasks as jobs of a cluster.

    Parameters
    ----------
    folder : Path
        For what submitit notes down.
    cluster : {"slurm", "local"}
        ``local`` runs on this machine in the same way, for tests.
    options : mapping
        Of ``AutoExecutor.update_parameters``.

    Raises
    ------
    UserError
        If submitit is not installed, or there is no SLURM here.
    """

    def __init__(self, folder: Path, cluster: str, options: Mapping[str, Any]) -> None:
        try:
            import submitit
        except ImportError:
            raise UserError(
                "the engine slurm needs submitit; install it: pip install 's3-speechbrain[cluster]'"
            ) from None
        try:
            self.executor = submitit.AutoExecutor(folder=folder, cluster=cluster)
            self.executor.update_parameters(**options)
        except (RuntimeError, NameError, TypeError) as error:
            raise UserError(
                f"the engine {cluster} cannot be used here: {' '.join(str(error).split())}"
            ) from None

    def start(self, task: Task) -> Any | None:
        """Submit a task; None if another process is at work on its job."""
        return None if is_locked(task.folder) else (self.executor.submit(Work(task)), task)

    def status(self, handle: Any) -> int | None:
        """Return the exit status; 1 if the cluster ended the job."""
        job, task = handle
        if not job.done():
            return None
        failed = job.exception()
        if failed is None:
            return job.result()
        task.folder.mkdir(parents=True, exist_ok=True)
        with (task.folder / LOG).open("a", encoding="utf-8") as log:
            log.write(f"the job {job.job_id} ended: {failed}\n")
        return 1

    def stop(self, handles: list[Any]) -> None:
        """Cancel jobs."""
        for job, _ in handles:
            job.cancel()
