"""A job as a process: how it is started, stopped, and run on another machine; imports nothing heavy."""

import contextlib
import os
import shlex
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from s3_speechbrain.experiments.locks import BEAT, FAILED, LOG, beat, drop_lock, take_lock, write_lock

GRACE = 15.0  # seconds between asking a process to end and making it
BUSY = 75  # status of a task that found another one at work on its job


@dataclass(frozen=True)
class Task:
    """What starts a job: a command, the folder that it starts in, the folder of its results, its threads."""

    command: tuple[str, ...]
    cwd: Path
    folder: Path
    threads: int


def launch(task: Task) -> subprocess.Popen:
    """Start a task in a process group of its own; what it says goes to its log."""
    task.folder.mkdir(parents=True, exist_ok=True)
    (task.folder / FAILED).unlink(missing_ok=True)
    environment = {**os.environ, "OMP_NUM_THREADS": str(task.threads), "PYTHONUNBUFFERED": "1"}
    with (task.folder / LOG).open("ab") as log:
        log.write(f"== {time.strftime('%Y-%m-%d %H:%M:%S')} {shlex.join(task.command[1:])}\n".encode())
        log.flush()
        return subprocess.Popen(
            task.command,
            cwd=task.cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def stop(processes: list[subprocess.Popen], grace: float = GRACE) -> None:
    """End processes and their children: ask first, then insist."""
    _signal(processes, signal.SIGTERM)
    end = time.monotonic() + grace
    for process in processes:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, end - time.monotonic()))
    _signal(processes, signal.SIGKILL)
    for process in processes:
        process.wait()


def work(task: Task) -> int:
    """Run a task to its end, under its job's lock; what an engine runs on another machine.

    Returns
    -------
    int
        The status of its process; `BUSY` if another one is at work on the job.
    """
    if not take_lock(task.folder):
        return BUSY
    process = launch(task)
    write_lock(task.folder, [os.getpid(), process.pid])
    ended = threading.Event()

    def show_life() -> None:
        while not ended.wait(BEAT):
            beat(task.folder)

    threading.Thread(target=show_life, daemon=True).start()
    try:
        return process.wait()
    finally:
        ended.set()
        stop([process])
        drop_lock(task.folder)


def _signal(processes: list[subprocess.Popen], number: int) -> None:
    for process in processes:
        # the group outlives its leader while a worker of its is left
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)


class Work:
    """A task as submitit takes it: after a preemption it is queued again, and the recipe goes on."""

    def __init__(self, task: Task) -> None:
        self.task = task

    def __call__(self) -> int:
        """Run the task."""
        return work(self.task)

    def checkpoint(self, *_: Any) -> Any:
        """Queue the same task again; submitit calls this when the job has to leave its machine."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(Work(self.task))
