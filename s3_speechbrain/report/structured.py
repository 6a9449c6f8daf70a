"""Fewer structures: error against the budget, for SAFARI and its baselines, in a table and a figure."""

from s3_speechbrain.report.places import (
    Part,
    Place,
    dense_title,
    differences,
    macs_share,
    places,
    time_share,
)
from s3_speechbrain.report.runs import Evidence, Run, Setting
from s3_speechbrain.report.schema import value_of
from s3_speechbrain.report.tables import amount, number, spread

UNITS_LEFT = "share of the heads and neurons left, by their parameters"
TITLES = {
    "safari": "SAFARI",
    "baseline_safari_distilled": "SAFARI, distilled",
    "baseline_safari_by_contribution": "SAFARI by contribution",
    "baseline_safari_random_growth": "SAFARI, random growth",
    "baseline_safari_contribution_growth": "SAFARI, growth by contribution",
    "baseline_structured_no_adjust": "no adjusting",
    "baseline_structured_parp_final": "structured PARP, then enforced",
    "baseline_structured_parp": "structured PARP",
    "baseline_structured_one_shot": "one-shot magnitude",
    "baseline_structured_random": "random units",
    "baseline_small_scratch": "small network from scratch",
}
# Settings in which runs of one method differ as ablations, with the value that goes without saying.
USUAL = {
    "structured.budget": "units",
    "structured.kinds": ["heads", "neurons"],
    "structured.scale": "none",
    "structured.side": "unit",
    "start_from": "teacher",
}
# Settings that are tuned: dev chooses among them.
TUNED = {
    "structured.start": 0.0,
    "structured.until": 0.6,
    "structured.every": 20,
    "structured.drop": 0.1,
    "structured.window": 8,
    "structured.grow_from": "held",
}
NOTHING = "No run with fewer structures yet."


def ablation(run: Run) -> str:
    """Say in which settings that are no matter of tuning a run differs from the usual ones; empty for none."""
    usual = USUAL
    if run["method"] == "baseline_small_scratch":
        usual = USUAL | {"structured.scale": "rank", "start_from": "scratch"}
    if run["method"] == "baseline_structured_one_shot":
        usual = USUAL | {"start_from": "pretrained"}
    return differences(run, usual)


def variant(run: Run) -> str:
    """Say in which settings a run differs from the usual ones; an empty text for none."""
    return ", ".join(filter(None, (ablation(run), differences(run, TUNED))))


def units_left(setting: Setting) -> float:
    """Return the share of the units' parameters that is left, the mean of the seeds."""
    return 1 - setting.stat("sparsity.masked").mean


def structured_places(evidence: Evidence) -> dict[Place, list[Setting]]:
    """Collect the runs of structured pruning alone, in the order of `TITLES`, the large budgets first."""
    found = places(evidence, lambda run: run["method"] in TITLES)
    order = list(TITLES)
    return {
        place: sorted(each, key=lambda s: (order.index(s.first["method"]), variant(s.first), -units_left(s)))
        for place, each in found.items()
    }


def _row(setting: Setting) -> list[str]:
    method = setting.first["method"]
    return [
        TITLES[method] if method in TITLES else dense_title(setting),
        variant(setting.first),
        number(units_left(setting), 3),
        spread(setting.error("dev")),
        spread(setting.error("test")),
        spread(setting.stat("test.WER")),
        number(macs_share(setting), 3),
        number(time_share(setting), 3),
        amount(setting.stat("size.parameters").mean),
    ]


HEADER = ["method", "differs in", "units left", "dev {error}", "test {error}", "test WER"]
HEADER += ["MACs", "time", "parameters"]
INTRO = (
    f"`units left` is the {UNITS_LEFT}; MACs (10 s, extractor included) and time are shares of the dense network's, "
    "which is timed in turns with the sliced one in the same process."
)


PART = Part(
    name="structured",
    against="the units left",
    intro=INTRO,
    nothing=NOTHING,
    header=HEADER,
    found=structured_places,
    row=_row,
    ablation=ablation,
    title=lambda setting: TITLES[setting.first["method"]],
    goal=lambda run: value_of(run, "config.structured.keep"),
    where=units_left,
)
# the section; its figures by path: test error against the units left, where dev chooses what is tuned
structured, structured_figures = PART.section, PART.figures
