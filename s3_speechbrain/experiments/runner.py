"""Run jobs: several at once, what they build on first, until nothing is left that can run."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from s3_speechbrain.data.archive import is_tar
from s3_speechbrain.experiments.engines import Engine
from s3_speechbrain.experiments.folders import folder_of, is_complete
from s3_speechbrain.experiments.jobs import Job, Plan
from s3_speechbrain.experiments.locks import failure, is_locked, note_failure
from s3_speechbrain.experiments.pace import Pace
from s3_speechbrain.experiments.tasks import Places, make_task
from s3_speechbrain.experiments.work import BUSY

TICK = 0.2  # seconds between two looks at what runs
RETRY = 3.0  # seconds between two looks at a job that another start works on


@dataclass
class Outcome:
    """What became of jobs, by identity."""

    finished: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)  # build on one that failed, or were not begun any more


@dataclass
class Running:
    """A job that runs."""

    handle: Any
    began: float


class Runner:
    """Runs jobs of a plan.

    Parameters
    ----------
    plan : Plan
        All jobs.
    chosen : list of str
        Identities of those to run, the most urgent first.
    places : Places
        Where things are.
    engine : Engine
        What runs them.
    at_once, threads : int
        How many at once, and the threads of each.
    pace : Pace
        Learns what jobs take.
    tell : callable
        (job, succeeded, seconds, runner): called when a job has ended.
    show : callable
        (runner): called about five times a second.
    fail_fast : bool
        Begin nothing new after a failure.
    """

    def __init__(
        self,
        plan: Plan,
        chosen: list[str],
        places: Places,
        engine: Engine,
        at_once: int,
        threads: int,
        pace: Pace,
        tell: Callable[[Job, bool, float, "Runner"], None],
        show: Callable[["Runner"], None] = lambda _: None,
        fail_fast: bool = False,
    ) -> None:
        self.plan, self.places, self.engine, self.pace = plan, places, engine, pace
        self.at_once, self.threads, self.fail_fast = at_once, threads, fail_fast
        self.tell, self.show = tell, show
        self.waiting, self.outcome = list(chosen), Outcome()
        self.running: dict[str, Running] = {}
        self.stopped_by: int | None = None  # a signal that asked to end
        self._retry: dict[str, float] = {}

    def run(self) -> Outcome:
        """Run until everything has ended or `stopped_by` is set; whatever interrupts this ends what runs."""
        try:
            while (self.waiting or self.running) and self.stopped_by is None:
                self._collect()
                self._skip_hopeless()
                self._start_ready()
                self.show(self)
                if self.waiting or self.running:
                    time.sleep(TICK)
        finally:
            self.engine.stop([each.handle for each in self.running.values()])
        return self.outcome

    def seconds_left(self) -> float | None:
        """Estimate the time that everything takes from now on."""
        now = time.monotonic()
        jobs = self.plan.jobs
        waiting = [(jobs[key].kind, jobs[key].updates) for key in self.waiting]
        running = [
            (jobs[key].kind, jobs[key].updates, now - each.began) for key, each in self.running.items()
        ]
        left = self.pace.left(waiting, running, self.at_once)
        return None if left is None else max(left, self._longest_chain())

    def _longest_chain(self) -> float:
        """Add up the jobs that wait for one another; however many may run at once, they take so many seconds."""
        ends: dict[str, float] = {}

        def end(key: str) -> float:
            if key not in ends:
                job = self.plan.jobs[key]
                begun = self.running.get(key)
                own = self.pace.seconds(job.kind, job.updates) or 0.0
                own = max(0.0, own - (time.monotonic() - begun.began)) if begun else own
                ends[key] = own + max((end(link.job) for link in job.links if link.job in still), default=0.0)
            return ends[key]

        still = {*self.waiting, *self.running}
        return max(map(end, still), default=0.0)

    def _folder(self, key: str) -> Path:
        return folder_of(self.plan.jobs[key], self.places.results)

    def _is_complete(self, key: str) -> bool:
        return is_complete(self.plan.jobs[key], self.places.results)

    def _collect(self) -> None:
        for key, each in list(self.running.items()):
            status = self.engine.status(each.handle)
            if status is None:
                continue
            del self.running[key]
            if status == BUSY:
                self._put_back(key)
                continue
            # a run without results has not done its work, whatever its status
            self._end(key, status == 0 and self._is_complete(key), time.monotonic() - each.began, status)

    def _end(self, key: str, succeeded: bool, seconds: float, status: int) -> None:
        job = self.plan.jobs[key]
        if succeeded:
            self.outcome.finished.append(key)
            if seconds:
                self.pace.add(job.kind, job.updates, seconds)
        else:
            note_failure(self._folder(key), status)
            self.outcome.failed.append(key)
        self.tell(job, succeeded, seconds, self)

    def _skip_hopeless(self) -> None:
        gone = {*self.outcome.failed, *self.outcome.skipped}
        if self.fail_fast and self.outcome.failed:
            self.outcome.skipped += self.waiting
            self.waiting = []
        for key in list(self.waiting):  # chains are in order, so one pass reaches their ends
            if any(link.job in gone for link in self.plan.jobs[key].links):
                self.waiting.remove(key)
                self.outcome.skipped.append(key)
                gone.add(key)

    def _start_ready(self) -> None:
        for key in list(self.waiting):
            if len(self.running) >= self.at_once:
                return
            if time.monotonic() < self._retry.get(key, 0.0) or not self._is_ready(key):
                continue
            folder = self._folder(key)
            if self._is_complete(key) and not is_locked(folder):  # another start has done it meanwhile
                self.waiting.remove(key)
                self._end(key, True, 0.0, 0)
                continue
            task = make_task(self.plan.jobs[key], self.plan.jobs, self.places, self.threads)
            handle = self.engine.start(task)
            if handle is None:
                self._retry[key] = time.monotonic() + RETRY
                continue
            self.waiting.remove(key)
            self.running[key] = Running(handle, time.monotonic())

    def _is_ready(self, key: str) -> bool:
        job = self.plan.jobs[key]
        pending = {*self.waiting, *self.running}
        if any(link.job in pending for link in job.links):
            return False
        return not self._would_unpack_twice(job)

    def _would_unpack_twice(self, job: Job) -> bool:
        """Tell whether another job is unpacking the same tar; two would do the same work beside each other."""
        data = self.places.data.get(job.corpus)
        unpacked = self.places.results / "unpacked" / job.corpus
        if data is None or not _has_tars(data):
            return False
        there = {each for each in job.languages if (data / each).is_dir()}  # unpacked by the user
        missing = {
            each for each in job.languages if not (unpacked / each / ".unpacked.json").is_file()
        } - there
        others = (self.plan.jobs[key] for key in self.running)
        return any(other.corpus == job.corpus and missing & {*other.languages} for other in others)

    def _put_back(self, key: str) -> None:
        self._retry[key] = time.monotonic() + RETRY
        self.waiting.insert(0, key)


def _has_tars(data: Path) -> bool:
    return is_tar(data) if data.is_file() else any(is_tar(path) for path in data.iterdir())


def states(
    plan: Plan, keys: tuple[str, ...], known: Mapping[str, Any], places: Places
) -> dict[str, list[str]]:
    """Sort jobs by state.

    Parameters
    ----------
    plan : Plan
        All jobs.
    keys : tuple of str
        Which.
    known : mapping
        Jobs with results, by identity.
    places : Places
        Where things are.

    Returns
    -------
    dict of str to list of str
        ``done``, ``running``, ``failed``, ``missing``.
    """
    found: dict[str, list[str]] = {"done": [], "running": [], "failed": [], "missing": []}
    for key in keys:
        folder = folder_of(plan.jobs[key], places.results)
        if is_locked(folder):
            state = "running"
        elif key in known:
            state = "done"
        else:
            state = "failed" if failure(folder) else "missing"
        found[state].append(key)
    return found
