"""A recogniser of the tones of `speech_corpus`: a toy encoder without attention and a fitted linear head."""

from pathlib import Path

import numpy as np
import torch
from speech_corpus import WORDS, speak
from toy_encoders import write_encoder

from s3_speechbrain.brains.model import CTCHead, Recogniser
from s3_speechbrain.brains.tokens import BLANK, Characters
from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.modelfolder import ModelFacts, write_model

LABELS = ["", " ", *sorted(set("".join(WORDS)))]
LETTER = 1920  # samples per letter
# Frames that a frame of the toy encoder depends on, to either side: its positional convolution and extractor.
REACH = 6


def sentence(words: int, seed: int = 0) -> str:
    """Draw a sentence in which no word follows itself."""
    generator = np.random.default_rng(seed)
    found = [str(generator.choice(WORDS))]
    while len(found) < words:
        found.append(str(generator.choice([word for word in WORDS if word != found[-1]])))
    return " ".join(found)


def spoken(text: str) -> torch.Tensor:
    """Return the tones of a text at 16 kHz."""
    return torch.from_numpy(speak(text)).float()


def frame_labels(text: str, frames: int) -> torch.Tensor:
    """Label the middle of each letter, and everything else as blank."""
    centres = np.arange(frames) * 320 + 200
    letters = [LABELS.index(text[min(int(centre // LETTER), len(text) - 1)]) for centre in centres]
    edge = np.abs((centres / LETTER) % 1 - 0.5) > 0.3
    return torch.tensor([BLANK if out else label for label, out in zip(letters, edge, strict=True)])


def toy_recogniser(folder: str, normalises: bool = True) -> tuple[Recogniser, Characters]:
    """Fit a recogniser on spoken sentences in closed form.

    Parameters
    ----------
    folder : str
        Of an encoder without transformer layers.
    normalises : bool
        Whether waveforms are normalised.
    """
    encoder = SpeechEncoder(folder, freeze=True).eval()
    encoder.normalises = normalises
    head = CTCHead(encoder.width, len(LABELS))
    hidden, targets = [], []
    with torch.no_grad():
        for seed in range(6):
            text = sentence(12, seed)
            states, frames = encoder(spoken(text)[None], torch.ones(1))
            hidden.append(states[0])
            targets.append(frame_labels(text, int(frames)))
        states, wanted = torch.cat(hidden), torch.nn.functional.one_hot(torch.cat(targets), len(LABELS))
        design = torch.cat([states, torch.ones(len(states), 1)], dim=1).double()
        ridge = design.T @ design + 1e-6 * torch.eye(design.shape[1])
        solved = torch.linalg.solve(ridge, design.T @ wanted.double()).float()
        head.classifier.weight.copy_(10 * solved[:-1].T)
        head.classifier.bias.copy_(10 * solved[-1])
    return Recogniser(encoder, head), Characters.from_labels(LABELS)


def write_toy_model(folder: Path) -> Path:
    """Write a model folder that recognises the tones of `speak`, below a folder."""
    sizes = {"num_hidden_layers": 1, "conv_dim": [32] * 7, "hidden_size": 64}
    encoder = write_encoder(folder / "encoder", **sizes)
    facts = ModelFacts({"en": "en/1"}, "finetuning", "dense", "toy")
    return write_model(folder / "model", *toy_recogniser(str(encoder)), facts)
