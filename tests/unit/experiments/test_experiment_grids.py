"""Grid files become cells, cells become jobs."""

from pathlib import Path

import pytest

from s3_speechbrain.errors import UserError
from s3_speechbrain.experiments.grid import expand, read_grid
from s3_speechbrain.experiments.jobs import make_plan, with_needed
from s3_speechbrain.experiments.settings import as_text, resolve, settings_key
from s3_speechbrain.experiments.tasks import Places, make_task

ROOT = Path(__file__).resolve().parents[3]


def cells(entry, defaults=None):
    return expand("entry", entry, {"recipe": "Toy/toy", "corpus": "speech", **(defaults or {})}, "file")


def plan_of(project, *texts):
    paths = [project.write(text, f"grid{number}") for number, text in enumerate(texts)]
    return make_plan([read_grid(path) for path in paths], project.root)


def test_axes_are_multiplied_and_defaults_joined():
    made = cells(
        {"set": {"lr": 0.1}, "vary": {"seed": [1, 2]}},
        {"set": {"lr": 0.2, "x": 1}, "vary": {"language": ["en", "fr"]}},
    )
    assert [(c.options["language"], c.options["seed"]) for c in made] == [
        ("en", 1),
        ("en", 2),
        ("fr", 1),
        ("fr", 2),
    ]
    assert {(c.options["lr"], c.options["x"]) for c in made} == {(0.1, 1)}


def test_what_an_entry_sets_is_not_varied_by_the_defaults():
    (made,) = cells({"set": {"seed": 3}}, {"vary": {"seed": [1, 2]}})
    assert made.options == {"seed": 3}


def test_axes_that_go_together_and_places_as_axes():
    made = cells({"vary": {"corpus language": [["a", "de"], ["b", "pl"]]}})
    assert [(c.corpus, c.options) for c in made] == [("a", {"language": "de"}), ("b", {"language": "pl"})]


def test_the_label_tells_axes_but_for_language_and_seed():
    (made,) = cells({"vary": {"groups": [["ffn", "attention"]], "seed": [1]}})
    assert made.label == "entry-groups-ffn+attention"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"vary": {"seed": 1}}, "vary seed must be a list"),
        ({"vary": {"seed": [1, 1]}}, "names 1 twice"),
        ({"vary": {"seed": [1]}, "set": {"seed": 2}}, "seed is set or varied twice"),
        ({"vary": {"a b": [[1]]}}, "lists of 2 values"),
        ({"set": {"threads": 2}}, "threads is set by the runner"),
        ({"set": {"corpus": "x"}}, "write it beside set"),
        ({"sets": {}}, "unknown key 'sets'"),
        ({"needs": {"dense_run": 3}}, "must name an entry"),
        ({"corpus": ""}, "lacks corpus"),
    ],
)
def test_mistakes_in_an_entry_are_told(entry, message):
    with pytest.raises(UserError, match=message):
        cells(entry)


def test_a_need_is_met_by_the_run_with_the_same_axes(project):
    plan = plan_of(
        project,
        "  dense: {vary: {language: [en, fr], seed: [1, 2]}}\n"
        "  after: {set: {method: omp}, vary: {language: [fr], seed: [2]}, needs: {dense_run: dense/teacher}}\n",
    )
    (after,) = (plan.jobs[key] for key in plan.entries["grid0: after"])
    (link,) = after.links
    base = plan.jobs[link.job]
    assert (link.option, link.inside, base.language, base.seed) == ("dense_run", "teacher", "fr", 2)


@pytest.mark.parametrize(
    ("needs", "message"),
    [
        ("{dense_run: dense}", "2 runs of it fit"),
        ("{dense_run: {job: dense, lr: 0.5}}", "no run of it fit"),
        ("{dense_run: {job: dense, colour: red}}", "does not set"),
        ("{dense_run: nobody}", "unknown entry 'nobody'"),
        ("{dense_ran: {job: dense, lr: 0.1}}", "unknown option 'dense_ran'"),
        ("{dense_run: after}", "lead in a circle"),
    ],
)
def test_needs_that_cannot_be_met_are_told(project, needs, message):
    with pytest.raises(UserError, match=message):
        plan_of(
            project,
            f"  dense: {{vary: {{lr: [0.1, 0.2]}}}}\n  after: {{set: {{method: omp}}, needs: {needs}}}\n",
        )


def test_a_fixed_axis_chooses_among_runs(project):
    plan = plan_of(
        project,
        "  dense: {vary: {lr: [0.1, 0.2]}}\n"
        "  after: {set: {method: omp}, needs: {dense_run: {job: dense, lr: 0.2}}}\n",
    )
    (after,) = plan.entries["grid0: after"]
    assert plan.jobs[plan.jobs[after].links[0].job].options["lr"] == 0.2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("  a: {recipe: Toy/other}\n", "no such recipe: Toy/other; the recipes are Toy/toy"),
        ("  a: {program: other.py}\n", "Toy/toy has no other.py"),
        ("  a: {file: other.yaml}\n", "no such YAML file"),
        ("  a: {set: {lrr: 1}}\n", "unknown option 'lrr'; did you mean lr"),
        ("  a: {}\n  a: {}\n", "not valid YAML"),
    ],
)
def test_unknown_things_are_told(project, text, message):
    with pytest.raises(UserError, match=message):
        plan_of(project, text)


def test_one_job_under_two_names_is_one_job(project):
    plan = plan_of(
        project, "  a: {set: {lr: 0.001}}\n", "  b: {set: {updates: 10}}\n  c: {set: {lr: 0.002}}\n"
    )
    assert plan.entries["grid0: a"] == plan.entries["grid1: b"]
    assert len(plan.jobs) == 2


def test_a_run_on_another_teacher_is_another_run(project):
    text = "  dense: {{set: {{lr: {0}}}}}\n  after: {{set: {{method: omp}}, needs: {{dense_run: dense}}}}\n"
    plan = plan_of(project, text.format(0.1), text.format(0.2))
    assert plan.entries["grid0: after"] != plan.entries["grid1: after"]


def test_places_do_not_make_another_run(project):
    keys = {
        settings_key(resolve(project.recipe, "demo.yaml", {"output_folder": where, "threads": count}))
        for where, count in (("a", 1), ("b", 2))
    }
    assert len(keys) == 1


def test_a_value_may_name_a_place_in_the_corpus(project):
    both = '["{data}/es", "{data}/it"]'
    plan = plan_of(project, f"  one: {{set: {{method: {both}}}, vary: {{language: [fr], seed: [1]}}}}\n")
    (job,) = plan.jobs.values()
    for place in ("speech", "elsewhere"):
        places = Places(project.root, project.root / "results", {"speech": Path(place)}, {})
        words = make_task(job, plan.jobs, places, 1).command
        assert words[words.index("--method") + 1] == f'["{place}/es", "{place}/it"]'
    assert "PATH/es" in settings_key(job.settings)


def test_values_are_written_as_yaml_reads_them():
    assert [as_text(v) for v in (None, True, 0.00003, 5, ["ffn"], "x")] == [
        "null",
        "True",
        "0.00003",
        "5",
        '["ffn"]',
        "x",
    ]


def test_the_longest_chain_is_first_and_needs_come_before(project):
    plan = plan_of(
        project,
        "  short: {set: {updates: 25}}\n"
        "  dense: {set: {lr: 0.1}}\n"
        "  after: {set: {method: omp, updates: 20}, needs: {dense_run: dense}}\n",
    )
    names = {key: plan.jobs[key].label for key in plan.jobs}
    asked = [key for keys in plan.entries.values() for key in keys]
    assert [names[key] for key in with_needed(plan, asked, set(), set())] == [
        "dense",
        "short",
        "after",
    ]  # 30, 25, 20


def test_a_needed_run_is_made_again_only_where_its_folder_is_missing(project):
    plan = plan_of(
        project,
        "  dense: {set: {lr: 0.1}}\n  after: {set: {method: omp}, needs: {dense_run: dense}}\n",
    )
    (dense,), (after,) = plan.entries["grid0: dense"], plan.entries["grid0: after"]
    assert with_needed(plan, [dense, after], {dense}, set()) == [dense, after]
    assert with_needed(plan, [dense, after], {dense}, {dense}) == [after]
    assert with_needed(plan, [dense, after], {dense, after}, set()) == []


@pytest.mark.parametrize("path", sorted((ROOT / "experiments").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_projects_own_grids_can_be_read(path):
    grid = read_grid(path)
    for group in grid.cells.values():
        cell = group[-1]
        given = {**cell.options, **dict.fromkeys((need.option for need in cell.needs), "RUN")}
        assert resolve(ROOT / "recipes" / cell.recipe, cell.file, given)
    header = path.read_text()
    assert header.startswith("# ")
    assert f"experiments run experiments/{path.name} " in header


def test_several_languages_one_after_the_other_are_no_job(tmp_path):
    (tmp_path / "several.yaml").write_text(
        "grid:\n  all: {recipe: CommonVoice/multilingual, corpus: prompts, set: {seed: 1}}\n"
    )
    with pytest.raises(UserError, match="several: all: mode independent is a run per language"):
        make_plan([read_grid(tmp_path / "several.yaml")], ROOT)
