"""Finished runs were taken for what was asked for, although their settings are others."""

import pytest
from recipe_tools import RECIPES, load_recipe
from speech_corpus import write_corpus

PARP, LANGUAGES = "CommonVoice/parp", "CommonVoice/multilingual"


@pytest.fixture
def common(tiny_encoder, tmp_path):
    root = tmp_path / "corpora"
    write_corpus(root, "en")
    write_corpus(root, "fr", ("la", "le", "lu", "ma", "me", "mu", "no", "nu"))
    return [
        *(f"--data_folder={root}", f"--source={tiny_encoder}", "--languages=[en, fr]", "--noprogressbar"),
        *("--valid_every=2", "--batch_seconds=6", "--freeze_updates=0"),
    ]


@pytest.mark.parametrize("name", ["demo_joint", "demo_pooled"])
def test_languages_together(common, tmp_path, capsys, name):
    def go(*options):
        yaml = str(RECIPES / LANGUAGES / "hparams" / f"{name}.yaml")
        load_recipe(LANGUAGES).main([yaml, *common, f"--output_folder={tmp_path / 'run'}", *options])

    go("--updates=2")
    go("--updates=2", "--threads=1")  # how a run is shown or spread makes no other run
    capsys.readouterr()
    with pytest.raises(SystemExit):
        go("--updates=4", "--head_lr=0.5")
    told = capsys.readouterr()
    assert "holds a run with other settings (head_lr, updates)" in told.err
    assert "is finished" not in told.out


def test_cells_of_a_matrix(common, tmp_path, capsys):
    program, started = load_recipe(PARP, "cross_lingual.py"), []

    def start(cell):
        started.append(cell.name)
        load_recipe(PARP, cell.program).main(cell.arguments)
        return 0

    def go(*options):
        yaml = str(RECIPES / PARP / "hparams" / "demo.yaml")
        places = (f"--matrix_folder={tmp_path / 'matrix'}", "--kinds=[fixed]", "--sparsity=0.5")
        return program.main([yaml, *common, *places, *options], start)

    assert go("--updates=2") == 0
    before = len(started)
    with pytest.raises(SystemExit):
        go("--updates=4")
    assert "other settings (updates); pass another --matrix_folder" in capsys.readouterr().err
    assert len(started) == before
