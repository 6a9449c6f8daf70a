"""The encoder every recipe adapts: waveform in, frames out, padding never seen."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig

from s3_speechbrain.encoders import loading, log_mel, waveform
from s3_speechbrain.encoders.kept import Kept
from s3_speechbrain.encoders.spec_augment import SpecAugmentConfig, spec_augment
from s3_speechbrain.errors import UserError

ATTENTION = ("sdpa", "eager")


class Encoded(NamedTuple):
    """What an encoder returns.

    Attributes
    ----------
    hidden : Tensor or list of Tensor
        Last layer's output (B, T, D), or the transformer's input and each layer's output (L + 1 of them).
    frames : Tensor
        Valid frames per row, int64, shape (B,).
    """

    hidden: Tensor | list[Tensor]
    frames: Tensor


class SpeechEncoder(nn.Module):
    """A pretrained wav2vec2, XLS-R, HuBERT, WavLM, data2vec-audio or Whisper encoder.

    Two stages: `extract` (waveform to features; usually frozen, so its output can be cached) and `contextualise`
    (features to hidden states). A clip gives the same output alone and in a padded batch.

    Parameters
    ----------
    source : str
        ``"builtin"``, a hub name or a local folder (``config.json`` and weights).
    revision : str, optional
        Hub revision.
    pretrained : bool
        False builds the same network with random weights (drawn with `seed`), for baselines and tests.
    freeze : bool
        Train nothing in here.
    freeze_extractor : bool
        Do not train the convolutional extractor (wav2vec 2.0 never does in finetuning).
    layerdrop : float
        Probability of skipping a layer in training.
    dropout : float, mapping or None
        One rate, or rates for ``hidden``, ``attention``, ``activation``; None keeps the config's.
    gradient_checkpointing : bool
        Recompute layers in the backward pass: less memory, about a third more time.
    attention : {"sdpa", "eager"}, optional
        How attention is computed; None keeps Hugging Face's choice. The fused ``sdpa`` saves memory, the plain
        ``eager`` is faster in training on a CPU when clips are short.
    spec_augment : SpecAugmentConfig, mapping or None
        Masking of the transformer's input in training.
    seed : int
        For random weights only.

    Attributes
    ----------
    model : nn.Module
        The bare Hugging Face module.
    family : str
        One of `FAMILIES`.
    width : int
        Size D of hidden states.
    normalises : bool
        Whether waveforms get zero mean and unit variance first, as in pretraining.
    """

    sampling_rate = 16000
    frame_stride = 320

    def __init__(
        self,
        source: str,
        *,
        revision: str | None = None,
        pretrained: bool = True,
        freeze: bool = False,
        freeze_extractor: bool = True,
        layerdrop: float = 0.0,
        dropout: float | Mapping[str, float] | None = None,
        gradient_checkpointing: bool = False,
        attention: str | None = None,
        spec_augment: SpecAugmentConfig | Mapping | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        where = loading.resolve(source)
        config = loading.read_config(where, revision, dropout, layerdrop)
        model = loading.build_model(where, config, revision=revision, pretrained=pretrained, seed=seed)
        if isinstance(spec_augment, Mapping):
            spec_augment = SpecAugmentConfig(**spec_augment)
        self._take(source, model, loading.normalises_waveform(where, revision, config), spec_augment)
        self._freeze(freeze, freeze_extractor)
        if gradient_checkpointing:
            self.model.gradient_checkpointing_enable()
        if attention is not None:
            if attention not in ATTENTION:
                raise UserError(f"attention is {attention!r}: choose one of {', '.join(ATTENTION)}, or null")
            self.model.set_attn_implementation(attention)

    @classmethod
    def from_config(
        cls, config: PretrainedConfig, normalises: bool, source: str = "config"
    ) -> "SpeechEncoder":
        """Build a frozen encoder of a config's shape, sliced or not, with random weights; reads nothing.

        Parameters
        ----------
        config : PretrainedConfig
            Of one of the supported families; as `loading.build_model` wants it.
        normalises : bool
            Whether waveforms get zero mean and unit variance first.
        source : str
            A name for messages.
        """
        encoder = cls.__new__(cls)
        nn.Module.__init__(encoder)
        model = loading.build_model(source, config, revision=None, pretrained=False, seed=0)
        encoder._take(source, model, normalises, None)
        encoder._freeze(True, True)
        return encoder

    def _take(
        self, source: str, model: nn.Module, normalises: bool, spec_augment: SpecAugmentConfig | None
    ) -> None:
        config = model.config
        self.source, self.model, self.normalises, self.spec_augment = source, model, normalises, spec_augment
        self.family = config.model_type
        self.width = config.hidden_size if self.family != "whisper" else config.d_model
        self.log_mel = log_mel.LogMel(config.num_mel_bins) if self.family == "whisper" else None
        if self.family != "whisper":
            waveform.ignore_padding_(self.model)

    def _freeze(self, everything: bool, extractor: bool) -> None:
        own = getattr(self.model, "masked_spec_embed", None)
        start = own.detach().clone() if own is not None else torch.zeros(self.width)
        # A vector of our own for all families; only SpecAugment uses it, so it is trained only with SpecAugment.
        self.mask_vector = nn.Parameter(start, requires_grad=self.spec_augment is not None and not everything)
        if own is not None:
            own.requires_grad_(False)
        if everything:
            self.model.requires_grad_(False)
        self.extractor_frozen = everything or extractor
        if self.extractor_frozen:
            for module in self.extractor:
                module.requires_grad_(False)
                module._requires_grad = False  # else Hugging Face asks for a gradient of the waveform

    @property
    def extractor(self) -> list[nn.Module]:
        """The convolutions between waveform (or log-mel) and transformer."""
        if self.family == "whisper":
            return [self.model.conv1, self.model.conv2]
        return [self.model.feature_extractor]

    @property
    def extractor_width(self) -> int:
        """Size of the extracted features; smaller after channels of the extractor were sliced off."""
        return self.width if self.family == "whisper" else self.model.config.conv_dim[-1]

    @property
    def layers(self) -> nn.ModuleList:
        """The transformer layers."""
        return self.model.layers if self.family == "whisper" else self.model.encoder.layers

    def train(self, mode: bool = True) -> "SpeechEncoder":
        """Switch training mode; an encoder with nothing to train stays in evaluation mode (no dropout)."""
        trained = any(parameter.requires_grad for parameter in self.parameters())
        super().train(mode and trained)
        if self.extractor_frozen:
            for module in self.extractor:
                module.eval()
        return self

    def frame_count(self, samples: Tensor | int) -> Tensor:
        """Count the frames that a number of samples gives."""
        samples = torch.as_tensor(samples)
        if self.family == "whisper":
            return log_mel.frame_count(samples)
        return waveform.frame_count(self.model, samples)

    def extract(self, wavs: Tensor, wav_lens: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Turn waveforms into features.

        Parameters
        ----------
        wavs : Tensor
            Waveforms at 16 kHz, shape (B, N).
        wav_lens : Tensor or None
            Lengths relative to N, shape (B,), as SpeechBrain's batches give them. None for one clip alone: nothing
            is computed for padding then.

        Returns
        -------
        features : Tensor
            Shape (B, T, E), E being `extractor_width`.
        frames : Tensor or None
            Valid frames, int64, shape (B,); None for one clip alone.
        """
        samples = None
        if wav_lens is not None:
            samples = torch.round(wav_lens.to(wavs.device).double() * wavs.shape[1]).long()
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.extractor_frozen):
            if self.family == "whisper":
                features = log_mel.extract(self.model, self.log_mel, wavs, samples)
            else:
                features = waveform.extract(self.model, wavs, samples, self.normalises)
        if samples is None:
            return features, None
        return features, self.frame_count(samples).clamp(max=features.shape[1])

    def contextualise(
        self,
        features: Tensor,
        frames: Tensor | None,
        all_layers: bool = False,
        time_mask: Tensor | None = None,
        kept: Kept | None = None,
    ) -> Tensor | list[Tensor]:
        """Turn features into hidden states; in training, SpecAugment and dropout apply.

        Parameters
        ----------
        features : Tensor
            Shape (B, T, E).
        frames : Tensor or None
            Valid frames, shape (B,); None where all are (one clip alone, in evaluation).
        all_layers : bool
            Return the transformer's input and every layer's output, L + 1 tensors; the last one is the encoder's
            output (after a final layer norm where the family has one).
        time_mask : Tensor, optional
            Frames to replace by the mask vector, boolean (B, T); for masked prediction, in place of SpecAugment.
        kept : Kept, optional
            The only frames, or means of frames, that go through the transformer. They keep the positions
            (positional convolution, row of Whisper's table) that they have among all T frames. To count positions
            on the kept frames, leave the others out of `features`.

        Returns
        -------
        Tensor or list of Tensor
            Shape (B, T, D) each, or (B, T', D). Values beyond a row's valid frames mean nothing.
        """
        family = log_mel if self.family == "whisper" else waveform
        hidden = family.project(self.model, features)
        if time_mask is not None:
            hidden = torch.where(time_mask[:, :, None], self.mask_vector.to(hidden.dtype), hidden)
        elif self.training and self.spec_augment is not None:
            hidden = spec_augment(hidden, frames, self.mask_vector, self.spec_augment)
        if not all_layers:
            return family.transform(self.model, hidden, frames, kept)
        with _LayerTap(self.layers) as tap:
            last = family.transform(self.model, hidden, frames, kept)
        return [*tap.outputs()[:-1], last]

    def forward(self, wavs: Tensor, wav_lens: Tensor, all_layers: bool = False) -> Encoded:
        """Extract and contextualise; see those methods for shapes."""
        features, frames = self.extract(wavs, wav_lens)
        return Encoded(self.contextualise(features, frames, all_layers), frames)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the bare encoder (weights, config, waveform normalisation) as a folder that `source` accepts."""
        from transformers import Wav2Vec2FeatureExtractor, WhisperFeatureExtractor

        self.model.save_pretrained(folder)
        if self.family == "whisper":
            WhisperFeatureExtractor(feature_size=self.model.config.num_mel_bins).save_pretrained(folder)
        else:
            Wav2Vec2FeatureExtractor(do_normalize=self.normalises).save_pretrained(folder)


class _LayerTap:
    """Record the input of the first layer and each layer's output; a layer dropped in training repeats the last."""

    def __init__(self, layers: nn.ModuleList) -> None:
        self.layers = layers
        self.seen: dict[int, Tensor] = {}
        self.first: Tensor | None = None

    def __enter__(self) -> "_LayerTap":
        self.hooks = [layer.register_forward_hook(self._recorder(i)) for i, layer in enumerate(self.layers)]
        return self

    def _recorder(self, index: int):
        def record(_module: nn.Module, inputs: tuple, output: Tensor | tuple) -> None:
            if self.first is None:
                self.first = inputs[0]
            self.seen[index] = output[0] if isinstance(output, tuple) else output

        return record

    def __exit__(self, *_error: object) -> None:
        for hook in self.hooks:
            hook.remove()

    def outputs(self) -> list[Tensor]:
        """Return the L + 1 recorded tensors."""
        states = [self.first]
        for index in range(len(self.layers)):
            states.append(self.seen.get(index, states[-1]))
        return states
