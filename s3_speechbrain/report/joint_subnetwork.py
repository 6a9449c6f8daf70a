"""One subnetwork for several languages beside dense finetuning, pooled and apart."""

from s3_speechbrain.report.main_table import (
    BACKBONE,
    CORPUS,
    DEV_SELECTS,
    LANGUAGES,
    MINUTES,
    SEEDS_NOTE,
    commands,
    manifests_note,
)
from s3_speechbrain.report.runs import Evidence, Setting, config_key, mean_over
from s3_speechbrain.report.schemes import SCHEMES, choose_schemes
from s3_speechbrain.report.tables import Table, markdown, number, spread

METHOD = "baseline_parp_joint"
NOTHING = "No joint subnetwork yet."


def joint_subnetwork(evidence: Evidence) -> str:
    """Make the section on PARP over pooled languages: test error by language, dense finetuning beside it."""
    joint: dict[tuple[float, str], dict[str, Setting]] = {}
    for setting in evidence.settings:
        run = setting.first
        if run["method"] == METHOD and (run["backbone"], run["data"]["name"]) == (BACKBONE, CORPUS):
            key = (round(run["sparsity"]["masked"], 2), config_key(run))
            joint.setdefault(key, {})[run["language"]] = setting
    if not joint:
        return NOTHING
    chosen = choose_schemes(evidence)
    rows = [(SCHEMES[name], "", chosen[name]) for name in ("dense", "dense_all")]
    rows += [
        ("PARP, one subnetwork for all", number(sparsity), [found.get(language) for language in LANGUAGES])
        for (sparsity, _), found in sorted(joint.items())
    ]
    shown = [setting for _, _, settings in rows for setting in settings if setting]
    cells = [
        [
            title,
            sparsity,
            *(spread(setting.error("test") if setting else None) for setting in settings),
            spread(mean_over(settings, "test.CER")),
        ]
        for title, sparsity, settings in rows
    ]
    return "\n\n".join(
        [
            f"Test CER (%), {BACKBONE} backbone, {MINUTES} minutes of {CORPUS} in each language. {SEEDS_NOTE} "
            f"{DEV_SELECTS}{manifests_note(shown)}",
            markdown(Table(["training", "sparsity", *LANGUAGES, "mean"], cells, 1)),
            commands(shown),
        ]
    )
