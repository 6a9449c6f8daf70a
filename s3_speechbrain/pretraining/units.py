"""Discrete units for masked prediction: random projection (BEST-RQ) and k-means of MFCCs or a teacher's layer."""

import logging
from collections.abc import Callable, Iterable

import numpy as np
import torch
import torchaudio
from torch import Tensor, nn

from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.errors import UserError
from s3_speechbrain.pretraining.objectives import frame_centre

logger = logging.getLogger(__name__)

WINDOW = 400  # samples of a spectrum, 25 ms


def mfcc_features(wavs: Tensor, wav_lens: Tensor) -> Tensor:
    """Return 39 MFCCs (13, deltas, double deltas) every 20 ms: (B, N) to (B, T, 39), as HuBERT's first iteration."""
    mfcc = torchaudio.transforms.MFCC(
        n_mfcc=13, melkwargs={"n_fft": WINDOW, "hop_length": 320, "n_mels": 40, "center": False}
    ).to(wavs.device)(wavs)
    delta = torchaudio.functional.compute_deltas(mfcc)
    return torch.cat([mfcc, delta, torchaudio.functional.compute_deltas(delta)], dim=1).transpose(1, 2)


class TeacherLayer:
    """Features from a layer of any encoder: (B, N) to (B, T, D)."""

    def __init__(self, teacher: SpeechEncoder, layer: int) -> None:
        self.teacher, self.layer = teacher.eval().requires_grad_(False), layer
        self.centre = frame_centre(teacher)

    @torch.no_grad()
    def __call__(self, wavs: Tensor, wav_lens: Tensor) -> Tensor:
        """Return the layer's hidden states."""
        return self.teacher(wavs, wav_lens, all_layers=True).hidden[self.layer].float()


class KMeansUnits(nn.Module):
    """The nearest of k centroids of some frame features (HuBERT, Section II-A).

    Parameters
    ----------
    features : callable
        (wavs, wav_lens) to (B, T, F), such as `mfcc_features` or a `TeacherLayer`.
    units : int
        Number of centroids k.
    """

    def __init__(self, features: Callable[[Tensor, Tensor], Tensor], units: int = 100) -> None:
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
            found = self.features(wavs, wav_lens)
            count = (wav_lens * found.shape[1]).long()
            frames += [row[:n].numpy() for row, n in zip(found, count.tolist(), strict=True)]
        data = np.concatenate(frames)
        if len(data) < self.units:
            raise UserError(f"{len(data)} frames cannot give {self.units} units; add audio or lower units")
        means = MiniBatchKMeans(self.units, random_state=seed, batch_size=4096, n_init=3).fit(data)
        self.centroids = torch.from_numpy(means.cluster_centers_).float()
        logger.info("k-means: %d units from %d frames, inertia %.3g", self.units, len(data), means.inertia_)
        return self

    @torch.no_grad()
    def forward(self, wavs: Tensor, wav_lens: Tensor) -> Tensor:
        """Return the units (B, T)."""
        found = self.features(wavs, wav_lens)
        return torch.cdist(found, self.centroids.to(found.device)[None]).argmin(-1)


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
        self.centre = (WINDOW + 160) / 2  # of two windows, 10 ms apart
        self.mel = torchaudio.transforms.MelSpectrogram(
            16000, n_fft=WINDOW, hop_length=160, n_mels=mel_bins, center=False
        )
        generator = torch.Generator().manual_seed(seed)
        projection = torch.randn(2 * mel_bins, width, generator=generator) / (2 * mel_bins) ** 0.5
        codebook = torch.randn(units, width, generator=generator)
        self.register_buffer("projection", projection)
        self.register_buffer("codebook", nn.functional.normalize(codebook, dim=-1))

    @torch.no_grad()
    def forward(self, wavs: Tensor, wav_lens: Tensor) -> Tensor:
        """Return the units (B, T): two log-mel frames of 10 ms, normalised per channel, make one of 20 ms."""
        mel = (self.mel.to(wavs.device)(wavs) + 1e-6).log().transpose(1, 2)
        count = (wav_lens * mel.shape[1]).long().clamp(min=1)
        mask = (torch.arange(mel.shape[1], device=mel.device)[None] < count[:, None])[:, :, None]
        mean = (mel * mask).sum(1, keepdim=True) / count[:, None, None]
        deviation = (((mel - mean) * mask).square().sum(1, keepdim=True) / count[:, None, None]).sqrt()
        normal = (mel - mean) / (deviation + 1e-5)
        pairs = normal[:, : normal.shape[1] // 2 * 2].reshape(len(mel), -1, 2 * mel.shape[-1])
        projected = nn.functional.normalize(pairs @ self.projection, dim=-1)
        return (projected @ self.codebook.T).argmax(-1)
