"""Which jobs the committed evidence already answers, and how a finished run gets into it.

A record of the evidence is taken back to settings: its command, read with today's YAML files, and on top what its
``config`` recorded, since defaults may have changed since. It answers a job if nothing is left that differs.
"""

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ruamel.yaml

from s3_speechbrain.brains.experiment import VOLATILE
from s3_speechbrain.brains.precision import AUTO
from s3_speechbrain.brains.yaml_files import yaml_parser
from s3_speechbrain.errors import UserError
from s3_speechbrain.experiments.grid import plain
from s3_speechbrain.experiments.jobs import Job, Plan
from s3_speechbrain.experiments.settings import APART, ELSEWHERE, builds_on, resolve, settings_key
from s3_speechbrain.pruning.schedules import first_sparsity
from s3_speechbrain.report.gather import canonical_name, portable
from s3_speechbrain.report.metrics import dump, read_metrics, write_text_atomic
from s3_speechbrain.report.provenance import former_defaults
from s3_speechbrain.report.runs import Run
from s3_speechbrain.report.tokens import usual_ways

# what a record says of the runs that it was built on
SEEDS, DETECTOR, MASKS = "_run_seed", "detector_run_language", "mask_source"
CHOSEN = ("bf16", "fp32")  # what `auto` becomes
PROGRAMS = ("train.py", "joint.py")
RENAMED = {"start": "begin", "seconds": "budget_seconds", "detector": "detector_size"}


def command_options(command: str) -> tuple[str, dict[str, Any]]:
    """Take a recorded command apart.

    Returns
    -------
    file : str
        The name of its YAML file; empty if it is no command of a program that grids start.
    options : dict
        What it sets, without the places of data and results.
    """
    try:
        words = shlex.split(command)
    except ValueError:  # a quote that is never closed, as older records may have
        return "", {}
    if len(words) < 3 or words[1] not in PROGRAMS:
        return "", {}
    options: dict[str, Any] = {}
    position = 3
    while position < len(words):
        name, equals, value = words[position].removeprefix("--").partition("=")
        position += 1
        if not equals:
            following = words[position] if position < len(words) else "--"
            if following.startswith("--"):
                continue  # a flag, such as --noprogressbar
            value, position = following, position + 1
        if name not in VOLATILE and name not in APART:
            options[name] = ELSEWHERE if builds_on(name) else _read(value)
    if "source" in options:
        options["source"] = str(options["source"]).removeprefix("PATH/")
    return Path(words[2]).name, options


def recorded_options(run: Run) -> dict[str, Any]:
    """Return what a record's ``config`` says, as options of its recipe."""
    config = dict(run.get("config") or {})
    if "languages" in config:
        config = _for_each_language(config, run["method"])
    options: dict[str, Any] = {}
    head_only = config.pop("head_only_updates", None)
    if head_only is not None and _may_wait(run):
        options["freeze_updates"] = head_only
    if "dense_lr" in config:  # of s3_prune, whose record holds the learning rate of its scores, and no biases
        config = {key: value for key, value in config.items() if key not in ("lr", "biases", "scope")}
        options["lr"] = config.pop("dense_lr")
    if run["method"] == "baseline_structured_one_shot":  # pretrained weights, whatever is asked for
        config.pop("start_from", None)
    start = config.get("start_sparsity")
    if start is not None and start == first_sparsity(config["sparsity"]):
        del config["start_sparsity"]
    tokens = config.pop("tokens", {})
    config["tokens"] = {key: value for key, value in tokens.items() if not _is_own_way(tokens, key)}
    for part in ("tokens", "structured"):
        options |= {RENAMED.get(key, key): value for key, value in config.pop(part, {}).items()}
    if "detector" in config:
        own = dict(config.pop("detector"))
        options["unlabelled"] = own.pop("unlabelled", None)
        options["detector"] = own
    told = {
        key: value
        for key, value in config.items()
        if not key.endswith(SEEDS) and key not in (DETECTOR, MASKS)
    }
    return options | told


def _for_each_language(config: dict[str, Any], method: str) -> dict[str, Any]:
    """Turn the updates of all languages together, which are recorded, into those of one, which are set."""
    count = len(config["languages"])
    if config["updates"] % count:
        return config | {"total_updates": config["updates"]}
    config = config | {"updates": config["updates"] // count}
    if method == "mask_joint":  # each mask waits for its own head
        config["head_only_updates"] //= count
    return config


def _may_wait(run: Run) -> bool:
    """Tell whether how long the head learns alone is an option of a run."""
    if run["recipe"] == "finetuning":
        return run["method"] == "dense_freeze"
    return run["method"] != "dense_all"


def _is_own_way(tokens: Mapping[str, Any], key: str) -> bool:
    """Tell whether a record says of its token selector what null asks for, or what does not matter to it."""
    usual = usual_ways(tokens["selector"])
    matters = f"tokens.{key}" in usual or key not in ("cut", "reduce")
    return not matters or usual.get(f"tokens.{key}") == tokens[key]


def record_settings(run: Run, recipe: Path, file: str = "demo.yaml") -> Mapping[str, Any] | None:
    """Return the settings of a record with today's YAML files; None if they cannot express them any more.

    Parameters
    ----------
    run : mapping
        A record of the evidence.
    recipe : Path
        The folder of its recipe.
    file : str
        What to begin with where its command is one of another program, such as that for several languages.
    """
    own = {"seed": run["seed"], **former_defaults(run), **recorded_options(run)}
    if "languages" not in own:
        own["language"] = run["language"]
    name, options = command_options(run["command"])
    source = run["backbone"].removesuffix("-random")
    plainly = {} if source == "builtin" else {"source": source}
    if run["backbone"].endswith("-random"):
        plainly["pretrained"] = False
    if run["recipe"] != "mask_finetuning":
        plainly["method"] = run["method"].removeprefix("baseline_").removesuffix("_foreign")
    for first, given in ((name, options), (file, plainly)):
        if first and (recipe / "hparams" / first).is_file():
            try:
                return _with_precision(recipe, first, {**given, **own})
            except UserError:
                continue
    return None


def _with_precision(recipe: Path, file: str, options: dict[str, Any]) -> Mapping[str, Any]:
    """Resolve the settings of a record; where they leave the precision to the machine, either is what was asked for."""
    found = options.pop("precision", None)
    settings = resolve(recipe, file, options)
    if found is None or (settings.get("precision") == AUTO and found in CHOSEN):
        return settings
    return {**settings, "precision": found}


class Evidence:
    """The records of the evidence, found by the jobs that they answer.

    Parameters
    ----------
    runs : iterable of Run
        From `report.runs.load_evidence`.
    root : Path
        The project.
    """

    def __init__(self, runs: Iterable[Run], root: Path) -> None:
        self.root = root
        self._groups: dict[tuple, list[Run]] = {}
        self._known: dict[int, str | None] = {}
        for run in runs:
            key = (run["recipe"], run["language"], run["seed"], run["backbone"], run["data"]["name"])
            self._groups.setdefault(key, []).append(run)

    def find(self, job: Job, plan: Plan) -> list[Run]:
        """Return the records of a job, one for each of its languages; none if one of them is missing."""
        found = [run for language in job.languages for run in self._of_language(job, plan, language)]
        return found if len(found) == len(job.languages) else []

    def _of_language(self, job: Job, plan: Plan, language: str) -> list[Run]:
        key = (job.recorded_recipe, language, job.seed, job.backbone, job.corpus)
        candidates = self._groups.get(key, [])
        wanted = settings_key(job.settings) if candidates else ""
        return [run for run in candidates if self._answers(run, job, plan, wanted)][:1]

    def _answers(self, run: Run, job: Job, plan: Plan, wanted: str) -> bool:
        if not _same_ground(run, job, plan):
            return False
        if id(run) not in self._known:
            settings = record_settings(run, self.root / "recipes" / job.recipe)
            self._known[id(run)] = None if settings is None else settings_key(settings)
        return self._known[id(run)] == wanted


def _same_ground(run: Run, job: Job, plan: Plan) -> bool:
    """Tell whether what a record says of the runs that it was built on is true of a job's."""
    config = run.get("config") or {}
    facts = {key: value for key, value in config.items() if key.endswith(SEEDS) or key in (DETECTOR, MASKS)}
    for link in job.links:
        other = plan.jobs[link.job]
        if link.option == "mask_file":
            wanted = {"seed": other.seed, "language": other.language}
            if "method" in other.settings:  # a recipe of one method has no such setting
                wanted["method"] = other.settings["method"]
            if not wanted.items() <= facts.pop(MASKS, {}).items():
                return False
        elif link.option == "detector_run":
            if facts.pop(DETECTOR, None) != other.language:
                return False
        elif facts.pop(f"{link.option}_seed", None) != other.seed:
            return False
    return not facts


@dataclass(frozen=True)
class Kept:
    """What became of a run's metrics: ``new``, ``same``, ``replaced``, or ``old`` where another result stays."""

    place: Path
    state: str


def keep(metrics_file: Path, evidence: Path, replace: bool = False) -> Kept:
    """Copy the metrics of a finished run to their place in the evidence.

    Parameters
    ----------
    metrics_file : Path
        Its ``metrics.json``.
    evidence : Path
        The committed folder.
    replace : bool
        Overwrite another result that is there under the same name.

    Raises
    ------
    UserError
        If the metrics are wrong.
    """
    found = portable(read_metrics(metrics_file))
    place, text = evidence / canonical_name(found), dump(found)
    if not place.is_file():
        state = "new"
    elif place.read_text(encoding="utf-8") == text:
        return Kept(place, "same")
    elif not replace:
        return Kept(place, "old")
    else:
        state = "replaced"
    write_text_atomic(place, text)
    return Kept(place, state)


def _read(text: str) -> Any:
    try:
        value = yaml_parser().load(text)
    except ruamel.yaml.error.YAMLError:
        return text
    return plain(value)
