"""Fewer tokens: error against the token keep ratio, for SALAD and its baselines, in a table and a figure."""

from s3_speechbrain.report.places import (
    Part,
    Place,
    dense_title,
    differences,
    macs_share,
    places,
)
from s3_speechbrain.report.runs import Evidence, Run, Setting
from s3_speechbrain.report.schema import value_of
from s3_speechbrain.report.tables import number, spread

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
    "tokens.blank_policy": "only_between_repeats",
    "tokens.n_first": 1,
    "tokens.jitter": 0.0,
    "detector.unlabelled": None,
    "start_from": "teacher",
    "adapt": "dense",
}
AVERAGED = ("salad", "oracle", "average", "merge")  # leave means of frames
NOTHING = "No run with fewer tokens yet."


def selector_of(run: Run) -> str | None:
    """Return the token selector of a run; None if it has none."""
    return value_of(run, "tokens.selector")


def keep_ratio(setting: Setting) -> float:
    """Return the token keep ratio on test, the mean of the seeds."""
    return setting.stat("tokens.keep_ratio").mean


def usual_ways(selector: str | None) -> dict[str, str]:
    """Return where a selector cuts, and what becomes of the other frames, if nothing else is asked for."""
    if selector == "all":  # leaves none out, so that neither matters
        return {}
    return {
        "tokens.cut": "before_positions" if selector == "conv" else "after_positions",
        "tokens.reduce": "mean" if selector in AVERAGED else "drop",
    }


def variant(run: Run) -> str:
    """Say in which settings a run differs from the usual ones; an empty text for none."""
    parts = [differences(run, USUAL | usual_ways(selector_of(run)))]
    other = value_of(run, "config.detector_run_language")
    if other not in (None, run["language"]):
        parts.append(f"detector of {other}")
    if value_of(run, "config.tokens.recall") is not None:
        parts.append(f"recall {value_of(run, 'config.tokens.recall')}")
    return ", ".join(filter(None, parts))


def token_places(evidence: Evidence) -> dict[Place, list[Setting]]:
    """Collect the runs with a token selector alone by backbone, corpus, amount of training data and language."""
    found = places(evidence, lambda run: selector_of(run) in TITLES and not run.get("units"))
    return {place: sorted(each, key=_order) for place, each in found.items()}


def _order(setting: Setting) -> tuple:
    run = setting.first
    return (list(TITLES).index(selector_of(run)), variant(run), keep_ratio(setting))


def _row(setting: Setting) -> list[str]:
    selector, recall = selector_of(setting.first), setting.stat("tokens.dev.recall")
    return [
        TITLES[selector] if selector else dense_title(setting),
        variant(setting.first),
        number(keep_ratio(setting) if selector else 1.0, 3),
        spread(setting.error("dev")),
        spread(setting.error("test")),
        spread(setting.stat("test.WER")),
        number(recall.mean, 3) if recall else "",
        number(macs_share(setting), 3),
        number(setting.stat("speed.rtf").mean, 4),
    ]


HEADER = ["method", "differs in", "token keep ratio", "dev {error}", "test {error}", "test WER"]
HEADER += ["recall", "MACs", "RTF"]
INTRO = (
    "The keep ratio is that on test, `recall` the share of the salient frames of dev that the detector keeps, `MACs` "
    "the share of the dense encoder's, extractor and selector included, for a clip of 10 s."
)


PART = Part(
    name="tokens",
    against="the token keep ratio",
    intro=INTRO,
    nothing=NOTHING,
    header=HEADER,
    found=token_places,
    row=_row,
    ablation=variant,
    title=lambda setting: TITLES[selector_of(setting.first)],
    goal=lambda run: value_of(run, "config.tokens.keep_ratio"),
    where=keep_ratio,
)
# the section; its figures by path: test error against the keep ratio, each selector in its usual setting
tokens, token_figures = PART.section, PART.figures
