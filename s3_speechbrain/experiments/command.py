"""What ``run`` and ``status`` do: look at grids, evidence and folders, run the rest, tell how it goes."""

import argparse
import contextlib
import shlex
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from statistics import mean

from tqdm import tqdm

from s3_speechbrain.errors import UserError
from s3_speechbrain.experiments.engines import Engine, LocalEngine, SubmititEngine
from s3_speechbrain.experiments.evidence import Evidence, keep
from s3_speechbrain.experiments.folders import folder_of, is_complete, results_of
from s3_speechbrain.experiments.grid import read_grid
from s3_speechbrain.experiments.jobs import Job, Plan, make_plan, with_needed
from s3_speechbrain.experiments.locks import last_lines
from s3_speechbrain.experiments.pace import Pace, in_words
from s3_speechbrain.experiments.resources import cores, free_memory_gb, share_out
from s3_speechbrain.experiments.runner import Runner, states
from s3_speechbrain.experiments.tasks import Places, check_places, make_task
from s3_speechbrain.report.compute import own
from s3_speechbrain.report.metrics import read_metrics
from s3_speechbrain.report.runs import Run, load_evidence
from s3_speechbrain.report.schema import error_name
from s3_speechbrain.report.tables import Table
from s3_speechbrain.report.tables import plain as as_table

CLUSTER_JOBS, CLUSTER_THREADS = 100, 4  # where nobody says otherwise
Results = list[Run]


@dataclass(frozen=True)
class Scene:
    """Grids, and what is known about their jobs.

    Attributes
    ----------
    plan : Plan
        All jobs.
    asked : list of str
        Identities of those that are asked for.
    here, answered : mapping
        Results of complete output folders, and of the evidence; a job has as many as it has languages.
    places : Places
        Where things are.
    """

    plan: Plan
    asked: list[str]
    here: Mapping[str, Results]
    answered: Mapping[str, Results]
    places: Places

    @property
    def known(self) -> dict[str, Results]:
        """All results."""
        return {**self.answered, **self.here}

    def pace(self) -> Pace:
        """What is known about the time that jobs take."""
        jobs = self.plan.jobs
        return Pace(
            (jobs[key].kind, jobs[key].updates, sum(own(run, "wall_s") for run in runs))
            for key, runs in self.known.items()
        )


def survey(given: argparse.Namespace) -> Scene:
    """Read the grids, and look for the results of their jobs."""
    places = Places(given.root, given.results, getattr(given, "data", {}), getattr(given, "source", {}))
    plan = make_plan([read_grid(file) for file in given.files], given.root)
    names = {entry: entry.split(": ", 1)[1] for entry in plan.entries}
    for wanted in given.only or []:
        if wanted not in names.values():
            raise UserError(
                f"--only {wanted}: no such entry; the entries are {', '.join(dict.fromkeys(names.values()))}"
            )
    entries = {
        entry: keys for entry, keys in plan.entries.items() if not given.only or names[entry] in given.only
    }
    plan = Plan(plan.jobs, entries)
    asked = list(dict.fromkeys(key for keys in entries.values() for key in keys))
    evidence = Evidence(load_evidence(given.evidence).runs, given.root)
    here, answered = {}, {}
    for key, job in plan.jobs.items():
        if is_complete(job, given.results):
            here[key] = [read_metrics(file) for file in results_of(job, given.results)]
        found = evidence.find(job, plan)
        if found:
            answered[key] = found
    return Scene(plan, asked, here, answered, places)


def show_status(given: argparse.Namespace) -> int:
    """Print the state of each entry."""
    scene = survey(given)
    pace, rows, total = scene.pace(), [], dict.fromkeys(("done", "running", "failed", "missing"), 0)
    for entry, keys in scene.plan.entries.items():
        found = states(scene.plan, keys, scene.known, scene.places)
        open_ones = [
            scene.plan.jobs[key] for state in ("running", "failed", "missing") for key in found[state]
        ]
        estimates = [pace.seconds(job.kind, job.updates) for job in open_ones]
        time = "" if not open_ones else in_words(None if None in estimates else sum(estimates))
        updates = sum(job.updates for job in open_ones)
        rows.append([entry, *(str(len(found[state]) or "") for state in total), str(updates or ""), time])
        for state in total:
            total[state] += len(found[state])
    print(as_table(Table(("entry", *total, "updates left", "time of one job at a time"), rows, 1)))
    print(", ".join(f"{count} {state}" for state, count in total.items()))
    return 0


def run(given: argparse.Namespace) -> int:
    """Run what is missing; returns the exit status."""
    scene = survey(given)
    chosen = with_needed(scene.plan, scene.asked, set(scene.known), set(scene.here))
    jobs = [scene.plan.jobs[key] for key in chosen]
    done = [key for key in scene.asked if key in scene.known]
    at_once, threads = _shares(given)
    again = [job for job in jobs if job.id in scene.answered]
    print(
        f"{len(done)} of {len(scene.asked)} done, {len(jobs)} to run, {at_once} at once with {threads} threads each"
    )
    if again:
        print(f"{len(again)} of them are known but not on this machine, and others build on them")
    if given.dry_run:
        for job in jobs:
            task = make_task(job, scene.plan.jobs, scene.places, threads)
            print(f"(cd recipes/{job.recipe} && {shlex.join(['python', *task.command[1:]])})")
        return 0
    check_places(jobs, scene.places)
    for key in done:
        if key in scene.here and key not in scene.answered:
            _keep(scene.plan.jobs[key], given, print)
    if not jobs:
        return 0
    engine = _engine(given, threads)
    return _watch(scene, chosen, engine, at_once, threads, given)


def _shares(given: argparse.Namespace) -> tuple[int, int]:
    if given.engine == "slurm":
        return given.jobs or CLUSTER_JOBS, given.threads or CLUSTER_THREADS
    return share_out(cores(), free_memory_gb(), given.memory_gb_per_job, given.jobs, given.threads)


def _engine(given: argparse.Namespace, threads: int) -> Engine:
    if given.engine == "local":
        return LocalEngine()
    options = {"timeout_min": given.minutes}
    if given.engine == "slurm":
        options |= {"cpus_per_task": threads, "mem_gb": given.memory_gb_per_job, "name": "s3-speechbrain"}
        options |= {"gpus_per_node": given.gpus_per_job} if given.gpus_per_job else {}
        options |= {"slurm_partition": given.partition} if given.partition else {}
    given.results.mkdir(parents=True, exist_ok=True)
    return SubmititEngine(given.results / "submitit", given.engine.removeprefix("submitit-"), options)


def _watch(
    scene: Scene, chosen: list[str], engine: Engine, at_once: int, threads: int, given: argparse.Namespace
) -> int:
    """Run jobs with a line for each that ends, and a bar on a terminal."""
    bar = tqdm(
        total=len(chosen),
        unit="job",
        disable=None,
        leave=False,
        bar_format="{n_fmt}/{total_fmt} |{bar:20}| {desc}",
    )

    def say(text: str) -> None:
        with tqdm.external_write_mode():
            print(text, flush=True)

    def tell(job: Job, succeeded: bool, seconds: float, runner: Runner) -> None:
        bar.update()
        ended = len(chosen) - len(runner.waiting) - len(runner.running)
        files = results_of(job, given.results)
        result = _errors([read_metrics(file) for file in files]) if succeeded else "FAILED"
        took = in_words(seconds) if seconds else "done by another start"
        say(f"[{ended}/{len(chosen)}] {job.title}: {result}, {took}{_left(runner)}")
        if succeeded and job.id not in scene.answered:
            _keep(job, given, say)

    def show(runner: Runner) -> None:
        names = ", ".join(scene.plan.jobs[key].label for key in runner.running)
        bar.set_description_str(f"{names}{_left(runner)}")

    runner = Runner(
        scene.plan, chosen, scene.places, engine, at_once, threads, scene.pace(), tell, show, given.fail_fast
    )
    with bar, _signals(runner):
        outcome = runner.run()
    if runner.stopped_by is not None:
        left = len(runner.waiting) + len(runner.running)
        print(f"stopped with {left} jobs left; the same command goes on", flush=True)
        return 128 + runner.stopped_by
    for key in outcome.failed:
        folder = folder_of(scene.plan.jobs[key], given.results)
        print(f"\n{scene.plan.jobs[key].title} failed; the end of {folder / 'log.txt'}:", file=sys.stderr)
        print(*(f"  {line}" for line in last_lines(folder)), sep="\n", file=sys.stderr)
    if outcome.skipped:
        print(f"skipped: {', '.join(scene.plan.jobs[key].title for key in outcome.skipped)}", file=sys.stderr)
    print(f"{len(outcome.finished)} finished, {len(outcome.failed)} failed, {len(outcome.skipped)} skipped")
    return int(bool(outcome.failed))


def _left(runner: Runner) -> str:
    """Tell how long the rest takes, if anything is left and anything is known."""
    seconds = runner.seconds_left()
    return f"; about {in_words(seconds)} left" if seconds and (runner.waiting or runner.running) else ""


def _errors(runs: Results) -> str:
    name = error_name(runs[0])
    means = {split: mean(run[split][name] for run in runs) for split in ("dev", "test")}
    of = f" (mean of {len(runs)} languages)" if len(runs) > 1 else ""
    return ", ".join(f"{split} {name} {value:.1f} %" for split, value in means.items()) + of


def _keep(job: Job, given: argparse.Namespace, say: Callable[[str], None]) -> None:
    """Put a job's results into the evidence, and say what happened to them."""
    for file in results_of(job, given.results):
        kept = keep(file, given.evidence, given.replace)
        place = kept.place.relative_to(given.evidence)
        if kept.state == "old":
            say(
                f"  the evidence {place} holds another result, which stays; "
                f"--replace puts {job.title} in its place"
            )
        elif kept.state != "same":
            say(f"  evidence: {place}")


@contextlib.contextmanager
def _signals(runner: Runner) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM ask a runner to stop; it looks between two steps, so that nothing is left half-begun."""

    def stop(number: int, _: object) -> None:
        runner.stopped_by = number

    before = {each: signal.signal(each, stop) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
