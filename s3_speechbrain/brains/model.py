"""Encoder and CTC head as one module, and a cache of what the frozen part computes."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from tqdm import tqdm

from s3_speechbrain.brains.batches import Clips
from s3_speechbrain.brains.sampling import by_duration
from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.tokens import TokenSelector


class CTCHead(nn.Module):
    """Linear classifier of frames, optionally after hidden layers and a learned mix of the encoder's layers.

    Parameters
    ----------
    width : int
        Size D of the encoder's hidden states.
    labels : int
        Size of the vocabulary with the blank.
    hidden : sequence of int
        Widths of GELU layers before the classifier.
    layers : int, optional
        Number of encoder outputs to mix with learned softmax weights; None takes the last layer alone.
    dropout : float
        On the classifier's input.
    """

    def __init__(
        self,
        width: int,
        labels: int,
        hidden: Sequence[int] = (),
        layers: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.mix = nn.Parameter(torch.zeros(layers)) if layers else None
        parts: list[nn.Module] = []
        for size in hidden:
            parts += [nn.Linear(width, size), nn.GELU()]
            width = size
        self.body = nn.Sequential(*parts, nn.Dropout(dropout))
        self.classifier = nn.Linear(width, labels)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, hidden: Tensor) -> Tensor:
        """Return logits (B, T, V) of hidden states (B, T, D), or (B, T, L, D) when layers are mixed."""
        if self.mix is not None:
            hidden = torch.einsum("l,btld->btd", self.mix.softmax(0), hidden)
        return self.classifier(self.body(hidden))


class Recogniser(nn.Module):
    """Encoder and head, by option a token selector; one module, so that DDP sees every forward pass.

    Inputs go from stage to stage: ``"wave"``, ``"features"`` of the extractor, those that were ``"kept"`` by the
    selector, ``"hidden"`` states.

    Parameters
    ----------
    encoder : SpeechEncoder
        Adapted as wanted before it comes here.
    head : CTCHead
        The classifier.
    selector : TokenSelector, optional
        Shortens the sequence behind the extractor.
    """

    def __init__(self, encoder: SpeechEncoder, head: CTCHead, selector: TokenSelector | None = None) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.selector = selector

    @property
    def frozen_stage(self) -> str:
        """The last stage before anything that trains or is drawn anew: what may be kept in memory."""
        chooser = self.selector
        if (chooser is None or chooser.steady) and not any(
            p.requires_grad for p in self.encoder.parameters()
        ):
            return "hidden"
        if not self.encoder.extractor_frozen:
            return "wave"
        if chooser is not None and chooser.steady and chooser.cut == "before_positions":
            return "kept"
        return "wave" if self.needs_wave else "features"

    @property
    def needs_wave(self) -> bool:
        """Whether the selector looks at waveforms, so that features alone are not enough."""
        return self.selector is not None and self.selector.needs_wave

    def forward(
        self,
        inputs: Tensor,
        lengths: Tensor,
        stage: str = "wave",
        hold_encoder: bool = False,
        needed: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Compute logits.

        Parameters
        ----------
        inputs, lengths, stage
            As in `SpeechBatch`.
        hold_encoder : bool
            Compute no gradients for the encoder (the head alone learns).
        needed : Tensor, optional
            Frames that CTC needs for the targets, shape (B,); the selector leaves as many. In training only.

        Returns
        -------
        logits : Tensor
            Shape (B, T, V).
        frames : Tensor
            Valid frames, int64, shape (B,).
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and not hold_encoder):
            hidden, frames = self.encode(inputs, lengths, stage, "hidden", needed)
        return self.head(hidden), frames

    def encode(
        self, inputs: Tensor, lengths: Tensor, stage: str, target: str, needed: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Go from one stage to another; layers are stacked on a third axis when the head mixes them."""
        wavs, kept = None, None
        if stage == "wave" and target != "wave":
            wavs = inputs
            inputs, lengths = self.encoder.extract(inputs, lengths)
            stage = "features"
        if stage == "features" and target in ("kept", "hidden"):
            if self.selector is not None:
                short = self.selector(inputs, lengths, needed, wavs)
                if self.selector.cut == "after_positions":
                    kept = short.kept
                else:
                    inputs, lengths = short.features, short.frames
            stage = "kept"
        if stage == "kept" and target == "hidden":
            mixes = self.head.mix is not None
            inputs = self.encoder.contextualise(inputs, lengths, all_layers=mixes, kept=kept)
            inputs = torch.stack(inputs, dim=2) if mixes else inputs
            lengths = lengths if kept is None else kept.frames
        return inputs, lengths


def cache_size_mb(model: Recogniser, clips: Clips, dtype: torch.dtype) -> float:
    """Estimate the memory that caching a dataset's frozen activations takes, in MB (10^6 bytes)."""
    encoder = model.encoder
    frames = sum(clips.durations) * encoder.sampling_rate / encoder.frame_stride
    values = encoder.extractor_width
    if model.frozen_stage == "hidden":
        values = encoder.width * (len(model.head.mix) if model.head.mix is not None else 1)
    return frames * values * dtype.itemsize / 1e6


@torch.no_grad()
def fill_cache(
    model: Recogniser,
    clips: Clips,
    device: str,
    *,
    dtype: torch.dtype = torch.float32,
    seconds: float = 60.0,
    progress: bool = True,
    training: bool = False,
) -> list[tuple[str, str]]:
    """Compute once what the frozen part of a model gives for each clip, and keep it in memory.

    Worth it whenever the same clips are seen more than once and the waveform is not augmented: on a CPU the
    convolutional extractor costs as much as several transformer layers.

    Parameters
    ----------
    model : Recogniser
        On `device`.
    clips : Clips
        Its ``cache`` and ``stage`` are set.
    device : str
        Where to compute; the cache stays in main memory.
    dtype : torch.dtype
        Of the kept activations; bfloat16 or float16 halve the memory.
    seconds : float
        Audio per batch.
    progress : bool
        Show a bar.
    training : bool
        A token selector leaves as many frames as CTC needs for the clips' targets.

    Returns
    -------
    list of (str, str)
        Clips that could not be read, with the reason; they are taken out of `clips`.
    """
    stage = model.frozen_stage
    was_training = model.training
    model.eval()
    if model.needs_wave:
        clips.forget()
    cache: dict[str, Tensor] = {}
    skipped: list[tuple[str, str]] = []
    batches = by_duration(clips.durations, seconds)
    for indices in tqdm(batches, desc=f"caching {stage}", disable=not progress, dynamic_ncols=True):
        batch = clips.collate([clips[index] for index in indices]).to(device)
        skipped += batch.skipped
        needed = batch.frames_needed() if training else None
        values, frames = model.encode(batch.inputs.float(), batch.lengths, batch.stage, stage, needed)
        for clip, row, length in zip(batch.ids, values, frames.tolist(), strict=True):
            cache[clip] = row[:length].to("cpu", dtype, copy=True)
    clips.cache, clips.stage = cache, stage
    if skipped:
        clips.drop([clip for clip, _ in skipped])
    model.train(was_training)
    return skipped
