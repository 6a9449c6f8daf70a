"""Tables of several languages, on numbers worked by hand."""

import pytest

from s3_speechbrain.report.demo import demo_table
from s3_speechbrain.report.main_table import LANGUAGES, row_of
from s3_speechbrain.report.multilingual import FIGURE, added_language, bytes_curves, multilingual
from s3_speechbrain.report.results import build, figures, stale
from s3_speechbrain.report.runs import Evidence, pool
from s3_speechbrain.report.schemes import (
    SCHEMES,
    Storage,
    backbone_bytes,
    choose_schemes,
    scheme_of,
    storages,
)

ALL = list(LANGUAGES)


def cells(text, start, table=0):
    """Return the cells of a row that starts with a text, in the table of this number among those that have it."""
    lines = [line for line in text.splitlines() if line.startswith(f"| {start} |")]
    return [cell.strip() for cell in lines[table].strip("|").split("|")]


@pytest.fixture
def runs(make_run):
    """Every scheme in five languages; model 1,000 parameters, of which the head has 10."""
    size = {"size__parameters": 1000, "cost__updates": 400}
    found = []
    for place, language in enumerate(LANGUAGES):
        common = {**size, "language": language, "dev__CER": 20.0 + place}
        found += [
            make_run(method="mask", test__CER=30.0 + place, size__bytes_per_language=300, **common),
            make_run(method="dense", test__CER=25.0, size__bytes_per_language=3500, **common),
            make_run(
                method="frozen", cost__trainable=10, test__CER=50.0, size__bytes_per_language=50, **common
            ),
            make_run(method="lora", test__CER=35.0, size__bytes_per_language=440, **common),
            make_run(method="dense_all", test__CER=40.0, config={"languages": ALL}, **common),
            make_run(method="mask_joint", config={"languages": ALL}, **common),
        ]
        found[-1]["size"] |= {"bytes_per_language": 300, "bytes_in_bank": 200}
    return found


def test_bytes_by_hand(runs):
    found = storages(Evidence(tuple(runs), {}))
    assert backbone_bytes(Evidence(tuple(runs), {})) == 4 * 990
    assert found["mask"] == Storage(3960, 300)
    assert found["mask_joint"] == Storage(3960, 200)
    assert found["dense"] == Storage(0, 4000)
    assert found["dense_all"] == Storage(4000, 0)
    assert found["lora"] == Storage(3960, 440)
    assert "mask_joint_cotrained" not in found
    assert found["mask"].total(5) == 3960 + 1500
    assert storages(Evidence(tuple(runs), {}), packed=True)["mask_joint"] == Storage(3960, 300)


def test_the_tables_by_hand(runs):
    text = multilingual(Evidence(tuple(runs), {}))
    masks = SCHEMES["mask"]
    assert cells(text, masks)[1:] == ["30.00", "31.00", "32.00", "33.00", "34.00", "32.00", "400"]
    # of 20,000 and 44,000 bytes: 1 - 5460 / 20000 = 0.727 and 1 - 7260 / 44000 = 0.835
    assert cells(text, masks, 2)[1:] == ["3.96 kB", "300 B", "5.46 kB", "72.7", "7.26 kB", "83.5"]
    assert cells(text, SCHEMES["dense"], 2)[1:] == ["0 B", "4.00 kB", "20.0 kB", "0.0", "44.0 kB", "0.0"]
    assert cells(text, SCHEMES["dense_all"], 2)[1:] == [
        "4.00 kB",
        "0 B",
        "4.00 kB",
        "80.0",
        "4.00 kB",
        "90.9",
    ]
    assert cells(text, SCHEMES["mask_joint_cotrained"])[1:] == [""] * 7
    # 300 bytes are 75 parameters: 1 - (990 + 5 * 75) / 5000 = 0.727, 1 - (990 + 11 * 75) / 11000 = 0.835
    assert "5 languages: 1 - (990 + 5 x 75) / (5 x 1.00 k) = 72.7 %" in text
    assert "11 languages: 1 - (990 + 11 x 75) / (11 x 1.00 k) = 83.5 %" in text
    assert bytes_curves(Evidence(tuple(runs), {}))[masks][:2] == [(1, 4260), (2, 4560)]


def test_without_a_frozen_run_the_size_of_the_backbone_is_not_guessed(runs):
    left = Evidence(tuple(run for run in runs if run["method"] != "frozen"), {})
    assert storages(left) == {}
    assert "needs runs of masks, dense finetuning and a frozen encoder" in multilingual(left)


def test_one_setting_serves_all_languages_and_dev_chooses_it(make_run):
    def run(language, name, dev):
        return make_run(language=language, dev__CER=dev, config={"name": name})

    runs = [run(language, "a", 20.0) for language in LANGUAGES]
    runs += [run(language, "b", 18.0 if language == "en" else 19.0) for language in LANGUAGES]
    runs += [run("fr", "lucky", 1.0)]  # tried in one language only
    chosen = choose_schemes(Evidence(tuple(runs), {}))["mask"]
    assert {setting.first["config"]["name"] for setting in chosen} == {"b"}
    alone = choose_schemes(Evidence((run("fr", "a", 5.0),), {}))["mask"]
    assert [setting is not None for setting in alone] == [language == "fr" for language in LANGUAGES]


@pytest.mark.parametrize(
    ("changes", "scheme"),
    [
        ({"method": "mask"}, "mask"),
        ({"method": "mask", "config": {"train_weights": True}}, None),
        ({"method": "mask_joint", "config": {"languages": ALL[::-1]}}, "mask_joint"),
        ({"method": "mask_joint", "config": {"languages": ALL[:2]}}, None),
        (
            {"method": "mask_joint", "config": {"languages": ALL, "train_weights": True}},
            "mask_joint_cotrained",
        ),
        ({"method": "dense_all", "config": {"languages": ALL}}, "dense_all"),
        ({"method": "bitfit"}, None),
        ({"method": "mask", "language": "de"}, None),
        ({"method": "mask", "backbone": "other"}, None),
    ],
)
def test_which_runs_belong_to_a_scheme(make_run, changes, scheme):
    assert scheme_of(make_run(**changes)) == scheme


def test_weights_trained_along_stand_apart_from_masks(make_run):
    assert row_of(make_run(config={"train_weights": True})) == "mask_cotrained"
    assert row_of(make_run(config={"train_weights": False})) == "mask"


def test_an_added_language_tells_what_it_cost_and_what_it_left_alone(make_run):
    added = {"languages_before": ["en", "fr"], "files_before": 3, "files_unchanged": 3, "bytes": 500_000}
    run = make_run(language="de", data__name="kerstin", added_to_bank=added)
    row = cells(added_language(Evidence((run, make_run()), {})), "de")
    assert row[1:6] == ["kerstin", "10", "12.00", "13.00", "31.00"]
    assert row[-3:] == ["500 kB", "en, fr", "3 of 3"]
    assert "No runs yet." in added_language(Evidence((make_run(),), {}))


def test_the_figure_is_made_and_watched(tmp_path, runs):
    evidence = Evidence(tuple(runs), {})
    assert tmp_path / FIGURE in figures(tmp_path, evidence)
    data, draw = figures(tmp_path, evidence)[tmp_path / FIGURE]
    assert data[SCHEMES["mask"]][0] == [1, 4260]
    assert draw(tmp_path / FIGURE).is_file()
    assert figures(tmp_path, Evidence((), {})) == {}
    (tmp_path / "evidence").mkdir()
    build(tmp_path)
    assert stale(tmp_path) == []


def test_the_demo_table_names_schemes(make_run):
    text = demo_table(pool([make_run(method="mask_joint"), make_run(method="dense_all")]))
    assert SCHEMES["mask_joint"] in text
    assert SCHEMES["dense_all"] in text


def test_the_demo_table_names_the_error_rate_that_it_shows(make_run):
    phones = make_run(dev={"PER": 12.0}, test={"PER": 13.0})  # it said CER
    assert "test PER" in demo_table(pool([phones]))
    assert "test CER or PER" in demo_table(pool([phones, make_run(language="it")]))
