"""What a finished run says of itself: which round counts, what is timed, which files are left and in which order."""

import copy
import csv
import json
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
from torch import nn

from s3_speechbrain import measure
from s3_speechbrain.brains import results
from s3_speechbrain.brains.errors import ErrorCounter
from s3_speechbrain.brains.state import History
from s3_speechbrain.masking import MaskConfig
from s3_speechbrain.report.metrics import read_metrics

ROUNDS = [
    {
        "epoch": 1,
        "updates": 50,
        "lr": 0.1,
        "train_loss": 3.0,
        "valid_loss": 2.5,
        "valid_CER": 40.0,
        "valid_WER": 90.0,
    },
    {
        "epoch": 2,
        "updates": 100,
        "lr": 0.1,
        "train_loss": 2.0,
        "valid_loss": 2.0,
        "valid_CER": 20.0,
        "valid_WER": 61.0,
    },
    {
        "epoch": 3,
        "updates": 150,
        "lr": 0.1,
        "train_loss": 1.0,
        "valid_loss": 1.9,
        "valid_CER": 20.0,
        "valid_WER": 60.0,
    },
    {
        "epoch": 4,
        "updates": 200,
        "lr": 0.0,
        "train_loss": 0.5,
        "valid_loss": 2.1,
        "valid_CER": 30.0,
        "valid_WER": 70.0,
    },
]
TESTS = {"test": {"CER": 21.0, "WER": 62.0}}
MASK = torch.tensor([True, False, True, True])


class Recogniser(nn.Module):
    """Answers with one frame per 100 samples and remembers whom it heard."""

    def __init__(self):
        super().__init__()
        self.encoder, self.head = nn.Linear(4, 1, bias=False), nn.Linear(2, 3)
        self.heard = []

    def forward(self, waves, lengths):
        self.heard.append(waves.shape[1])
        frames = waves.shape[1] // 100
        return torch.zeros(1, frames, 3), torch.tensor([frames])


class FakeBrain:
    """What `results` asks of a CTCBrain: four rounds of training behind it, two clips and a broken one to test."""

    def __init__(self, folder, clips):
        self.hparams = SimpleNamespace(
            output_folder=str(folder),
            source="/home/me/models/wav2vec2-base",
            pretrained=True,
            seed=3,
            lr=0.1,
            sparsity=0.25,
            mask=MaskConfig(sparsity=0.25),
            workers=7,
            run={"command": "python train.py hparams/demo.yaml", "config_hash": "c0ffee"},
        )
        self.precision, self.grad_accumulation_factor, self.eval_precision = "bf16", 2, "fp32"
        self.corpus = SimpleNamespace(
            name="prompts",
            language="fr",
            clips=dict.fromkeys(("train", "dev", "test"), clips),
            tokenizer=SimpleNamespace(labels=["", "a", "é"], error="CER"),
            sha256="ab12",
            train_minutes=9.5,
            dropped={},
        )
        self.history = History()
        self.history.rounds, self.history.seconds = [dict(row) for row in ROUNDS], 12.5
        self.history.count("skipped", 4)
        self.recogniser, self.device = Recogniser(), torch.device("cpu")
        self.searcher = object()
        self.evaluation_ctx = nullcontext()
        self.events = []

    def past_rounds(self):
        return self.history.rounds

    def selectable(self, row):
        return True

    def details(self):
        return {"own": 1}

    def leave_behind(self, folder):
        self.events.append("leave_behind")

    def sparsity(self):
        return {"masked": 0.25, "linears": 0.2, "model": 0.1, "per_layer": {"encoder.layers.0.fc1": 0.25}}

    def stored(self):
        return measure.language_bytes(
            {"fc1": MASK}, self.recogniser.head.parameters(), self.corpus.tokenizer.labels
        )

    def count_parameters(self):
        return measure.count_parameters(self.recogniser)

    def keep_time(self):
        self.events.append("keep_time")

    def backbone(self):
        return None

    def undiminished(self):
        self.events.append("undiminished")

    def deploy(self):
        self.events.append("deploy")

    def loader(self, clips):
        return clips

    def evaluate(self, clips):
        self.events.append("evaluate")
        self.errors = ErrorCounter()
        self.transcripts = []
        for clip in reversed(clips.ids):
            self.errors.add("a cat", "a hat")
            self.transcripts.append((clip, "a cat", "a hat"))

    def decode(self, logits, frames):
        self.events.append("greedy" if self.searcher is None else "beam")
        return [""]


@pytest.fixture
def clips(tmp_path):
    data = {}
    for name, samples in (("long", 3200), ("short", 1600)):
        soundfile.write(tmp_path / f"{name}.wav", np.zeros(samples), 16000)
        data[name] = {"wav": str(tmp_path / f"{name}.wav")}
    data["broken"] = {"wav": str(tmp_path / "nowhere.wav")}
    return SimpleNamespace(ids=["broken", "long", "short"], dataset=SimpleNamespace(data=data))


@pytest.fixture
def brain(tmp_path, clips):
    return FakeBrain(tmp_path / "run", clips)


def test_the_best_round_counts_and_of_equal_ones_the_last(brain):
    metrics = results.collect_metrics(brain, "finetuning", "dense", TESTS)
    assert metrics["dev"] == {"CER": 20.0, "WER": 60.0}
    assert (metrics["cost"]["best_update"], metrics["cost"]["updates"]) == (150, 200)


def test_several_languages_choose_by_their_mean(brain):
    for row, mean in zip(brain.history.rounds, (50.0, 30.0, 40.0, 10.0), strict=True):
        row["mean_CER"] = mean
    assert results.collect_metrics(brain, "multilingual", "mask_joint", TESTS)["dev"]["CER"] == 30.0


def test_cost_and_size_by_hand(brain):
    metrics = results.collect_metrics(brain, "mask_finetuning", "mask", TESTS)
    # encoder 4 and head 2 * 3 + 3; the mask packs to one byte, labels take "" + "a" + "é" and a zero byte each
    assert metrics["size"]["parameters"] == metrics["cost"]["trainable"] == 13
    assert metrics["size"]["bytes_per_language"] == 1 + 9 * 4 + (0 + 1 + 2) + 3
    assert (metrics["cost"]["wall_s"], metrics["cost"]["skipped"]) == (12.5, 4)
    assert metrics["sparsity"] == {"masked": 0.25, "linears": 0.2, "model": 0.1}
    assert metrics["per_layer_sparsity"] == {"encoder.layers.0.fc1": 0.25}


def test_the_backbone_is_named_without_folders_and_random_weights_are_said(brain):
    assert results.collect_metrics(brain, "finetuning", "dense", TESTS)["backbone"].endswith("wav2vec2-base")
    assert "/home" not in results.collect_metrics(brain, "finetuning", "dense", TESTS)["backbone"]
    brain.hparams.pretrained = False
    assert results.collect_metrics(brain, "finetuning", "scratch", TESTS)["backbone"].endswith("-base-random")


def test_further_test_sets_stand_apart(brain):
    assert "extra_tests" not in results.collect_metrics(brain, "finetuning", "dense", TESTS)
    both = {**TESTS, "test-other": {"CER": 40.0, "WER": 80.0}}
    metrics = results.collect_metrics(brain, "finetuning", "dense", both)
    assert metrics["test"] == TESTS["test"]
    assert metrics["extra_tests"] == {"test-other": {"CER": 40.0, "WER": 80.0}}


def test_only_tuned_settings_are_recorded_and_those_of_the_brain_win(brain):
    brain.hparams.precision = "fp32"  # the YAML's; the command line said bf16
    found = results.tuned_settings(brain)
    assert found == {"lr": 0.1, "sparsity": 0.25, "precision": "bf16", "grad_accumulation_factor": 2}
    brain.hparams.train_weights = False
    assert "train_weights" not in results.tuned_settings(brain)
    brain.hparams.train_weights = True
    assert results.tuned_settings(brain)["train_weights"] is True


def test_settings_that_are_dataclasses_become_json(brain):
    brain.hparams.init = MaskConfig(sparsity=0.25)
    assert json.loads(json.dumps(results.tuned_settings(brain)))["init"]["sparsity"] == 0.25


def test_speed_is_that_of_greedy_decoding_over_readable_clips(brain):
    speed = results.measure_speed(brain)
    assert set(brain.recogniser.heard) == {3200, 1600}
    assert set(brain.events) == {"greedy"}
    assert speed["dtype"] == "float32"
    assert "dense_rtf" not in speed


def test_a_dense_network_is_timed_on_the_same_clips(brain):
    dense = copy.deepcopy(brain.recogniser)
    dense.heard.clear()
    speed = results.measure_speed(brain, dense)
    assert speed["dense_rtf"] > 0
    assert dense.heard == brain.recogniser.heard


def test_at_most_a_few_clips_are_timed(brain, clips):
    clips.ids = ["long", *[f"short{number}" for number in range(20)]]
    clips.dataset.data |= dict.fromkeys(clips.ids[1:], clips.dataset.data["short"])
    results.measure_speed(brain)
    passes = brain.recogniser.heard.count(3200)  # one clip of each pass; the warm-up may hear it once more
    assert brain.recogniser.heard.count(1600) <= passes * (results.TIMED_CLIPS - 1)


def test_each_test_set_leaves_its_transcripts_in_order_and_a_few_examples(brain, clips, tmp_path):
    brain.corpus.clips["test-other"] = clips
    tests, transcripts = results.run_tests(brain, tmp_path / "new")
    told = results.told_of(transcripts, brain)
    assert brain.events == ["evaluate", "evaluate"]  # not train, not dev
    assert set(tests) == {"test", "test-other"}
    assert tests["test"]["WER"] == 50.0
    with (tmp_path / "new" / "test_transcripts.tsv").open() as file:
        rows = list(csv.reader(file, delimiter="\t"))
    assert rows == [["id", "reference", "hypothesis"], *[[clip, "a cat", "a hat"] for clip in clips.ids]]
    assert "%WER 50.00" in (tmp_path / "new" / "test-other_wer.txt").read_text()
    assert [row["id"] for row in told["examples"]] == clips.ids
    assert told["examples"][0] == {"id": "broken", "reference": "a cat", "hypothesis": "a hat"}
    edits, lengths = (told["utterances"][name].split() for name in ("edits", "lengths"))
    assert (edits, lengths) == (["1"] * len(clips.ids), ["5"] * len(clips.ids))


def test_examples_are_spread_over_many_clips(brain, clips, tmp_path):
    clips.ids = [f"clip{number:02d}" for number in range(23)]
    _, transcripts = results.run_tests(brain, tmp_path)
    assert [row["id"] for row in results.told_of(transcripts, brain)["examples"]] == [
        "clip00",
        "clip04",
        "clip08",
        "clip12",
        "clip16",
    ]


def test_a_finished_run_leaves_valid_metrics_and_plots(brain, tmp_path, monkeypatch, capsys):
    (tmp_path / "run").mkdir()
    metrics = results.finish(brain, "mask_finetuning", "mask")
    assert brain.events.index("undiminished") < brain.events.index(
        "deploy"
    )  # what is left cannot be copied back
    assert brain.events.index("deploy") < brain.events.index("greedy")  # what is timed is the network in use
    stored = read_metrics(tmp_path / "run" / "metrics.json")
    assert stored["test"] == metrics["test"]
    assert stored["speed"]["threads"] == torch.get_num_threads()
    assert len(stored["examples"]) == 3
    assert {"curves.png", "layer_sparsity.png"} <= {path.name for path in (tmp_path / "run").iterdir()}


def test_metrics_come_last_so_that_a_killed_end_is_no_finished_run(brain, tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()

    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(results, "plot_layer_sparsity", fail)
    with pytest.raises(KeyboardInterrupt):
        results.finish(brain, "mask_finetuning", "mask")
    assert not (tmp_path / "run" / "metrics.json").exists()


def test_a_finished_folder_is_told_with_its_errors(tmp_path, capsys):
    (tmp_path / "metrics.json").write_text(json.dumps({"test": {"CER": 12.345, "WER": 30.0}}))
    hparams = {"output_folder": str(tmp_path), "run": {"finished": True}}
    assert results.say_if_finished(hparams)
    told = capsys.readouterr().out
    assert told.startswith(f"{tmp_path} is finished (test CER 12.3")
    assert "delete the folder to run it again" in told
    assert not results.say_if_finished({**hparams, "run": {"finished": False}})
    assert capsys.readouterr().out == ""
