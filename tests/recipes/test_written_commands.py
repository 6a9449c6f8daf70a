"""Every training command that a README or a YAML header shows names files and options that exist."""

import re
import shlex
from pathlib import Path

import pytest

from s3_speechbrain.brains import experiment
from s3_speechbrain.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
COMMAND = re.compile(r"python train\.py (hparams/[^`\n]*)")


def written_commands():
    """Yield (place, recipe folder, arguments) of each command."""
    for page in sorted(
        [*ROOT.glob("recipes/**/README.md"), *ROOT.glob("recipes/**/hparams/*.yaml"), ROOT / "README.md"]
    ):
        folder = page.parent.parent if page.suffix == ".yaml" else page.parent
        for line in page.read_text(encoding="utf-8").splitlines():
            change = re.match(r"\s*cd (recipes/\S+)", line)
            folder = ROOT / change.group(1) if change else folder
            for found in COMMAND.findall(line):
                yield page.relative_to(ROOT), folder, found.split(" #")[0].replace("NAME", "demo").strip()


COMMANDS = sorted(set(written_commands()), key=str)


def test_there_are_commands_in_every_recipe():
    folders = {str(folder.relative_to(ROOT)) for _, folder, _ in COMMANDS}
    recipes = {str(path.parent.relative_to(ROOT)) for path in ROOT.glob("recipes/*/*/train.py")}
    assert recipes <= folders


@pytest.mark.parametrize(
    ("folder", "arguments"), [(f, a) for _, f, a in COMMANDS], ids=[f"{p}: {a}" for p, _, a in COMMANDS]
)
def test_its_files_are_read_and_its_options_exist(folder, arguments, monkeypatch):
    assert (folder / "train.py").is_file()
    monkeypatch.chdir(folder)
    # --help asks for no data, and a header or a table may show what differs alone
    needed = [f"--{name}=PATH" for name in ("data_folder", "language", "languages", "detector_run")]
    words = shlex.split(arguments.replace("--help", ""))
    experiment.read_settings([*words, *(word for word in needed if _asked_for(words, word))])


def _asked_for(words: list[str], option: str) -> bool:
    """Tell whether a command lacks a value that its file does not have."""
    name = option.partition("=")[0]
    try:
        experiment.read_settings(words)
    except UserError as error:
        return re.search(rf"^missing .*{name}\b", str(error)) is not None
    return False
