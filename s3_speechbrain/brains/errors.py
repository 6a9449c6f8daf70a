"""Greedy decoding and error rates."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


def greedy_decode(scores: Tensor, frames: Tensor, blank: int = 0) -> list[list[int]]:
    """Take the best label of each frame, merge repeats, drop blanks.

    Parameters
    ----------
    scores : Tensor
        Logits or log-probabilities, shape (B, T, V).
    frames : Tensor
        Valid frames per row, shape (B,).
    blank : int
        Index of the blank.

    Returns
    -------
    list of list of int
        Label indices of each row.
    """
    best = scores.argmax(-1).cpu()
    rows = []
    for row, length in zip(best, frames.tolist(), strict=True):
        merged = torch.unique_consecutive(row[:length])
        rows.append(merged[merged != blank].tolist())
    return rows


def edit_distance(reference: Sequence, hypothesis: Sequence) -> int:
    """Count the fewest insertions, deletions and substitutions between two sequences (Levenshtein)."""
    codes: dict = {}
    ref = [codes.setdefault(item, len(codes)) for item in reference]
    hyp = np.array([codes.setdefault(item, len(codes)) for item in hypothesis], dtype=np.int64)
    positions = np.arange(len(hyp) + 1)
    costs = positions.copy()
    for item in ref:
        step = np.empty_like(costs)
        step[0] = costs[0] + 1
        step[1:] = np.minimum(costs[1:] + 1, costs[:-1] + (hyp != item))
        # Insertions run along the row: d[j] = min over k <= j of step[k] + (j - k), a running minimum of step
        # - position.
        costs = np.minimum.accumulate(step - positions) + positions
    return int(costs[-1])


@dataclass
class ErrorCounter:
    """Characters and words of references, and the edits that hypotheses need; spaces count as characters.

    With ``error="PER"`` texts are phones with spaces between them, each of which counts as a word.
    """

    characters: int = 0
    words: int = 0
    character_edits: int = 0
    word_edits: int = 0
    error: str = "CER"

    def add(self, reference: str, hypothesis: str) -> None:
        """Count one utterance."""
        self.characters += len(reference)
        self.character_edits += edit_distance(reference, hypothesis)
        ref, hyp = reference.split(), hypothesis.split()
        self.words += len(ref)
        self.word_edits += edit_distance(ref, hyp)

    def rates(self) -> dict[str, float]:
        """Return CER and WER, or PER alone, in percent."""
        words = 100 * self.word_edits / max(self.words, 1)
        if self.error == "PER":
            return {"PER": words}
        return {"CER": 100 * self.character_edits / max(self.characters, 1), "WER": words}


def by_utterance(transcripts: Iterable[tuple[str, str, str]], error: str = "CER") -> dict[str, str]:
    """Count the edits of each utterance, so that two runs can be compared utterance by utterance.

    Parameters
    ----------
    transcripts : iterable of (str, str, str)
        Clip, reference, hypothesis.
    error : {"CER", "PER"}
        What is counted: characters, or the phones that spaces separate.

    Returns
    -------
    dict
        ``clips``: a fingerprint of the clips' names, equal for runs on the same test set; ``edits`` and ``lengths``
        (of the references), one number per clip in the order of their names, as texts with spaces between.
    """
    rows = sorted(transcripts)
    edits, lengths = [], []
    for _, *texts in rows:
        reference, hypothesis = (text.split() if error == "PER" else text for text in texts)
        edits.append(edit_distance(reference, hypothesis))
        lengths.append(len(reference))
    names = "\n".join(row[0] for row in rows)
    return {
        "clips": hashlib.sha256(names.encode()).hexdigest()[:12],
        "edits": " ".join(map(str, edits)),
        "lengths": " ".join(map(str, lengths)),
    }


def in_words(rates: Mapping[str, float]) -> str:
    """Write error rates (%) for a log or a terminal: ``CER 12.30 %, WER 40.00 %``."""
    return ", ".join(f"{name} {rate:.2f} %" for name, rate in rates.items())
