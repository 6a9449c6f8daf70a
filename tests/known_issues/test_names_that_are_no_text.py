"""A file name that is not UTF-8 ended `s3sb transcribe`; one with escape codes or a tab was printed as it is.

`s3sb inspect --json` ended in the same way where a metrics file holds half of a surrogate pair.
"""

import json
import os

import pytest
import soundfile
from toy_speech import sentence, spoken, write_toy_model

from s3_speechbrain.cli.main import main
from s3_speechbrain.inference.contents import describe

TEXT = sentence(3, 1)
NAMES = (b"caf\xe9.wav", b"a\tb\n\x1b[2J.wav", b"z.wav")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_toy_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def clips(tmp_path):
    """Return a folder of clips with odd names, and one that is no sound."""
    folder = tmp_path / "clips"
    folder.mkdir()
    soundfile.write(folder / "clip.wav", spoken(TEXT).numpy(), 16000)
    content = (folder / "clip.wav").read_bytes()
    (folder / "clip.wav").unlink()
    try:
        for name in NAMES:
            with open(os.path.join(os.fsencode(folder), name), "wb") as file:
                file.write(content)
        with open(os.path.join(os.fsencode(folder), b"\xff\x1b.wav"), "wb") as file:
            file.write(b"no sound")
    except OSError:
        pytest.skip("this file system takes no such names")
    return folder


def is_safe(printed):
    return all(char.isprintable() or char in "\n\t" for char in printed)


def test_every_clip_is_transcribed_and_every_line_is_one(model, clips, tmp_path, capsys):
    assert main(["transcribe", str(clips), "--model", str(model)]) == 1
    told = capsys.readouterr()
    assert is_safe(told.out)
    assert is_safe(told.err)
    assert [line.split("\t")[1] for line in told.out.splitlines()] == [TEXT] * 3
    assert told.err.count("\n") == 1

    assert main(["transcribe", str(clips), "--model", str(model), "--output", str(tmp_path / "out")]) == 1
    assert (tmp_path / "out").read_text(encoding="utf-8") == told.out


def test_json_holds_the_names_on_the_disk(model, clips, capsys):
    assert main(["transcribe", str(clips), "--model", str(model), "--json"]) == 1
    out = capsys.readouterr().out
    assert is_safe(out)
    rows = [json.loads(line) for line in out.splitlines()]
    assert {os.path.basename(os.fsencode(row["file"])) for row in rows} == {*NAMES, b"\xff\x1b.wav"}
    assert [row["text"] for row in rows if "text" in row] == [TEXT] * 3


def test_mistakes_are_printed_safely(capsys):
    assert main(["inspect", "\x1b[2J\udce9"]) == 1
    assert is_safe(capsys.readouterr().err)


def test_inspect_takes_half_a_surrogate_pair(tmp_path, capsys):
    (tmp_path / "metrics.json").write_text(r'{"method": "dense", "command": "\ud800\u001b"}')
    assert main(["inspect", str(tmp_path)]) == 0
    assert is_safe(capsys.readouterr().out)
    assert main(["inspect", str(tmp_path), "--json"]) == 0
    out = capsys.readouterr().out
    assert is_safe(out)
    assert json.loads(out)["command"] == "\ud800\x1b"


def test_a_sound_file_with_such_a_name_is_described(clips):
    with os.scandir(clips) as entries:
        (path,) = (entry.path for entry in entries if entry.name.startswith("caf"))
    assert describe(path)["sampling_rate"] == 16000
