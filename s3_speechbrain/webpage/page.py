"""The page itself: what the figures gave, through a template that escapes everything else."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2

from s3_speechbrain import __version__
from s3_speechbrain.errors import UserError
from s3_speechbrain.report.metrics import write_text_atomic
from s3_speechbrain.report.schema import error_name, value_of
from s3_speechbrain.report.tables import number, size
from s3_speechbrain.webpage import figures
from s3_speechbrain.webpage.gathering import CLIPS, Run, gather

OPEN = 3  # with so many runs or fewer, the details of all are unfolded


def write_page(
    places: Sequence[str | Path], output: str | Path, title: str | None = None, clips: int = CLIPS
) -> Path:
    """Write a page about runs; the file holds everything it shows and asks no server for anything.

    Parameters
    ----------
    places : sequence of path
        See `gathering.gather`.
    output : path
        The HTML file.
    title : str, optional
        Default says what the runs are.
    clips : int
        Test clips with sound for each run.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    UserError
        If there are no runs, or the file cannot be written.
    """
    output, page = Path(output), make_page(gather(places, clips), title)
    try:
        write_text_atomic(output, page)
    except OSError as error:
        raise UserError(f"cannot write {output}: {error.strerror}; give --output a file elsewhere") from None
    return output


def make_page(runs: Sequence[Run], title: str | None = None) -> str:
    """Return the HTML of a page about runs; equal runs give equal pages."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("s3_speechbrain.webpage", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["differences"] = figures.differences
    header, rows = figures.table(runs)
    return environment.get_template("page.html").render(
        title=title or _title(runs),
        summary=_summary(runs),
        header=header,
        text_columns=figures.TEXT_COLUMNS,
        rows=rows,
        paretos=figures.pareto(runs),
        overlap=figures.overlap(runs),
        runs=[_details(run, number) for number, run in enumerate(runs)],
        unfolded=len(runs) <= OPEN,
        version=__version__,
    )


def _title(runs: Sequence[Run]) -> str:
    languages = sorted({run.metrics["language"] for run in runs})
    what = "1 run" if len(runs) == 1 else f"{len(runs)} runs"
    return f"{what} in {', '.join(languages)}"


def _summary(runs: Sequence[Run]) -> list[dict[str, str]]:
    """Tell the best run of each language by its dev error."""
    best: dict[str, Run] = {}
    for run in runs:
        language, name = run.metrics["language"], error_name(run.metrics)
        dev = run.metrics["dev"].get(name, float("inf"))
        if language not in best or dev < best[language].metrics["dev"].get(name, float("inf")):
            best[language] = run
    cards = []
    for language, run in sorted(best.items()):
        name = error_name(run.metrics)
        stored = value_of(run.metrics, "size.bytes_per_language")
        cards.append(
            {
                "language": language,
                "value": f"{number(run.metrics['test'][name], 1)} %",
                "name": f"test {name}",
                "note": f"{run.metrics['method']}{f', {size(stored)} stored' if stored else ''}",
            }
        )
    return cards


def _details(run: Run, place: int) -> dict[str, Any]:
    metrics = run.metrics
    facts = {
        "recipe": metrics["recipe"],
        "backbone": metrics["backbone"],
        "data": f"{metrics['data']['name']}, {number(metrics['data'].get('train_minutes'), 1)} min of training speech",
        "seed": metrics["seed"],
        "command": metrics.get("command"),
    }
    return {
        "id": f"run-{place}",
        "name": run.name,
        "language": metrics["language"],
        "method": metrics["method"],
        "facts": {name: value for name, value in facts.items() if value is not None},
        "curves": figures.curves(run),
        "layers": figures.layers(run),
        "examples": run.examples,
        "load": _load(run),
    }


def _load(run: Run) -> str | None:
    """Return Python that loads what the run kept, from where its page lies."""
    folder = run.folder
    if folder is None or run.metrics.get("task") == "text":
        return None
    kept = [*folder.glob("model/config.json"), *folder.glob(f"{run.metrics['language']}.safetensors")]
    if not kept and not (folder / "model.safetensors").is_file():
        return None
    return (
        "from s3_speechbrain.inference import load\n\n"
        f"asr = load({_from_here(folder)!r}, {run.metrics['language']!r})\n"
        'print(asr.transcribe_file("clip.wav").text)'
    )


def _from_here(folder: Path) -> str:
    """Return a run's folder as seen from where the command runs; a page that is sent on names no home folder."""
    here = Path.cwd()
    return str(folder.relative_to(here)) if folder.is_relative_to(here) else f"PATH/{folder.name}"
