"""Which languages of a bank a folder is tried on."""

import pytest

from s3_speechbrain.errors import UserError
from s3_speechbrain.publish import api
from s3_speechbrain.publish.source import BANK, Source, folder_of_tests


@pytest.fixture
def bank(tmp_path, monkeypatch):
    (tmp_path / "en").mkdir()
    (tmp_path / "en" / "test_transcripts.tsv").touch()
    monkeypatch.setattr(api, "test_clips", lambda run, language, count: [language] * count)
    return Source(BANK, tmp_path / "bank", tmp_path, {})


def test_a_language_that_was_added_from_elsewhere_is_named_and_left_untried(bank, caplog):
    assert api._clips(bank, ["en", "de"], 2) == {"en": ["en", "en"]}
    assert caplog.messages == [f"not tried on clips, as {bank.run} has none: de"]
    assert api._clips(bank, ["en", "de"], 0) == {}
    assert folder_of_tests(bank.run, "de") is None


def test_a_run_without_any_transcripts_is_told(bank, monkeypatch):
    monkeypatch.undo()
    with pytest.raises(UserError, match="no test_transcripts"):
        api._clips(bank, ["de"], 2)
