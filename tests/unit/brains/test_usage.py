"""`train.py --help`: what a newcomer needs is there, with the values that the chosen file really sets."""

import sys
from pathlib import Path
from types import ModuleType

import pytest
from recipe_tools import RECIPES, load_recipe

from s3_speechbrain.brains.usage import help_text, sections
from s3_speechbrain.errors import UserError

ROOT = """# Shared settings.
seed: 1
__set_seed: !apply:speechbrain.utils.seed_everything [!ref <seed>]

# Data: a folder.
data_folder: !PLACEHOLDER
language: fr              # as Common Voice writes it
manifests: !ref <data_folder>/<language>

# Training
lr: 0.00005               # of all
betas: {warm: 0.1, rest: [1, null]}
optimizer: !name:torch.optim.Adam
    lr: !ref <lr>
teacher: null
head: !include:head.yaml
"""
HEAD = """layers: null
build: !name:torch.nn.Linear
"""
DEMO = """# A try on ten minutes.
#
#   python train.py hparams/demo.yaml --data_folder PATH
base: root.yaml

lr: 0.5

add:
    sparsity: 0.08        # fraction removed
    mask: !new:builtins.dict
        sparsity: !ref <sparsity>
"""
LARGE = """# The paper's.
base: demo.yaml
sparsity: 0.06
language: nl              # one of ten
teacher: !new:builtins.dict
"""


@pytest.fixture
def folder(tmp_path):
    files = {"root": ROOT, "head": HEAD, "demo": DEMO, "large": LARGE}
    for name, text in files.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    return tmp_path


def lines(text):
    return [" ".join(line.split()) for line in text.splitlines()]


def test_options_stand_under_their_headings_the_recipes_own_first(folder):
    found = {title: list(options) for title, options in sections(folder / "demo.yaml").items()}
    assert found == {
        "Of this recipe": ["sparsity"],
        "General": ["seed"],
        "Data: a folder.": ["data_folder", "language", "manifests"],
        "Training": ["lr", "betas", "teacher", "head"],
    }
    assert next(iter(found)) == "Of this recipe"


def test_values_and_comments_are_those_of_the_file_asked_for(folder):
    demo = lines(help_text("train.py", "Purpose.", folder, folder / "demo.yaml"))
    assert "--lr 0.5 of all" in demo  # the variant's value, the root's comment
    assert "--language fr as Common Voice writes it" in demo
    assert "--teacher null" in demo
    large = lines(help_text("train.py", "Purpose.", folder, folder / "large.yaml"))
    assert "--language nl one of ten" in large
    assert "--sparsity 0.06 fraction removed" in large
    assert not any(line.startswith("--teacher") for line in large)  # an object is nothing to type


def test_values_are_written_as_they_are_typed(folder):
    text = lines(help_text("train.py", "Purpose.", folder, folder / "root.yaml"))
    assert "--lr 0.00005 of all" in text
    assert "--betas {warm: 0.1, rest: [1, null]}" in text
    assert "--manifests <data_folder>/<language>" in text
    assert "--head {NAME: VALUE, ...} Any of: layers." in text


def test_required_options_are_in_the_usage_line(folder):
    text = help_text("train.py", "Purpose.", folder, folder / "demo.yaml")
    assert f"usage: python train.py {folder / 'demo.yaml'} --data_folder VALUE [--OPTION VALUE ...]" in text
    assert "--data_folder (required)" in lines(text)


def test_purpose_example_and_run_options_are_told(folder):
    text = help_text("train.py", "Adapts ``it``.\n\nMore.\n", folder, folder / "demo.yaml")
    assert text.startswith("Adapts it.\n\nMore.")
    assert "  python train.py hparams/demo.yaml --data_folder PATH\n" in text
    assert any(line.startswith("--device cpu") for line in lines(text))
    assert "--compile_mode" in text


def test_without_a_file_all_are_listed_and_the_demo_is_explained(folder):
    text = lines(help_text("train.py", "Purpose.", folder))
    assert f"{folder / 'large.yaml'} The paper's." in " ".join(text)
    assert "--lr 0.5 of all" in text


def test_without_a_demo_the_list_is_all(folder):
    (folder / "demo.yaml").unlink()
    text = help_text("train.py", "Purpose.", folder)
    assert "usage: python train.py FILE" in text
    assert "--lr" not in text


def test_a_file_that_is_not_there_is_a_user_error(folder, tmp_path):
    with pytest.raises(UserError, match=r"no such YAML file.*demo\.yaml"):
        help_text("train.py", "Purpose.", folder, folder / "absent.yaml")
    with pytest.raises(UserError, match=r"no YAML files for train\.py in"):
        help_text("train.py", "Purpose.", tmp_path / "empty")


@pytest.fixture
def ask(monkeypatch, capsys):
    """Return a function (recipe, argv) -> exit status, output, error output of its train.py."""

    def run(recipe, argv):
        module = load_recipe(recipe)
        main = ModuleType("__main__", module.__doc__)
        monkeypatch.setitem(sys.modules, "__main__", main)
        monkeypatch.setattr(sys, "argv", ["train.py", *argv])
        monkeypatch.chdir(RECIPES / recipe)
        with pytest.raises(SystemExit) as stop:
            module.main(argv)
        return stop.value.code, *capsys.readouterr()

    return run


def test_train_py_tells_its_help_and_leaves(ask):
    status, out, error = ask("CommonVoice/mask_finetuning", ["hparams/xlsr53.yaml", "--help"])
    assert (status, error) == (0, "")
    assert out.startswith("Mask finetuning: adapt a speech encoder")
    assert "--sparsity 0.06" in out


def test_train_py_without_arguments_tells_the_same_as_an_error(ask):
    status, out, error = ask("CommonVoice/finetuning", [])
    assert (status, out) == (2, "")
    assert "hparams/hubert_base.yaml" in error
    assert "--method dense" in error


FILES = sorted(path.relative_to(RECIPES) for path in RECIPES.glob("*/*/hparams/*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=str)
def test_each_file_of_each_recipe_is_explained(file):
    text = help_text("train.py", "Purpose.", Path("unused"), RECIPES / file)
    options = [name for part in sections(RECIPES / file).values() for name in part]
    assert len(options) == len(set(options)) > 5
    rows = [line for line in text.splitlines() if line.startswith("  --")]
    assert {row.split()[0] for row in rows} >= {f"--{name}" for name in options}
    assert max(map(len, rows)) <= 110
    assert not any(
        tag in row for row in rows for tag in ("!ref", "!new", "!name", "!include", "!PLACEHOLDER")
    )
