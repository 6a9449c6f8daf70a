"""Scores on the extractor's convolutions never trained, as its output had been computed once and for all."""

import pytest
from recipe_tools import RECIPES, load_recipe, trained

MASK, PARP = "CommonVoice/mask_finetuning", "CommonVoice/parp"


def go(recipe, corpus, encoder, folder, *options):
    load_recipe(recipe).main(
        [
            str(RECIPES / recipe / "hparams" / "demo.yaml"),
            *(f"--data_folder={corpus}", f"--source={encoder}", f"--output_folder={folder}", "--language=en"),
            *(
                "--valid_every=2",
                "--batch_seconds=6",
                "--noprogressbar",
                "--freeze_updates=0",
                "--sparsity=0.25",
            ),
            *options,
        ]
    )
    return trained(folder)


def test_scores_on_the_extractor_train(tiny_corpus, tiny_encoder, tmp_path):
    groups = "--groups=[ffn, extractor]"
    short, longer = (
        go(MASK, tiny_corpus, tiny_encoder, tmp_path / n, groups, "--lr=0.1", f"--updates={n}")
        for n in ("2", "4")
    )
    names = [name for name in short if name.endswith(".score") and "feature_extractor" in name]
    assert names
    assert all((short[name] != longer[name]).any() for name in names)


def test_parp_refuses_it(tiny_corpus, tiny_encoder, tmp_path, capsys):
    with pytest.raises(SystemExit):
        go(PARP, tiny_corpus, tiny_encoder, tmp_path / "run", "--groups=[ffn, extractor]", "--updates=2")
    assert "the extractor, which does not train here" in capsys.readouterr().err
