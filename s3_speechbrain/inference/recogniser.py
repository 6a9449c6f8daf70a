"""One backbone in memory, many languages, one of them in use."""

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from s3_speechbrain.brains.model import CTCHead, Recogniser
from s3_speechbrain.brains.tokens import Tokenizer, tokenizer_from_record
from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.errors import UserError
from s3_speechbrain.inference.paths import best_paths
from s3_speechbrain.maskbank import MaskBank, MaskSwitch, PackedMask, fingerprint, read_header
from s3_speechbrain.maskbank.header import Header
from s3_speechbrain.masking import layers_of_masks
from s3_speechbrain.modelfolder import load_backbone
from s3_speechbrain.waves import as_samples


@dataclass(frozen=True)
class _Language:
    """What a language holds in memory."""

    masks: dict[str, PackedMask]
    head: CTCHead
    tokenizer: Tokenizer


class SharedRecogniser:
    """Recognise speech in the languages of a mask bank with one encoder.

    A language is read from its file when it is first used; from then on it is held with its masks at one bit per
    weight. Using another language writes the encoder's masked layers anew, from weights that are kept pristine.
    All methods may be called from several threads; one of them computes at a time.

    Parameters
    ----------
    bank : MaskBank
        The languages.
    encoder : SpeechEncoder
        The bank's backbone, without masks, on the CPU; it is frozen and put in evaluation mode.
    languages : iterable of str, optional
        Those to offer; default all.

    Raises
    ------
    UserError
        If the encoder is not the bank's backbone, a language is missing, or its file is not for this encoder.
    """

    def __init__(
        self, bank: MaskBank, encoder: SpeechEncoder, languages: Iterable[str] | None = None
    ) -> None:
        if bank.backbone is None:
            raise UserError(f"{bank.folder} is no mask bank: give a folder with a bank.json")
        found = fingerprint(encoder)
        if found != bank.backbone.fingerprint:
            raise UserError(
                f"{encoder.source} ({found[:12]}) is not the backbone of {bank.folder}: give source, a folder or "
                f"hub name of {bank.backbone.source} ({bank.backbone.fingerprint[:12]})"
            )
        self._bank = bank
        self._encoder = encoder.requires_grad_(False).eval()
        self.languages = bank.languages if languages is None else list(languages)
        self._shapes: dict[str, dict[str, tuple[int, ...]]] = {}
        for language in self.languages:
            header = read_header(bank.existing(language))
            self._check(header, language)
            self._shapes[language] = _shapes(header)
        self._switch = MaskSwitch(encoder, self._shapes.values())
        self._held: dict[str, _Language] = {}
        self._active: str | None = None
        self._lock = threading.RLock()

    @classmethod
    def from_bank(
        cls, folder: str | Path, source: str | None = None, languages: Iterable[str] | None = None
    ) -> "SharedRecogniser":
        """Load a bank's backbone and offer its languages.

        Parameters
        ----------
        folder : path
            Of the bank.
        source : str, optional
            Where the backbone is on this machine: ``"builtin"``, a hub name or a folder; default what the bank
            carries or says.
        languages : iterable of str, optional
            Those to offer; default all.

        Raises
        ------
        UserError
            As for the constructor, or if the backbone cannot be loaded.

        Examples
        --------
        >>> recogniser = SharedRecogniser.from_bank("results/bank")  # doctest: +SKIP
        >>> recogniser.transcribe([wave], "fr")  # doctest: +SKIP
        """
        bank = MaskBank(folder)
        if bank.backbone is None:
            raise UserError(f"{folder} is no mask bank: give a folder with a bank.json")
        return cls(bank, load_backbone(bank, source), languages)

    @property
    def language(self) -> str | None:
        """The language whose masks are in the encoder's weights now; None before the first use."""
        return self._active

    def set_language(self, language: str) -> None:
        """Make the encoder one of this language; nothing is done if it is one already.

        Parameters
        ----------
        language : str
            One of `languages`.

        Raises
        ------
        UserError
            If it is none of them, or its file is damaged or was replaced by one for other layers.
        """
        self._check_offered(language)
        with self._lock:
            if language == self._active:
                return
            held = self._hold(language)
            self._active = None  # should writing be interrupted, the weights are of no language
            self._switch.apply(held.masks)
            self._active = language

    def transcribe(self, waves: Sequence[Tensor | np.ndarray], languages: Sequence[str] | str) -> list[str]:
        """Recognise clips, each in its language.

        Clips are grouped by language, so that each language is switched to once; the texts come in the order of
        the clips.

        Parameters
        ----------
        waves : sequence of Tensor or numpy.ndarray
            Samples at 16 kHz, floating point, shape (N,) each.
        languages : sequence of str or str
            The language of each clip, or one for all.

        Returns
        -------
        list of str
            Greedy transcripts; empty for a clip too short for one frame.

        Raises
        ------
        UserError
            If a language is not offered, the numbers of clips and languages differ, or a clip is no finite
            one-dimensional signal; nothing is computed then.
        """
        wanted = [languages] * len(waves) if isinstance(languages, str) else list(languages)
        if len(wanted) != len(waves):
            raise UserError(f"{len(waves)} clips, {len(wanted)} languages: give one language for each clip")
        for language in [languages] if isinstance(languages, str) else wanted:
            self._check_offered(language)
        clips = [torch.from_numpy(as_samples(wave, f"clip {index}")) for index, wave in enumerate(waves)]
        groups: dict[str, list[int]] = {}
        for index, language in enumerate(wanted):
            groups.setdefault(language, []).append(index)
        texts = [""] * len(clips)
        with self._lock:
            # The active language first: it costs no switch.
            for language in sorted(groups, key=lambda name: name != self._active):
                with self.using(language) as (model, tokenizer):
                    paths = best_paths(model, [clips[index] for index in groups[language]])
                for index, path in zip(groups[language], paths, strict=True):
                    texts[index] = tokenizer.decode(path.collapsed())
        return texts

    def held_bytes(self, language: str) -> int:
        """Return the bytes that a language takes in memory: packed masks and head; 0 before its first use."""
        held = self._held.get(language)
        if held is None:
            return 0
        head = sum(value.nbytes for value in held.head.state_dict().values())
        return sum(mask.nbytes for mask in held.masks.values()) + head

    @contextmanager
    def using(self, language: str) -> Iterator[tuple[Recogniser, Tokenizer]]:
        """Lend the encoder as one of this language, with its head and tokenizer, to one thread at a time.

        Parameters
        ----------
        language : str
            One of `languages`.

        Yields
        ------
        Recogniser, Tokenizer
            Valid inside the block only: another language may be in the weights after it.

        Raises
        ------
        UserError
            As `set_language`.
        """
        with self._lock:
            self.set_language(language)
            held = self._held[language]
            yield Recogniser(self._encoder, held.head).eval(), held.tokenizer

    def _hold(self, language: str) -> _Language:
        """Return a language from memory, or read it."""
        if language not in self._held:
            entry = self._bank.read_packed(language, lambda header: self._check_again(header, language))
            head = CTCHead(labels=len(entry.tokenizer["labels"]), **entry.head_options)
            head.load_state_dict(entry.head)
            tokenizer = tokenizer_from_record(entry.tokenizer)
            self._held[language] = _Language(entry.masks, head.requires_grad_(False).eval(), tokenizer)
        return self._held[language]

    def _check(self, header: Header, language: str) -> None:
        self._bank.check_header(header, language)
        layers_of_masks(self._encoder, _shapes(header))
        outputs = len(self._encoder.layers) + 1
        if header.head_options["width"] != self._encoder.width or header.head_options["layers"] not in (
            None,
            outputs,
        ):
            raise UserError(f"the head of {language!r} does not fit the encoder: train the language again")

    def _check_again(self, header: Header, language: str) -> None:
        """Check the file that is read now; it may not be the one whose header was read at the start."""
        self._check(header, language)
        if _shapes(header) != self._shapes[language]:
            raise UserError(
                f"the file of {language!r} was replaced by one for other layers: load the bank again"
            )

    def _check_offered(self, language: str) -> None:
        if language not in self._shapes:
            raise UserError(f"no language {language!r} is loaded: choose one of {', '.join(self._shapes)}")


def _shapes(header: Header) -> dict[str, tuple[int, ...]]:
    return {layer.name: layer.shape for layer in header.layers}
