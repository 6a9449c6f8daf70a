"""Places that the system refuses ended in tracebacks, or the archive that was to be unpacked there was blamed."""

import pytest
from cv_corpus import pack, small, write_locale
from recipe_tools import RECIPES, load_recipe

from s3_speechbrain.analysis.__main__ import main as analysis
from s3_speechbrain.cli.main import main as s3sb
from s3_speechbrain.report.__main__ import main as report


@pytest.fixture
def taken(tmp_path):
    """A file where a folder is wanted."""
    (tmp_path / "taken").write_text("a file")
    return tmp_path / "taken" / "below"


def told(capsys):
    return capsys.readouterr().err.strip().splitlines()[-1]


def test_of_a_recipe(tiny_corpus, taken, capsys):
    with pytest.raises(SystemExit):
        load_recipe("CommonVoice/finetuning").main(
            [
                str(RECIPES / "CommonVoice/finetuning/hparams/demo.yaml"),
                *(f"--data_folder={tiny_corpus}", "--language=en", f"--output_folder={taken}"),
            ]
        )
    assert told(capsys).startswith(f"error: {taken}")


def test_of_s3sb(tmp_path, taken, capsys):
    write_locale(tmp_path / "en", small())
    assert s3sb(["prepare", "common-voice", str(tmp_path), str(taken), "--languages", "en"]) == 1
    assert told(capsys).startswith(f"error: {taken}")


def test_of_an_unpacked_tar(tmp_path, taken, capsys):
    archive = pack(write_locale(tmp_path / "src" / "en", small()), tmp_path / "cv-en.tar.gz")
    assert s3sb(["prepare", "common-voice", str(archive), str(taken), "--languages", "en"]) == 1
    said = told(capsys)
    assert str(taken) in said
    assert "download" not in said


def test_of_a_report(tmp_path, taken, capsys):
    with pytest.raises(SystemExit):
        report(["results", "--root", str(taken), "--evidence", str(tmp_path)])
    assert told(capsys).startswith(f"error: {taken}")


def test_of_an_analysis(taken, capsys):
    with pytest.raises(SystemExit):
        analysis(["magnitude", "builtin", "--sparsity", "0.5", "--out", str(taken / "mask.safetensors")])
    assert told(capsys).startswith(f"error: {taken}")
