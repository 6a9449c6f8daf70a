"""From a CTC path to words with times and confidence."""

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from s3_speechbrain.brains.tokens import Phones, Pieces, Tokenizer
from s3_speechbrain.inference.paths import BestPath

WORD_START = "\N{LOWER ONE EIGHTH BLOCK}"  # SentencePiece's mark


@dataclass(frozen=True)
class Token:
    """One label of a transcript.

    Attributes
    ----------
    text : str
        The label: a character, a phone or a piece.
    start, end : float
        Seconds: the beginning of the first frame on which it is the best label, and the end of the last one.
    confidence : float
        Geometric mean of its posterior on these frames, 0 to 1.
    """

    text: str
    start: float
    end: float
    confidence: float


@dataclass(frozen=True)
class Word:
    """One word of a transcript (one phone where texts are phones).

    Attributes
    ----------
    text : str
        The word.
    start, end : float
        Seconds: start of its first and end of its last token. CTC emits a label somewhere within its sound, most
        often as one short peak, so that a word's end tends to be early.
    confidence : float
        Geometric mean of the confidences of its tokens.
    """

    text: str
    start: float
    end: float
    confidence: float


@dataclass(frozen=True)
class Transcript:
    """What was heard in one recording.

    Attributes
    ----------
    text : str
        The words with spaces between them, normalised as the training text was.
    language : str
        Of the masks and head that were used.
    duration : float
        Seconds of audio.
    confidence : float or None
        Mean of the words' confidences; None where nothing was heard.
    words : tuple of Word
        In order.
    tokens : tuple of Token
        In order, without blanks; spaces between words are tokens too.
    """

    text: str
    language: str
    duration: float
    confidence: float | None
    words: tuple[Word, ...] = ()
    tokens: tuple[Token, ...] = field(default=(), repr=False)

    def as_dict(self, words: bool = True) -> dict[str, Any]:
        """Return plain data for JSON, times in seconds to the millisecond; `words` adds the words."""
        confidence = None if self.confidence is None else round(self.confidence, 4)
        found: dict[str, Any] = {
            "text": self.text,
            "language": self.language,
            "duration": round(self.duration, 3),
            "confidence": confidence,
        }
        if words:
            found["words"] = [
                {**asdict(word), "start": round(word.start, 3), "end": round(word.end, 3)}
                | {"confidence": round(word.confidence, 4)}
                for word in self.words
            ]
        return found


def transcript(
    path: BestPath, tokenizer: Tokenizer, language: str, duration: float, frame: float
) -> Transcript:
    """Read a CTC path.

    Parameters
    ----------
    path : BestPath
        Of the whole recording.
    tokenizer : Tokenizer
        Of the language.
    language : str
        For the record.
    duration : float
        Of the recording in seconds.
    frame : float
        Seconds between two frames.

    Returns
    -------
    Transcript
        Its text is what the tokenizer makes of the collapsed path.
    """
    labels = path.collapsed()
    tokens = [
        Token(
            tokenizer.labels[label],
            min(float(path.places[first]) * frame, duration),
            min((float(path.places[last - 1]) + 1) * frame, duration),
            math.exp(float(path.log_probs[first:last].mean())),
        )
        for label, (first, last) in zip(labels, path.runs(), strict=True)
    ]
    words = tuple(_words(tokens, labels, tokenizer))
    mean = sum(word.confidence for word in words) / len(words) if words else None
    return Transcript(tokenizer.decode(labels), language, duration, mean, words, tuple(tokens))


def _words(tokens: Sequence[Token], labels: Sequence[int], tokenizer: Tokenizer) -> Iterator[Word]:
    for group in _groups(tokens, tokenizer):
        text = tokenizer.decode([labels[index] for index in group]).strip()
        if text:
            parts = [tokens[index] for index in group]
            sure = statistics.geometric_mean(part.confidence for part in parts)
            yield Word(text, parts[0].start, parts[-1].end, sure)


def _groups(tokens: Sequence[Token], tokenizer: Tokenizer) -> list[list[int]]:
    """Group the tokens of each word; spaces belong to none."""
    groups: list[list[int]] = [[]]
    for index, token in enumerate(tokens):
        if isinstance(tokenizer, Phones):
            groups.append([index])
        elif isinstance(tokenizer, Pieces):
            if token.text.startswith(WORD_START):
                groups.append([])
            if token.text != WORD_START:  # a mark alone begins a word and is no sound
                groups[-1].append(index)
        elif token.text.isspace():
            groups.append([])
        else:
            groups[-1].append(index)
    return [group for group in groups if group]
