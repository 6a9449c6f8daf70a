"""The console command: each subcommand on a tiny model, help that costs nothing, mistakes in one line."""

import json
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import soundfile
from bank_entries import make_entry
from speech_corpus import write_corpus
from toy_speech import sentence, spoken, write_toy_model

from s3_speechbrain.cli.main import COMMANDS, main, parser
from s3_speechbrain.cli.options import sound_files
from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.errors import UserError
from s3_speechbrain.maskbank import MaskBank
from s3_speechbrain.report import write_metrics

ROOT = Path(__file__).parents[3]
TEXTS = {"a.wav": sentence(3, 1), "b.flac": sentence(5, 2), "deep/c.aiff": sentence(12, 3)}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model folder that recognises the tones of `speak`."""
    return write_toy_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    for name, text in TEXTS.items():
        (folder / name).parent.mkdir(exist_ok=True)
        soundfile.write(folder / name, spoken(text).numpy(), 16000)
    (folder / "notes.txt").write_text("no sound")
    return folder


@pytest.fixture
def bank(tmp_path, tiny_encoder):
    backbone = SpeechEncoder(str(tiny_encoder), freeze=True)
    bank = MaskBank(tmp_path / "bank")
    for language in ("fr", "it"):
        bank.add(make_entry(backbone, language))
    return bank.folder


def run(capsys, *arguments):
    """Run a command in this process; return status, output and errors."""
    try:
        status = main([str(argument) for argument in arguments])
    except SystemExit as stop:
        status = stop.code
    told = capsys.readouterr()
    return status, told.out, told.err


def test_one_file_gives_its_text(capsys, model, clips):
    status, out, _ = run(capsys, "transcribe", clips / "a.wav", "--model", model)
    assert (status, out) == (0, TEXTS["a.wav"] + "\n")


def test_folders_give_file_and_text(capsys, model, clips):
    status, out, _ = run(capsys, "transcribe", clips, "--model", model, "--language", "en", "--threads", 1)
    assert status == 0
    assert dict(line.split("\t") for line in out.splitlines()) == {
        str(clips / name): text for name, text in TEXTS.items()
    }


def test_words_have_times(capsys, model, clips):
    _, out, _ = run(capsys, "transcribe", clips / "a.wav", "--model", model, "--words")
    text, *rows = out.splitlines()
    parts = [row.split() for row in rows]
    assert [word for *_, word in parts] == text.split()
    assert all(float(start) < float(end) for start, end, *_ in parts)


def test_json_is_one_object_per_line(capsys, model, clips, tmp_path):
    target = tmp_path / "texts.jsonl"
    arguments = ("--json", "--words", "--output", target, "--chunk", 1.5, "--overlap", 0.7)
    status, out, _ = run(capsys, "transcribe", clips / "*.*a*", clips / "deep", "--model", model, *arguments)
    assert (status, out) == (0, "")
    rows = [json.loads(line) for line in target.read_text().splitlines()]
    assert {Path(row["file"]).name: row["text"] for row in rows} == {
        Path(name).name: text for name, text in TEXTS.items()
    }
    assert all({"language", "duration", "confidence", "words"} <= row.keys() for row in rows)


def test_a_bad_file_does_not_stop_the_others(capsys, model, clips):
    files = (clips / "notes.txt", clips / "a.wav", clips / "absent.wav")
    status, out, err = run(capsys, "transcribe", *files, "--model", model)
    assert status == 1
    assert out.splitlines() == [f"{clips / 'a.wav'}\t{TEXTS['a.wav']}"]
    assert [line.split(":")[0] for line in err.splitlines()] == ["error", "error"]
    _, out, _ = run(capsys, "transcribe", *files, "--model", model, "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert ["error" in row for row in rows] == [True, False, True]


def test_a_bank_asks_for_a_language(capsys, bank, clips):
    status, out, err = run(capsys, "transcribe", clips / "a.wav", "--model", bank)
    assert (status, out) == (1, "")
    assert "give --language, one of fr, it" in err
    status, out, _ = run(capsys, "transcribe", clips / "a.wav", "--model", bank, "--language", "it")
    assert status == 0
    assert set(out.strip()) <= set(" abdeio")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["transcribe", "CLIP", "--model", "nowhere"], "no folder nowhere"),
        (["transcribe", "CLIP", "--model", "MODEL", "--language", "xx"], "no language 'xx'"),
        (["transcribe", "CLIP", "--model", "MODEL", "--revision", "v1"], "which has no revision"),
        (["transcribe", "CLIP", "--model", "MODEL", "--backbone", "builtin"], "needs no backbone"),
        (["transcribe", "CLIP", "--model", "MODEL", "--output", "/nowhere/x"], "cannot write /nowhere/x"),
        (["transcribe", "CLIP", "--model", "MODEL", "--overlap", "15"], "give an overlap"),
        (["transcribe", "*.nothing", "--model", "MODEL"], "no file fits"),
        (["inspect", "nowhere"], "no folder nowhere"),
        (["bench", "--model", "MODEL", "--seconds", "0"], "give seconds from 0.1"),
        (["bench", "CLIP", "--model", "MODEL", "--seconds", "2"], "leave one of the two out"),
        (["report", "nowhere"], "no folder nowhere"),
        (["publish", "nowhere", "out", "--send"], "give --hub"),
        (["prepare", "common-voice", "nowhere", "out", "--languages", "fr"], "nowhere"),
    ],
)
def test_mistakes_are_one_line_and_status_1(capsys, model, clips, tmp_path, monkeypatch, arguments, reason):
    monkeypatch.chdir(tmp_path)
    places = {"MODEL": str(model), "CLIP": str(clips / "a.wav")}
    status, _, err = run(capsys, *(places.get(argument, argument) for argument in arguments))
    assert status == 1
    assert err.startswith("error: ")
    assert reason in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [[], ["sing"], ["transcribe"], ["transcribe", "x"], ["bench", "--model", "x", "--threads", "0"]],
)
def test_wrong_usage_is_status_2(capsys, arguments):
    status, _, err = run(capsys, *arguments)
    assert status == 2
    assert "usage: s3sb" in err


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS), ["prepare", "prompts"]])
def test_help_teaches_by_examples(capsys, command):
    status, out, _ = run(capsys, *command, "--help")
    assert status == 0
    assert out.count("s3sb ") >= 3


def examples():
    """Yield the commands that the help pages show."""
    pages = [parser().epilog, *(module.EPILOG for module in COMMANDS.values())]
    pages += [(ROOT / name).read_text() for name in ("README.md", "docs/inference.md", "docs/publishing.md")]
    for page in pages:
        for line in page.splitlines():
            if line.strip().startswith("s3sb "):
                yield line.strip().split("   ")[0]


@pytest.mark.parametrize("command", sorted(set(examples())))
def test_written_commands_have_options_that_exist(command):
    words = shlex.split(command.split(" > ")[0], comments=True)[1:]
    parser().parse_args(words)


def test_help_imports_nothing_slow():
    code = (
        "import sys; from s3_speechbrain.cli.main import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "slow = {'torch', 'numpy', 'transformers', 'soundfile', 'speechbrain'} & sys.modules.keys()\n"
        "sys.exit(f'imported {slow}' if slow else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_module_is_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "s3_speechbrain", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("s3sb 0")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["scripts"]["s3sb"] == "s3_speechbrain.cli.main:main"


def test_inspect_tells_what_is_there(capsys, model, bank, clips, tmp_path, make_run):
    write_metrics(tmp_path / "run", make_run(method="dense"))
    status, out, _ = run(capsys, "inspect", model, bank, clips / "a.wav", tmp_path / "run", "--json")
    assert status == 0
    whole, masks, sound, done = (json.loads(line) for line in out.splitlines())
    assert (whole["kind"], whole["languages"], whole["method"]) == ("model", ["en"], "dense")
    assert whole["bytes"] == (model / "model.safetensors").stat().st_size
    assert 0 < whole["bytes"] - 4 * whole["parameters"] < 20_000
    assert len(whole["fingerprint"]) == 64
    assert (masks["kind"], list(masks["languages"])) == ("bank", ["fr", "it"])
    assert masks["languages"]["fr"]["bytes"] == (bank / "fr.safetensors").stat().st_size
    assert masks["languages"]["it"]["test"] == {"CER": 12.5}
    assert (sound["kind"], sound["sampling_rate"], sound["channels"]) == ("sound", 16000, 1)
    assert sound["seconds"] == pytest.approx(len(spoken(TEXTS["a.wav"])) / 16000)
    assert (done["kind"], done["test"]) == ("run", {"CER": 13.0, "WER": 31.0})
    status, out, _ = run(capsys, "inspect", model, bank)
    assert status == 0
    assert "fingerprint" in out


def test_nothing_steers_the_terminal(capsys, tmp_path, make_run):
    write_metrics(tmp_path / "run", make_run(command="train \x1b[2J\x07\u202e", data__name="\x9b31m"))
    _, out, _ = run(capsys, "inspect", tmp_path / "run")
    assert "train" in out
    assert all(char.isprintable() or char == "\n" for char in out)


def test_inspect_reads_the_licence_of_a_card(capsys, bank):
    (bank / "README.md").write_text("---\nlanguage: fr\nlicense: cc-by-4.0\n---\n# A bank\nlicense: mine\n")
    _, out, _ = run(capsys, "inspect", bank, "--json")
    assert json.loads(out)["licence"] == "cc-by-4.0"
    (bank / "README.md").write_text("# no front matter\nlicense: mine\n")
    assert json.loads(run(capsys, "inspect", bank, "--json")[1])["licence"] is None


@pytest.mark.parametrize("files", [[], ["a.wav", "b.flac"]])
def test_bench_measures(capsys, model, clips, files):
    paths = [clips / name for name in files]
    noise = () if files else ("--seconds", 0.5, 1)
    arguments = ("--model", model, *noise, "--repeats", 1, "--threads", 1)
    status, out, _ = run(capsys, "bench", *paths, *arguments, "--json")
    assert status == 0
    found = json.loads(out)
    assert found["speed"]["rtf"] > 0
    assert found["speed"]["threads"] == 1
    assert len(found["clips"]) == 2
    assert all(row["latency_ms"] > 0 for row in found["clips"])
    assert "real-time factor" in run(capsys, "bench", *paths, *arguments)[1]


def test_report_writes_a_page(capsys, tmp_path, make_run):
    write_metrics(tmp_path / "run", make_run())
    status, out, _ = run(
        capsys, "report", tmp_path / "run", "-o", tmp_path / "page.html", "--title", "A <page>"
    )
    assert status == 0
    assert "wrote" in out
    assert "<h1>A &lt;page&gt;</h1>" in (tmp_path / "page.html").read_text()


def test_publish_makes_a_folder_that_transcribes(capsys, model, clips, tmp_path):
    made = tmp_path / "published"
    arguments = ("--licence", "apache-2.0", "--clips", 0, "--hub", "owner/name", "--tag", "v1")
    status, out, err = run(capsys, "publish", model, made, *arguments)
    assert (status, err) == (0, "")
    assert "dry run: nothing was sent" in out
    _, text, _ = run(capsys, "transcribe", clips / "a.wav", "--model", made)
    assert text.strip() == TEXTS["a.wav"]
    assert json.loads(run(capsys, "inspect", made, "--json")[1])["licence"] == "apache-2.0"


def test_prepare_writes_manifests(capsys, tmp_path):
    corpus = write_corpus(tmp_path / "corpus")
    status, out, _ = run(capsys, "prepare", "common-voice", corpus, tmp_path / "made", "--languages", "en")
    assert status == 0
    assert "en" in out
    assert (tmp_path / "made" / "en" / "train.csv").is_file()


def test_sound_files_are_found(clips, tmp_path):
    found = sound_files([str(clips), str(clips / "a.wav")])
    assert found == [clips / name for name in TEXTS]
    assert sound_files([str(clips / "**" / "*.aiff")]) == [clips / "deep" / "c.aiff"]
    odd = tmp_path / "what[1].wav"
    odd.touch()
    assert sound_files([str(odd)]) == [odd]  # a file that exists is no pattern
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UserError, match="holds no sound files"):
        sound_files([str(empty)])


def test_a_damaged_model_is_refused(capsys, model, clips, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_bytes((model / "config.json").read_bytes())
    weights = bytearray((model / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (broken / "model.safetensors").write_bytes(weights)
    status, _, err = run(capsys, "transcribe", clips / "a.wav", "--model", broken)
    assert status == 1
    assert "checksum" in err
