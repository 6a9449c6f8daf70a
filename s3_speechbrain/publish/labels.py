"""The labels of any tokenizer as texts that only have to be joined: what other toolkits can decode."""

from collections.abc import Mapping, Sequence
from typing import Any

SPACE_OF_PIECES = "\u2581"  # how SentencePiece writes a space
UNKNOWN, SURFACE_OF_UNKNOWN = "<unk>", " \u2047 "  # and how it writes what it does not know


def surface_labels(tokenizer: Mapping[str, Any]) -> list[str]:
    """Return a text for each label, so that the joined texts are the transcript, but for spaces at its ends.

    Parameters
    ----------
    tokenizer : mapping
        As from `tokenizer_record`.

    Returns
    -------
    list of str
        Without repetitions; the first, of the blank, is empty.
    """
    labels: Sequence[str] = tokenizer["labels"]
    if tokenizer["kind"] == "phones":
        return ["", *(f" {label}" for label in labels[1:])]
    if tokenizer["kind"] == "sentencepiece":
        texts = {UNKNOWN: SURFACE_OF_UNKNOWN}
        return ["", *(texts.get(label, label.replace(SPACE_OF_PIECES, " ")) for label in labels[1:])]
    return list(labels)
