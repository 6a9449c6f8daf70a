"""Blocks on several languages: error rates of each scheme, bytes for N languages, a language added to a bank."""

from s3_speechbrain.report.main_table import (
    CORPUS,
    DEV_SELECTS,
    LANGUAGES,
    MINUTES,
    SEEDS_NOTE,
    commands,
    manifests_note,
    mean_of,
)
from s3_speechbrain.report.runs import Evidence, Setting, mean_over, pool
from s3_speechbrain.report.schemes import (
    PARAMETER,
    SCHEMES,
    Storage,
    backbone_bytes,
    choose_schemes,
    storages,
)
from s3_speechbrain.report.tables import Table, amount, markdown, number, size, spread

FIGURE = "docs/figures/multilingual_bytes.png"
COUNTS = (5, 11)  # ours, and the paper's
CURVE = (1, 2, 3, 5, 8, 11, 15, 20)
PAPER = 0.885  # S3-Router: parameters saved for 11 languages


def _errors(chosen: dict[str, list[Setting | None]], dotted: str) -> str:
    rows = [
        [
            SCHEMES[name],
            *(spread(setting.stat(dotted) if setting else None) for setting in settings),
            spread(mean_over(settings, dotted)),
            number(mean_of(settings, "cost.updates"), 0),
        ]
        for name, settings in chosen.items()
    ]
    return markdown(Table(["scheme", *LANGUAGES, "mean", "updates per language"], rows))


def _saved(storage: Storage, dense: Storage | None, count: int) -> str:
    return "" if dense is None else number(100 * (1 - storage.total(count) / dense.total(count)), 1)


def _bytes(found: dict[str, Storage]) -> str:
    dense, rows = found.get("dense"), []
    for name, title in SCHEMES.items():
        storage = found.get(name)
        if storage is None:
            rows.append([title, *[""] * (2 + 2 * len(COUNTS))])
            continue
        totals = [
            text for count in COUNTS for text in (size(storage.total(count)), _saved(storage, dense, count))
        ]
        rows.append([title, size(storage.shared), size(storage.own), *totals])
    header = ["scheme", "shared, once", "per language"]
    header += [text for count in COUNTS for text in (f"{count} languages", "saved (%)")]
    return markdown(Table(header, rows))


def counted_parameters(evidence: Evidence) -> tuple[float, float, float] | None:
    """Return the parameters of a dense model, of the shared backbone, and of what masks add for a language.

    As the paper counts by our reading: a mask costs one bit per masked weight. None without the runs that tell.
    """
    found, backbone = storages(evidence, packed=True), backbone_bytes(evidence)
    if backbone is None or not {"mask", "dense"} <= found.keys():
        return None
    mask, dense = found["mask"], found["dense"]
    return dense.own / PARAMETER, mask.shared / PARAMETER, mask.own / PARAMETER


def saved_share(evidence: Evidence, count: int) -> float | None:
    """Return the share of the parameters of so many dense models that masks over one backbone save."""
    counted = counted_parameters(evidence)
    if counted is None:
        return None
    model, shared, own = counted
    return 1 - (shared + count * own) / (count * model)


def _accounting(evidence: Evidence) -> str:
    """Spell out the share of parameters that masks save against a dense model per language."""
    counted = counted_parameters(evidence)
    if counted is None:
        return "The share of parameters saved needs runs of masks, dense finetuning and a frozen encoder."
    model, shared, own = counted
    lines = [
        f"* {count} languages: 1 - ({amount(shared)} + {count} x {amount(own)}) / ({count} x {amount(model)}) "
        f"= {number(100 * saved_share(evidence, count), 1)} %"
        for count in COUNTS
    ]
    return "\n\n".join(
        [
            "Parameters saved against separate dense models, as the paper counts them by our reading: a mask costs one "
            f"bit per masked weight, that is 1/32 of a float32 parameter. A separate model has {amount(model)} "
            f"parameters, the shared backbone {amount(shared)}; a language adds masks, head and letters worth "
            f"{amount(own)} parameters. The paper states {100 * PAPER:.1f} % for 11 languages, without its arithmetic.",
            "\n".join(lines),
        ]
    )


def multilingual(evidence: Evidence) -> str:
    """Make the section on one backbone for five languages."""
    chosen = choose_schemes(evidence)
    shown = [setting for settings in chosen.values() for setting in settings if setting]
    return "\n\n".join(
        [
            f"{len(LANGUAGES)} languages of the {CORPUS} corpus, about {MINUTES} minutes of training speech each. One "
            "setting of each scheme serves all languages, chosen by mean dev CER. An update of joint training is of "
            f"one language; those of the one dense model, whose batches are mixed, are divided by {len(LANGUAGES)}. "
            f"{SEEDS_NOTE} {DEV_SELECTS}{manifests_note(shown)}",
            "Test CER (%):",
            _errors(chosen, "test.CER"),
            "Test WER (%):",
            _errors(chosen, "test.WER"),
            "Storage. A dense model per language is a whole model each; the others store the backbone once. Weights "
            "are float32, masks as their files in a bank (at one bit per weight where a run wrote none); `saved` is "
            "against a dense model per language. Another language means training the one dense model again on all.",
            _bytes(storages(evidence)),
            _accounting(evidence),
            *([f"![Bytes to store N languages]({FIGURE})"] if bytes_curves(evidence) else []),
            commands(shown),
        ]
    )


def bytes_curves(evidence: Evidence) -> dict[str, list[tuple[int, float]]]:
    """Return the points of the figure: total bytes over the number of languages, for each scheme."""
    return {
        SCHEMES[name]: [(count, storage.total(count)) for count in CURVE]
        for name, storage in storages(evidence).items()
    }


def added_language(evidence: Evidence) -> str:
    """Make the section on languages that were added to an existing bank."""
    rows, shown = [], pool(run for run in evidence.runs if "added_to_bank" in run)
    for setting in shown:
        run = setting.first
        added = run["added_to_bank"]
        rows.append(
            [
                run["language"],
                run["data"]["name"],
                number(run["data"]["train_minutes"], 0),
                spread(setting.stat("dev.CER")),
                spread(setting.stat("test.CER")),
                spread(setting.stat("test.WER")),
                number(run["cost"]["updates"], 0),
                number(setting.stat("cost.wall_s").mean, 0),
                amount(run["cost"]["trainable"]),
                size(added["bytes"]),
                ", ".join(added["languages_before"]),
                f"{added['files_unchanged']} of {added['files_before']}",
            ]
        )
    header = [
        "language",
        "corpus",
        "minutes",
        "dev CER",
        "test CER",
        "test WER",
        "updates",
        "wall s",
        "trainable",
    ]
    header += ["bytes added", "languages before", "files unchanged"]
    return "\n\n".join(
        [
            "A language added to the bank by one command: its mask and head were trained over the same backbone "
            "with the settings of the bank's languages, and the SHA-256 of every other file in the bank was "
            "compared before and after.",
            markdown(Table(header, rows, 2)),
            commands(shown),
        ]
    )
