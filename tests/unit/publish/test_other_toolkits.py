"""Published models run in stock SpeechBrain and stock transformers, with the numbers that they have here."""

import json

import pytest
import torch
from families import CONFIGS
from model_folders import LABELS, make_model, tokenizer
from speechbrain.inference.ASR import EncoderASR
from transformers import AutoProcessor, pipeline

from s3_speechbrain.brains.errors import greedy_decode
from s3_speechbrain.brains.tokens import Phones, Pieces
from s3_speechbrain.errors import UserError
from s3_speechbrain.modelfolder import ModelFacts, read_model, write_model
from s3_speechbrain.publish.models import fill_model_folder, ways_of
from s3_speechbrain.publish.plain import write_plain
from s3_speechbrain.publish.stock import HYPERPARAMS, stock_obstacle

FACTS = ModelFacts({"fr": "fr/1"}, "finetuning", "dense", "builtin")
WAVE = 0.1 * torch.randn(1, 24000, generator=torch.Generator().manual_seed(5))
FAMILIES = [name for name in CONFIGS if name != "whisper"]


def publish(folder, made=None, **options):
    """Write a small model and what other toolkits need; return it and its logits of `WAVE`."""
    recogniser = make_model(folder / "encoder", **options)
    made = made or tokenizer()
    if len(made.labels) != len(LABELS):
        recogniser.head.classifier = torch.nn.Linear(recogniser.encoder.width, len(made.labels))
    model = read_model(write_model(folder / "model", recogniser, made, FACTS))
    fill_model_folder(folder / "published", model, None, "float32")
    with torch.inference_mode():
        return model, model.recogniser(WAVE, torch.ones(1))


def stock(folder):
    """Load a folder with plain SpeechBrain."""
    return EncoderASR.from_hparams(source=str(folder / "published"), savedir=str(folder / "pretrained"))


@pytest.mark.parametrize(
    "options",
    [
        *({"family": family} for family in FAMILIES),
        *({"family": family, "sliced": True} for family in FAMILIES if family != "wavlm"),
        {"hidden": (12, 7)},
        {"family": "wav2vec2-group", "layers": 4, "hidden": (9,), "sliced": True},
        {"family": "wavlm", "layers": 4},
        {"family": "data2vec", "layers": 4, "hidden": (5,)},
    ],
    ids=lambda options: "-".join(map(str, options.values())),
)
def test_stock_speechbrain_computes_the_same(options, tmp_path):
    model, (logits, frames) = publish(tmp_path, **options)
    assert stock_obstacle(model.config) is None
    recogniser = stock(tmp_path)
    found = recogniser.encode_batch(WAVE, torch.ones(1))
    torch.testing.assert_close(found, logits.log_softmax(-1), rtol=1e-4, atol=1e-4)
    texts, _ = recogniser.transcribe_batch(WAVE, torch.ones(1))
    expected = model.tokenizer.decode(greedy_decode(logits, frames, 0)[0])
    assert " ".join(texts[0].split()) == expected


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"family": "whisper"}, "30 s"),
        ({"selector": "salad"}, "drops frames"),
        ({"family": "wavlm", "sliced": True}, "WavLM"),
        ({"family": "hubert", "layers": 4}, "HuBERT"),
        ({"layers": 3}, "final norm"),
    ],
    ids=str,
)
def test_what_stock_speechbrain_cannot_run_gets_no_file_for_it(options, reason, tmp_path):
    model, _ = publish(tmp_path, **options)
    assert reason in stock_obstacle(model.config)
    names = {path.name for path in (tmp_path / "published").iterdir()}
    assert names == {"config.json", "model.safetensors"}
    assert ways_of(tmp_path / "published", model) == ["model"]
    with pytest.raises(UserError, match="plain transformers cannot run this model"):
        write_plain(tmp_path / "published", model.config)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_transformers_pipeline_gives_the_same_text(family, tmp_path):
    model, (logits, frames) = publish(tmp_path, family=family)
    recognise = pipeline("automatic-speech-recognition", model=str(tmp_path / "published"))
    inputs = recognise.feature_extractor(WAVE[0].numpy(), sampling_rate=16000, return_tensors="pt")
    with torch.inference_mode():
        found = recognise.model(**inputs).logits
    torch.testing.assert_close(found, logits, rtol=1e-4, atol=1e-4)
    text = recognise({"raw": WAVE[0].numpy(), "sampling_rate": 16000})["text"]
    assert " ".join(text.split()) == model.tokenizer.decode(greedy_decode(logits, frames, 0)[0])


@pytest.mark.parametrize("options", [{"hidden": (12,)}, {"layers": 3}, {"sliced": True}], ids=str)
def test_transformers_refuses_what_it_would_run_wrongly(options, tmp_path):
    publish(tmp_path, **options)
    with pytest.raises(ValueError, match="model_type"):
        pipeline("automatic-speech-recognition", model=str(tmp_path / "published"))


def test_pieces_and_phones_are_spelt_the_same_everywhere(tmp_path):
    texts = ["le chat", "la chatte", "les chats", "le lac"] * 4
    kinds = {
        "pieces": Pieces.load_or_create(tmp_path / "spm.model", texts, size=12),
        "phones": Phones.from_labels(["", "ʃ", "a", "lə", "t"]),
    }
    for name, made in kinds.items():
        publish(tmp_path / name, made)
        recogniser = stock(tmp_path / name)
        plain = AutoProcessor.from_pretrained(tmp_path / name / "published").tokenizer
        for indices in ([3, 1, 2], [1, 4, 3], [2, 2, 1]):
            expected = " ".join(made.decode(indices).split())
            theirs = "".join(recogniser.tokenizer.decode_ndim(indices))
            spaced = [label for index in indices for label in (index, 0)]  # blanks keep repeated labels apart
            assert " ".join(theirs.split()) == " ".join(plain.decode(spaced).split()) == expected


def test_the_file_that_speechbrain_executes_says_so_and_names_no_code_of_ours(tmp_path):
    publish(tmp_path, sliced=True)
    text = (tmp_path / "published" / HYPERPARAMS).read_text()
    assert text.startswith("# THIS FILE IS CODE")
    called = [line.split("!")[1].split(":")[1].split()[0] for line in text.splitlines() if "!new:" in line]
    called += [line.split("!apply:")[1].split()[0] for line in text.splitlines() if "!apply:" in line]
    assert {name.split(".")[0] for name in called} == {"torch", "transformers", "speechbrain"}


def test_the_weights_lie_on_the_disk_once(tmp_path):
    publish(tmp_path)
    folder = tmp_path / "published"
    assert (folder / "model.ckpt").samefile(folder / "model.safetensors")
    vocabulary = json.loads((folder / "vocab.json").read_text())
    assert vocabulary == {"<pad>": 0, "|": 1, "a": 2, "b": 3, "c": 4, "é": 5}
