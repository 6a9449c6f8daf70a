"""Ways to serve several languages, and what each stores for N of them."""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass

from s3_speechbrain.report.clipping import USUAL, clipped_at
from s3_speechbrain.report.main_table import BACKBONE, CORPUS, COTRAINED, LANGUAGES, MINUTES, UPDATES
from s3_speechbrain.report.runs import Evidence, Run, Setting, config_key, train_budget, updates_per_language
from s3_speechbrain.report.schema import error_name, value_of

SCHEMES = {
    "mask": "masks, one run per language",
    "mask_by_threshold": "masks, thresholds that train, one run per language",
    "mask_joint": "masks, trained jointly",
    "mask_joint_cotrained": "masks and weights, trained jointly",
    "dense": "dense, a model per language",
    "dense_all": "dense, one model for all",
    "lora": "LoRA, one run per language",
}
PARAMETER = 4  # bytes of a weight, stored in float32


def scheme_of(run: Run) -> str | None:
    """Tell which scheme of the multilingual tables a run belongs to: None for other data, backbones or languages."""
    here = (run["backbone"], run["data"]["name"]) == (BACKBONE, CORPUS)
    if not here or train_budget(run["data"]["train_minutes"]) != MINUTES or run["language"] not in LANGUAGES:
        return None
    if updates_per_language(run) not in (None, UPDATES) or error_name(run) != "CER":
        return None
    method, config = run["method"], run.get("config") or {}
    if clipped_at(run) != USUAL:
        return None  # clipped otherwise than usual, which was not tried for all schemes
    if method in ("mask_joint", "dense_all") and set(config.get("languages", ())) != set(LANGUAGES):
        return None
    if config.get("train_weights"):
        method += COTRAINED
    return method if method in SCHEMES else None


def choose_schemes(evidence: Evidence) -> dict[str, list[Setting | None]]:
    """Choose for each scheme one setting for all languages: the one with the lowest mean dev CER.

    A setting that was run in fewer languages was a trial, and gives way to one that was run in more.

    Returns
    -------
    dict of str to list
        By scheme, the runs of each language of `LANGUAGES`; None where there is none.
    """
    found: dict[str, dict[tuple, dict[str, Setting]]] = {name: {} for name in SCHEMES}
    for setting in evidence.settings:
        run = setting.first
        if name := scheme_of(run):
            key = (run["recipe"], round(run["sparsity"]["masked"], 3), config_key(run))
            found[name].setdefault(key, {})[run["language"]] = setting
    chosen = {}
    for name, candidates in found.items():
        best = min(sorted(candidates.items()), key=lambda item: _rank(item[1]), default=(None, {}))[1]
        chosen[name] = [best.get(language) for language in LANGUAGES]
    return chosen


def _rank(by_language: Mapping[str, Setting]) -> tuple:
    dev = statistics.fmean(setting.error("dev").mean for setting in by_language.values())
    return (-len(by_language), -min(len(setting.runs) for setting in by_language.values()), dev)


@dataclass(frozen=True)
class Storage:
    """What a scheme stores, in bytes.

    Attributes
    ----------
    shared : float
        Once, however many languages there are.
    own : float
        For each language, the mean over languages.
    """

    shared: float
    own: float

    def total(self, languages: int) -> float:
        """Return the bytes of so many languages."""
        return self.shared + languages * self.own


def storages(evidence: Evidence, packed: bool = False) -> dict[str, Storage]:
    """Count what each scheme stores, where its runs and those that tell the backbone's size have been made.

    Parameters
    ----------
    evidence : Evidence
        All runs.
    packed : bool
        Count masks at one bit per weight, as the paper does, in place of the bytes of their files in a bank.

    Returns
    -------
    dict of str to Storage
        A dense model per language is a whole model each, with nothing shared. One dense model for all is that model,
        counted as the mean of single ones: a common vocabulary adds less than a tenth of a percent for each
        language. Everything else is the backbone once, and what each language adds.
    """
    chosen = choose_schemes(evidence)
    shared = backbone_bytes(evidence)
    found = {}
    for name, settings in chosen.items():
        runs = [setting.first for setting in settings if setting is not None]
        if not runs or shared is None:
            continue
        if name in ("dense", "dense_all"):
            whole = PARAMETER * statistics.fmean(run["size"]["parameters"] for run in runs)
            found[name] = Storage(0, whole) if name == "dense" else Storage(whole, 0)
        else:
            found[name] = Storage(shared, statistics.fmean(own_bytes(run, packed) for run in runs))
    return found


def own_bytes(run: Run, packed: bool = False) -> int:
    """Return what a language adds to the backbone: its file in a bank, where its run wrote one."""
    plain = run["size"]["bytes_per_language"]
    return plain if packed else value_of(run, "size.bytes_in_bank", plain)


def backbone_bytes(evidence: Evidence) -> int | None:
    """Return the size of the backbone in float32, which runs with a frozen encoder tell; None without one."""
    for run in evidence.runs:
        if (run["backbone"], run["method"]) == (BACKBONE, "frozen"):
            return PARAMETER * (run["size"]["parameters"] - run["cost"]["trainable"])
    return None
