"""A short try left the masks as they began, as the head learned alone to the end, and nobody said so."""

import pytest
from recipe_tools import RECIPES, load_recipe

MASK = "CommonVoice/mask_finetuning"


@pytest.mark.parametrize(("held", "told"), [(2, True), (1, False)])
def test_it_is_said(tiny_corpus, tiny_encoder, tmp_path, held, told):
    load_recipe(MASK).main(
        [
            str(RECIPES / MASK / "hparams" / "demo.yaml"),
            *(
                f"--data_folder={tiny_corpus}",
                f"--source={tiny_encoder}",
                f"--output_folder={tmp_path / 'run'}",
            ),
            *("--language=en", "--updates=2", "--valid_every=2", "--batch_seconds=6", "--noprogressbar"),
            f"--freeze_updates={held}",
        ]
    )
    assert ("the encoder learns nothing" in (tmp_path / "run" / "log.txt").read_text()) == told
