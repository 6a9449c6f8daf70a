"""The command of a job, and what has to be at hand for it."""

import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from s3_speechbrain.errors import UserError
from s3_speechbrain.experiments.folders import folder_of
from s3_speechbrain.experiments.jobs import Job
from s3_speechbrain.experiments.settings import DATA, as_text
from s3_speechbrain.experiments.work import Task

NAMED = ("corpus_name", "task")  # options that give the record a name of the corpus, in speech and in text
PACKAGED = ("builtin", "minilm")  # backbones that need no place


@dataclass(frozen=True)
class Places:
    """Where things are: the project, the results, corpora and backbones by name."""

    root: Path
    results: Path
    data: Mapping[str, Path]
    sources: Mapping[str, str]


def make_task(job: Job, jobs: Mapping[str, Job], places: Places, threads: int) -> Task:
    """Write the command of a job.

    Parameters
    ----------
    job : Job
        Which.
    jobs : mapping of str to Job
        Those that it builds on, by identity.
    places : Places
        Where things are; a corpus without a place is named as it is.
    threads : int
        Of the job.
    """
    cwd = places.root / "recipes" / job.recipe

    def shown(path: Path) -> str:
        # inside the project, so that a moved project still finds the same runs
        return os.path.relpath(path, cwd) if path.is_relative_to(places.root) else str(path)

    folder = folder_of(job, places.results)
    data = str(places.data.get(job.corpus, job.corpus))
    options = {"data_folder": data, **{name: job.corpus for name in NAMED if name in job.settings}}
    if not job.is_joint:
        options["language"] = job.language
    options |= {"seed": job.seed, **job.options}
    if job.source != "builtin":
        options["source"] = places.sources.get(job.source, job.source)
    for link in job.links:
        options[link.option] = shown(folder_of(jobs[link.job], places.results) / link.inside)
    options["threads"] = threads
    if "unpack_folder" in job.settings:
        options["unpack_folder"] = shown(places.results / "unpacked" / job.corpus)
    options["output_folder"] = shown(folder)
    words = [
        word for key, value in options.items() for word in (f"--{key}", as_text(value).replace(DATA, data))
    ]
    return Task(
        (sys.executable, job.program, f"hparams/{job.file}", *words, "--noprogressbar"), cwd, folder, threads
    )


def check_places(jobs: Iterable[Job], places: Places) -> None:
    """Refuse to start without the corpora and backbones that jobs name.

    Raises
    ------
    UserError
        If one is not given, does not exist, or would be recorded under another name.
    """
    for job in jobs:
        if job.corpus not in places.data:
            raise UserError(
                f"{job.title} needs the corpus {job.corpus}; add --data {job.corpus}=FOLDER_OR_TAR"
            )
        if not places.data[job.corpus].exists():
            raise UserError(
                f"--data {job.corpus}={places.data[job.corpus]}: there is nothing; give a folder or a tar"
            )
        local = job.source not in PACKAGED and "/" not in job.source
        if local and job.source not in places.sources:
            raise UserError(f"{job.title} needs the backbone {job.source}; add --source {job.source}=FOLDER")
        given = places.sources.get(job.source, "")
        if given and Path(given).exists() and Path(given).name != job.source:
            raise UserError(
                f"--source {job.source}={given}: results name a backbone by its folder; rename the folder {job.source}"
            )
