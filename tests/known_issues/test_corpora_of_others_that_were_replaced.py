"""Preparing the prompts emptied the clips of any other corpus that lay at its place; tables of others went as well."""

import pytest
from cv_corpus import small, write_locale, write_table

from s3_speechbrain.data.common_voice import prepare_common_voice
from s3_speechbrain.data.prompts import prepare_prompts
from s3_speechbrain.data.prompts_write import check_own, open_clips
from s3_speechbrain.errors import UserError


@pytest.mark.parametrize("credits_voices", [False, True])
def test_prompts_refuse_the_place_of_another_corpus(tmp_path, credits_voices):
    folder = write_locale(tmp_path / "en", small())
    if credits_voices:
        (folder / "ATTRIBUTION.md").write_text("# Voices of another corpus\n")
    before = sorted(folder.rglob("*"))
    with pytest.raises(UserError, match=r"clips is of another corpus.* give another --save_folder"):
        prepare_prompts(tmp_path, ["en"], source=tmp_path, progress=False)
    assert sorted(folder.rglob("*")) == before


def test_prompts_go_on_in_their_own_place(tmp_path):
    check_own(tmp_path / "en")  # nothing there yet
    open_clips(tmp_path / "en", "digest")
    check_own(tmp_path / "en")


def test_tables_that_no_run_made_stay_beside_manifests(tmp_path):
    folder = write_locale(tmp_path / "en", small())
    mine = tmp_path / "save" / "en" / "mine.csv"
    mine.parent.mkdir(parents=True)
    mine.write_text("kept")
    prepare_common_voice(tmp_path, tmp_path / "save", "en", progress=False)
    write_table(folder / "other.tsv", [])
    prepare_common_voice(tmp_path, tmp_path / "save", "en", progress=False, limit=1)
    assert mine.read_text() == "kept"


def test_a_failed_preparation_does_not_vouch_for_earlier_manifests(tmp_path):
    folder = write_locale(tmp_path / "en", small())

    def prepare():
        return prepare_common_voice(tmp_path, tmp_path / "save", "en", progress=False)["en"]

    good, table = prepare(), (folder / "dev.tsv").read_bytes()
    write_table(folder / "dev.tsv", [])
    with pytest.raises(UserError, match="no usable row in dev"):
        prepare()
    (folder / "dev.tsv").write_bytes(table)
    again = prepare()
    assert again.report == good.report  # and not that of the failure
    assert again.sha256 == good.sha256
