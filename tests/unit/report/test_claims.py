"""What stands on each side of a claim's comparisons, and the page about them."""

from pathlib import Path

import pytest

from s3_speechbrain.report.claims.choosing import best, candidates, variants, versus
from s3_speechbrain.report.claims.model import FAILS, HOLDS, MISSING, UNDECIDED
from s3_speechbrain.report.claims.page import CLAIM_SECTIONS, CLAIMS, claims, claims_short, judged
from s3_speechbrain.report.runs import Evidence
from s3_speechbrain.report.scatter import Scatter, Scatters

BY_NAME = {claim.name: claim for claim in CLAIMS}

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def known_scatter(monkeypatch):
    """Let seeds change little; how that is found has its own tests."""
    monkeypatch.setattr(Scatters, "of", lambda scatters, setting, other: Scatter(1.0, 100))


@pytest.fixture
def told(make_run):
    """Make runs that record their utterances: as many errors in each of 40, and a little spread."""

    def make(error, **changes):
        edits = [error + (place % 3) - 1 for place in range(40)]
        rate = 100 * sum(edits) / 4000
        return make_run(
            dev__CER=rate,
            test__CER=rate,
            utterances={"clips": "c", "edits": " ".join(map(str, edits)), "lengths": " ".join(["100"] * 40)},
            **changes,
        )

    return make


def verdict(name, *runs, **more):
    return judged(BY_NAME[name], Evidence(tuple(runs), {}, **more))


def test_there_are_fifteen_claims_with_grids_and_sources():
    assert len(CLAIMS) == len({claim.numeral for claim in CLAIMS}) == len(BY_NAME) == 15
    for claim in CLAIMS:
        assert all((claim.sentence, claim.published, claim.grids, claim.explanation))
        for grid, command in zip(claim.grids, claim.commands, strict=False):
            assert f"experiments/{grid}.yaml" in command
            assert (ROOT / "experiments" / f"{grid}.yaml").is_file()


def test_no_evidence_is_not_measured_and_names_the_command():
    nothing = Evidence((), {})
    text = claims(nothing)
    assert text.count("**not measured**") == 15
    for claim in CLAIMS:
        assert all(command in CLAIM_SECTIONS[f"claim-{claim.name}"](nothing) for command in claim.commands)
    assert claims_short(nothing).count("| not measured |") == 15


def _methods(told, errors, seeds=(1, 2), languages=("fr", "it")):
    return [
        told(error, method=method, language=language, seed=seed, config={"updates": 400})
        for method, error in errors.items()
        for seed in seeds
        for language in languages
    ]


def test_masks_hold_where_they_are_as_good_as_dense_and_better_than_the_rest(told):
    errors = {"mask": 20, "dense": 22, "frozen": 40, "lora": 30, "bitfit": 30}
    assert verdict("masks", *_methods(told, errors)).verdict == HOLDS
    found = verdict("masks", *_methods(told, errors | {"dense": 18}))
    assert found.verdict == FAILS
    assert found.deciding.theirs.title == "dense finetuning"
    # without a run of BitFit one part is open
    del errors["bitfit"]
    assert verdict("masks", *_methods(told, errors)).verdict == UNDECIDED


def test_masks_whose_weights_train_along_and_other_backbones_do_not_count(told, make_run):
    runs = _methods(told, {"mask": 20, "dense": 22, "frozen": 40, "lora": 30, "bitfit": 30})
    odd = [
        told(5, config={"updates": 400, "train_weights": True}, language="fr"),
        told(5, backbone="whisper-base-encoder", method="mask", language="fr"),
        told(6, backbone="whisper-base-encoder", method="dense", language="fr"),
    ]
    found = verdict("masks", *runs, *odd)
    assert found.verdict == HOLDS
    assert (
        found.parts[-1].title == "masks, whisper-base-encoder against dense finetuning, whisper-base-encoder"
    )
    assert not found.parts[-1].main


def test_methods_meet_at_one_length_of_training(told):
    def run(method, error, updates):
        return told(error, method=method, config={"updates": updates})

    evidence = Evidence((run("mask", 20, 400), run("dense", 22, 400), run("dense", 10, 800)), {})
    sides = [
        (name, candidates(evidence, lambda run, n=name: run["method"] == n)) for name in ("mask", "dense")
    ]
    assert versus(*sides).theirs.settings["fr"].error("test").mean == pytest.approx(22, abs=0.1)
    assert versus(*sides, same_length=False).theirs.settings["fr"].error("test").mean < 11


def test_runs_that_recorded_their_utterances_go_before_older_ones(told, make_run):
    old = make_run(dev__CER=1.0, test__CER=1.0, config={"lr": 9})
    evidence = Evidence((told(20), told(22, method="dense"), old, make_run(method="lora")), {})
    sides = {
        name: (name, candidates(evidence, lambda run, n=name: run["method"] == n))
        for name in ("mask", "dense", "lora")
    }
    assert versus(sides["mask"], sides["dense"]).difference.utterances == 40
    assert versus(sides["mask"], sides["lora"]).ours.settings["fr"].first is old


def test_dev_chooses_and_other_corpora_keep_their_name(make_run):
    runs = (
        make_run(dev__CER=10.0, test__CER=30.0, config={"lr": 1}),
        make_run(dev__CER=11.0, test__CER=20.0, config={"lr": 2}),
        make_run(language="de", data={"name": "kerstin", "train_minutes": 10, "manifest_sha256": "x"}),
    )
    chosen = best("masks", candidates(Evidence(runs, {}), lambda run: True))
    assert list(chosen.settings) == ["de (kerstin, 10 min)", "fr"]
    assert chosen.settings["fr"].error("test").mean == 30.0


def test_variants_compare_only_what_has_a_partner(make_run):
    def run(init, sparsity, dev):
        return make_run(dev__CER=dev, config={"init": init, "sparsity": sparsity})

    runs = (run("order_preserving", 0.2, 10.0), run("order_preserving", 0.4, 5.0), run("normal", 0.2, 12.0))
    (found,) = variants(Evidence(runs, {}), lambda run: True, "init", "order_preserving", ("sparsity",))
    assert found.title == "order preserving against normal"
    assert found.ours.settings["fr"].first["config"]["sparsity"] == 0.2


def test_the_sweep_is_judged_at_its_ends_and_its_lowest_point(told):
    errors = {0.02: 40, 0.08: 20, 0.2: 25, 0.6: 45}
    runs = [
        told(error, sparsity__masked=share, config={"sparsity": share}, language=language)
        for share, error in errors.items()
        for language in ("fr", "it")
    ]
    dense = [told(22, method="dense", sparsity__masked=0.0, language=name) for name in ("fr", "it")]
    found = verdict("sparsity", *runs, *dense)
    assert [part.verdict for part in found.parts] == [HOLDS, HOLDS, HOLDS, HOLDS, FAILS, HOLDS]
    assert found.parts[-1].found == "fr 0.08, it 0.08"


def test_a_point_of_the_sweep_with_more_seeds_is_no_better_for_that(told):
    errors = {0.02: 40, 0.08: 20, 0.2: 25}
    runs = [
        told(error, sparsity__masked=share, config={"sparsity": share}) for share, error in errors.items()
    ]
    again = told(25, sparsity__masked=0.2, config={"sparsity": 0.2}, seed=2)
    assert verdict("sparsity", *runs, again).parts[-1].found == "fr 0.08"


def test_dense_finetuning_of_one_stage_is_not_the_longer_one(told):
    def run(updates, error):
        return told(
            error, method="dense", recipe="finetuning", config={"updates": updates}, cost__updates=updates
        )

    config = {"selector": "salad", "keep_ratio": 0.5, "updates": 200}
    salad = told(20, recipe="s6_damon", method="salad", config=config, cost__updates=900)
    parts = {part.title: part for part in verdict("tokens", run(400, 30), run(600, 10), salad).parts}
    assert parts["SALAD against dense finetuning"].theirs.settings["fr"].first["cost"]["updates"] == 400


def test_foreign_masks_of_all_languages_count_together(told):
    def run(source, target, error):
        config = {"mask_source": {"language": source}, "updates": 400}
        return told(
            error,
            recipe="parp",
            method="baseline_parp_foreign",
            language=target,
            sparsity__masked=0.8,
            config=config,
        )

    languages = ("en", "fr", "it")
    runs = [run(s, t, 20 if s == t else 15) for s in languages for t in languages]
    runs[1] = run("en", "fr", 19)  # one of two sources
    found = verdict("foreign_masks", *runs, run("en", "fr", 90) | {"sparsity": {"masked": 0.5}})
    assert found.verdict == HOLDS
    # the cell is the mean of both sources, as the change is
    sides = [side for part in found.parts for side in (part.ours, part.theirs) if "fr" in side.settings]
    mixed = next(side.settings["fr"] for side in sides if len(side.settings["fr"].runs) == 2)
    assert mixed.error("test").mean == pytest.approx((19 + 15) / 2, abs=0.1)
    assert mixed.error("test").count == 2
    assert found.parts[0].difference.runs == (6, 3)


def overlap(value, p):
    pair = {"labels": ["a", "b"], "languages": ["fr", "it"], "overlap": value, "chance": 0.3, "p": p}
    same = pair | {"languages": ["fr", "fr"], "overlap": 0.1}
    return {"overlap-omp": {"null": "random", "masks": ["a", "b"], "pairs": [pair, same]}}


@pytest.mark.parametrize(
    ("value", "p", "expected"), [(0.5, 1e-9, HOLDS), (0.5, 0.2, UNDECIDED), (0.2, 1e-9, FAILS)]
)
def test_overlap_is_judged_against_chance_between_languages(value, p, expected):
    assert verdict("overlap", analyses=overlap(value, p)).verdict == expected


def _s6(told, keep, error, rtf, **changes):
    return told(
        error,
        recipe="s6_damon",
        method="s6",
        sparsity__masked=1 - keep,
        units={"heads.0": [1, 2]},
        tokens={"selector": "salad", "keep_ratio": 0.5},
        speed={"rtf": rtf, "dense_rtf": 0.02, "threads": 2, "dtype": "float32"},
        config={
            "start_from": "teacher",
            "structured": {"keep": keep},
            "tokens": {"keep_ratio": 0.5},
            "updates": 400,
        },
        **changes,
    )


def test_speed_and_error_are_judged_at_both_operating_points(told):
    dense = [told(20, method="dense", seed=seed, config={"updates": 800}) for seed in (1, 2)]
    half = [_s6(told, 0.5, 24, 0.008, seed=seed) for seed in (1, 2)]
    found = verdict("together", *dense, *half)
    verdicts = [part.verdict for part in found.parts if part.main]
    assert verdicts == [MISSING, MISSING, HOLDS, HOLDS]  # 2.5 times the speed at 1.2 times the error
    assert found.parts[5].found == "2.50 times"
    assert found.parts[6].verdict == FAILS  # our goal
    slow = verdict("together", *dense, *[_s6(told, 0.5, 24, 0.015, seed=seed) for seed in (1, 2)])
    assert slow.verdict == FAILS


def test_selectors_are_compared_in_their_usual_setting_at_half(told):
    def run(method, selector, error, **tokens):
        return [
            told(
                error,
                recipe="s6_damon",
                method=method,
                seed=seed,
                tokens={"selector": selector, "keep_ratio": 0.5},
                config={"tokens": {"keep_ratio": 0.5, **tokens}, "updates": 400},
            )
            for seed in (1, 2)
        ]

    ablated = run("salad", "salad", 5, blank_policy="none")
    runs = [*run("salad", "salad", 20), *ablated, *run("baseline_uniform", "uniform", 30)]
    parts = {part.title: part for part in verdict("tokens", *runs).parts}
    assert parts["SALAD against uniform skipping"].difference.change == pytest.approx(-33, abs=1)
    assert parts["SALAD against average"].verdict == MISSING
    ablations = {part.title: part.verdict for part in verdict("ablations", *runs).parts}
    assert ablations["SALAD against SALAD, no blank salient"] == FAILS


def test_the_page_shows_interval_runs_and_updates(told):
    errors = {"mask": 20, "dense": 22, "frozen": 40, "lora": 30, "bitfit": 30}
    text = CLAIM_SECTIONS["claim-masks"](Evidence(tuple(_methods(told, errors)), {}))
    assert text.startswith("**Holds.** Published: -5.0 %")
    row = next(
        line for line in text.splitlines() if line.startswith("| masks against dense finetuning | main")
    )
    assert "no worse than by 3 %" in row
    assert "2 languages, 4 runs a side, 80 utterances" in row
    assert "(sign flips)" in row
    assert "What is not measured" not in text


def test_variants_are_equal_in_what_is_fixed_wherever_dev_likes_each_best(make_run):
    def run(init, sparsity, dev):
        return make_run(dev__CER=dev, config={"init": init, "sparsity": sparsity})

    runs = (
        *(run("order_preserving", 0.2, 10.0), run("order_preserving", 0.4, 11.0)),
        *(run("normal", 0.2, 13.0), run("normal", 0.4, 10.5)),
    )
    (found,) = variants(Evidence(runs, {}), lambda run: True, "init", "order_preserving", ("sparsity",))
    sides = [side.settings["fr"].first["config"]["sparsity"] for side in (found.ours, found.theirs)]
    assert sides == [0.4, 0.4]  # 21.5 in all, against 23


def test_a_test_over_utterances_is_called_so_without_an_interval(told, monkeypatch):
    monkeypatch.setattr(Scatters, "of", lambda scatters, setting, other: None)
    masks, dense = told(20, config={}), told(25, method="dense", recipe="finetuning", config={})
    text = claims(Evidence((masks, dense), {}))
    row = next(line for line in text.splitlines() if line.startswith("| masks against dense finetuning"))
    assert "(sign flips)" in row


def test_the_precision_is_told_where_sides_differ_in_it(told):
    def table(*precisions):
        masks, dense = (
            told(20, method=method, recipe=recipe, config={"precision": precision})
            for (method, recipe), precision in zip(
                (("mask", "mask_finetuning"), ("dense", "finetuning")), precisions, strict=True
            )
        )
        return claims(Evidence((masks, dense), {}))

    assert "computed in" not in table("fp32", "fp32")
    assert "| updates, all stages | computed in |" in table("fp32", "bf16")


def test_every_command_behind_a_claim_is_shown(told):
    masks, dense = told(20, config={}), told(25, method="dense", recipe="finetuning", config={})
    text = claims(Evidence((masks, dense), {}))
    first = BY_NAME["masks"]
    assert len(first.commands) == len(first.grids) == 4
    assert all(text.count(command) >= 2 for command in first.commands)  # in the overview and below the claim
