"""Fewer tokens: error against the token keep ratio, for SALAD and its baselines, in a table and a figure."""

from collections.abc import Sequence
from typing import Any

from s3_speechbrain.report.main_table import DEV_SELECTS, SEEDS_NOTE, commands, manifests_note
from s3_speechbrain.report.runs import Evidence, Run, Setting, best_on_dev, budget_label
from s3_speechbrain.report.schema import error_name, value_of
from s3_speechbrain.report.sweep import FIGURES, slug
from s3_speechbrain.report.tables import Table, markdown, number, spread

KEEP_RATIO = "token keep ratio (share of the frames left)"
TITLES = {
    "all": "all frames",
    "salad": "SALAD",
    "oracle": "teacher's run starts",
    "blank": "CTC-blank skipping",
    "oracle_blank": "teacher's blank posterior",
    "vad": "energy VAD",
    "merge": "merged neighbours",
    "conv": "convolution with stride",
    "average": "average",
    "uniform": "uniform skipping",
    "random": "random skipping",
}
# Settings in which runs of one selector differ as ablations, with the value that goes without saying.
USUAL = {
    "tokens.cut": "before_positions",
    "tokens.blank_policy": "first_of_run",
    "tokens.n_first": 1,
    "tokens.jitter": 0.0,
    "detector.unlabelled": None,
    "start_from": "teacher",
    "adapt": "dense",
}
NOTHING = "No run with fewer tokens yet."
Place = tuple[str, str, int, str]


def selector_of(run: Run) -> str | None:
    """Return the token selector of a run; None if it has none."""
    return value_of(run, "tokens.selector")


def keep_ratio(setting: Setting) -> float:
    """Return the token keep ratio on test, the mean of the seeds."""
    return setting.stat("tokens.keep_ratio").mean


def variant(run: Run) -> str:
    """Say in which settings a run differs from the usual ones; an empty text for none."""
    parts = []
    for name, usual in USUAL.items():
        value: Any = value_of(run, f"config.{name}", usual)
        if value != usual:
            parts.append(f"{name.split('.')[-1]} {value}")
    other = value_of(run, "config.detector_run_language")
    if other not in (None, run["language"]):
        parts.append(f"detector of {other}")
    if value_of(run, "config.tokens.recall") is not None:
        parts.append(f"recall {value_of(run, 'config.tokens.recall')}")
    return ", ".join(parts)


def token_places(evidence: Evidence) -> dict[Place, list[Setting]]:
    """Collect the runs with a token selector by backbone, corpus, amount of training data and language."""
    places: dict[Place, list[Setting]] = {}
    for setting in evidence.settings:
        run = setting.first
        if run["recipe"] == "s6_damon" and selector_of(run) in TITLES:
            place = (run["backbone"], run["data"]["name"], setting.budget, run["language"])
            places.setdefault(place, []).append(setting)
    return {place: sorted(found, key=_order) for place, found in sorted(places.items())}


def _order(setting: Setting) -> tuple:
    run = setting.first
    return (list(TITLES).index(selector_of(run)), variant(run), keep_ratio(setting))


def _dense(evidence: Evidence, place: Place) -> Setting | None:
    """Choose on dev the dense finetuning of the same place."""
    found = []
    for setting in evidence.settings:
        run = setting.first
        here = (run["backbone"], run["data"]["name"], setting.budget, run["language"])
        if here == place and run["method"] in ("dense", "dense_freeze"):
            found.append(setting)
    return best_on_dev(found)


def _row(setting: Setting, title: str, kept: str) -> list[str]:
    recall = setting.stat("tokens.dev.recall")
    share, dense = setting.stat("macs.total"), setting.stat("macs.dense_total")
    return [
        title,
        variant(setting.first),
        kept,
        spread(setting.error("dev")),
        spread(setting.error("test")),
        spread(setting.stat("test.WER")),
        number(recall.mean, 3) if recall else "",
        number(share.mean / dense.mean, 3) if share and dense else "",
        number(setting.stat("speed.rtf").mean, 4),
    ]


def _title(place: Place) -> str:
    backbone, corpus, budget, language = place
    return f"{language}, {backbone}, {budget_label(budget)} of {corpus}"


def _figure(place: Place) -> str:
    backbone, corpus, budget, language = place
    return f"{FIGURES}/tokens_{'_'.join(map(slug, (backbone, corpus, f'{budget}min', language)))}.png"


def _one_place(evidence: Evidence, place: Place, settings: Sequence[Setting]) -> str:
    dense, name = _dense(evidence, place), error_name(settings[0].first)
    rows = [_row(dense, "dense finetuning", number(1.0, 3))] if dense else []
    rows += [_row(s, TITLES[selector_of(s.first)], number(keep_ratio(s), 3)) for s in settings]
    header = ["method", "differs in", "token keep ratio", f"dev {name}", f"test {name}", "test WER"]
    shown = [*([dense] if dense else []), *settings]
    return "\n\n".join(
        [
            f"**{_title(place)}.** The keep ratio is that on test, `recall` the share of the salient frames of dev "
            f"that the detector keeps, `MACs` the share of the dense encoder's, extractor and selector included, for "
            f"a clip of 10 s.{manifests_note(shown)}",
            markdown(Table([*header, "recall", "MACs", "RTF"], rows, 2)),
            f"![{name} against the token keep ratio: {_title(place)}]({_figure(place)})",
            commands(shown),
        ]
    )


def tokens(evidence: Evidence) -> str:
    """Make the section on fewer tokens."""
    blocks = [_one_place(evidence, place, found) for place, found in token_places(evidence).items()]
    return "\n\n".join([f"{SEEDS_NOTE} {DEV_SELECTS}", *(blocks or [NOTHING])])


def token_figures(evidence: Evidence) -> dict[str, tuple[dict, dict, str, str]]:
    """Return the figures of the section: test error against keep ratio, each selector in its usual setting.

    Parameters
    ----------
    evidence : Evidence
        The committed runs.

    Returns
    -------
    dict
        By path from the project's root: curves, levels, title and error name for `plot_sparsity_curve`.
    """
    found = {}
    for place, settings in token_places(evidence).items():
        rivals: dict[tuple, list[Setting]] = {}
        for setting in settings:
            if not variant(setting.first):
                goal = value_of(setting.first, "config.tokens.keep_ratio")
                rivals.setdefault((selector_of(setting.first), goal), []).append(setting)
        curves: dict[str, list] = {}
        for (selector, _), candidates in rivals.items():
            best = best_on_dev(candidates)
            curves.setdefault(TITLES[selector], []).append((round(keep_ratio(best), 4), best.error("test")))
        dense = _dense(evidence, place)
        levels = {"dense finetuning": dense.error("test").mean} if dense else {}
        if curves:
            name = f"test {error_name(settings[0].first)}"
            found[_figure(place)] = (curves, levels, _title(place), name)
    return found
