"""Runs in folders such as lr-0.001 and lr-0.003 both were called lr-0, and so could not be told apart."""

from s3_speechbrain.analysis.sources import MaskSet, labelled


def test_folders_keep_their_numbers(tmp_path):
    sets = [MaskSet(tmp_path / name, {}, {}) for name in ("lr-0.001", "lr-0.003", "a.safetensors")]
    assert [each.label for each in labelled(sets)] == ["lr-0.001", "lr-0.003", "a"]
