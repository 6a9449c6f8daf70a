"""parp_mask took the masks of a PARP run that had pruned other layers, and recorded its own."""

import pytest
from recipe_tools import RECIPES, load_recipe

PARP = "CommonVoice/parp"


@pytest.mark.parametrize(
    ("earlier", "message"),
    [
        (("--groups=[ffn]",), "The masks lack"),
        (("--biases=False",), "The masks lack"),
        (("--scope=layer",), "has scope layer, this run global"),
        (("--sparsity=0.4",), "has sparsity 0.4, this run 0.5"),
    ],
)
def test_refused(tiny_corpus, tiny_encoder, tmp_path, capsys, earlier, message):
    def go(folder, *options):
        load_recipe(PARP).main(
            [
                str(RECIPES / PARP / "hparams" / "demo.yaml"),
                *(f"--data_folder={tiny_corpus}", f"--source={tiny_encoder}", f"--output_folder={folder}"),
                *("--language=en", "--updates=2", "--valid_every=2", "--interval=2", "--batch_seconds=6"),
                *("--noprogressbar", "--sparsity=0.5", *options),
            ]
        )

    go(tmp_path / "parp", "--method=parp", *earlier)
    with pytest.raises(SystemExit):
        go(tmp_path / "run", "--method=parp_mask", f"--parp_run={tmp_path / 'parp'}")
    assert message in capsys.readouterr().err
