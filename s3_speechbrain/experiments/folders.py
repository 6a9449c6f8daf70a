"""The output folders of jobs."""

from pathlib import Path

from s3_speechbrain.brains.experiment import METRICS
from s3_speechbrain.experiments.jobs import Job
from s3_speechbrain.report.sweep import slug


def folder_of(job: Job, results: Path) -> Path:
    """Return the output folder of a job; one that another grid has made under another label is the same job's."""
    parent = results / job.recorded_recipe / slug(job.backbone) / slug(job.language)
    found = sorted(parent.glob(f"*-{job.id}"))
    return found[0] if found else parent / f"{slug(job.label)}-seed-{job.seed}-{job.id}"


def results_of(job: Job, results: Path) -> list[Path]:
    """Return the files in which a job leaves its results: one for each of its languages."""
    folder = folder_of(job, results)
    return [folder / language / METRICS for language in (job.languages if job.is_joint else ("",))]


def is_complete(job: Job, results: Path) -> bool:
    """Tell whether a job has left its results."""
    return all(file.is_file() for file in results_of(job, results))
