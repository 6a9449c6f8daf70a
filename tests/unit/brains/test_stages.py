"""What a run of several stages cost, and which earlier runs it may build on."""

import json
from pathlib import Path

import pytest

from s3_speechbrain.brains.stages import Stage, cost_of_stages, find_run, read_stage, same_vocabulary
from s3_speechbrain.errors import UserError

FACTS = {
    "method": "dense",
    "language": "fr",
    "data": {"manifest_sha256": "ab12"},
    "cost": {"updates": 400, "wall_s": 100.0, "peak_rss_mb": 900},
}


def stage(name, updates, seconds, shared=False):
    return Stage(name, Path(name), {"cost": {"updates": updates, "wall_s": seconds}}, shared)


def test_all_stages_count_and_shared_ones_are_told_apart():
    earlier = [stage("dense", 400, 100.0, shared=True), stage("round-1", 50, 12.5)]
    cost = cost_of_stages({"updates": 300, "wall_s": 80.0, "trainable": 7}, earlier)
    assert (cost["updates"], cost["wall_s"]) == (750, 192.5)
    assert (cost["own_updates"], cost["own_wall_s"]) == (350, 92.5)
    assert [(each["name"], each["shared"]) for each in cost["stages"]] == [
        ("dense", True),
        ("round-1", False),
        ("final", False),
    ]


def test_a_run_of_one_stage_has_no_more_to_tell():
    assert cost_of_stages({"updates": 300, "wall_s": 80.0}, []) == {}


@pytest.mark.parametrize("name", ["metrics.json", "stage.json"])
def test_a_finished_run_and_a_finished_stage_serve_alike(tmp_path, name):
    (tmp_path / name).write_text(json.dumps(FACTS))
    found = find_run(tmp_path, "dense_run", ["dense"], {"language": "fr", "data.manifest_sha256": "ab12"})
    assert found.shared
    assert found.cost == {"name": "dense", "updates": 400, "wall_s": 100.0, "shared": True}
    assert (read_stage(tmp_path) is not None) is (name == "stage.json")


@pytest.mark.parametrize(
    ("methods", "wanted", "message"),
    [
        (["parp"], {}, "is a run of method dense: give one of parp"),
        (["dense"], {"language": "es"}, "has language fr, this run es"),
        (["dense"], {"config.head_only_updates": 0}, "has config.head_only_updates None, this run 0"),
    ],
)
def test_a_run_about_something_else_is_refused(tmp_path, methods, wanted, message):
    (tmp_path / "metrics.json").write_text(json.dumps(FACTS))
    with pytest.raises(UserError, match=message):
        find_run(tmp_path, "dense_run", methods, wanted)


def test_a_folder_without_a_finished_run_is_refused(tmp_path):
    with pytest.raises(UserError, match="no finished run"):
        find_run(tmp_path, "dense_run", ["dense"], {})


def test_vocabularies_are_compared_by_content_and_kind(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        folder.mkdir()
        (folder / "characters.txt").write_text("a b")
    assert same_vocabulary(one, other)
    (other / "characters.txt").rename(other / "phones.txt")
    assert not same_vocabulary(one, other)
