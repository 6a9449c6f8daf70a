"""Brains that train one model for several languages, scored and chosen language by language."""

import logging
import math
import statistics
from collections.abc import Mapping
from pathlib import Path

import speechbrain as sb
from speechbrain.utils.run_opts import RunOptions
from torch import Tensor, nn

from s3_speechbrain.brains.banking import write_backbone
from s3_speechbrain.brains.batches import SpeechBatch
from s3_speechbrain.brains.corpus import Corpus
from s3_speechbrain.brains.ctc import CTCBrain
from s3_speechbrain.brains.errors import ErrorCounter
from s3_speechbrain.brains.languages import LanguageClips, LanguageStream, take_turns, temperature_shares
from s3_speechbrain.brains.masked import MaskBrain
from s3_speechbrain.brains.model import CTCHead, Recogniser, cache_size_mb
from s3_speechbrain.brains.updates import CACHE_DTYPES
from s3_speechbrain.maskbank import Backbone
from s3_speechbrain.masking import SELECTION, set_language_
from s3_speechbrain.measure import (
    LanguageBytes,
    ParameterCount,
    count_parameters,
    language_bytes,
    tensor_bytes,
)

logger = logging.getLogger(__name__)


class LanguageHeads(nn.Module):
    """A CTC head for each language: all are resident, one is in use.

    Parameters
    ----------
    heads : mapping of str to CTCHead
        By language, at least one; the first is in use.
    """

    def __init__(self, heads: Mapping[str, CTCHead]) -> None:
        super().__init__()
        self.selected = next(iter(heads))
        for language, head in heads.items():
            self.add_module(f"head_{language}", head)

    @property
    def in_use(self) -> CTCHead:
        """The head of the selected language."""
        return self.get_submodule(f"head_{self.selected}")

    @property
    def mix(self) -> nn.Parameter | None:
        """The weights that mix the encoder's layers, if the selected head does that."""
        return self.in_use.mix

    def forward(self, hidden: Tensor) -> Tensor:
        """Return the logits of the selected language; see `CTCHead.forward`."""
        return self.in_use(hidden)


class MultilingualBrain(CTCBrain):
    """Train one recogniser for several languages; the checkpoint with the best mean dev CER is kept.

    At any time one language is selected: `corpus` is its data, and what the Brain tells (error rates, masks, rows
    of the history) is about it.

    Parameters
    ----------
    model : Recogniser
        As for `CTCBrain`.
    corpora : mapping of str to Corpus
        By language.
    hparams : mapping
        Those of `CTCBrain`; ``updates`` and ``valid_every`` count the updates of one language, and are multiplied
        by the number of languages, unless ``total_updates`` says how many there are.
    run_opts : RunOptions, optional
        SpeechBrain's run options.
    """

    others_idle = False

    def __init__(
        self,
        model: Recogniser,
        corpora: Mapping[str, Corpus],
        hparams: Mapping,
        run_opts: RunOptions | None = None,
    ) -> None:
        self.corpora = dict(corpora)
        self.selected = next(iter(self.corpora))
        budget = {
            "updates": hparams["total_updates"] or hparams["updates"] * len(corpora),
            "valid_every": hparams["valid_every"] * len(corpora),
        }
        super().__init__(model, self.corpora[self.selected], {**hparams, **budget}, run_opts)
        self.find_unused_parameters = self.find_unused_parameters or self.others_idle
        self.select(self.selected)

    def select(self, language: str) -> None:
        """Turn to another language."""
        self.selected, self.corpus = language, self.corpora[language]

    def sampling(self) -> dict[str, float | None]:
        """Return the settings that decide how often a language is seen, for the record."""
        return {}

    def updates_of(self, language: str) -> int:
        """Return the updates that a language took part in, counted as its share where batches are mixed."""
        del language
        return round(self.hparams.updates / len(self.corpora))

    def trained_weights(self) -> list[Tensor]:
        """Return the weights of the encoder that train, and that all languages share."""
        encoder = self.recogniser.encoder
        return [p for p in encoder.parameters() if p.requires_grad and p is not encoder.mask_vector]

    def shared_bytes(self) -> int:
        """Count the bytes that all languages share beside the backbone as it was."""
        return tensor_bytes(self.trained_weights())

    def stored(self) -> LanguageBytes:
        """Return what the selected language stores: its share of the common head and vocabulary."""
        whole = language_bytes(None, self.head.parameters(), self.corpus.tokenizer.labels)
        return LanguageBytes(0, 0, *(math.ceil(part / len(self.corpora)) for part in whole[2:]))

    def clips(self, split: str) -> LanguageClips:
        """Return the clips of a split in all languages, with what is frozen cached.

        All of them or none, as batches may mix languages; ``cache_limit_mb`` is that of all together.
        """
        sets = {language: corpus.clips[split] for language, corpus in self.corpora.items()}
        dtype = CACHE_DTYPES[self.hparams.cache_dtype]
        size = sum(cache_size_mb(self.recogniser, clips, dtype) for clips in sets.values())
        if size <= self.hparams.cache_limit_mb:
            for clips in sets.values():
                self.cache(clips)
        elif self.hparams.cache:
            logger.info("Not caching %s: %.0f MB are more than cache_limit_mb", split, size)
        return LanguageClips(sets)

    def compute_forward(self, batch: SpeechBatch, stage: sb.Stage) -> tuple[Tensor, Tensor]:
        """Return logits (B, T, V) and valid frames (B,), of the batch's language where it has one."""
        if batch.language is not None:
            self.select(batch.language)
        return super().compute_forward(batch, stage)

    def on_stage_start(self, stage: sb.Stage, epoch: int | None = None) -> None:
        """Choose the round's batches, or start counting errors."""
        super().on_stage_start(stage, epoch)
        error = self.corpus.tokenizer.error
        self.by_language = {language: ErrorCounter(error=error) for language in self.corpora}

    def _collect(self, logits: Tensor, frames: Tensor, batch: SpeechBatch) -> None:
        if batch.language is not None:
            self.errors = self.by_language[batch.language]
        super()._collect(logits, frames, batch)

    def rates(self) -> dict[str, float]:
        """Return the error rates (%): the means over languages, and those of each language."""
        each = {language: errors.rates() for language, errors in self.by_language.items()}
        means = {
            name: statistics.fmean(rates[name] for rates in each.values()) for name in each[self.selected]
        }
        return means | {
            f"{name}_{language}": rate for language, rates in each.items() for name, rate in rates.items()
        }

    def past_rounds(self) -> list[dict]:
        """Return one row per validation with the selected language's error rates; the mean is called so."""
        error, suffix = self.corpus.tokenizer.error, f"_{self.selected}"
        rows = []
        for row in self.history.rounds:
            common = {name: row[name] for name in row if not name.startswith("valid_")}
            rates = {name.removesuffix(suffix): row[name] for name in row if name.endswith(suffix)}
            means = {"valid_loss": row["valid_loss"], f"mean_{error}": row[f"valid_{error}"]}
            rows.append({**common, **means, **rates})
        return rows


class JointMaskBrain(MultilingualBrain, MaskBrain):
    """Train the masks and heads of several languages together; see `MultilingualBrain` for the parameters.

    The encoder is masked by `mask_languages_`, the head is `LanguageHeads`. Every update is of one language, drawn
    by a temperature sampler (``temperature``).
    """

    others_idle = True  # DDP has to look for the masks and heads of the other languages

    def select(self, language: str) -> None:
        """Turn to another language: its data, masks and head."""
        super().select(language)
        set_language_(self.recogniser.encoder, language)
        self.recogniser.head.selected = language

    @property
    def head(self) -> CTCHead:
        """The head of the selected language."""
        return self.recogniser.head.in_use

    def backbone(self) -> Backbone | None:
        """Tell which backbone the masks are for; weights that were trained along are written as a new one."""
        if not self.trained_weights():
            return super().backbone()
        folder = Path(self.hparams.output_folder) / "backbone"
        return write_backbone(self.recogniser.encoder, self.hparams.encoder["build"](), folder)

    def trained_weights(self) -> list[Tensor]:
        """Return the weights that train together with the masks of all languages."""
        return MaskBrain.trained_weights(self)

    def stored(self) -> LanguageBytes:
        """Return what the selected language stores: masks, head and vocabulary."""
        return language_bytes(self.masks(), self.head.parameters(), self.corpus.tokenizer.labels)

    def count_parameters(self) -> ParameterCount:
        """Count what the selected language runs with, and what it trained: weights that train count in each."""
        encoder = self.recogniser.encoder
        others = sum(
            parameter.numel()
            for name, parameter in encoder.named_parameters()
            if name.endswith(SELECTION) and f".mask_{self.selected}." not in name
        )
        counted = count_parameters(encoder, self.head)
        return ParameterCount(counted.total, counted.trainable - others)

    def on_fit_batch_end(
        self, batch: SpeechBatch, outputs: tuple[Tensor, Tensor], loss: Tensor, should_step: bool
    ) -> None:
        """Leave the ranking of the new scores to the language's next turn, which has to look anyway."""

    def turns(self) -> list[str]:
        """Return the language of each update."""
        minutes = [corpus.train_minutes for corpus in self.corpora.values()]
        shares = temperature_shares(minutes, self.hparams.temperature)
        names = list(self.corpora)
        return [names[turn] for turn in take_turns(shares, self.hparams.updates, self.hparams.seed)]

    def sampling(self) -> dict[str, float | None]:
        """Return the temperature."""
        return {"temperature": self.hparams.temperature}

    def updates_of(self, language: str) -> int:
        """Return how many updates a language had."""
        return self.turns().count(language)

    def training_batches(self, clips: LanguageClips) -> LanguageStream:
        """Make this process's stream of batches, one language per update."""
        streams = {language: self.make_stream(one.durations) for language, one in clips.clips.items()}
        self.stream = LanguageStream(streams, clips.offsets, self.turns(), self.grad_accumulation_factor)
        return self.stream
