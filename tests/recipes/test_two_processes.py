"""Training masks in two processes is training them in one process that accumulates two batches.

Each process averages its batch's loss over the labels of that batch; DDP averages the two gradients, as accumulation
does. The sums are the same up to the order of floating-point additions. Adam divides a gradient by its own size, so
where a gradient is nothing but rounding a score may differ by a whole step; hence the share of scores below.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from recipe_tools import RECIPES
from speech_corpus import write_corpus

from s3_speechbrain.report import read_metrics

RECIPE = "CommonVoice/multilingual"
LANGUAGES = ("en", "fr")
# Says what masks each process ends with; then trains.
WORKER = """
import hashlib, os, sys
from recipe_tools import load_recipe
from s3_speechbrain.brains import results

collect = results.collect_metrics

def telling(brain, *rest):
    masks = brain.masks()
    digest = hashlib.sha256(b"".join(masks[name].numpy().tobytes() for name in sorted(masks))).hexdigest()
    with open(os.environ["TELL"], "a") as file:
        file.write(f"{brain.corpus.language} {os.environ.get('RANK', 'alone')} {digest}\\n")
    return collect(brain, *rest)

results.collect_metrics = telling
for argv in (line.split("\\t") for line in sys.stdin.read().splitlines()):
    load_recipe("CommonVoice/multilingual").main(argv)
"""


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    root = tmp_path_factory.mktemp("corpora")
    for language in LANGUAGES:
        write_corpus(root, language)
    return root


def commands(corpora, encoder, folder, *options):
    """Return the command lines of an independent and a joint run, without anything random in training."""
    shared = [
        f"--data_folder={corpora}",
        f"--source={encoder}",
        *(
            "--languages=[en, fr]",
            "--updates=4",
            "--valid_every=2",
            "--batch_seconds=4",
            "--precision=fp32",
            "--freeze_updates=0",
        ),
        *("--time_mask=0", "--channel_mask=0", "--sparsity=0.3", "--noprogressbar", "--threads=1"),
        "--find_unused_parameters",  # without SpecAugment its vector is not used
        *options,
    ]
    return [
        [str(RECIPES / RECIPE / "hparams" / f"{name}.yaml"), f"--output_folder={folder / name}", *shared]
        for name in ("demo", "demo_joint")
    ]


def work(argvs, tell, ranks, worker=WORKER):
    """Run a worker once, or once per rank at the same time."""
    tests = Path(__file__).resolve().parents[1]
    common = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(tests), str(tests.parent), os.environ.get("PYTHONPATH", "")]),
        "OMP_NUM_THREADS": "1",
        "TELL": str(tell),
    }
    launched = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29541"}
    environments = [common]
    if ranks > 1:
        environments = [{**common, **launched, "RANK": str(r), "LOCAL_RANK": str(r)} for r in range(ranks)]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", worker], env=each, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for each in environments
    ]
    for process in processes:
        process.stdin.write("\n".join("\t".join(argv) for argv in argvs))
        process.stdin.close()
    errors = [process.stderr.read() for process in processes]
    assert [process.wait(timeout=300) for process in processes] == [0] * len(processes), errors


def scores(folder):
    newest = max((folder / "checkpoints").glob("CKPT*"), key=lambda path: path.stat().st_mtime_ns)
    state = torch.load(newest / "trained.ckpt")
    return {name: value for name, value in state.items() if name.endswith(".score")}


@pytest.mark.slow
def test_two_processes_train_what_one_does_with_twice_the_batches(corpora, tiny_encoder, tmp_path):
    together, alone = tmp_path / "together", tmp_path / "alone"
    work(commands(corpora, tiny_encoder, together, "--distributed_backend=gloo"), tmp_path / "told", 2)
    work(commands(corpora, tiny_encoder, alone, "--grad_accumulation_factor=2"), tmp_path / "told_alone", 1)

    told = [line.split() for line in (tmp_path / "told").read_text().splitlines()]
    for language in LANGUAGES:
        for rank in ("0", "1"):  # the same masks on every rank, in both runs
            assert sum(line[:2] == [language, rank] for line in told) == 2
        assert len({digest for name, _, digest in told if name == language}) == 2

    for name, folders in (("demo", LANGUAGES), ("demo_joint", ("", ""))):
        for language, folder in zip(LANGUAGES, folders, strict=True):
            one, other = (read_metrics(place / name / language) for place in (together, alone))
            for row, again in zip(one["history"], other["history"], strict=True):
                assert row["valid_loss"] == pytest.approx(again["valid_loss"], rel=1e-3)
            assert one["sparsity"] == other["sparsity"]
            expected, found = scores(alone / name / folder), scores(together / name / folder)
            assert expected.keys() == found.keys()
            apart = torch.cat([(expected[key] - found[key]).abs().flatten() for key in expected])
            assert (apart > 1e-4).float().mean() < 0.01
        bank = json.loads((together / name / "bank" / "bank.json").read_text())
        assert bank == json.loads((alone / name / "bank" / "bank.json").read_text())
        assert {path.name for path in (together / name / "bank").iterdir()} == {
            "bank.json",
            "en.safetensors",
            "fr.safetensors",
        }


S6_WORKER = """
import sys
from recipe_tools import load_recipe
for argv in (line.split("\\t") for line in sys.stdin.read().splitlines()):
    load_recipe("CommonVoice/s6_damon").main(argv)
"""


@pytest.mark.slow
def test_detector_and_units_train_in_two_processes(corpora, tiny_encoder, tmp_path):
    folder = tmp_path / "run"
    argv = [
        str(RECIPES / "CommonVoice" / "s6_damon" / "hparams" / "demo.yaml"),
        *(
            f"--data_folder={corpora}",
            f"--source={tiny_encoder}",
            f"--output_folder={folder}",
            "--language=en",
        ),
        *("--updates=8", "--valid_every=4", "--batch_seconds=4", "--noprogressbar", "--threads=1"),
        *("--detector={updates: 4, valid_every: 2}", "--teacher={updates: 4, valid_every: 2}"),
        *("--every=2", "--window=2", "--keep=0.6", "--floor={heads: 1, neurons: 4}"),
        *("--distributed_backend=gloo", "--find_unused_parameters"),
    ]
    work([argv], tmp_path / "told", 2, S6_WORKER)
    found = read_metrics(folder)
    assert found["method"] == "s6"
    assert found["sparsity"]["masked"] == pytest.approx(0.4, abs=0.1)
    assert (folder / "detector" / "detector.safetensors").is_file()
