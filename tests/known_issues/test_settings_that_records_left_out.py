"""Records left out settings that change a run, so that different settings counted as repetitions of one."""

import pytest
from recipe_tools import RECIPES, load_recipe
from text_corpus import write_text_encoder, write_texts

from s3_speechbrain.report import read_metrics
from s3_speechbrain.report.runs import setting_key

MASK, TEXT = "CommonVoice/mask_finetuning", "Text/parp"
USUAL = ("ste", "structure", "layer_sparsity", "dropout", "pieces", "max_grad_norm")


@pytest.fixture
def masks(tiny_corpus, tiny_encoder, tmp_path):
    def go(*options):
        folder = tmp_path / f"run{len(list(tmp_path.iterdir()))}"
        load_recipe(MASK).main(
            [
                str(RECIPES / MASK / "hparams" / "demo.yaml"),
                *(f"--data_folder={tiny_corpus}", f"--source={tiny_encoder}", f"--output_folder={folder}"),
                *("--language=en", "--updates=2", "--valid_every=2", "--batch_seconds=6", "--noprogressbar"),
                *("--freeze_updates=0", *options),
            ]
        )
        return read_metrics(folder)

    return go


def test_what_is_usual_is_not_recorded(masks):
    assert not {*USUAL} & {*masks("--max_grad_norm=5.0")["config"]}


@pytest.mark.parametrize(
    ("option", "value"),
    [("ste", "sigmoid"), ("structure", "row"), ("dropout", 0.1), ("layer_sparsity", [0.1, 0.3])],
)
def test_what_is_not_usual_tells_settings_apart(masks, option, value):
    found = masks(f"--{option}={value}")
    assert found["config"][option] == value
    assert setting_key(found) != setting_key({**found, "config": {**found["config"], option: "another"}})
    assert ("sparsity" in found["config"]) == (option != "layer_sparsity")


@pytest.mark.parametrize(
    ("method", "options", "recorded"),
    [
        ("parp_p", ("--start_sparsity=0.1",), {"start_sparsity": 0.1}),
        ("parp", ("--biases=False",), {"biases": False}),
        ("mpi", ("--groups=[ffn]",), {"groups": ["ffn"]}),
        ("parp", (), {}),
    ],
)
def test_text(tmp_path, method, options, recorded):
    encoder, data = write_text_encoder(tmp_path / "tiny"), write_texts(tmp_path / "data")
    load_recipe(TEXT).main(
        [
            str(RECIPES / TEXT / "hparams" / "demo.yaml"),
            *(f"--data_folder={data}", f"--source={encoder}", f"--output_folder={tmp_path / 'run'}"),
            *("--updates=4", "--valid_every=2", "--interval=2", "--batch_tokens=64", "--noprogressbar"),
            *(f"--method={method}", "--sparsity=0.5", *options),
        ]
    )
    config = read_metrics(tmp_path / "run")["config"]
    names = ("start_sparsity", "biases", "groups")
    assert {name: config[name] for name in names if name in config} == recorded
