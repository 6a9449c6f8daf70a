"""What SpeechBrain takes from the command line past the YAML file was no part of a run's settings."""

import pytest

from s3_speechbrain.brains.experiment import start
from s3_speechbrain.errors import UserError


def begin(tmp_path, *options):
    (tmp_path / "tiny.yaml").write_text(
        f"output_folder: {tmp_path / 'run'}\nname: x\nseed: 1\ngrad_accumulation_factor: 1\nprecision: fp32\n"
    )
    return start([str(tmp_path / "tiny.yaml"), *options])


def test_another_accumulation_is_another_run(tmp_path):
    hparams, run_opts = begin(tmp_path, "--grad_accumulation_factor=2")
    assert hparams["grad_accumulation_factor"] == run_opts.grad_accumulation_factor == 2
    assert "grad_accumulation_factor: 2" in (tmp_path / "run" / "hyperparams.yaml").read_text()
    (tmp_path / "run" / "checkpoints" / "CKPT+1").mkdir(parents=True)
    begin(tmp_path, "--grad_accumulation_factor=2")
    with pytest.raises(UserError, match="other settings \\(grad_accumulation_factor\\)"):
        begin(tmp_path)


def test_a_run_whose_stage_is_complete_has_started(tmp_path):
    begin(tmp_path)
    (tmp_path / "run" / "round-1").mkdir()
    (tmp_path / "run" / "round-1" / "stage.json").write_text("{}")
    with pytest.raises(UserError, match="other settings \\(seed\\)"):
        begin(tmp_path, "--seed=2")


@pytest.mark.parametrize("words", [["--name=run #2"], ["--name", "run #2"]])
def test_a_hash_sign_in_a_value_is_refused_as_the_rest_would_be_cut_off(tmp_path, words):
    with pytest.raises(UserError, match="may hold no ' #'"):
        begin(tmp_path, *words)


@pytest.mark.parametrize(
    ("option", "hint"), [("seed", "give a number$"), ("limit", "give a number or null$")]
)
def test_a_word_instead_of_a_number_is_told(tmp_path, option, hint):
    with (tmp_path / "more.yaml").open("w") as file:
        file.write("base: tiny.yaml\nadd: {limit: null}\n")
    begin(tmp_path)
    with pytest.raises(UserError, match=f"{option} is 'None': {hint}"):
        start([str(tmp_path / "more.yaml"), f"--{option}=None"])


@pytest.mark.parametrize("words", [["--name=lr=0.1"], ["--name", "lr=0.1"]])
def test_an_equals_sign_in_a_value_is_refused_as_it_would_become_a_blank(tmp_path, words):
    with pytest.raises(UserError, match="may hold no '='"):
        begin(tmp_path, *words)


def test_half_precision_on_a_cpu_is_told(tmp_path):
    with pytest.raises(UserError, match="fp16, which needs a GPU"):
        begin(tmp_path, "--precision=fp16", "--device=cpu")
