"""The page of every setting: nothing is left out, and a row tells what is special about it."""

from s3_speechbrain.report.every_setting import every_run, every_setting_page, usual_values
from s3_speechbrain.report.runs import Evidence


def test_a_row_tells_what_differs_from_most_of_its_group(make_run):
    runs = tuple(
        make_run(language=language, config={"lr": lr, "groups": ["ffn"], "tokens": {"cut": "x"}})
        for language, lr in (("en", 1), ("fr", 1), ("it", 2))
    )
    odd = make_run(language="ru", config={"lr": 1, "seed": 3, "new": True, "tokens": {"cut": "x"}})
    evidence = Evidence((*runs, odd), {})
    assert usual_values(evidence.settings) == {
        ("mask_finetuning", "mask"): {"groups": '["ffn"]', "lr": "1", "tokens.cut": "x"}
    }
    rows = [line for line in every_run(evidence).splitlines() if line.startswith("| builtin")]
    assert [row.split("|")[6].strip() for row in rows] == ["", "", "lr 2", "groups -, new true"]


def test_all_settings_are_counted_and_an_empty_page_is_one(make_run):
    evidence = Evidence((make_run(), make_run(seed=2), make_run(language="it")), {})
    assert "2 settings, 3 runs" in every_run(evidence)
    assert "0 settings, 0 runs" in every_setting_page(Evidence((), {}))
