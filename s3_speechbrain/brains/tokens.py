"""Text to CTC targets and back: characters; SentencePiece pieces or phones by option. Index 0 is the blank."""

import io
import itertools
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import sentencepiece
from speechbrain.dataio.encoder import CTCTextEncoder

from s3_speechbrain.errors import UserError

BLANK = 0


class Tokenizer(Protocol):
    """What the pipeline and the Brain ask of a tokenizer.

    Attributes
    ----------
    labels : list of str
        By index, the empty text for the blank.
    error : str
        The error rate that ranks checkpoints: ``CER``, or ``PER`` where texts are phones.
    """

    labels: list[str]
    error: str

    def encode(self, text: str) -> list[int]:
        """Return the indices of a text; what the training text does not hold is left out."""

    def decode(self, indices: Sequence[int]) -> str:
        """Return the text of collapsed indices without blanks."""


class Characters:
    """Characters, the space among them, on SpeechBrain's `CTCTextEncoder`.

    Only training text makes labels, so characters that occur in dev or test alone count as errors, as they
    must.

    Parameters
    ----------
    encoder : CTCTextEncoder
        With the blank at index 0.
    """

    error = "CER"

    def __init__(self, encoder: CTCTextEncoder) -> None:
        self.encoder = encoder
        encoder.expect_len(len(encoder))
        self.labels = ["", *(encoder.ind2lab[index] for index in range(1, len(encoder)))]

    @staticmethod
    def symbols(text: str) -> Sequence[str]:
        """Cut a text into what has one label each."""
        return text

    @classmethod
    def load_or_create(cls, path: Path, texts: Iterable[str]) -> "Characters":
        """Read the labels from `path`, or make them, sorted, from texts."""
        encoder = CTCTextEncoder()
        if not encoder.load_if_possible(path):
            encoder.insert_blank(index=BLANK)
            found = set().union(*map(cls.symbols, texts))
            encoder.update_from_iterable(sorted(found), sequence_input=False)
            _publish(path, encoder.save)
        return cls(encoder)

    @classmethod
    def from_labels(cls, labels: Sequence[str]) -> "Characters":
        """Make a tokenizer with these labels, the blank ("") first."""
        encoder = CTCTextEncoder()
        encoder.insert_blank(index=BLANK)
        encoder.update_from_iterable(labels[1:], sequence_input=False)
        return cls(encoder)

    def encode(self, text: str) -> list[int]:
        """Return one index per known symbol."""
        known = self.encoder.lab2ind
        return [known[symbol] for symbol in self.symbols(text) if symbol in known]

    def decode(self, indices: Sequence[int]) -> str:
        """Join characters; spaces at the ends and double spaces go."""
        return " ".join("".join(self.labels[index] for index in indices).split())


class Phones(Characters):
    """Phones, in texts with one space between them (`s3_speechbrain.data.phones`)."""

    error = "PER"

    @staticmethod
    def symbols(text: str) -> list[str]:
        """Cut a text into its phones."""
        return text.split()

    def decode(self, indices: Sequence[int]) -> str:
        """Join phones with spaces."""
        return " ".join(self.labels[index] for index in indices)


class Pieces:
    """SentencePiece pieces; indices are those of the model plus one, for the blank.

    Parameters
    ----------
    model : bytes
        A serialised SentencePiece model.
    """

    error = "CER"

    def __init__(self, model: bytes) -> None:
        self.processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        size = self.processor.get_piece_size()
        self.labels = ["", *(self.processor.id_to_piece(index) for index in range(size))]

    @classmethod
    def load_or_create(cls, path: Path, texts: Iterable[str], size: int, kind: str = "unigram") -> "Pieces":
        """Read a model from `path`, or train one of `size` pieces on texts.

        Raises
        ------
        UserError
            If the texts cannot give that many pieces.
        """
        if not path.is_file():
            made = io.BytesIO()
            try:
                sentencepiece.SentencePieceTrainer.train(
                    sentence_iterator=iter(texts),
                    model_writer=made,
                    vocab_size=size,
                    model_type=kind,
                    character_coverage=1.0,
                    bos_id=-1,
                    eos_id=-1,
                    minloglevel=2,
                )
            except RuntimeError as error:
                reason = str(error).split("] ")[-1].strip(" .")
                raise UserError(
                    f"SentencePiece cannot make {size} pieces ({reason}); try another --pieces"
                ) from error
            _publish(path, lambda temporary: temporary.write_bytes(made.getvalue()))
        return cls(path.read_bytes())

    def encode(self, text: str) -> list[int]:
        """Return one index per piece; unknown characters are left out."""
        unknown = self.processor.unk_id()
        return [index + 1 for index in self.processor.encode(text) if index != unknown]

    def decode(self, indices: Sequence[int]) -> str:
        """Join pieces."""
        return self.processor.decode([index - 1 for index in indices])


def tokenizer_record(tokenizer: Tokenizer) -> dict[str, Any]:
    """Return what makes a tokenizer again, as the mask bank stores it: ``kind``, ``labels``, ``model``."""
    if isinstance(tokenizer, Pieces):
        model = tokenizer.processor.serialized_model_proto()
        return {"kind": "sentencepiece", "labels": tokenizer.labels, "model": model}
    kind = "phones" if isinstance(tokenizer, Phones) else "characters"
    return {"kind": kind, "labels": tokenizer.labels, "model": None}


def tokenizer_from_record(record: Mapping[str, Any]) -> Tokenizer:
    """Make a tokenizer from what `tokenizer_record` returned.

    Raises
    ------
    UserError
        If the labels are not those that the tokenizer has.
    """
    try:
        if record["kind"] == "sentencepiece":
            tokenizer: Tokenizer = Pieces(record["model"])
        else:
            tokenizer = (Phones if record["kind"] == "phones" else Characters).from_labels(record["labels"])
    except (RuntimeError, KeyError, IndexError) as error:
        raise UserError(f"the {record['kind']} tokenizer cannot be made ({error}); train it again") from None
    if tokenizer.labels != list(record["labels"]):
        raise UserError(f"the labels are not those of the {record['kind']} tokenizer; train it again")
    return tokenizer


def _publish(path: Path, save) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    save(temporary)
    os.replace(temporary, path)


def frames_needed(indices: Sequence[int]) -> int:
    """Count the frames that CTC needs for a target: one per label and a blank between equal neighbours."""
    return len(indices) + sum(a == b for a, b in itertools.pairwise(indices))
