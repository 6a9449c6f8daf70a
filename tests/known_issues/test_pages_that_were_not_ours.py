"""`report results` replaced a RESULTS.md of somebody else, and emptied all pages where the evidence was misspelt."""

import pytest

from s3_speechbrain.errors import UserError
from s3_speechbrain.report.results import build


def test_a_page_of_somebody_else_stays(tmp_path):
    (tmp_path / "evidence").mkdir()
    (tmp_path / "RESULTS.md").write_text("my own notes")
    with pytest.raises(UserError, match="was not made by this command"):
        build(tmp_path)
    assert (tmp_path / "RESULTS.md").read_text() == "my own notes"


def test_no_evidence_is_a_mistake(tmp_path):
    with pytest.raises(UserError, match=r"no evidence in .*evidnce"):
        build(tmp_path, tmp_path / "evidnce")
    assert not list(tmp_path.iterdir())


def test_our_own_pages_are_replaced(tmp_path):
    (tmp_path / "evidence").mkdir()
    assert build(tmp_path)
    assert build(tmp_path) == []
