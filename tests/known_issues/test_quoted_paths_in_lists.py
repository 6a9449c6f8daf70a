"""A list of quoted folders on a command line kept the machine's paths in the record."""

import pytest

from s3_speechbrain.report.provenance import portable_command, portable_path


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('["/data/prompts/es", "/data/prompts/it"]', "[PATH/es, PATH/it]"),
        ("['~/speech/es', rest]", "[PATH/es, rest]"),
        ('["ffn", "attention"]', '["ffn", "attention"]'),
    ],
)
def test_quoted_paths_in_a_list_are_cleaned(text, wanted):
    assert portable_path(text) == wanted
    assert "/data" not in portable_command(f"python train.py --unlabelled '{text}'".replace("~", "/data"))
