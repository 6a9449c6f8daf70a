import json
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3_speechbrain.errors import UserError
from s3_speechbrain.report import METHODS, collect, read_metrics, write_metrics
from s3_speechbrain.report.metrics import write_text_atomic
from s3_speechbrain.report.schema import REQUIRED, validate


def one_line(error):
    return "\n" not in str(error.value)


def test_what_is_written_is_read_back(tmp_path, make_run):
    run = make_run(
        note="first try", config={"lr": 1e-4}, examples=[{"id": "a", "reference": "é", "hypothesis": ""}]
    )
    path = write_metrics(tmp_path / "fr", run)
    assert path == tmp_path / "fr" / "metrics.json"
    assert read_metrics(path) == run
    assert read_metrics(tmp_path / "fr") == run


def test_writing_twice_gives_the_same_bytes(tmp_path, make_run):
    path = write_metrics(tmp_path, make_run())
    before = path.read_bytes()
    write_metrics(tmp_path, dict(reversed(make_run().items())))
    assert path.read_bytes() == before


def test_scalars_of_numpy_are_stored_as_numbers(tmp_path, make_run):
    run = make_run(dev__CER=np.float64(12.5), cost__updates=np.int64(7), cost__wall_s=np.float32(2.0))
    stored = read_metrics(write_metrics(tmp_path, run))
    assert (stored["dev"]["CER"], stored["cost"]["updates"], stored["cost"]["wall_s"]) == (12.5, 7, 2.0)


def test_a_diverged_loss_becomes_null_and_valid_json(tmp_path, make_run):
    history = [{"epoch": 1, "updates": 10, "train_loss": float("nan"), "valid_CER": 100.0}]
    path = write_metrics(tmp_path, make_run(history=history))
    assert "NaN" not in path.read_text()
    assert read_metrics(path)["history"] == [
        {"epoch": 1, "updates": 10, "train_loss": None, "valid_CER": 100.0}
    ]


@pytest.mark.parametrize("dotted", REQUIRED)
def test_a_missing_field_is_named_in_one_line(make_run, dotted):
    run = make_run()
    *outer, last = dotted.split(".")
    place = run[outer[0]] if outer else run
    del place[last]
    with pytest.raises(UserError, match=dotted.replace(".", r"\.")) as error:
        validate(run, "metrics.json")
    assert one_line(error)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("method", "finetune"),
        ("method", "baseline_"),
        ("method", 3),
        ("recipe", "  "),
        ("seed", -1),
        ("seed", True),
        ("seed", 1.5),
        ("sparsity__masked", 8.0),
        ("sparsity__model", "0.1"),
        ("dev__CER", float("nan")),
        ("test__WER", -0.1),
        ("test__CER", None),
        ("cost__updates", 10.5),
        ("size__bytes_per_language", -1),
        ("size__bytes_in_bank", 1.5),
        ("speed__threads", 0),
        ("versions", {}),
        ("versions", {"torch": 2}),
        ("test", [1, 2]),
        ("sparsity", 0.5),
        ("history", [{"updates": 3}]),
        ("history", [{"epoch": 1, "train_loss": "low"}]),
        ("per_layer_sparsity", {"layers.0.fc1": 1.2}),
        ("examples", [{"id": "a", "reference": "b"}]),
        ("note", 3),
        ("config", []),
    ],
)
def test_a_wrong_field_is_refused_in_one_line(make_run, field, value):
    with pytest.raises(UserError, match=field.replace("__", r"\.")) as error:
        validate(make_run(**{field: value}), "metrics.json")
    assert one_line(error)


def test_the_message_counts_what_it_does_not_name(make_run):
    with pytest.raises(UserError, match=r"and 1 more"):
        validate(make_run(seed=-1, recipe="", language="", backbone=""))


def test_every_method_of_the_list_and_named_baselines_pass(make_run):
    for method in (*METHODS, "baseline_average_x2"):
        validate(make_run(method=method))


def test_a_phone_error_rate_stands_in_for_characters_and_words(make_run):
    validate(make_run(dev={"PER": 20.0}, test={"PER": 21.0}))
    with pytest.raises(UserError, match=r"test\.CER"):
        validate(make_run(dev={"PER": 20.0}, test={}))


def test_refused_metrics_leave_the_old_file_alone(tmp_path, make_run):
    path = write_metrics(tmp_path, make_run())
    before = path.read_bytes()
    with pytest.raises(UserError):
        write_metrics(tmp_path, make_run(seed=-1))
    assert path.read_bytes() == before


def test_a_value_that_json_cannot_hold_is_refused(tmp_path, make_run):
    with pytest.raises(UserError, match="cannot be stored"):
        write_metrics(tmp_path, make_run(config={"layer": object()}))


def test_a_crash_while_replacing_keeps_the_old_file_and_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "page.md"
    write_text_atomic(path, "old")

    def crash(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        write_text_atomic(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("content", "message"), [("{", "not valid JSON"), ("[1]", "no JSON object"), ("{}", "recipe is missing")]
)
def test_a_broken_file_is_named(tmp_path, content, message):
    path = tmp_path / "metrics.json"
    path.write_text(content)
    with pytest.raises(UserError, match=message) as error:
        read_metrics(path)
    assert str(path) in str(error.value)
    assert one_line(error)


def test_bytes_that_are_no_text_are_a_user_error(tmp_path):
    (tmp_path / "metrics.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="not valid JSON"):
        read_metrics(tmp_path)


def test_absent_files_and_folders_say_what_to_do(tmp_path):
    with pytest.raises(UserError, match="run the recipe first"):
        read_metrics(tmp_path / "metrics.json")
    with pytest.raises(UserError, match="give the folder"):
        collect(tmp_path / "nowhere")


def test_collect_reads_a_tree_in_the_order_of_paths_and_skips_other_json(tmp_path, make_run):
    for language in ("ru", "en", "fr"):
        write_metrics(tmp_path / "mask" / language, make_run(language=language))
    (tmp_path / "mask" / "tokens.json").write_text("{}")
    assert [run["language"] for run in collect(tmp_path)] == ["en", "fr", "ru"]


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner, max_size=3)
    )
)
def test_any_value_in_any_place_is_accepted_or_a_user_error(value):
    run = {name.split(".")[0]: value for name in REQUIRED} | {"dev": value, "test": value, "history": value}
    with pytest.raises(UserError) as error:
        validate(json.loads(json.dumps(run)))
    assert len(str(error.value).splitlines()) == 1
