"""`publish` took options that meant nothing for what it published, and did nothing about them."""

import pytest
from bank_entries import make_entry
from model_folders import write_toy_model

from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.errors import UserError
from s3_speechbrain.maskbank import MaskBank
from s3_speechbrain.publish import publish


@pytest.fixture(scope="module")
def sources(tmp_path_factory, tiny_encoder):
    """A model folder and a mask bank."""
    place = tmp_path_factory.mktemp("sources")
    write_toy_model(place / "model", place / "encoder")
    MaskBank(place / "bank").add(make_entry(SpeechEncoder(str(tiny_encoder), freeze=True)))
    return place


@pytest.mark.parametrize(
    ("kind", "options", "reason"),
    [
        ("model", {"language": "fr"}, "--language is for a language that is baked, this is a model"),
        ("model", {"with_backbone": True}, "--with_backbone is for a bank, this is a model"),
        ("model", {"backbone": "x/y"}, "--backbone is for a bank, this is a model"),
        ("model", {"revision": "v9"}, "--revision is for a bank, this is a model"),
        ("model", {"source": "here"}, "--source is for a bank and for a language"),
        ("bank", {"dtype": "float16"}, "--dtype is for a model and for a language that is baked"),
        ("bank", {"revision": "v9"}, "--revision of a bank does nothing alone: give --backbone too"),
        ("bank", {"source": "here"}, "--source of a bank does nothing alone: give --with_backbone too"),
        ("bank", {"language": "fr", "backbone": "x/y"}, "--backbone is for a bank, this is a language"),
        ("bank", {"language": "fr", "revision": "v9"}, "--revision is for a bank, this is a language"),
        (
            "bank",
            {"language": "fr", "with_backbone": True},
            "--with_backbone is for a bank, this is a language",
        ),
        ("model", {"clips": -1}, "--clips is -1: give the number"),
        ("model", {"clips": True}, "--clips is True: give the number"),
    ],
)
def test_each_is_refused_with_what_it_is_for(sources, tmp_path, kind, options, reason):
    with pytest.raises(UserError, match=reason):
        publish(sources / kind, tmp_path / "out", **{"clips": 0, "licence": "cc0-1.0", **options})
    assert not list(tmp_path.iterdir())
