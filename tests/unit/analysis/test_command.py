import json

import pytest
import torch
from PIL import Image
from speechbrain.utils.checkpoints import Checkpointer
from torch import nn

from s3_speechbrain.analysis import compare, group_tests, labelled, matrix_of, read_masks
from s3_speechbrain.analysis.__main__ import main
from s3_speechbrain.brains.state import TrainedState
from s3_speechbrain.errors import UserError
from s3_speechbrain.masking import MaskConfig, keep_masks, mask_, mask_languages_
from s3_speechbrain.pruning import load_masks, save_masks
from s3_speechbrain.report import write_metrics

LAYER = "encoder.layers.{}.feed_forward.output_dense"


def masks(seed, share=0.5):
    generator = torch.Generator().manual_seed(seed)
    return {LAYER.format(layer): torch.rand(12, 10, generator=generator) < share for layer in range(2)}


@pytest.fixture
def write_run(tmp_path, make_run):
    def write(name, found, **changes):
        folder = write_metrics(tmp_path / name, make_run(**changes)).parent
        save_masks(folder / "mask.safetensors", found)
        return folder

    return write


def read_one(path):
    (found,) = read_masks(path)
    return found


def test_masks_of_a_mask_finetuning_run_come_from_its_best_checkpoint(tmp_path, encoder, make_run):
    mask_(encoder, MaskConfig(sparsity=0.25))
    model = nn.ModuleDict({"encoder": encoder, "head": nn.Linear(2, 2)})
    checkpointer = Checkpointer(tmp_path / "checkpoints", {"trained": TrainedState(model)})
    best = keep_masks(encoder)
    checkpointer.save_checkpoint(meta={"CER": 10.0})
    with torch.no_grad():
        for name, parameter in encoder.named_parameters():
            if name.endswith(".score"):
                parameter.copy_(torch.rand_like(parameter))
    checkpointer.save_checkpoint(meta={"CER": 20.0})
    write_metrics(tmp_path, make_run(language="it", sparsity__masked=0.25))
    found = read_one(tmp_path)
    assert {name: mask.kept for name, mask in found.masks.items()} == {
        name: int(mask.sum()) for name, mask in best.items()
    }
    assert found.kept == round(0.75 * found.entries)
    assert (found.facts["language"], found.facts["sparsity"]) == ("it", 0.25)
    later = keep_masks(encoder)
    assert any(not torch.equal(best[name], later[name]) for name in best)


def test_names_of_weights_and_biases_compare_with_names_of_layers(tmp_path):
    name = LAYER.format(0)
    found = {f"model.{name}.weight": torch.ones(2, 2).bool(), f"model.{name}.bias": torch.ones(2).bool()}
    save_masks(tmp_path / "a.safetensors", found)
    assert set(read_one(tmp_path / "a.safetensors").masks) == {name, f"{name}.bias"}


def test_layers_are_in_the_order_of_their_numbers(tmp_path):
    found = {LAYER.format(layer): torch.ones(2, 2).bool() for layer in (10, 2, 0)}
    save_masks(tmp_path / "a.safetensors", found)
    assert list(read_one(tmp_path / "a.safetensors").masks) == [LAYER.format(layer) for layer in (0, 2, 10)]


def test_labels_say_what_differs(write_run):
    runs = [
        write_run(f"{lang}{seed}", masks(seed), language=lang, seed=seed)
        for lang in ("fr", "it")
        for seed in (1, 2)
    ]
    assert [each.label for each in labelled([read_one(run) for run in runs])] == [
        "fr seed 1",
        "fr seed 2",
        "it seed 1",
        "it seed 2",
    ]


def test_files_without_facts_are_labelled_by_their_paths(tmp_path):
    for name in ("fr", "it"):
        save_masks(tmp_path / name / "mask.safetensors", masks(1))
    found = labelled([read_one(tmp_path / name / "mask.safetensors") for name in ("fr", "it")])
    assert [each.label for each in found] == ["fr/mask", "it/mask"]


def test_a_comparison_holds_every_pair_and_its_parts(write_run):
    runs = [write_run(f"r{seed}", masks(seed), seed=seed) for seed in (1, 2, 3)]
    found = compare(labelled([read_one(run) for run in runs]))
    assert [(pair["first"], pair["second"]) for pair in found["pairs"]] == [(0, 1), (0, 2), (1, 2)]
    for pair in found["pairs"]:
        assert list(pair["parts"]) == ["0", "1"]
        assert sum(part["both"] for part in pair["parts"].values()) == pair["total"]["both"]
    ious = matrix_of(found, "iou")
    assert (ious == ious.T).all()
    first, second = masks(1), masks(2)
    both = sum(int((first[name] & second[name]).sum()) for name in first)
    either = sum(int((first[name] | second[name]).sum()) for name in first)
    assert ious[0, 1] == both / either


def test_seeds_of_one_language_form_a_group(write_run):
    runs = []
    for number, language in enumerate(("fr", "it", "ru")):
        core = masks(number)
        for seed in (1, 2):
            noise = masks(10 * number + seed + 100, share=0.9)
            runs.append(
                write_run(
                    f"{language}{seed}", {n: core[n] & noise[n] for n in core}, language=language, seed=seed
                )
            )
    tests = group_tests(compare(labelled([read_one(run) for run in runs])))
    assert tests["language"]["difference"] > 0.5
    assert tests["language"]["p"] == pytest.approx(48 / 720)  # orders that leave the three pairs together
    assert tests["seed"]["p"] > 0.1


def test_what_reports_need_is_written_as_one_small_file(write_run, tmp_path):
    runs = [str(write_run(name, masks(seed), language=name)) for seed, name in enumerate(("fr", "it"))]
    kept = tmp_path / "evidence" / "overlap-mask.json"
    assert main(["overlap", *runs, "--out", str(tmp_path / "out"), "--evidence", str(kept)]) == 0
    (pair,) = json.loads((tmp_path / "out" / "overlap.json").read_text())["pairs"]
    found = json.loads(kept.read_text())
    assert found["masks"] == ["fr", "it"]
    assert found["pairs"] == [
        {
            "labels": ["fr", "it"],
            "languages": ["fr", "it"],
            "overlap": pytest.approx(pair["total"]["iou"], abs=1e-4),
            "chance": pytest.approx(pair["total"]["chance_iou"], abs=1e-4),
            "p": pytest.approx(pair["total"]["p"], rel=1e-2),
        }
    ]
    assert found["groups"] == {}
    assert "random" in found["null"]


def test_the_command_writes_data_page_and_figures(write_run, tmp_path, capsys):
    runs = [str(write_run(lang, masks(seed), language=lang)) for seed, lang in enumerate(("fr", "it", "ru"))]
    out = tmp_path / "out"
    assert main(["overlap", *runs, "--out", str(out), "--by", "kind"]) == 0
    found = json.loads((out / "overlap.json").read_text())
    assert [each["label"] for each in found["masks"]] == ["fr", "it", "ru"]
    page = (out / "overlap.md").read_text()
    assert "| fr | it |" in page
    assert f"{found['pairs'][0]['total']['iou']:.3f}" in page
    names = ("iou", "removed_iou", "kappa", "kappa_by_kind")
    for name in names:
        with Image.open(out / f"{name}.png") as image:
            assert len(set(image.convert("RGB").resize((200, 150)).getdata())) > 10
        assert f"({name}.png)" in page
    assert "wrote" in capsys.readouterr().out


def test_given_masks_take_off_what_all_share(tmp_path):
    core = masks(0)
    save_masks(tmp_path / "core.safetensors", core)
    for seed in (1, 2):
        flips = masks(seed, share=0.1)
        save_masks(tmp_path / f"{seed}.safetensors", {name: core[name] ^ flips[name] for name in core})
    core, *runs = labelled([read_one(tmp_path / f"{name}.safetensors") for name in ("core", "1", "2")])
    plain, conditioned = compare(runs), compare(runs, given=core)
    assert plain["pairs"][0]["total"]["kappa"] > 0.5
    assert abs(conditioned["pairs"][0]["total"]["kappa"]) < 0.2
    assert "core" in conditioned["null"]


def test_magnitude_masks_keep_the_largest_weights(tmp_path, encoder):
    encoder.save_pretrained(tmp_path / "encoder")
    out = tmp_path / "masks.safetensors"
    main(["magnitude", str(tmp_path / "encoder"), "--sparsity", "0.5", "--out", str(out)])
    weights = dict(encoder.named_modules())
    for name, keep in load_masks(out).items():
        weight = weights[name.removeprefix("model.")].weight.abs()
        assert keep.sum() == keep.numel() // 2
        assert weight[keep].min() >= weight[~keep].max()


def test_runs_of_two_backbones_are_refused(write_run, tmp_path, capsys):
    runs = [str(write_run(name, masks(1), backbone=name)) for name in ("builtin", "whisper")]
    with pytest.raises(SystemExit):
        main(["overlap", *runs, "--out", str(tmp_path / "out")])
    assert "one backbone" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_masks_of_languages_trained_together_are_told_apart(tmp_path, encoder):
    mask_languages_(encoder, {"fr": MaskConfig(sparsity=0.25), "it": MaskConfig(sparsity=0.5)})
    model = nn.ModuleDict({"encoder": encoder, "head": nn.Linear(2, 2)})
    checkpointer = Checkpointer(tmp_path / "checkpoints", {"trained": TrainedState(model)})
    checkpointer.save_checkpoint(meta={"PER": 10.0})
    found = labelled(read_masks(tmp_path))
    assert [each.label for each in found] == ["fr", "it"]
    assert [each.kept / each.entries for each in found] == [0.75, 0.5]


def no_file(path):
    return path / "masks.safetensors"


def empty_folder(path):
    return path


def other_file(path):
    (path / "a.ckpt").write_text("no tensors")
    return path / "a.ckpt"


def no_masks(path):
    torch.save({"encoder.weight": torch.ones(2)}, path / "a.ckpt")
    return path / "a.ckpt"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (no_file, "does not exist"),
        (empty_folder, "neither mask.safetensors nor a checkpoint"),
        (other_file, "cannot be read"),
        (no_masks, "holds no mask"),
    ],
)
def test_what_holds_no_masks_is_told(tmp_path, make, message):
    with pytest.raises(UserError, match=message):
        read_masks(make(tmp_path))


def test_one_run_given_twice_is_told(tmp_path):
    save_masks(tmp_path / "a.safetensors", masks(1))
    with pytest.raises(UserError, match="named twice"):
        labelled([read_one(tmp_path / "a.safetensors")] * 2)
