"""The recipe for several languages, end to end, on two of them."""

import importlib.util
import json
import shutil
from pathlib import Path

import pytest
import torch
from recipe_tools import RECIPES, killed_after, load_recipe, trained
from speech_corpus import write_corpus
from toy_encoders import write_encoder

from s3_speechbrain.brains.addition import digests
from s3_speechbrain.brains.batches import read_audio
from s3_speechbrain.brains.experiment import compose
from s3_speechbrain.data.manifest import read_manifest
from s3_speechbrain.errors import UserError
from s3_speechbrain.inference import SharedRecogniser
from s3_speechbrain.inference.tour import Clip, hear
from s3_speechbrain.maskbank import MaskBank
from s3_speechbrain.report import read_metrics

RECIPE, MASK, DENSE = "CommonVoice/multilingual", "CommonVoice/mask_finetuning", "CommonVoice/finetuning"
FRENCH = ("la", "le", "lu", "ma", "me", "mu", "no", "nu")


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    root = tmp_path_factory.mktemp("corpora")
    write_corpus(root, "en")
    return write_corpus(root, "fr", FRENCH)


def train(encoder, corpora, name, folder, *options):
    """Run the recipe and return its folder."""
    load_recipe(RECIPE).main(
        [
            str(RECIPES / RECIPE / "hparams" / f"{name}.yaml"),
            f"--data_folder={corpora}",
            f"--source={encoder}",
            f"--output_folder={folder}",
            *("--languages=[en, fr]", "--updates=4", "--valid_every=2", "--batch_seconds=6"),
            *("--noprogressbar", "--threads=1", "--freeze_updates=0", *options),
        ]
    )
    return folder


@pytest.fixture
def multilingual(tiny_encoder, corpora, tmp_path):
    """Return a function (YAML name, folder, options) that runs the recipe and returns its folder."""

    def go(name="demo", folder="run", *options):
        return train(tiny_encoder, corpora, name, tmp_path / folder, *options)

    return go


@pytest.fixture(scope="module")
def finished(tiny_encoder, corpora, tmp_path_factory):
    """Return a function (YAML name) that gives the folder of a finished run, which tests only read."""
    folder, done = tmp_path_factory.mktemp("finished"), {}

    def get(name):
        if name not in done:
            done[name] = train(tiny_encoder, corpora, name, folder / name, "--lr=0.1", "--temperature=null")
        return done[name]

    return get


def told(capsys):
    """Return the one error line on stderr."""
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    return lines[0]


def same(one, other):
    """Compare what two runs found, leaving out time, memory and commands."""
    names = ("recipe", "method", "language", "data", "sparsity", "dev", "test", "config", "examples", "size")
    assert {name: one[name] for name in names} == {name: other[name] for name in names}
    for row, again in zip(one["history"], other["history"], strict=True):
        assert {**row, "seconds": 0} == {**again, "seconds": 0}


@pytest.mark.parametrize(
    ("name", "single", "options"),
    [
        ("demo", MASK, ["--sparsity=0.25"]),
        ("demo_finetuning", DENSE, ["--method=lora"]),
    ],
)
def test_independent_languages_are_what_their_own_recipe_makes(
    multilingual, arguments, corpora, tmp_path, name, single, options
):
    folder = multilingual(name, "all", *options)
    common = (f"--data_folder={corpora}", "--updates=4", "--valid_every=2", *options)
    for language in ("en", "fr"):
        load_recipe(single).main(arguments(single, language, *common, f"--language={language}"))
        same(read_metrics(folder / language), read_metrics(tmp_path / language))
        own, other = trained(folder / language), trained(tmp_path / language)
        assert own.keys() == other.keys()
        assert all(torch.equal(own[key], other[key]) for key in own)


def test_joint_masks_of_a_frozen_encoder(finished):
    folder = finished("demo_joint")
    runs = {language: read_metrics(folder / language) for language in ("en", "fr")}
    for language, run in runs.items():
        assert (run["method"], run["language"], run["recipe"]) == ("mask_joint", language, "multilingual")
        assert (run["cost"]["updates"], run["cost"]["run_updates"]) == (4, 8)
        assert [row["updates"] for row in run["history"]] == [4, 8]
        assert run["size"]["shared_bytes"] == 0
        assert (folder / language / "test_transcripts.tsv").is_file()
    means = [sum(run["history"][i]["valid_CER"] for run in runs.values()) / 2 for i in range(2)]
    assert [row["mean_CER"] for row in runs["en"]["history"]] == pytest.approx(means)
    best = min((mean, -i) for i, mean in enumerate(means))
    assert runs["fr"]["dev"]["CER"] == runs["fr"]["history"][-best[1]]["valid_CER"]
    state = trained(folder)
    assert not [key for key in state if key.endswith("original")]
    masks = {key for key in state if key.endswith(".keep")}
    assert {key.split(".")[-2] for key in masks} == {"mask_en", "mask_fr"}
    differ = [not torch.equal(state[key], state[key.replace("_en", "_fr")]) for key in masks if "_en" in key]
    assert all(differ)
    assert {key.split(".")[1] for key in state if key.startswith("head.")} == {"head_en", "head_fr"}


def test_joint_training_over_frozen_weights_is_independent_training(multilingual):
    # Without SpecAugment's chance, at a constant rate; the first head is drawn as a single language's would be.
    constant = (
        "--time_mask=0",
        "--channel_mask=0",
        "--training={warmup: 0.0, hold: 1.0}",
        "--temperature=null",
    )
    joint, alone = multilingual("demo_joint", "joint", *constant), multilingual("demo", "alone", *constant)
    together, single = trained(joint), trained(alone / "en")
    assert any(name.endswith(".score") for name in single)
    for name, value in single.items():
        named = name.replace(".weight.0.", ".weight.0.mask_en.").replace("head.", "head.head_en.")
        assert torch.equal(together[named], value), name
    assert read_metrics(joint / "en")["test"] == read_metrics(alone / "en")["test"]


def test_joint_masks_count_bytes_like_single_ones(finished):
    joint, alone = finished("demo_joint"), finished("demo")
    for language in ("en", "fr"):
        one, other = read_metrics(joint / language), read_metrics(alone / language)
        assert one["size"]["bytes_per_language"] == other["size"]["bytes_per_language"]
        assert one["size"]["parameters"] == other["size"]["parameters"]
        assert one["cost"]["trainable"] == other["cost"]["trainable"]
        assert one["sparsity"] == other["sparsity"]


def test_cotrained_weights_are_shared_and_said_so(finished):
    folder = finished("demo_joint_cotrain")
    run = read_metrics(folder / "fr")
    assert run["method"] == "mask_joint"
    assert run["config"]["train_weights"] is True
    weights = {key: value for key, value in trained(folder).items() if key.endswith("original")}
    assert run["size"]["shared_bytes"] == 4 * sum(value.numel() for value in weights.values())
    plain = read_metrics(finished("demo_joint") / "fr")
    assert run["size"]["bytes_per_language"] == plain["size"]["bytes_per_language"]
    assert "train_weights" not in plain["config"]


def test_pooled_training_has_one_vocabulary_and_scores_each_language(finished):
    folder = finished("demo_pooled")
    labels = (folder / "characters.txt").read_text()
    assert all(letter in labels for letter in "bdlmn")
    runs = {language: read_metrics(folder / language) for language in ("en", "fr")}
    assert {run["method"] for run in runs.values()} == {"dense_all"}
    assert runs["en"]["data"] != runs["fr"]["data"]
    assert runs["en"]["size"]["bytes_per_language"] == runs["fr"]["size"]["bytes_per_language"]
    transcripts = (folder / "fr" / "test_transcripts.tsv").read_text().splitlines()
    assert len(transcripts) == 1 + 4
    assert all(line.startswith("fr-") for line in transcripts[1:])


@pytest.mark.parametrize("name", ["demo", "demo_joint", "demo_joint_cotrain"])
def test_every_language_is_in_the_bank_and_heard_as_it_was_tested(
    finished, tiny_encoder, corpora, capsys, name
):
    folder = finished(name)
    bank = MaskBank(folder / "bank")
    assert bank.languages == ["en", "fr"]
    capsys.readouterr()
    train(tiny_encoder, corpora, name, folder, "--lr=0.1", "--temperature=null")  # ends as the first time
    out = capsys.readouterr().out
    assert out.count("is finished (test CER") == 2
    recogniser = SharedRecogniser.from_bank(folder / "bank")
    for language in bank.languages:
        run, entry = read_metrics(folder / language), bank.read(language)
        assert entry.metrics["test"] == run["test"]
        assert entry.sparsity == run["sparsity"]
        assert run["size"]["bytes_in_bank"] == bank.path(language).stat().st_size
        assert (
            bank.path(language).read_bytes() == (folder / language / f"{language}.safetensors").read_bytes()
        )
        example = run["examples"][0]
        assert f"{language}  reference  {example['reference']}" in out
        assert f"heard      {example['hypothesis'] or '(nothing)'}\n" in out
        rows = [
            line.split("\t") for line in (folder / language / "test_transcripts.tsv").read_text().splitlines()
        ]
        manifests = next(folder.rglob(f"{language}/test.csv"))
        root = json.loads((manifests.parent / "meta.json").read_text())["made_from"]["data_root"]
        paths = {row.id: row.wav.replace("$data_root", root) for row in read_manifest(manifests)}
        heard = recogniser.transcribe([read_audio(paths[clip]) for clip, *_ in rows[1:]], language)
        assert heard == [row[2] for row in rows[1:]]
    new = MaskBank(folder / "bank").backbone.source
    assert new.endswith("backbone") == (name == "demo_joint_cotrain")


def test_a_language_that_the_bank_lacks_cannot_be_heard(finished):
    with pytest.raises(UserError, match="no language 'de': choose one of en, fr"):
        hear(finished("demo") / "bank", [Clip("de", Path("some.wav"), "etwas")])


def test_a_lost_bank_is_made_again_from_finished_runs(multilingual):
    folder = multilingual("demo")
    before = digests(folder / "bank")
    shutil.rmtree(folder / "bank")
    multilingual("demo")
    assert digests(folder / "bank") == before
    (folder / "fr" / "fr.safetensors").unlink()
    shutil.rmtree(folder / "bank")
    with pytest.raises(SystemExit, match="2"):
        multilingual("demo")


def test_weights_trained_for_each_language_alone_are_no_bank(multilingual, capsys):
    folder = multilingual("demo", "run", "--train_weights=True")
    assert not (folder / "bank").exists()
    assert "masks and weights" in capsys.readouterr().out.splitlines()[-1]


@pytest.fixture
def add(tiny_encoder, corpora, tmp_path):
    """Return a function (bank, folder, options) that adds French."""

    def go(bank, folder, *options):
        path = RECIPES / RECIPE / "add_language.py"
        spec = importlib.util.spec_from_file_location("add_language", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        paths = (f"--bank={bank}", f"--data_folder={corpora}", f"--output_folder={tmp_path / folder}")
        module.main([*paths, "--language=fr", "--valid_every=2", "--noprogressbar", *options])
        return tmp_path / folder

    return go


def test_adding_a_language_leaves_the_others_and_trains_like_them(multilingual, add, capsys):
    both = multilingual("demo", "both", "--sparsity=0.3", "--lr=0.00005", "--head={hidden: [8]}")
    folder = multilingual(
        "demo", "one", "--languages=[en]", "--sparsity=0.3", "--lr=0.00005", "--head={hidden: [8]}"
    )
    before = digests(folder / "bank")
    assert set(before) == {"bank.json", "en.safetensors"}
    capsys.readouterr()
    run = read_metrics(add(folder / "bank", "added"))
    assert "added fr; the other 2 files kept their SHA-256" in capsys.readouterr().out
    after = digests(folder / "bank")
    assert after.pop("fr.safetensors")
    assert after == before
    assert run["added_to_bank"] == {
        "languages_before": ["en"],
        "files_before": 2,
        "files_unchanged": 2,
        "bytes": (folder / "bank" / "fr.safetensors").stat().st_size,
    }
    same(run, read_metrics(both / "fr"))
    add(folder / "bank", "added")  # given again, it says that it is done
    assert "is finished (test CER" in capsys.readouterr().out
    assert digests(both / "bank")["fr.safetensors"] == digests(folder / "bank")["fr.safetensors"]


def test_a_killed_addition_goes_on(multilingual, add):
    folder = multilingual("demo", "one", "--languages=[en]")
    with killed_after(3):
        add(folder / "bank", "added", "--ckpt_interval_minutes=0", "--ckpt_interval_steps=1")
    assert MaskBank(folder / "bank").languages == ["en"]
    add(folder / "bank", "added", "--ckpt_interval_minutes=0", "--ckpt_interval_steps=1")
    assert MaskBank(folder / "bank").languages == ["en", "fr"]


def test_a_language_goes_into_a_bank_of_its_backbone_only(multilingual, add, tmp_path, capsys):
    folder = multilingual("demo", "one", "--languages=[en]")
    bank = folder / "bank"
    other = write_encoder(tmp_path / "other", intermediate_size=36)
    for place, options, message in (
        (tmp_path / "nowhere", [], "is no mask bank"),
        (bank, [f"--source={other}"], "is not the backbone of"),
        (bank, ["--language=en"], "has 'en' already"),
        (bank, ["--language=de"], "de"),
    ):
        with pytest.raises(SystemExit, match="2"):
            add(place, "added", *options)
        assert message in told(capsys)
    assert MaskBank(bank).languages == ["en"]


def test_a_run_over_another_backbone_is_refused_by_the_bank(multilingual, tmp_path, capsys):
    multilingual("demo", "run", "--languages=[en]")
    other = write_encoder(tmp_path / "other", intermediate_size=36)
    with pytest.raises(SystemExit, match="2"):
        multilingual("demo", "run", "--languages=[fr]", f"--source={other}")
    assert "made for another backbone" in told(capsys)


@pytest.mark.parametrize(("name", "batches"), [("demo", 6), ("demo_joint", 5), ("demo_pooled", 5)])
def test_a_killed_run_goes_on_to_the_same_numbers(multilingual, capsys, name, batches):
    options = ("--ckpt_interval_minutes=0", "--ckpt_interval_steps=1")
    whole = multilingual(name, "whole", *options)
    with killed_after(batches):
        multilingual(name, "killed", *options)
    capsys.readouterr()
    again = multilingual(name, "killed", *options)
    if name == "demo":
        assert f"{again / 'en'} is finished (test CER" in capsys.readouterr().out
    for language in ("en", "fr"):
        same(read_metrics(whole / language), read_metrics(again / language))


def test_a_language_can_be_added_to_the_list_of_a_finished_run(multilingual):
    multilingual("demo", "run", "--languages=[en]")
    folder = multilingual("demo", "run")
    assert read_metrics(folder / "fr")["language"] == "fr"


def test_shards_train_their_languages_only(multilingual, monkeypatch, capsys):
    folder = multilingual("demo", "run", "--shard=2/2")
    assert [path.parent.name for path in folder.glob("*/metrics.json")] == ["fr"]
    assert "not finished yet: en" in capsys.readouterr().out
    for name, value in (("RANK", "0"), ("LOCAL_RANK", "0"), ("WORLD_SIZE", "2")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    multilingual("demo", "run", "--shard=rank")
    assert (folder / "en" / "metrics.json").is_file()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("demo", ["--languages=[en, xx]"], "xx"),
        ("demo", ["--languages=[]"], "languages is empty"),
        ("demo", ["--languages=[en, en]"], "names en twice"),
        ("demo", ["--languages=3"], "languages is 3"),
        ("demo", ["--languages=[en, de]"], "de"),
        ("demo", ["--data_folder=nowhere"], "no data folder nowhere"),
        ("demo", ["--mode=both"], "mode is 'both': choose one of independent, joint, pooled"),
        ("demo", ["--method=lora"], "method is lora, but this YAML file has no settings for it"),
        ("demo", ["--method=adapters"], "method is 'adapters'"),
        ("demo", ["--mode=pooled"], "mode pooled does not go with method mask: start from demo_pooled.yaml"),
        ("demo_finetuning", ["--mode=joint"], "start from demo_joint.yaml"),
        ("demo", ["--shard=3/2"], "shard is '3/2'"),
        ("demo", ["--shard=rank"], "no launcher tells one"),
        ("demo_joint", ["--shard=1/2"], "leave --shard out"),
        ("demo_joint", ["--temperature=0"], "temperature is 0"),
        ("demo_joint", ["--mask_file=it.safetensors"], "mask_file is of one language, and mode is joint"),
    ],
)
def test_a_wrong_option_is_one_line_on_stderr_and_status_2(multilingual, capsys, name, options, message):
    with pytest.raises(SystemExit, match="2"):
        multilingual(name, "run", *options)
    assert message in told(capsys)


@pytest.mark.parametrize(
    "path", sorted((RECIPES / RECIPE / "hparams").glob("*.yaml")), ids=lambda path: path.name
)
def test_every_yaml_file_composes_and_says_how_it_is_run(path):
    adds = path.name == "add_language.yaml"
    command = "add_language.py --bank PATH/bank" if adds else f"train.py hparams/{path.name}"
    assert f"python {command} --data_folder" in path.read_text()
    text = compose(path, "data_folder: somewhere\nlanguage: fr" + "\nbank: some" * adds).getvalue()
    assert ("bank:" if adds else "languages:") in text
