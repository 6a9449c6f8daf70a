"""More blocks of RESULTS.md (other backbones, software), and all by name."""

from collections.abc import Callable

from s3_speechbrain.report.benchmarks import BENCHMARK_SECTIONS, benchmarks
from s3_speechbrain.report.claims import CLAIM_SECTIONS
from s3_speechbrain.report.compute import compute
from s3_speechbrain.report.cross_lingual import cross_lingual
from s3_speechbrain.report.deployment import deployment
from s3_speechbrain.report.every_setting import every_run
from s3_speechbrain.report.joint_subnetwork import joint_subnetwork
from s3_speechbrain.report.learned_sparsity import learned_sparsity
from s3_speechbrain.report.main_table import (
    BYTES_COUNT,
    DEV_SELECTS,
    SEEDS_NOTE,
    commands,
    in_main_place,
    languages,
    manifests_note,
    stored_bytes,
    summary,
)
from s3_speechbrain.report.multilingual import added_language, multilingual
from s3_speechbrain.report.pareto import pareto
from s3_speechbrain.report.pruning import pruning
from s3_speechbrain.report.recipe_table import RECIPE_SECTIONS
from s3_speechbrain.report.runs import (
    Evidence,
    Setting,
    best_on_dev,
    budget_label,
)
from s3_speechbrain.report.schema import error_name
from s3_speechbrain.report.structured import structured
from s3_speechbrain.report.sweep import masked_share, sweep
from s3_speechbrain.report.tables import Table, markdown, number, size, spread
from s3_speechbrain.report.tokens import tokens

COMPARED = {"frozen": ("frozen",), "dense": ("dense", "dense_freeze"), "mask": ("mask",)}


def _versus(mask: Setting | None, dense: Setting | None) -> list[str]:
    """Compare masks with dense finetuning: relative change of the mean test error, and seeds won by masks."""
    if mask is None or dense is None or error_name(mask.first) != error_name(dense.first):
        return ["", ""]
    dotted = f"test.{error_name(mask.first)}"
    ours, theirs = mask.by_seed(dotted), dense.by_seed(dotted)
    both = sorted(set(ours) & set(theirs))
    won = f"{sum(ours[seed] < theirs[seed] for seed in both)} of {len(both)}" if both else ""
    base = dense.stat(dotted).mean
    change = number(100 * (mask.stat(dotted).mean - base) / base, 1) if base > 0 else ""
    return [change, won]


def backbones(evidence: Evidence) -> str:
    """Make the section on masks against dense finetuning with other backbones and corpora."""
    groups: dict[tuple, list[Setting]] = {}
    for setting in evidence.settings:
        run = setting.first
        if not in_main_place(run) and run.get("task") != "text":
            place = (run["backbone"], run["data"]["name"], setting.budget, run["language"], error_name(run))
            groups.setdefault(place, []).append(setting)
    rows, shown = [], []
    for (backbone, corpus, minutes, language, name), settings in sorted(groups.items()):
        tried = {
            column: [setting for setting in settings if setting.first["method"] in methods]
            for column, methods in COMPARED.items()
        }
        chosen = {column: best_on_dev(candidates) for column, candidates in tried.items()}
        if not any(chosen.values()):
            continue
        shown += [setting for setting in chosen.values() if setting]
        errors = [spread(setting.error("test") if setting else None) for setting in chosen.values()]
        dense, mask = chosen["dense"], chosen["mask"]
        sizes = [size(stored_bytes([setting])) for setting in (dense, mask)]
        share = number(masked_share(mask), 3) if mask else ""
        rows.append(
            [
                backbone,
                corpus,
                language,
                name,
                budget_label(minutes),
                *errors,
                share,
                *_versus(mask, dense),
                *sizes,
                ", ".join(str(len(candidates)) for candidates in tried.values()),
            ]
        )
    header = ["backbone", "corpus", "language", "error", "training"]
    header += [
        "frozen",
        "dense",
        "masks",
        "sparsity",
        "masks vs dense (%)",
        "seeds won",
        "dense bytes",
        "mask bytes",
        "settings tried",
    ]
    return "\n\n".join(
        [
            f"Test error rates (%) of whatever is not in the first section. {SEEDS_NOTE} "
            f"{DEV_SELECTS} `masks vs dense` is the relative change of the mean, negative where masks are "
            f"better; `seeds won` counts the seeds, run by both, in which they are. `dense` is plain dense "
            "finetuning or that with the head alone at first, whichever dev chooses. `settings tried` are those "
            f"that dev chose from: frozen, dense, masks. {BYTES_COUNT}{manifests_note(shown)}",
            markdown(Table(header, rows, 4)),
            commands(shown),
        ]
    )


def versions(evidence: Evidence) -> str:
    """List the software that the runs were made with."""
    seen: dict[str, set[str]] = {}
    for run in evidence.runs:
        for name, version in run["versions"].items():
            seen.setdefault(name, set()).add(version)
    rows = [[name, ", ".join(sorted(found))] for name, found in sorted(seen.items())]
    return markdown(Table(["software", "version"], rows, 2))


SECTIONS: dict[str, Callable[[Evidence], str]] = {
    "summary": summary,
    "languages": languages,
    "multilingual": multilingual,
    "added_language": added_language,
    "sweep": sweep,
    "learned_sparsity": learned_sparsity,
    "backbones": backbones,
    "pruning": pruning,
    "cross_lingual": cross_lingual,
    "joint_subnetwork": joint_subnetwork,
    "tokens": tokens,
    "structured": structured,
    "pareto": pareto,
    "deployment": deployment,
    "benchmarks": benchmarks,
    "compute": compute,
    "versions": versions,
    "runs": every_run,
    **CLAIM_SECTIONS,
    **BENCHMARK_SECTIONS,
    **RECIPE_SECTIONS,
}
