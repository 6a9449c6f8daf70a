"""``s3sb transcribe``: sound files to text."""

import argparse
import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from s3_speechbrain.cli.options import add_model, json_line, load_model, printable, sound_files
from s3_speechbrain.errors import UserError

if TYPE_CHECKING:
    from s3_speechbrain.inference import Transcript

HELP = "turn sound files of any length and format into text"
EPILOG = """\
examples:
  s3sb transcribe clip.wav --model results/demo/fr
  s3sb transcribe talk.mp3 --model results/demo --language it --words
  s3sb transcribe recordings --model owner/name --json --output texts.jsonl
  s3sb transcribe 'data/**/*.flac' --model results/demo --language en --threads 2

One file gives its text, several give file and text with a tab between them. --words adds a line per word: start and
end in seconds, confidence (0 to 1), the word. --json gives one object per line, which holds "file", "text",
"language", "duration", "confidence" and, with --words, "words"; a file that cannot be read gives "file" and "error".
Files that cannot be read are named on stderr, the others are transcribed, and the exit status is 1.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="sound files, folders of them, or patterns")
    add_model(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object per file and line")
    parser.add_argument("--words", action="store_true", help="add times and confidence of each word")
    parser.add_argument("--output", metavar="FILE", help="write there instead of to the terminal")
    parser.add_argument(
        "--chunk", type=float, default=20.0, metavar="S", help="cut audio longer than this many seconds (20)"
    )
    parser.add_argument(
        "--overlap", type=float, default=4.0, metavar="S", help="seconds that neighbouring chunks share (4)"
    )


def run(given: argparse.Namespace) -> int:
    """Transcribe; returns 1 if a file could not be read."""
    from s3_speechbrain.inference import Chunking

    files = sound_files(given.files)
    check_output(given.output, files)
    transcriber = load_model(given, chunking=Chunking(given.chunk, given.overlap))
    if transcriber.language is None:
        known = ", ".join(transcriber.languages)
        raise UserError(f"{given.model} has several languages: give --language, one of {known}")
    failed = 0
    with _output(given.output) as out, _bar(files) as bar:
        for file in files:
            try:
                found = transcriber.transcribe_file(file, heard=bar.update)
            except UserError as error:
                failed += 1
                bar.write(f"error: {printable(str(error))}", file=sys.stderr)
                if given.json:
                    print(json_line({"file": str(file), "error": str(error)}), file=out, flush=True)
                continue
            if given.json:
                fields = {"file": str(file), **found.as_dict(given.words)}
                print(json_line(fields), file=out, flush=True)
            else:
                print(*_lines(file, found, len(files) > 1, given.words), sep="\n", file=out, flush=True)
    return int(failed > 0)


def check_output(name: str | None, files: Sequence[Path]) -> None:
    """Refuse to write over what is to be read."""
    if name is not None and Path(name).exists():
        own = next((file for file in files if file.exists() and file.samefile(name)), None)
        if own is not None:
            raise UserError(f"--output {name} is the recording {own} itself: give another file")


def _lines(file: Path, found: "Transcript", named: bool, words: bool) -> Iterator[str]:
    yield printable(found.text) if not named else f"{printable(file)}\t{printable(found.text)}"
    if words:
        for word in found.words:
            yield f"{word.start:8.2f} {word.end:8.2f} {word.confidence:6.2f}  {printable(word.text)}"


@contextlib.contextmanager
def _output(name: str | None) -> Iterator[TextIO]:
    if name is None:
        yield sys.stdout
        return
    try:
        file = Path(name).open("w", encoding="utf-8")  # noqa: SIM115, closed below
    except OSError as error:
        raise UserError(f"cannot write {name} ({error.strerror}): give another --output") from None
    with file:
        yield file


@contextlib.contextmanager
def _bar(files: list[Path]) -> Iterator:
    """Show the seconds of audio that were heard, on a terminal."""
    from tqdm import tqdm

    from s3_speechbrain.inference.audio import sound_header

    total = 0.0
    for file in files:
        header = sound_header(file)
        if header is None:
            total = 0.0
            break
        total += header.duration
    with tqdm(
        total=round(total, 1) or None,
        unit="s",
        desc="audio",
        disable=not sys.stderr.isatty(),
        leave=False,
        dynamic_ncols=True,
        bar_format="{desc}: {percentage:3.0f}%|{bar}| {n:.0f}/{total:.0f} s [{elapsed}<{remaining}]"
        if total
        else None,
    ) as bar:
        yield bar
