"""Starting an experiment: variants, overrides, and what a user is told about mistakes."""

from pathlib import Path

import pytest
from hyperpyyaml import load_hyperpyyaml

from s3_speechbrain.brains import experiment
from s3_speechbrain.errors import UserError

FULL = """
output_folder: !ref results/<name>
name: full
data_folder: !PLACEHOLDER
lr: 0.1
prepare: {}
nested: {a: 1, b: 2}
rate: !ref <lr> * 2
group: !include:group.yaml
    lr: !ref <lr>
bare: !include:group.yaml
"""


@pytest.fixture
def yamls(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "full.yaml").write_text(FULL)
    (tmp_path / "group.yaml").write_text("lr: 0\nsize: 3\ndouble: !ref <lr> * 2\n")
    (tmp_path / "variant.yaml").write_text("base: full.yaml\nlr: 0.5\nnested: {b: 3}\ndata_folder: d\n")
    (tmp_path / "sub" / "deep.yaml").write_text("base: ../variant.yaml\nname: deep\nprepare: {train: 1h}\n")
    return tmp_path


def load(path: Path, command_line: str = "") -> dict:
    return load_hyperpyyaml(experiment.compose(path, command_line))


def test_a_variant_of_a_variant_overrides_its_bases_and_the_command_line_overrides_all(yamls):
    hparams = load(yamls / "sub" / "deep.yaml", "lr: 2\nprepare: {fold: 3}")
    assert hparams["output_folder"] == "results/deep"
    assert (hparams["lr"], hparams["rate"]) == (2, 4)
    assert hparams["nested"] == {"a": 1, "b": 3}
    assert hparams["prepare"] == {"train": "1h", "fold": 3}
    assert hparams["group"] == {"lr": 2, "size": 3, "double": 4}


def test_a_variant_adds_options_only_where_it_says_so(yamls):
    (yamls / "more.yaml").write_text("base: variant.yaml\nadd: {depth: 4}\nlr: !ref <depth>\n")
    assert load(yamls / "more.yaml")["lr"] == 4
    assert load(yamls / "more.yaml", "depth: 6")["lr"] == 6
    (yamls / "typo.yaml").write_text("base: variant.yaml\ndepth: 4\n")
    with pytest.raises(UserError, match="unknown option 'depth'"):
        load(yamls / "typo.yaml")


def test_of_an_option_given_twice_the_last_counts(yamls):
    assert load(yamls / "variant.yaml", "lr: 1\nname: x\nlr: 3")["lr"] == 3


def test_a_group_takes_overrides(yamls):
    hparams = load(yamls / "variant.yaml", "group: {size: 7}\nbare: {size: 8}")
    assert hparams["group"] == {"lr": 0.5, "size": 7, "double": 1.0}
    assert hparams["bare"] == {"lr": 0, "size": 8, "double": 0}


@pytest.mark.parametrize(
    ("command_line", "message"),
    [
        ("lrr: 2", "unknown option 'lrr'; did you mean lr?"),
        ("zzz: 2", "unknown option 'zzz'; the options are the keys of"),
        ("nested: {c: 1}", "unknown option 'c'"),
        ("lr: [1", "cannot read the options 'lr: [1'; write --key value"),
        ("just words", "cannot read the options 'just words'"),
    ],
)
def test_a_wrong_override_is_named_with_the_nearest_option(yamls, command_line, message):
    with pytest.raises(UserError, match=r"^[^\n]+$") as error:
        experiment.compose(yamls / "variant.yaml", command_line)
    assert message in str(error.value)


def test_a_required_value_that_is_missing_is_named(yamls):
    with pytest.raises(UserError, match="missing --data_folder"):
        experiment.compose(yamls / "full.yaml")


def test_a_missing_file_lists_its_neighbours(yamls):
    with pytest.raises(
        UserError, match=r"no such YAML file: .*demo.yaml .*full.yaml, group.yaml, variant.yaml"
    ):
        experiment.compose(yamls / "demo.yaml")


def test_a_circle_of_bases_and_broken_yaml_are_refused(yamls):
    (yamls / "circle.yaml").write_text("base: circle.yaml\n")
    with pytest.raises(UserError, match="is its own base"):
        experiment.compose(yamls / "circle.yaml")
    (yamls / "broken.yaml").write_text("a: [1\n")
    with pytest.raises(UserError, match="is not valid YAML"):
        experiment.compose(yamls / "broken.yaml")
    (yamls / "list.yaml").write_text("- 1\n")
    with pytest.raises(UserError, match="must hold a mapping"):
        experiment.compose(yamls / "list.yaml")


def test_the_hash_ignores_where_a_run_happens_and_sees_what_it_does():
    one = experiment.config_hash({"lr": 0.1, "output_folder": "a", "threads": 2})
    assert one == experiment.config_hash({"threads": 1, "output_folder": "b", "lr": 0.1})
    assert one != experiment.config_hash({"lr": 0.2, "output_folder": "a", "threads": 2})


def test_a_folder_of_another_run_is_refused_and_the_difference_named(tmp_path):
    (tmp_path / "hyperparams.yaml").write_text("lr: 0.1\nseed: 1\n")
    experiment.guard_folder(tmp_path, {"lr": 0.2, "seed": 1})  # nothing was trained yet: free to change
    (tmp_path / "checkpoints" / "CKPT+1").mkdir(parents=True)
    experiment.guard_folder(tmp_path, {"lr": 0.1, "seed": 1})
    with pytest.raises(UserError, match=r"other settings \(lr\)"):
        experiment.guard_folder(tmp_path, {"lr": 0.2, "seed": 1})


def test_an_absent_device_is_refused(yamls):
    with pytest.raises(UserError, match="device 'cuda:99' cannot be used here; try --device cpu"):
        experiment.start([str(yamls / "variant.yaml"), "--device", "cuda:99"])
