import shutil

import pytest

from s3_speechbrain.data.manifest import Utterance, manifest_hash, read_manifest, write_manifest
from s3_speechbrain.errors import UserError

ROWS = [
    Utterance("en-a", 1.5, "$data_root/en/clips/a, b.wav", "en", "it's so"),
    Utterance("en-c", 2.25, "$data_root/en/clips/c.wav", "en", "ünö"),
]


def test_what_is_written_is_read_back(tmp_path):
    write_manifest(tmp_path / "train.csv", ROWS)
    assert read_manifest(tmp_path / "train.csv") == ROWS


def test_speechbrain_reads_a_manifest_and_replaces_the_root(tmp_path):
    from speechbrain.dataio.dataset import DynamicItemDataset

    write_manifest(tmp_path / "train.csv", ROWS)
    data = DynamicItemDataset.from_csv(str(tmp_path / "train.csv"), replacements={"data_root": "/elsewhere"})
    assert data.data["en-a"]["wav"] == "/elsewhere/en/clips/a, b.wav"
    assert data.data["en-c"]["duration"] == 2.25
    assert data.data["en-a"]["text"] == "it's so"


def test_no_half_written_file_is_left_when_writing_fails(tmp_path):
    def broken():
        yield ROWS[0]
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError):
        write_manifest(tmp_path / "train.csv", broken())
    assert list(tmp_path.iterdir()) == []


def test_the_hash_follows_content_and_names_but_not_the_place(tmp_path):
    write_manifest(tmp_path / "a" / "train.csv", ROWS)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert manifest_hash(tmp_path / "a") == manifest_hash(tmp_path / "b")
    (tmp_path / "b" / "train.csv").rename(tmp_path / "b" / "dev.csv")
    assert manifest_hash(tmp_path / "a") != manifest_hash(tmp_path / "b")
    write_manifest(tmp_path / "b" / "dev.csv", ROWS[:1])
    assert manifest_hash(tmp_path / "a") != manifest_hash(tmp_path / "b")


def test_missing_or_foreign_files_are_told(tmp_path):
    with pytest.raises(UserError, match="run the preparation"):
        read_manifest(tmp_path / "train.csv")
    (tmp_path / "train.csv").write_text("id,text\n1,a\n")
    with pytest.raises(UserError, match="not a manifest"):
        read_manifest(tmp_path / "train.csv")
    with pytest.raises(UserError, match="no manifests"):
        manifest_hash(tmp_path / "nowhere")
