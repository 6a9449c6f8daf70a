"""The finetuning and mask finetuning recipes, end to end."""

import os
import re
import runpy
import shutil
import subprocess
import sys

import pytest
import torch
from recipe_tools import RECIPES, killed_after, load_recipe, trained
from speech_corpus import write_librispeech

from s3_speechbrain.brains.experiment import compose
from s3_speechbrain.brains.updates import UpdateBrain
from s3_speechbrain.report import read_metrics

DENSE, MASK = "CommonVoice/finetuning", "CommonVoice/mask_finetuning"


@pytest.mark.parametrize("method", ["frozen", "dense", "dense_freeze", "scratch", "lora", "bitfit"])
def test_every_finetuning_method_runs_to_its_metrics(run, tmp_path, method):
    metrics = run(DENSE, "run", f"--method={method}", "--freeze_updates=3")
    assert metrics["method"] == method
    assert metrics["cost"]["updates"] == 6
    assert [row["updates"] for row in metrics["history"]] == [3, 6]
    assert metrics["sparsity"] == {"masked": 0.0, "linears": 0.0, "model": 0.0}
    assert read_metrics(tmp_path / "run")["dev"]["CER"] == min(row["valid_CER"] for row in metrics["history"])
    for name in ("test_transcripts.tsv", "test_wer.txt", "curves.png", "hyperparams.yaml", "characters.txt"):
        assert (tmp_path / "run" / name).is_file(), name


def test_mask_finetuning_learns_scores_and_counts_its_bytes(run, tmp_path):
    metrics = run(MASK, "run", "--sparsity=0.25", "--groups=[ffn]", "--lr=0.1")
    assert metrics["method"] == "mask"
    assert metrics["sparsity"]["masked"] == pytest.approx(0.25, abs=0.01)
    masked, labels = 2 * 2 * 16 * 32, 8  # two matrices in two layers; blank, space, a, b, d, e, i, o
    head, vocabulary = 4 * (16 + 1) * labels, 2 * 7 + 1
    assert metrics["size"]["bytes_per_language"] == masked // 8 + head + vocabulary
    assert (tmp_path / "run" / "layer_sparsity.png").is_file()
    state = trained(tmp_path / "run")
    assert not [name for name in state if name.endswith("original")]
    assert sum(value.numel() for name, value in state.items() if name.endswith("keep")) == masked


def test_scores_wait_for_the_head(run, tmp_path):
    def scores(folder, *options):
        run(MASK, folder, "--lr=0.1", *options)
        return {name: value for name, value in trained(tmp_path / folder).items() if name.endswith(".score")}

    waited, faster, moved = (
        scores("waited", "--freeze_updates=6"),
        scores("faster", "--freeze_updates=6", "--lr=0.5"),
        scores("moved", "--freeze_updates=5"),
    )
    assert all(torch.equal(waited[name], faster[name]) for name in waited)
    assert not any(torch.equal(waited[name], moved[name]) for name in waited)


def test_pieces_mixed_layers_and_bf16_work_together(run):
    metrics = run(
        DENSE,
        "run",
        "--tokenizer=sentencepiece",
        "--pieces=13",
        "--head={layers: 3, hidden: [8]}",
        "--precision=bf16",
        "--grad_accumulation_factor=2",
        "--cache_dtype=bfloat16",
    )
    assert metrics["config"]["tokenizer"] == "sentencepiece"


def test_beam_search_by_a_variant_file(arguments, tmp_path):
    variant = tmp_path / "beam.yaml"
    variant.write_text(
        f"base: {RECIPES / DENSE / 'hparams' / 'demo.yaml'}\n"
        "searcher: !name:speechbrain.decoders.ctc.CTCBeamSearcher\n    beam_size: 4\n"
    )
    load_recipe(DENSE).main([str(variant), *arguments(DENSE)[1:]])
    assert "CTCBeamSearcher" in (tmp_path / "run" / "hyperparams.yaml").read_text()
    assert read_metrics(tmp_path / "run")["test"]["CER"] > 0


def test_phone_targets_are_scored_by_per(run, tmp_path):
    pytest.importorskip("phonemizer")
    metrics = run(DENSE, "run", "--tokenizer=phones", "--language=en")
    assert list(metrics["dev"]) == list(metrics["test"]) == ["PER"]
    assert metrics["dev"]["PER"] == min(row["valid_PER"] for row in metrics["history"])
    assert "CER" not in (tmp_path / "run" / "log.txt").read_text()
    assert read_metrics(tmp_path / "run")["config"]["tokenizer"] == "phones"
    again = run(
        DENSE, "other", "--tokenizer=characters", f"--manifest_folder={tmp_path / 'run' / 'manifests'}"
    )
    assert again["data"]["manifest_sha256"] != metrics["data"]["manifest_sha256"]


def test_beam_search_of_phones_is_refused(arguments, tmp_path, capsys):
    pytest.importorskip("phonemizer")
    variant = tmp_path / "beam.yaml"
    variant.write_text(
        f"base: {RECIPES / DENSE / 'hparams' / 'demo.yaml'}\n"
        "searcher: !name:speechbrain.decoders.ctc.CTCBeamSearcher\n    beam_size: 4\n"
    )
    with pytest.raises(SystemExit):
        load_recipe(DENSE).main([str(variant), *arguments(DENSE, "run", "--tokenizer=phones")[1:]])
    assert "leave it out for phones" in capsys.readouterr().err


@pytest.mark.parametrize(("recipe", "kill_at"), [(DENSE, 2), (DENSE, 8), (MASK, 5)])
def test_a_killed_run_goes_on_to_the_same_weights_and_numbers(run, arguments, tmp_path, recipe, kill_at):
    options = (
        "--dropout=0.1",
        "--grad_accumulation_factor=2",
        "--ckpt_interval_minutes=0",
        "--ckpt_interval_steps=2",
    )
    whole = run(recipe, "whole", *options)
    with killed_after(kill_at):
        run(recipe, "killed", *options)
    resumed = run(recipe, "killed", *options)

    for row, again in zip(whole["history"], resumed["history"], strict=True):
        assert {**row, "seconds": 0} == {**again, "seconds": 0}
    assert (whole["dev"], whole["test"]) == (resumed["dev"], resumed["test"])
    expected, found = trained(tmp_path / "whole"), trained(tmp_path / "killed")
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_a_finished_run_says_so_and_other_settings_are_refused(run, arguments, tmp_path, capsys):
    run(DENSE)
    main = load_recipe(DENSE).main
    before = (tmp_path / "run" / "metrics.json").stat().st_mtime_ns
    main(arguments(DENSE))
    assert "is finished (test CER" in capsys.readouterr().out
    assert (tmp_path / "run" / "metrics.json").stat().st_mtime_ns == before
    with pytest.raises(SystemExit, match="2"):
        main(arguments(DENSE, "run", "--lr=0.5"))
    assert "other settings (lr)" in capsys.readouterr().err


def test_test_only_tests_the_best_checkpoint_again(run, arguments, tmp_path):
    first = run(DENSE)
    (tmp_path / "run" / "metrics.json").unlink()
    again = run(DENSE, "run", "--test_only")
    assert first["test"] == again["test"]
    assert first["history"] == again["history"]


def test_a_loss_that_is_not_finite_is_left_out_counted_and_in_the_end_fatal(run, monkeypatch, capsys):
    original = UpdateBrain.fit_batch

    def poison(limit):
        calls = 0

        def fit_batch(self, batch):
            nonlocal calls
            calls += 1
            if calls <= limit:
                batch.inputs = batch.inputs * float("nan")
            return original(self, batch)

        return fit_batch

    monkeypatch.setattr(UpdateBrain, "fit_batch", poison(2))
    metrics = run(DENSE, "some")
    assert metrics["cost"]["nonfinite_batches"] == 2
    assert all(row["valid_loss"] < 100 for row in metrics["history"])
    monkeypatch.setattr(UpdateBrain, "fit_batch", poison(100))
    with pytest.raises(SystemExit, match="2"):
        run(DENSE, "all", "--valid_every=6")
    assert (
        "the loss was not finite in 4 batches since the last validation, last with clips en-"
        in capsys.readouterr().err
    )


def test_clips_that_break_after_the_preparation_are_skipped_and_counted(
    run, arguments, tiny_corpus, tmp_path
):
    shutil.copytree(tiny_corpus, tmp_path / "corpus")
    options = (f"--data_folder={tmp_path / 'corpus'}", "--prepare={check_audio: False}", "--cache=False")
    for split in ("train", "dev", "test"):
        (tmp_path / "corpus" / "en" / "clips" / f"{split}_1.wav").write_bytes(b"broken")
    metrics = run(DENSE, "run", *options)
    assert metrics["cost"]["clips_skipped"] == 3
    assert len((tmp_path / "run" / "test_transcripts.tsv").read_text().splitlines()) == 1 + 3


def test_targets_longer_than_ctc_allows_never_reach_the_loss(run, tiny_corpus, tmp_path):
    shutil.copytree(tiny_corpus, tmp_path / "corpus")
    table = tmp_path / "corpus" / "en" / "train.tsv"
    table.write_text(table.read_text().replace("ba be bi", "ba be bi " + "do " * 12))
    metrics = run(DENSE, "run", f"--data_folder={tmp_path / 'corpus'}")
    assert all(row["train_loss"] < 100 for row in metrics["history"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--data_folder=nowhere"], "no data folder nowhere: give --data_folder"),
        (["--language=xx"], "xx"),
        (["--method=adapters"], "method is 'adapters'"),
        (["--sorce=x"], "unknown option 'sorce'; did you mean source"),
        (["--corpus=timit"], "corpus is 'timit': choose one of common_voice, librispeech"),
        (["--attention=flash"], "attention is 'flash': choose one of sdpa, eager"),
        (["--tokenizer=words"], "tokenizer is 'words'"),
        (["--extra_tests=[other]"], "extra_tests names 'other'"),
        (["--prepare={minutes: 3}"], "prepare has the unknown option 'minutes'"),
    ],
)
def test_a_wrong_option_is_one_line_on_stderr_and_status_2(arguments, capsys, options, message):
    with pytest.raises(SystemExit, match="2"):
        load_recipe(DENSE).main(arguments(DENSE, "run", *options))
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(told) == 1
    assert message in told[0]


@pytest.mark.parametrize(
    "path",
    sorted([*RECIPES.glob("*/*finetuning/hparams/*.yaml"), *RECIPES.glob("[CL]*/parp/hparams/*.yaml")]),
    ids=lambda p: "/".join(p.parts[-4:]),
)
def test_every_yaml_file_composes_and_says_how_it_is_run(path):
    text = compose(path, "data_folder: somewhere").getvalue()
    assert "output_folder:" in text
    assert re.search(rf"python \w+\.py hparams/{path.name} --data_folder", path.read_text())


def test_librispeech_runs_the_common_voice_recipe_with_its_own_settings(tiny_encoder, tmp_path, monkeypatch):
    data, recipe = write_librispeech(tmp_path / "data"), RECIPES / "LibriSpeech" / "mask_finetuning"
    options = ["--layerdrop=0", "--updates=2", "--valid_every=2", "--batch_seconds=6", "--noprogressbar"]
    paths = [f"--data_folder={data}", f"--source={tiny_encoder}", f"--output_folder={tmp_path / 'run'}"]
    monkeypatch.setattr(sys, "argv", ["train.py", str(recipe / "hparams" / "10min.yaml"), *paths, *options])
    runpy.run_path(str(recipe / "train.py"), run_name="__main__")
    metrics = read_metrics(tmp_path / "run")
    assert metrics["data"]["name"] == "librispeech"
    assert set(metrics["extra_tests"]) == {"test-other"}
    assert metrics["config"]["lr"] == 5e-5
    assert metrics["config"]["head_lr"] is None


@pytest.mark.slow
def test_two_processes_train_together(arguments, tmp_path):
    command = [
        sys.executable,
        str(RECIPES / MASK / "train.py"),
        *arguments(MASK, "run", "--distributed_backend=gloo"),
    ]
    shared = {
        **os.environ,
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": "29531",
        "OMP_NUM_THREADS": "1",
    }
    workers = [
        subprocess.Popen(
            command, env={**shared, "RANK": rank, "LOCAL_RANK": rank}, stderr=subprocess.PIPE, text=True
        )
        for rank in ("0", "1")
    ]
    errors = [worker.communicate(timeout=300)[1] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], errors
    assert read_metrics(tmp_path / "run")["cost"]["updates"] == 6
