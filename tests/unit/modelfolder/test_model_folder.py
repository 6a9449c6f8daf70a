"""A recogniser is written and read back: the same logits, and nothing but the folder is needed."""

import json

import pytest
import torch
from families import CONFIGS
from model_folders import FACTS, LABELS, logits_of, make_model, tokenizer, write_toy_model
from speechbrain.nnet.adapters import LoRA

from s3_speechbrain.brains.methods import finetune_, merge_adapters_
from s3_speechbrain.brains.tokens import Phones, Pieces
from s3_speechbrain.errors import UserError
from s3_speechbrain.masking import MaskConfig, bake_, mask_
from s3_speechbrain.modelfolder import is_model, read_config, read_model, write_model

KINDS = {
    "plain": {},
    "hidden layers": {"hidden": (12, 7)},
    "mixed layers": {"layers": 3},
    "both": {"hidden": (9,), "layers": 3},
    "sliced": {"sliced": True},
    "detector": {"selector": "salad"},
    "convolution": {"selector": "conv"},
    "random frames": {"selector": "random"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_logits_are_the_same_bit_for_bit(kind, tmp_path):
    model = make_model(tmp_path / "encoder", **KINDS[kind])
    write_model(tmp_path / "model", model, tokenizer(), FACTS)
    found = read_model(tmp_path / "model")
    assert torch.equal(logits_of(found.recogniser), logits_of(model))
    assert found.tokenizer.labels == LABELS
    assert found.languages == ("fr",)
    assert found.config.facts == FACTS


@pytest.mark.parametrize("sliced", [False, True], ids=["whole", "sliced"])
@pytest.mark.parametrize("family", CONFIGS)
def test_every_family_can_be_stored(family, sliced, tmp_path):
    model = make_model(tmp_path / "encoder", family=family, sliced=sliced)
    write_model(tmp_path / "model", model, tokenizer(), FACTS)
    assert torch.equal(logits_of(read_model(tmp_path / "model").recogniser), logits_of(model))


def test_half_precision_halves_the_file_and_rounds_the_weights(tmp_path):
    model = make_model(tmp_path / "encoder")
    whole = write_model(tmp_path / "whole", model, tokenizer(), FACTS)
    half = write_model(tmp_path / "half", model, tokenizer(), FACTS, dtype="float16")
    sizes = [(folder / "model.safetensors").stat().st_size for folder in (whole, half)]
    assert sizes[1] < 0.65 * sizes[0]  # the header stays
    found = read_model(half).recogniser.state_dict()
    for name, value in read_model(whole).recogniser.state_dict().items():
        assert torch.equal(found[name], value.half().float()), name


def test_baked_masks_are_zeros_in_the_folder(tmp_path):
    model = make_model(tmp_path / "encoder")
    mask_(model.encoder, MaskConfig(sparsity=0.25))
    with pytest.raises(UserError, match="bake masks"):
        write_model(tmp_path / "model", model, tokenizer(), FACTS)
    assert not (tmp_path / "model").exists()
    masked = logits_of(model)
    bake_(model.encoder)
    write_model(tmp_path / "model", model, tokenizer(), FACTS)
    assert torch.equal(logits_of(read_model(tmp_path / "model").recogniser), masked)


def test_merged_adapters_give_the_logits_of_adapters(tmp_path):
    model = make_model(tmp_path / "encoder")
    finetune_(model.encoder, "lora", rank=2, alpha=4.0)
    for module in model.modules():
        if isinstance(module, LoRA):
            torch.nn.init.normal_(module.adapter_up_proj.weight, std=0.3)
    adapted = logits_of(model.eval())
    with pytest.raises(UserError, match="merge adapters"):
        write_model(tmp_path / "model", model, tokenizer(), FACTS)
    merge_adapters_(model.encoder)
    write_model(tmp_path / "model", model, tokenizer(), FACTS)
    torch.testing.assert_close(
        logits_of(read_model(tmp_path / "model").recogniser), adapted, rtol=1e-4, atol=1e-4
    )


def test_tokenizers_of_every_kind_come_back(tmp_path):
    texts = ["le chat", "la chatte", "les chats", "le lac"] * 4
    pieces = Pieces.load_or_create(tmp_path / "spm.model", texts, size=12)
    phones = Phones.from_labels(["", "ʃ", "a", "lə"])
    for number, made in enumerate((pieces, phones)):
        model = make_model(tmp_path / f"encoder{number}")
        model.head.classifier = torch.nn.Linear(model.encoder.width, len(made.labels))
        write_model(tmp_path / f"{number}", model, made, FACTS)
        found = read_model(tmp_path / f"{number}").tokenizer
        assert type(found) is type(made)
        assert found.decode([1, 2, 3]) == made.decode([1, 2, 3])


def test_a_second_model_takes_the_place_of_the_first_and_of_nothing_else(tmp_path):
    folder = write_toy_model(tmp_path / "model", tmp_path / "encoder")
    other = make_model(tmp_path / "encoder2", hidden=(5,))
    write_model(folder, other, tokenizer(), FACTS, metrics={"test": {"CER": 1.0}})
    assert torch.equal(logits_of(read_model(folder).recogniser), logits_of(other))
    assert json.loads((folder / "metrics.json").read_text())["test"] == {"CER": 1.0}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["encoder", "encoder2", "model"]
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("all of it")
    with pytest.raises(UserError, match="holds something other than a model"):
        write_model(tmp_path / "thesis", other, tokenizer(), FACTS)
    assert (tmp_path / "thesis" / "chapter.tex").exists()


def test_what_cannot_run_is_not_written(tmp_path):
    model = make_model(tmp_path / "encoder")
    model.head.classifier.bias.data[2] = float("nan")
    with pytest.raises(UserError, match="bias holds NaN or infinity"):
        write_model(tmp_path / "model", model, tokenizer(), FACTS)
    model.head.classifier.bias.data[2] = 1e6
    with pytest.raises(UserError, match="as float16"):
        write_model(tmp_path / "model", model, tokenizer(), FACTS, dtype="float16")
    with pytest.raises(UserError, match="choose one of float32, float16"):
        write_model(tmp_path / "model", model, tokenizer(), FACTS, dtype="int8")
    assert not is_model(tmp_path / "model")


def test_the_config_alone_tells_what_plain_transformers_lacks(tmp_path):
    reasons = {
        "plain": None,
        "mixed layers": "mixes the encoder's layers",
        "hidden layers": "has hidden layers",
        "sliced": "different sizes",
        "detector": "drops frames",
    }
    for kind, reason in reasons.items():
        folder = write_toy_model(tmp_path / kind, tmp_path / f"encoder-{kind}", **KINDS[kind])
        obstacle = read_config(folder).obstacle
        assert (obstacle is None) if reason is None else (reason in obstacle)
        top = json.loads((folder / "config.json").read_text())
        assert ("model_type" in top) == (reason is None)  # transformers refuses a config without it
