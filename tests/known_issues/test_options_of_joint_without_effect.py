"""joint.py ran PARP whatever it was told, and refused lengths that go together."""

import pytest
from recipe_tools import RECIPES, load_recipe
from speech_corpus import write_corpus

from s3_speechbrain.pruning import masks_about

RECIPE = "CommonVoice/parp"


@pytest.fixture
def run(tiny_encoder, tmp_path):
    root = tmp_path / "corpora"
    write_corpus(root, "en")
    write_corpus(root, "fr", ("la", "le", "lu", "ma", "me", "mu", "no", "nu"))

    def go(*options):
        load_recipe(RECIPE, "joint.py").main(
            [
                str(RECIPES / RECIPE / "hparams" / "joint.yaml"),
                *(f"--data_folder={root}", f"--source={tiny_encoder}", f"--output_folder={tmp_path / 'run'}"),
                *("--languages=[en, fr]", "--updates=2", "--batch_seconds=6", "--noprogressbar"),
                *("--sparsity=0.5", *options),
            ]
        )

    return go


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--method=omp", "joint.py knows parp alone"),
        ("--mask_file=/nowhere/mask.safetensors", "mask_file has no effect in joint.py"),
        ("--dense_run=/nowhere", "dense_run has no effect in joint.py"),
        ("--start_sparsity=0.1", "start_sparsity has no effect in joint.py"),
        ("--groups=[ffn, extractor]", "the extractor, which does not train here"),
    ],
)
def test_refused(run, capsys, option, message):
    with pytest.raises(SystemExit):
        run("--interval=2", "--valid_every=2", option)
    assert message in capsys.readouterr().err


def test_the_interval_that_is_advised_is_taken(run, capsys):
    options = ("--interval=2", "--total_updates=40", "--languages=[en, fr]")
    with pytest.raises(
        SystemExit
    ):  # the advice counted the updates of all languages, the option those of one
        run(*options, "--interval=4", "--valid_every=3")
    assert "valid_every 3 times 2 languages is no multiple of interval 4" in capsys.readouterr().err
    run(*options, "--interval=4", "--valid_every=4")


def test_a_validation_after_every_update_of_each_language(run, tmp_path):
    run("--interval=2", "--valid_every=1")  # of each: after 2 of both, where the weights are re-pruned
    assert masks_about(tmp_path / "run" / "mask.safetensors")["method"] == "parp_joint"
