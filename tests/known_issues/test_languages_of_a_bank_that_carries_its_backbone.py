"""One file of a bank that carries its backbone was loaded from a hub model called "backbone"."""

import dataclasses

from bank_entries import make_entry

from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.inference import load
from s3_speechbrain.maskbank import MaskBank
from s3_speechbrain.publish import publish

RECORD = {"recipe": "mask_finetuning", "method": "mask", "data": {"name": "prompts"}}


def test_the_backbone_beside_the_file_is_taken(tmp_path, tiny_encoder):
    entry = make_entry(SpeechEncoder(str(tiny_encoder), freeze=True), metrics=RECORD)
    MaskBank(tmp_path / "bank").add(entry)
    options = {"licence": "cc0-1.0", "with_backbone": True, "clips": 0}
    made = publish(tmp_path / "bank", tmp_path / "carried", **options)
    assert MaskBank(made.folder).backbone == dataclasses.replace(entry.backbone, source="backbone")
    assert load(made.folder / "fr.safetensors").language == "fr"
    again = publish(made.folder, tmp_path / "carried", **options)  # in its own place, as a bank of ours
    assert load(again.folder).languages == ["fr"]
