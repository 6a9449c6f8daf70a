"""Methods of several trainings went through the first before they refused a setting, and left their folder locked.

Settings of other methods were passed over in silence; values of a wrong kind ended in a traceback.
"""

import pytest
from recipe_tools import RECIPES, load_recipe
from text_corpus import write_text_encoder, write_texts

from s3_speechbrain.report import read_metrics

PARP, MASKS, S6 = "CommonVoice/parp", "CommonVoice/mask_finetuning", "CommonVoice/s6_damon"


@pytest.fixture
def go(tiny_corpus, tiny_encoder, tmp_path):
    def run(recipe, yaml, *options):
        load_recipe(recipe).main(
            [
                str(RECIPES / recipe / "hparams" / yaml),
                *(
                    f"--data_folder={tiny_corpus}",
                    f"--source={tiny_encoder}",
                    f"--output_folder={tmp_path / 'run'}",
                ),
                *("--language=en", "--updates=2", "--valid_every=2", "--batch_seconds=6", "--noprogressbar"),
                *options,
            ]
        )

    return run


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--method=omp", "--scope=layers"], "scope is 'layers'"),
        (["--method=imp", "--groups=[ffn, attn]"], "Unknown layer group 'attn'"),
        (["--method=s3_prune", "--groups=[]"], "groups is []"),
        (["--method=parp", "--dense_run=/nowhere"], "dense_run has no effect with method parp"),
        (["--method=omp", "--parp_run=/nowhere"], "parp_run has no effect with method omp"),
        (["--method=mpi", "--start_sparsity=0.3"], "start_sparsity has no effect with method mpi"),
        (["--method=parp", "--interval=1.5"], "interval is 1.5"),
        (["--method=mpi", "--sparsity=half"], "sparsity half is not in [0, 1)"),
    ],
)
def test_refused_before_any_training(go, tmp_path, capsys, options, message):
    with pytest.raises(SystemExit):
        go(PARP, "demo.yaml", *options)
    assert message in capsys.readouterr().err
    assert not list((tmp_path / "run").rglob("CKPT*"))
    go(PARP, "demo.yaml", "--method=mpi")  # in the same folder


@pytest.mark.parametrize(
    ("recipe", "yaml", "option"),
    [
        (MASKS, "demo.yaml", "--sparsity=20%"),
        (MASKS, "demo.yaml", "--layer_sparsity=0.1"),
        (S6, "safari.yaml", "--floor=2"),
        (S6, "safari.yaml", "--kinds=null"),
        (S6, "salad.yaml", "--keep_ratio=half"),
    ],
)
def test_values_of_a_wrong_kind_are_told_in_one_line(go, capsys, recipe, yaml, option):
    with pytest.raises(SystemExit):
        go(recipe, yaml, option)
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("error: a setting has a value of the wrong kind")
    assert option.partition("=")[0] in said


def test_the_sparsity_of_text_grows_without_being_told_where_it_begins(tmp_path):
    """It stayed at its target, and the run was recorded as PARP-P."""
    load_recipe("Text/parp").main(
        [
            str(RECIPES / "Text/parp" / "hparams" / "demo.yaml"),
            *(f"--data_folder={write_texts(tmp_path / 'data')}", f"--output_folder={tmp_path / 'run'}"),
            *(
                f"--source={write_text_encoder(tmp_path / 'encoder')}",
                "--method=parp_p",
                "--start_sparsity=null",
            ),
            *("--updates=4", "--valid_every=2", "--interval=2", "--batch_tokens=64", "--noprogressbar"),
        ]
    )
    assert read_metrics(tmp_path / "run")["config"]["start_sparsity"] == 0.3
