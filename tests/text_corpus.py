"""A tiny text encoder and a tiny labelled data set, for tests of text models."""

import itertools
from pathlib import Path

import torch
from transformers import BertConfig, BertModel, BertTokenizerFast

WORDS = ("good", "bad", "film", "plot", "the", "a", "very", "not")


def write_text_encoder(folder: Path) -> Path:
    """Write a two-layer BERT of width 16 with random weights and a vocabulary of eight words."""
    torch.manual_seed(3)
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
    )
    BertModel(config).save_pretrained(folder)
    BertTokenizerFast(vocab={word: index for index, word in enumerate(vocabulary)}).save_pretrained(folder)
    return folder


def write_texts(folder: Path) -> Path:
    """Write sentences that are positive where they say "good" and negative where they say "bad"."""
    sentences = (
        (int(word == "good"), f"{' '.join(words)} {word}")
        for words in itertools.permutations(("film", "plot", "the", "a", "very"), 3)
        for word in ("good", "bad")
    )
    folder.mkdir(parents=True, exist_ok=True)
    for split, count in (("train", 40), ("dev", 20), ("test", 20)):
        lines = [f"{label}\t{text}" for label, text in itertools.islice(sentences, count)]
        (folder / f"{split}.tsv").write_text("\n".join(["label\ttext", *lines]) + "\n")
    return folder
