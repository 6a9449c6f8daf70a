"""What the evidence took: trainings, updates and hours by recipe and backbone."""

from collections import defaultdict

from s3_speechbrain.report.runs import Evidence, Run
from s3_speechbrain.report.tables import Table, markdown, number

HOUR = 3600.0


def own(run: Run, name: str) -> float:
    """Return a cost without that of stages which another run trained.

    Parameters
    ----------
    run : mapping
        A record; one of several languages holds its language's share.
    name : {"updates", "wall_s"}
        Which cost.
    """
    return run["cost"].get(f"own_{name}", run["cost"][name])


def compute(evidence: Evidence) -> str:
    """Make the section on what all runs took together."""
    groups: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for run in evidence.runs:
        groups[run["recipe"], run["backbone"]].append(run)
    rows = [[*place, *_sums(runs)] for place, runs in sorted(groups.items())]
    rows.append(["all", "", *_sums(evidence.runs)])
    return "\n\n".join(
        [
            "All on CPUs. Several trainings ran at once on most machines, which makes each slower, so hours tell the "
            "size and nothing finer. A teacher or dense model that several runs share counts once; one training of "
            "several languages is a run of each.",
            markdown(Table(["recipe", "backbone", "runs", "updates", "hours"], rows, 2)),
        ]
    )


def _sums(runs: list[Run] | tuple[Run, ...]) -> list[str]:
    updates, seconds = (sum(own(run, name) for run in runs) for name in ("updates", "wall_s"))
    return [str(len(runs)), f"{updates:,.0f}", number(seconds / HOUR, 1)]
