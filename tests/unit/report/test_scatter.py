"""What seeds change, pooled over settings."""

import pytest

from s3_speechbrain.report.claims.page import rules
from s3_speechbrain.report.runs import pool
from s3_speechbrain.report.scatter import Scatter, Scatters, pooled


def repeated(make_run, recipe, *errors, **changes):
    """Make the runs of one setting."""
    return [
        make_run(recipe=recipe, seed=seed, test__CER=error, **changes) for seed, error in enumerate(errors)
    ]


def test_relative_deviations_are_pooled_by_hand(make_run):
    runs = [
        *repeated(make_run, "parp", 9.0, 11.0, language="fr"),
        *repeated(make_run, "parp", 19.0, 20.0, 21.0, language="it"),
        *repeated(make_run, "parp", 30.0, language="es"),
    ]
    found = pooled(pool(runs))
    # fr: variance 2 of 10^2, one degree; it: variance 1 of 20^2, two degrees; es tells nothing
    assert found.percent == pytest.approx(100 * ((0.02 + 2 * 0.0025) / 3) ** 0.5)
    assert found.freedom == 3


def test_single_trainings_tell_no_scatter(make_run):
    assert pooled(pool([make_run(seed=1)])) is None
    assert Scatters([]).overall is None
    assert "no intervals" in rules(Scatters([]))


def test_few_degrees_of_freedom_reach_further_and_more_trainings_less_far():
    assert Scatter(5.0, 10**6).reach(1.0, 1) == pytest.approx(1.96 * 5, rel=1e-3)
    assert Scatter(5.0, 1).reach(1.0, 1) == pytest.approx(12.706 * 5, rel=1e-3)
    assert Scatter(5.0, 4).reach(0.5, 4) == pytest.approx(Scatter(5.0, 4).reach(1.0, 1) / 4)


def test_a_recipe_with_enough_repetitions_speaks_for_itself(make_run):
    student = {"config": {"teacher_run_seed": 1}}
    runs = [
        *repeated(make_run, "s6_damon", 10.0, 10.1, 10.2, 10.3, **student),
        *repeated(make_run, "parp", 10.0, 12.0, 14.0),
        *repeated(make_run, "finetuning", 10.0),
    ]
    settings = {setting.first["recipe"]: setting for setting in pool(runs)}
    scatters = Scatters(list(settings.values()))
    assert list(scatters.by_recipe) == [
        "s6_damon with a shared teacher"
    ]  # two degrees of freedom are too few
    s6, parp, dense = (settings[name] for name in ("s6_damon", "parp", "finetuning"))
    assert scatters.of(s6, s6).freedom == 3
    assert scatters.of(parp, parp) == scatters.of(dense, s6) == scatters.overall
    assert scatters.of(s6, dense) == scatters.overall  # another teacher would change the student
    assert scatters.overall.freedom == 2  # of trainings that share nothing
    text = rules(scatters)
    assert "s6_damon with a shared teacher 1.3 % of the error (3 degrees of freedom)" in text
    assert "they share a teacher" in text


def test_runs_of_a_recipe_without_the_teacher_are_no_students(make_run):
    taught = {"config": {"teacher_run_seed": 1}}
    runs = [
        *repeated(make_run, "s6_damon", 10.0, 10.1, 10.2, 10.3, **taught),
        *repeated(make_run, "s6_damon", 20.0, 24.0, 28.0, 32.0, config={}),
    ]
    student, alone = sorted(pool(runs), key=lambda setting: setting.error("test").mean)
    scatters = Scatters([student, alone])
    assert scatters.of(student, student).percent < 2
    assert scatters.of(alone, alone).percent == scatters.of(alone, student).percent > 10
    assert scatters.of(student, alone) == scatters.overall  # another teacher would move one side alone
