"""A backbone that a bank carries: the same encoder for us and for `SpeechEncoder`, and checked like a model folder."""

import json

import pytest
import torch
from families import CONFIGS, write_family
from safetensors.torch import load_file, save_file

from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.errors import UserError
from s3_speechbrain.maskbank import fingerprint
from s3_speechbrain.modelfolder import read_backbone, write_backbone
from s3_speechbrain.modelfolder.files import sha256_of


@pytest.mark.parametrize("family", CONFIGS)
def test_a_carried_encoder_has_the_fingerprint_of_its_source(family, tmp_path):
    encoder = SpeechEncoder(str(write_family(family, tmp_path / "source")))
    write_backbone(tmp_path / "backbone", encoder)
    found = read_backbone(tmp_path / "backbone")
    assert fingerprint(found) == fingerprint(encoder)
    assert fingerprint(SpeechEncoder(str(tmp_path / "backbone"))) == fingerprint(encoder)
    assert not found.training
    assert not any(parameter.requires_grad for parameter in found.parameters())


def change_config(folder, **changes):
    top = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**top, **changes}))


def flip_a_bit(folder):
    data = bytearray((folder / "model.safetensors").read_bytes())
    data[-3] ^= 4
    (folder / "model.safetensors").write_bytes(data)


def poison(folder):
    tensors = load_file(folder / "model.safetensors")
    next(iter(tensors.values())).view(-1)[0] = float("nan")
    save_file(tensors, folder / "model.safetensors")
    about = json.loads((folder / "config.json").read_text())["s3_speechbrain"]
    about["weights"]["sha256"] = sha256_of(folder / "model.safetensors")
    about["weights"]["bytes"] = (folder / "model.safetensors").stat().st_size
    change_config(folder, s3_speechbrain=about)


def link_out(folder):
    (folder / "model.safetensors").rename(folder.parent / "elsewhere")
    (folder / "model.safetensors").symlink_to(folder.parent / "elsewhere")


def only_a_pickle(folder):
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


SPOILT = {
    "unknown setting 'auto_map'": lambda folder: change_config(folder, auto_map={"AutoModel": "evil.Model"}),
    "out of range": lambda folder: change_config(folder, intermediate_size=2**40),
    "shape": lambda folder: change_config(folder, intermediate_size=131072),
    "no backbone of a format": lambda folder: change_config(folder, s3_speechbrain={"format": 9}),
    "checksum": flip_a_bit,
    "holds NaN": poison,
    "leads out of the folder": link_out,
    "it has no model.safetensors": only_a_pickle,
}


@pytest.mark.parametrize("reason", SPOILT)
def test_a_spoilt_backbone_is_refused(reason, tmp_path):
    encoder = SpeechEncoder(str(write_family("wav2vec2-layer", tmp_path / "source")))
    write_backbone(tmp_path / "backbone", encoder)
    SPOILT[reason](tmp_path / "backbone")
    with pytest.raises(UserError, match=reason) as caught:
        read_backbone(tmp_path / "backbone")
    assert "\n" not in str(caught.value)
