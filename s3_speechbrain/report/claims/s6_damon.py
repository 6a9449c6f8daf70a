"""The claims of S6-DAMON (submitted to ICLR 2023, openreview 3dH2aqKGzZe, withdrawn) and its reviewers' questions."""

from collections.abc import Callable
from dataclasses import replace

from s3_speechbrain.report.claims.choosing import (
    Candidates,
    against_all,
    best,
    candidates,
    option,
    trained_for,
    versus,
)
from s3_speechbrain.report.claims.model import (
    FAILS,
    HOLDS,
    MISSING,
    NOISE,
    Claim,
    Fact,
    Part,
)
from s3_speechbrain.report.main_table import UPDATES
from s3_speechbrain.report.places import network_updates, time_share
from s3_speechbrain.report.runs import Evidence, Run, Setting
from s3_speechbrain.report.structured import TITLES as STRATEGIES
from s3_speechbrain.report.structured import ablation
from s3_speechbrain.report.tables import number
from s3_speechbrain.report.tokens import TITLES as SELECTORS
from s3_speechbrain.report.tokens import selector_of, variant

PAPER_NAME = "S6-DAMON"
HALF = 0.5
RIVAL_SELECTORS = ("conv", "average", "uniform", "random", "vad", "blank", "merge")
RIVAL_STRATEGIES = {
    "baseline_structured_parp": True,
    "baseline_structured_parp_final": True,
    "baseline_structured_one_shot": True,
    "baseline_structured_random": True,
    "baseline_structured_no_adjust": True,
    "baseline_small_scratch": False,
}
# what is exchanged in SAFARI; of the last two no reviewer asks whether they are better
RIVAL_RULES = {
    "baseline_structured_no_adjust": True,
    "baseline_safari_random_growth": True,
    "baseline_safari_by_contribution": False,
    "baseline_safari_distilled": False,
}
TOKEN_GOAL, UNIT_GOAL, BOTH_GOAL = 3.0, 5.0, 5.0
# speed, relative error in percent, share of the parameters: the reviews' reading of the paper's figures
POINTS = ((1.5, 10.0, (0.6, 0.8)), (2.0, 50.0, (0.4, 0.6)))


def _tokens(evidence: Evidence, selector: str, wanted: Callable[[Run], object] | None = None) -> Candidates:
    """Collect runs of a selector alone, half of the frames kept, without ablations unless told which."""

    def chosen(run: Run) -> bool:
        asked = option(run, "tokens.keep_ratio", HALF)
        usual = wanted(run) if wanted else not variant(run)
        return selector_of(run) == selector and not run.get("units") and asked == HALF and bool(usual)

    return candidates(evidence, chosen)


def _units(
    evidence: Evidence, method: str, keep: tuple[float, float] = (HALF, HALF), wanted: Callable | None = None
) -> Candidates:
    """Collect runs that keep a share of the units, without ablations unless told which."""

    def chosen(run: Run) -> bool:
        asked = option(run, "structured.keep", 1.0)
        usual = wanted(run) if wanted else not ablation(run)
        return run["method"] == method and keep[0] <= asked <= keep[1] and bool(usual)

    return candidates(evidence, chosen)


def _dense_as_long(evidence: Evidence, ours: Candidates) -> Candidates:
    """Collect what trains on all frames and units as long as our teacher and student together."""
    lengths = {network_updates(setting.first) for each in ours.values() for setting in each}

    def wanted(run: Run) -> bool:
        whole = run["method"] == "dense" or (
            selector_of(run) == "all" and not run.get("units") and not variant(run)
        )
        return whole and network_updates(run) in lengths

    return candidates(evidence, wanted)


def _references(
    evidence: Evidence, ours: tuple[str, Candidates], goal: float, main: bool = True
) -> list[Part]:
    """Compare with dense finetuning of as many updates in all, and of one stage's."""
    longer = ("dense finetuning, as many updates in all", _dense_as_long(evidence, ours[1]))
    stage = candidates(evidence, lambda run: run["method"] == "dense" and trained_for(run) == UPDATES)
    shorter = ("dense finetuning", stage)
    return [
        versus(ours, longer, goal, main, same_length=False),
        versus(ours, shorter, goal, main=False),
    ]


def fewer_tokens(evidence: Evidence) -> list[Part]:
    """(xii) SALAD at half of the frames: what it costs, and against every other selector."""
    salad = ("SALAD", _tokens(evidence, "salad"))
    rivals = [(SELECTORS[name], _tokens(evidence, name)) for name in RIVAL_SELECTORS]
    at_once = ("SALAD in one schedule", _tokens(evidence, "salad", _with_only("start_from", "pretrained")))
    beside = _references(evidence, at_once, TOKEN_GOAL, main=False)[:1] if at_once[1] else []
    return [*_references(evidence, salad, TOKEN_GOAL), *beside, *against_all(salad, rivals)]


def fewer_structures(evidence: Evidence) -> list[Part]:
    """(xiii) SAFARI at half of the units: what it costs, and against every other strategy."""
    safari = ("SAFARI", _units(evidence, "safari"))
    parts = _references(evidence, safari, UNIT_GOAL)
    for method, main in RIVAL_STRATEGIES.items():
        parts.append(versus(safari, (STRATEGIES[method], _units(evidence, method)), main=main))
    return parts


def both_together(evidence: Evidence) -> list[Part]:
    """(xiv) Fewer tokens and fewer structures: error and measured time at the paper's two operating points.

    Among the runs with an operating point's share of units, those that reach its speed compete on dev.
    """
    parts: list[Part] = []
    for speed, error, keep in POINTS:
        found = _fast_enough(
            _units(evidence, "s6", keep, lambda run: not variant(run) and not ablation(run)), speed
        )
        title = f"S6-DAMON with {keep[0]:g} to {keep[1]:g} of the units"
        ours = best(title, found)
        parts += _references(evidence, (title, found), error)[:1]
        parts.append(_speed(title, list(ours.settings.values()), speed))
        parts += _references(evidence, (title, found), BOTH_GOAL, main=False)
        parts += _in_one_schedule(evidence, keep, speed)
    return parts


def _in_one_schedule(evidence: Evidence, keep: tuple[float, float], speed: float) -> list[Part]:
    """Judge what is not the paper's way: pretrained weights pruned once, then trained on SALAD's frames in one go."""
    found = _units(
        evidence, "baseline_salad_structured_one_shot", keep, _with_only("start_from", "pretrained")
    )
    if not found:
        return []
    title = f"SALAD and one-shot pruning in one schedule, {keep[0]:g} to {keep[1]:g} of the units"
    reference = _references(evidence, (title, found), BOTH_GOAL, main=False)[:1]
    return [*reference, replace(_speed(title, list(best(title, found).settings.values()), speed), main=False)]


def _fast_enough(found: Candidates, wanted: float) -> Candidates:
    """Keep in each language what reaches a speed, among which dev then chooses; all where nothing does."""

    def reaches(setting: Setting) -> bool:
        share = time_share(setting)
        return share is not None and 1 / share >= wanted

    return {place: [s for s in each if reaches(s)] or each for place, each in found.items()}


def _speed(title: str, settings: list[Setting], wanted: float) -> Fact:
    shares = [share for share in map(time_share, settings) if share]
    name, rule = (
        f"{title}: speed, dense network timed in turns",
        f"at least {wanted:g} times in every language",
    )
    if not shares:
        return Fact(name, "", MISSING, rule=rule)
    speeds = [1 / share for share in shares]
    found = " to ".join(dict.fromkeys(number(each, 2) for each in (min(speeds), max(speeds))))
    return Fact(name, f"{found} times", HOLDS if min(speeds) >= wanted else FAILS, rule=rule)


def _with_only(name: str, value: object) -> Callable[[Run], bool]:
    """Want runs of a selector that differ from the usual settings in one alone."""
    words = f"{name.split('.')[-1]} {value}"
    return lambda run: variant(run) == words


def reviewers_ablations(evidence: Evidence) -> list[Part]:
    """(xv) What the reviewers asked to be taken apart."""
    safari, salad = ("SAFARI", _units(evidence, "safari")), ("SALAD", _tokens(evidence, "salad"))
    parts: list[Part] = [
        versus(safari, (STRATEGIES[method], _units(evidence, method)), main=main)
        for method, main in RIVAL_RULES.items()
    ]
    for name, value, title in (
        ("tokens.blank_policy", "first_of_run", "SALAD, all runs of blanks salient"),
        ("tokens.blank_policy", "none", "SALAD, no blank salient"),
    ):
        other = _tokens(evidence, "salad", _with_only(name, value))
        parts.append(versus(salad, (title, other)))
    before = _tokens(evidence, "salad", _with_only("tokens.cut", "before_positions"))
    parts.append(versus(salad, ("SALAD, cut before the positions", before)))
    dropped = _tokens(evidence, "salad", _with_only("tokens.reduce", "drop"))
    parts.append(versus(salad, ("SALAD, other frames dropped", dropped)))
    more = _tokens(evidence, "salad", lambda run: variant(run).startswith("unlabelled "))
    parts.append(versus(("SALAD, unlabelled data too", more), salad))
    foreign = _tokens(evidence, "salad", lambda run: variant(run).startswith("detector of "))
    parts.append(versus(("SALAD, detector of another language", foreign), salad, NOISE))
    return parts


S6_DAMON = (
    Claim(
        "tokens",
        "xii",
        PAPER_NAME,
        "SALAD costs little at half of the tokens, and beats down-sampling, uniform and random skipping, voice "
        "activity detection, blank skipping and merging at the same keep ratio",
        "no number verified; the reviewers asked for these baselines (reviews)",
        ("tokens", "ablations", "masks_against_weights"),
        fewer_tokens,
        "A student trains on after its teacher, so dense finetuning with as many updates in all is what it costs "
        "against; the realised keep ratios are in the section on fewer tokens.",
        goal=f"at most {TOKEN_GOAL:g} % more error",
    ),
    Claim(
        "structures",
        "xiii",
        PAPER_NAME,
        "SAFARI beats both structured PARPs, one-shot magnitude, random units and no adjusting within the same budget",
        "no number verified; a reviewer suspects the PARP baseline (reviews)",
        ("structures", "masks_against_weights"),
        fewer_structures,
        "All keep half of the heads' and neurons' parameters after equally many updates in all; all but one-shot "
        "magnitude and the network from scratch prune the same dense teacher.",
        goal=f"at most {UNIT_GOAL:g} % more error at half of the units",
    ),
    Claim(
        "together",
        "xiv",
        PAPER_NAME,
        "Fewer tokens and fewer structures together make the network faster at a bounded loss",
        "1.5 times the speed at 1.1 times the WER with 2/3 of the parameters, 2 times at 1.5 times with half (reviews)",
        ("tokens_and_structures", "tokens", "masks_against_weights"),
        both_together,
        "Each operating point asks for the error against dense finetuning of as many updates and for the speed; the "
        "goal is judged beside it.",
        goal=f"at most {BOTH_GOAL:g} % more error",
    ),
    Claim(
        "ablations",
        "xv",
        PAPER_NAME,
        "What the reviewers doubted stands up when it is taken apart: growth by gradient, which blanks are salient, "
        "the cut behind the positions, unlabelled data, detectors of other domains",
        "not in the paper (reviews ask for it)",
        ("ablations", "structures", "tokens"),
        reviewers_ablations,
        "Each row takes one part away; a cut or a foreign detector may cost the noise of a training.",
    ),
)
