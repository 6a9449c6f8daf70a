"""Copies of finished runs' metrics under canonical names, free of what only one machine knows."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from s3_speechbrain.errors import UserError
from s3_speechbrain.report.metrics import dump, metric_files, read_json, write_text_atomic
from s3_speechbrain.report.provenance import portable_command, portable_path
from s3_speechbrain.report.runs import EXPORTS, Run, config_key, run_budget
from s3_speechbrain.report.schema import validate
from s3_speechbrain.report.sweep import slug
from s3_speechbrain.report.tables import number


def portable(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return metrics without the absolute paths of the machine they come from."""

    def cleaned(value: Any) -> Any:
        if isinstance(value, str):
            return portable_path(value)
        if isinstance(value, Mapping):
            return {key: cleaned(item) for key, item in value.items()}
        return [cleaned(item) for item in value] if isinstance(value, list) else value

    result = dict(metrics)
    result["command"] = portable_command(metrics["command"])
    # a local folder's last name is the backbone's name; a hub name holds a slash but does not start with one
    result["backbone"] = portable_path(metrics["backbone"]).removeprefix("PATH/")
    if "config" in metrics:
        result["config"] = cleaned(metrics["config"])
    return result


def canonical_name(run: Run) -> Path:
    """Return where a run belongs below `evidence/`.

    ``RECIPE/BACKBONE/LANGUAGE/METHOD-CORPUS-SIZE[-sSPARSITY][-CONFIG]-seedSEED.json``; SIZE is in minutes
    (``10min``) or examples (``8094texts``), the tag CONFIG is a short hash of the tuned hyper-parameters, so that
    trials of one method do not collide.
    """
    examples = run["data"].get("train_examples")
    size = f"{run_budget(run)}min" if examples is None else f"{examples}texts"
    tags = [run["method"], run["data"]["name"], size]
    if run["sparsity"]["masked"] > 0:
        tags.append(f"s{number(run['sparsity']['masked'], 3)}")
    if config_key(run) != "{}":
        tags.append(hashlib.sha256(config_key(run).encode()).hexdigest()[:6])
    name = "-".join([*map(slug, tags), f"seed{run['seed']}"])
    return Path(slug(run["recipe"]), slug(run["backbone"]), slug(run["language"]), f"{name}.json")


def export_name(record: Mapping[str, Any]) -> Path:
    """Return where the record of an export belongs below `evidence/`: ``export/`` and the name of its run."""
    run = record.get("run")
    parts = [part for part in run.split("/") if part.strip(".")] if isinstance(run, str) else []
    if not parts:
        raise UserError("a record of an export does not name its run: export again, or leave its folder out")
    return Path(EXPORTS, *parts[:-1], f"{parts[-1]}.json")


def gather(results: str | Path, evidence: str | Path, replace: bool = False) -> list[Path]:
    """Copy every `metrics.json` and `export.json` below `results` to its canonical place below `evidence`.

    Parameters
    ----------
    results, evidence : path
        The folder of the runs, and the committed folder.
    replace : bool
        Overwrite evidence that has different content. Off by default: test is run once, so a second result
        of one setting and seed has to be a decision.

    Returns
    -------
    list of Path
        The files written; those already there with the same content are left out.

    Raises
    ------
    UserError
        If there are no runs, a file is wrong, two runs claim one place, or evidence would change; nothing is
        written then.
    """
    sources, exports = metric_files(results), sorted(Path(results).rglob("export.json"))
    if not sources and not exports:
        raise UserError(f"no metrics.json below {results}; run a recipe first, its results land there")
    wanted: dict[Path, tuple[Path, str]] = {}
    for source in (*sources, *exports):
        found = read_json(source)
        if source in exports:
            target = Path(evidence) / export_name(found)
        else:
            validate(found, str(source))
            found = portable(found)
            target = Path(evidence) / canonical_name(found)
        if target in wanted:
            raise UserError(
                f"{source} and {wanted[target][0]} hold the same setting and seed; delete one, "
                "or record in their config field what differs"
            )
        wanted[target] = (source, dump(found))
    new = {}
    for target, (source, text) in wanted.items():
        old = target.read_text(encoding="utf-8") if target.is_file() else None
        if old is not None and old != text and not replace:
            raise UserError(
                f"{target} differs from {source}; add --replace if the new run shall take its place"
            )
        if old != text:
            new[target] = text
    for target, text in new.items():
        write_text_atomic(target, text)
    return sorted(new)
