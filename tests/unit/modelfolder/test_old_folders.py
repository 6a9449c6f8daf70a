"""A folder that the first version of the format wrote is read by all later ones.

``format_1`` was made once and is never made again; a change that cannot read it needs a new format number and code
that reads both.
"""

import json
from pathlib import Path

import torch

from s3_speechbrain.modelfolder import read_model
from s3_speechbrain.modelfolder.files import sha256_of

FOLDER = Path(__file__).parent / "format_1"
SHA256 = "027d0b54c30a60ec727a8c5dc6b71618b05d29abe3f8d3d5c5f3fadf2d4aa209"


def test_format_1_is_read_and_computes_what_it_did_when_it_was_written():
    wave = 0.3 * torch.sin(torch.arange(6400) ** 1.5 / 900)
    model = read_model(FOLDER)
    with torch.inference_mode():
        logits, frames = model.recogniser(wave[None], torch.ones(1))
    expected = json.loads((FOLDER / "logits.json").read_text())
    torch.testing.assert_close(logits[0], torch.tensor(expected), rtol=1e-4, atol=1e-4)
    assert frames.tolist() == [len(expected)]
    assert model.tokenizer.labels == ["", " ", "a", "b", "c", "é"]
    assert model.languages == ("fr",)
    assert model.config.facts.backbone == "builtin"


def test_nobody_has_made_the_folder_anew():
    assert sha256_of(FOLDER / "config.json") == SHA256
