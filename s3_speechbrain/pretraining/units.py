"""Discrete units for masked prediction: random projection (BEST-RQ) and k-means of MFCCs or a teacher's layer."""

import logging
from collections.abc import Callable, Iterable
from functools import lru_cache

import numpy as np
import torch
import torchaudio
from torch import Tensor, nn

from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.errors import UserError
from s3_speechbrain.pretraining.objectives import PAST, frame_centre

logger = logging.getLogger(__name__)

WINDOW = 400  # samples of a spectrum, 25 ms
HOP = 160  # samples between two frames of the log-mel spectrum, 10 ms


def each_clip(wavs: Tensor, wav_lens: Tensor, shortest: int) -> list[Tensor]:
    """Cut a padded batch (B, N) into its clips, with silence behind those of fewer than `shortest` samples."""
    counts = torch.round(wav_lens.double() * wavs.shape[1]).long().tolist()
    clips = [wav[:count] for wav, count in zip(wavs, counts, strict=True)]
    return [nn.functional.pad(clip, (0, max(0, shortest - len(clip)))) for clip in clips]


@lru_cache(maxsize=4)
def _mfcc(device: torch.device) -> torchaudio.transforms.MFCC:
    melkwargs = {"n_fft": WINDOW, "hop_length": 320, "n_mels": 40, "center": False}
    return torchaudio.transforms.MFCC(n_mfcc=13, melkwargs=melkwargs).to(device)


def mfcc_features(wavs: Tensor, wav_lens: Tensor) -> tuple[Tensor, Tensor]:
    """Return 39 MFCCs (13, deltas, double deltas) every 20 ms, as HuBERT's first iteration, and how many are valid.

    Clip by clip: torchaudio cuts off what lies 80 dB below the loudest place of all that it is given, and deltas
    reach two frames past the end.

    Parameters
    ----------
    wavs, wav_lens : Tensor
        Waveforms (B, N) and their relative lengths (B,).

    Returns
    -------
    features : Tensor
        Shape (B, T, 39).
    frames : Tensor
        Valid frames, int64, shape (B,).
    """
    deltas, rows = torchaudio.functional.compute_deltas, []
    for clip in each_clip(wavs, wav_lens, WINDOW):
        mfcc = _mfcc(wavs.device)(clip)
        delta = deltas(mfcc)
        rows.append(torch.cat([mfcc, delta, deltas(delta)]).T)
    frames = torch.tensor([len(row) for row in rows])
    return nn.utils.rnn.pad_sequence(rows, batch_first=True), frames


class TeacherLayer:
    """Features from a layer of any encoder, computed where the waveforms are."""

    def __init__(self, teacher: SpeechEncoder, layer: int) -> None:
        self.teacher, self.layer = teacher.eval().requires_grad_(False), layer
        self.centre = frame_centre(teacher)

    @torch.no_grad()
    def __call__(self, wavs: Tensor, wav_lens: Tensor) -> tuple[Tensor, Tensor]:
        """Return the layer's hidden states (B, T, D) and valid frames (B,) of waveforms (B, N)."""
        every, frames = self.teacher.to(wavs.device)(wavs, wav_lens, all_layers=True)
        return every[self.layer].float(), frames


class KMeansUnits(nn.Module):
    """The nearest of k centroids of some frame features (HuBERT, Section II-A).

    Parameters
    ----------
    features : callable
        (wavs, wav_lens) to (B, T, F) and valid frames (B,), such as `mfcc_features` or a `TeacherLayer`.
    units : int
        Number of centroids k.
    """

    def __init__(self, features: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]], units: int = 100) -> None:
        super().__init__()
        self.centre = getattr(features, "centre", WINDOW / 2)
        self.features, self.units = features, units
        self.register_buffer("centroids", torch.zeros(0))

    def fit(self, batches: Iterable[tuple[Tensor, Tensor, list[str]]], seed: int = 1) -> "KMeansUnits":
        """Find the centroids with scikit-learn's mini-batch k-means on the frames of some batches.

        Raises
        ------
        UserError
            If there are fewer frames than units.
        """
        from sklearn.cluster import MiniBatchKMeans

        frames = []
        for wavs, wav_lens, _ in batches:
            found, counts = self.features(wavs, wav_lens)
            frames += [row[:n].cpu().numpy() for row, n in zip(found, counts.tolist(), strict=True)]
        data = np.concatenate(frames)
        if len(data) < self.units:
            raise UserError(f"{len(data)} frames cannot give {self.units} units; add audio or lower units")
        means = MiniBatchKMeans(self.units, random_state=seed, batch_size=4096, n_init=3).fit(data)
        self.centroids = torch.from_numpy(means.cluster_centers_).float()
        logger.info("k-means: %d units from %d frames, inertia %.3g", self.units, len(data), means.inertia_)
        return self

    @torch.no_grad()
    def forward(self, wavs: Tensor, wav_lens: Tensor) -> Tensor:
        """Return the units (B, T) on the waveforms' device, `PAST` beyond each clip's frames."""
        self.to(wavs.device)
        found, counts = self.features(wavs, wav_lens)
        # Clip by clip: how distances are computed, and so how they round, depends on the number of frames.
        rows = [
            torch.cdist(row[:count], self.centroids).argmin(-1)
            for row, count in zip(found, counts.tolist(), strict=True)
        ]
        return nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=PAST)


class RandomProjectionUnits(nn.Module):
    """BEST-RQ: the nearest of random unit vectors to a random projection of the log-mel spectrum (Equation 1).

    Parameters
    ----------
    units : int
        Size of the random codebook.
    width : int
        Dimensions of the projection.
    seed : int
        Draws projection and codebook, which are never trained.
    """

    def __init__(self, units: int = 1024, width: int = 16, mel_bins: int = 80, seed: int = 1) -> None:
        super().__init__()
        self.units = units
        self.centre = (WINDOW + HOP) / 2  # of two windows, 10 ms apart
        self.mel = torchaudio.transforms.MelSpectrogram(
            16000, n_fft=WINDOW, hop_length=HOP, n_mels=mel_bins, center=False
        )
        generator = torch.Generator().manual_seed(seed)
        projection = torch.randn(2 * mel_bins, width, generator=generator) / (2 * mel_bins) ** 0.5
        codebook = torch.randn(units, width, generator=generator)
        self.register_buffer("projection", projection)
        self.register_buffer("codebook", nn.functional.normalize(codebook, dim=-1))

    @torch.no_grad()
    def forward(self, wavs: Tensor, wav_lens: Tensor) -> Tensor:
        """Return the units (B, T) on the waveforms' device, `PAST` beyond each clip's frames."""
        self.to(wavs.device)
        rows = [self.of_clip(clip) for clip in each_clip(wavs, wav_lens, WINDOW + HOP)]
        return nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=PAST)

    def of_clip(self, clip: Tensor) -> Tensor:
        """Return one clip's units, (N,) to (T,): two log-mel frames of 10 ms, normalised per channel, make one."""
        mel = (self.mel(clip) + 1e-6).log().T
        normal = (mel - mel.mean(0)) / (mel.std(0, unbiased=False) + 1e-5)
        pairs = normal[: len(normal) // 2 * 2].reshape(-1, 2 * mel.shape[1])
        projected = nn.functional.normalize(pairs @ self.projection, dim=-1)
        return (projected @ self.codebook.T).argmax(-1)
