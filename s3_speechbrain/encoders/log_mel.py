"""The Whisper encoder on clips of their own length: log-mel, two convolutions, positions, layers.

Whisper pads every clip to 30 s. Here the log-mel is cut to the clip and the first T rows of the position table
are used, which is about ten times cheaper for short clips.
"""

import torch
from torch import Tensor, nn
from transformers import WhisperFeatureExtractor
from transformers.masking_utils import create_bidirectional_mask

from s3_speechbrain.encoders.kept import Kept
from s3_speechbrain.encoders.waveform import valid
from s3_speechbrain.errors import UserError

HOP = 160  # samples between two log-mel frames


class LogMel(nn.Module):
    """Whisper's log-mel spectrogram, computed clip by clip so that padding cannot change a clip's frames."""

    def __init__(self, mel_bins: int, n_fft: int = 400, hop: int = HOP) -> None:
        super().__init__()
        self.n_fft, self.hop = n_fft, hop
        filters = WhisperFeatureExtractor(feature_size=mel_bins).mel_filters
        self.register_buffer("filters", torch.from_numpy(filters).float().T, persistent=False)
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)

    def one(self, wav: Tensor) -> Tensor:
        """Return the log-mel of one clip: (N,) samples to (bins, N // hop), scaled as Whisper does."""
        if wav.numel() <= self.n_fft // 2:  # the reflected border needs that much signal
            wav = nn.functional.pad(wav, (0, self.n_fft // 2 + 1 - wav.numel()))
        log = (self.filters @ self.power(wav)).clamp(min=1e-10).log10()
        return (torch.maximum(log, log.max() - 8.0) + 4.0) / 4.0

    def power(self, wav: Tensor) -> Tensor:
        """Return the power spectrum of one clip: (N,) samples to (n_fft // 2 + 1, N // hop)."""
        spectrum = torch.stft(wav, self.n_fft, self.hop, window=self.window, return_complex=True)
        return spectrum[..., :-1].abs().square()

    @torch.no_grad()
    def forward(self, wavs: Tensor, samples: Tensor | None) -> Tensor:
        """Return (B, bins, M) for (B, N) waveforms, zero beyond each clip; without `samples`, for one clip alone."""
        if samples is None:
            return self.one(wavs[0])[None]
        with torch.autocast(wavs.device.type, enabled=False):
            clips = [
                self.one(wav[:count].float()).T for wav, count in zip(wavs, samples.tolist(), strict=True)
            ]
        return nn.utils.rnn.pad_sequence(clips, batch_first=True).transpose(1, 2)


def frame_count(samples: Tensor, hop: int = HOP) -> Tensor:
    """Count Whisper's frames (50 Hz): one for every two log-mel frames, rounded up."""
    return torch.div(torch.div(samples, hop, rounding_mode="floor") + 1, 2, rounding_mode="floor")


def extract(model: nn.Module, log_mel: LogMel, wavs: Tensor, samples: Tensor | None) -> Tensor:
    """Run log-mel and the two convolutions: (B, N) samples to (B, T, D) features, zero beyond each clip."""
    spectrogram = log_mel(wavs, samples).to(model.conv1.bias.dtype)
    hidden = nn.functional.gelu(model.conv1(spectrogram))
    if samples is not None:
        # The second convolution reaches one frame past the clip: zeros must stand there, as at a clip's end.
        hidden = hidden * valid(samples // log_mel.hop, hidden.shape[-1])[:, None].to(hidden.dtype)
    return nn.functional.gelu(model.conv2(hidden)).transpose(1, 2)


def project(model: nn.Module, features: Tensor) -> Tensor:
    """Add the positions of the first T frames: (B, T, D) to (B, T, D).

    Raises
    ------
    UserError
        If a clip is longer than the position table (30 s).
    """
    length, most = features.shape[1], model.config.max_source_positions
    if length > most:
        raise UserError(
            f"a clip of {length / 50:.1f} s is longer than this Whisper encoder's {most / 50:.0f} s; cut it"
        )
    return nn.functional.dropout(
        features + model.embed_positions.weight[:length], model.dropout, model.training
    )


def transform(
    model: nn.Module,
    hidden: Tensor,
    frames: Tensor | None,
    kept: Kept | None = None,
) -> Tensor:
    """Run the transformer layers over the valid frames: (B, T, D) to (B, T, D), or over the `kept` ones alone."""
    if kept is not None:
        hidden, frames = kept.take(hidden), kept.frames
    mask = None
    if frames is not None:
        mask = create_bidirectional_mask(
            config=model.config, inputs_embeds=hidden, attention_mask=valid(frames, hidden.shape[1])
        )
    for layer in model.layers:
        if model.training and model.layerdrop > 0 and torch.rand([]) < model.layerdrop:
            continue
        hidden = layer(hidden, mask)
    return model.layer_norm(hidden)
