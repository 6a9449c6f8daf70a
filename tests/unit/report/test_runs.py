import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3_speechbrain.errors import UserError
from s3_speechbrain.report import write_metrics
from s3_speechbrain.report.main_table import main_grid
from s3_speechbrain.report.metrics import dump
from s3_speechbrain.report.pruning import pruning_grids
from s3_speechbrain.report.runs import (
    Evidence,
    Stat,
    best_on_dev,
    load_evidence,
    mean_over,
    mixed_manifests,
    pool,
    stat,
    train_budget,
    updates_per_language,
)


def test_mean_and_sample_standard_deviation_by_hand():
    # mean of 10, 12, 14 is 12; squared deviations 4 + 0 + 4, divided by 2 is 4, the root is 2
    assert stat([10.0, 12.0, 14.0]) == Stat(12.0, 2.0, 3)
    assert stat([5.0]) == Stat(5.0, None, 1)
    assert stat([]) is None


def test_runs_that_differ_in_the_seed_alone_are_pooled(make_run):
    runs = [make_run(seed=seed, test__CER=cer) for seed, cer in ((3, 14.0), (1, 10.0), (2, 12.0))]
    (setting,) = pool(runs)
    assert setting.seeds == (1, 2, 3)
    assert setting.error("test") == Stat(12.0, 2.0, 3)


@pytest.mark.parametrize(
    "change",
    [
        {"sparsity__masked": 0.12},
        {"config": {"lr": 1}},
        {"method": "dense"},
        {"backbone": "other"},
        {"language": "it"},
        {"data__name": "CommonVoice"},
        {"data__train_minutes": 60},
        {"recipe": "other"},
    ],
)
def test_runs_that_differ_in_anything_else_are_kept_apart(make_run, change):
    assert len(pool([make_run(), make_run(seed=2, **change)])) == 2


def test_the_seed_in_the_config_and_a_slightly_short_subset_do_not_split_a_setting(make_run):
    one = make_run(seed=1, config={"seed": 1, "lr": 0.1}, data__train_minutes=9.7)
    two = make_run(seed=2, config={"lr": 0.1, "seed": 2}, data__train_minutes=10.2)
    assert len(pool([one, two])) == 1


@pytest.mark.parametrize(
    ("minutes", "budget"), [(0, 0), (9.4, 10), (11.9, 10), (58, 60), (601, 600), (5760, 6000)]
)
def test_training_data_rounds_to_customary_amounts(minutes, budget):
    assert train_budget(minutes) == budget


def test_dev_chooses_and_test_plays_no_part(make_run):
    tempting = make_run(sparsity__masked=0.2, dev__CER=15.0, test__CER=1.0)
    honest = make_run(sparsity__masked=0.08, dev__CER=14.0, test__CER=20.0)
    assert best_on_dev(pool([tempting, honest])).error("test").mean == 20.0
    assert best_on_dev([]) is None


def test_one_lucky_seed_does_not_win_over_a_mean_of_several(make_run):
    lucky = [make_run(sparsity__masked=0.2, dev__CER=10.0)]
    repeated = [make_run(seed=seed, dev__CER=12.0) for seed in (1, 2)]
    assert best_on_dev(pool(lucky + repeated)).seeds == (1, 2)


def test_the_mean_over_languages_spreads_over_seeds(make_run):
    # seed 1: (10 + 20) / 2 = 15, seed 2: (14 + 20) / 2 = 17; mean 16, deviation sqrt((1 + 1) / 1) = 1.414...
    runs = [
        make_run(language=language, seed=seed, test__CER=cer)
        for language, seed, cer in (("fr", 1, 10.0), ("fr", 2, 14.0), ("it", 1, 20.0), ("it", 2, 20.0))
    ]
    found = mean_over(pool(runs), "test.CER")
    assert (found.mean, found.count) == (16.0, 2)
    assert math.isclose(found.spread, math.sqrt(2))


def test_the_mean_over_languages_with_unequal_seeds_has_no_spread(make_run):
    runs = [
        make_run(test__CER=10.0),
        make_run(seed=2, test__CER=14.0),
        make_run(language="it", test__CER=20.0),
    ]
    assert mean_over(pool(runs), "test.CER") == Stat(16.0, None, 1)  # (12 + 20) / 2


def test_a_missing_language_leaves_the_mean_empty(make_run):
    assert mean_over([*pool([make_run()]), None], "test.CER") is None


def test_different_manifests_for_one_seed_are_noticed(make_run):
    same = pool([make_run(), make_run(method="dense"), make_run(seed=2, data__manifest_sha256="cd")])
    assert mixed_manifests(same) == []
    assert mixed_manifests(pool([make_run(), make_run(method="dense", data__manifest_sha256="cd")])) == ["fr"]


def test_evidence_keeps_benchmarks_apart(tmp_path, make_run):
    write_metrics(tmp_path / "a", make_run())
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "mask_step.json").write_text(dump({"step_ratio": 1.05}))
    evidence = load_evidence(tmp_path)
    assert len(evidence.runs) == 1
    assert evidence.benchmarks == {"mask_step": {"step_ratio": 1.05}}
    assert load_evidence(tmp_path / "nothing").runs == ()


def test_the_same_setting_and_seed_twice_is_refused(tmp_path, make_run):
    write_metrics(tmp_path / "a", make_run())
    write_metrics(tmp_path / "b", make_run(test__CER=1.0))
    with pytest.raises(UserError, match="repeats the setting"):
        load_evidence(tmp_path)


@settings(deadline=None)
@given(st.lists(st.floats(0, 200), min_size=2, max_size=5), st.randoms())
def test_pooling_does_not_depend_on_the_order_of_files(values, random):
    runs = [
        {
            "recipe": "r",
            "method": "mask",
            "backbone": "b",
            "language": "fr",
            "seed": seed,
            "data": {"name": "d", "train_minutes": 10},
            "sparsity": {"masked": 0.1},
            "test": {"CER": value},
        }
        for seed, value in enumerate(values)
    ]
    before = pool(runs)
    random.shuffle(runs)
    assert pool(runs) == before


def test_longer_trainings_stay_out_of_the_main_table(make_run):
    usual = make_run(method="dense", test__CER=20.0, dev__CER=20.0, config={"updates": 400})
    longer = make_run(method="dense", test__CER=9.0, dev__CER=9.0, config={"updates": 800})
    pooled = make_run(config={"updates": 800, "languages": ["fr", "it"]})
    assert [updates_per_language(run) for run in (usual, longer, pooled, make_run(config={}))] == [
        400,
        800,
        400,
        None,
    ]
    grid = main_grid(Evidence((usual, longer), {}))
    assert [setting.error("test").mean for setting in grid["dense"] if setting] == [20.0]


def test_phones_are_no_rivals_of_characters(make_run):
    characters = make_run(method="dense", test__CER=20.0, dev__CER=20.0, config={"updates": 400})
    phones = make_run(method="dense", sparsity__masked=0.0, config={"updates": 400, "tokenizer": "phones"})
    phones |= {"dev": {"PER": 9.0}, "test": {"PER": 9.0}}
    pruned = {**phones, "method": "parp", "recipe": "parp"}
    evidence = Evidence((characters, phones, pruned), {})
    assert best_on_dev(evidence.settings).first is characters
    assert [setting.error("test").mean for setting in main_grid(evidence)["dense"] if setting] == [20.0]
    assert main_grid(Evidence((phones,), {}))["dense"] == [None] * 5
    (grid,) = pruning_grids(evidence)
    assert grid.title.endswith(", phones")
    assert grid.figure.endswith("_phones.png")
    assert [curve.points[0.0].first["test"] for curve in grid.references] == [{"PER": 9.0}]


def test_other_amounts_and_corpora_have_manifests_of_their_own(make_run):
    def run(name, minutes, sha256):
        return make_run(data={"name": name, "train_minutes": minutes, "manifest_sha256": sha256})

    assert mixed_manifests(pool([run("librispeech", 10, "a"), run("librispeech", 60, "b")])) == []
    assert mixed_manifests(pool([run("librispeech", 10, "a"), run("prompts", 10, "b")])) == []
