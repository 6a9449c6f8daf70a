"""``s3sb prepare``: corpora to what the recipes read. The scripts of the recipes are these subcommands."""

import argparse
from collections.abc import Sequence
from pathlib import Path

HELP = "prepare a corpus for the recipes"
EPILOG = """\
examples:
  s3sb prepare prompts --save_folder data/prompts
  s3sb prepare common-voice cv-corpus-25.0-2026-03-09-nl.tar.gz manifests --languages nl --train_minutes 10
  s3sb prepare librispeech /data manifests --train 10min

Each corpus has options of its own: s3sb prepare prompts --help. Run again, a command goes on where it stopped.
"""
PROMPTS = """\
sources, tried in this order when --source is left out:
  debian     apt-get download and dpkg -x: no root needed, any Debian or Ubuntu machine
  upstream   the tarballs of asterisk.org, any machine
or name a folder that holds the packages (*.deb), the tarballs, or the unpacked files.

examples:
  s3sb prepare prompts --save_folder data/prompts
  s3sb prepare prompts --save_folder data/prompts --languages fr it
  s3sb prepare prompts --save_folder data/prompts --source ~/Downloads

The voices belong to their makers, see ATTRIBUTION.md in every language's folder (en, es, fr: CC BY-SA 3.0;
it, ru: CC BY 3.0). report.json next to it lists every row that was left out, with its line and the reason.
"""
COMMON_VOICE = """\
examples:
  s3sb prepare common-voice cv-corpus-25.0-2026-03-09-nl.tar.gz manifests --languages nl --train_minutes 10
  s3sb prepare common-voice cv-corpus-25.0-2026-03-09 manifests --languages nl tr zh-TW --limit 200

Then train with --data_folder set to the folder that was prepared (for a tar: <save_folder>/unpacked). Faulty rows
are dropped, counted in the table printed at the end, and listed with file and line in
<save_folder>/<language>/report.json.
"""
LIBRISPEECH = """\
examples:
  s3sb prepare librispeech /data manifests --train 1h
  s3sb prepare librispeech /data manifests --train 10min --dev dev-other --test test-clean

where /data holds LibriSpeech/dev-clean, LibriSpeech/test-clean and librispeech_finetuning/1h. Evaluation sets that
are there but not used as dev or test get a manifest under their own name.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add one subcommand per corpus."""
    corpora = parser.add_subparsers(dest="corpus", required=True, metavar="CORPUS")
    form = argparse.RawDescriptionHelpFormatter
    for name, (add, text, epilog) in CORPORA.items():
        add(corpora.add_parser(name, help=text, description=text, epilog=epilog, formatter_class=form))


def run(given: argparse.Namespace) -> int:
    """Prepare and print what was kept."""
    return RUN[given.corpus](given)


def script(corpus: str, arguments: Sequence[str] | None = None) -> int:
    """Run the preparation of one corpus as a command of its own, for the scripts in ``recipes/``."""
    add, text, epilog = CORPORA[corpus]
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=text, epilog=epilog, formatter_class=form)
    add(parser)
    return RUN[corpus](parser.parse_args(arguments))


def _add_prompts(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--save_folder", type=Path, required=True, help="where the corpus goes")
    parser.add_argument("--languages", nargs="+", metavar="LANG", help="default: all five (en es fr it ru)")
    parser.add_argument("--source", help="debian, upstream, or a folder (default: debian, else upstream)")
    parser.add_argument("--train_minutes", type=float, default=10.0, help="length of train; default: 10")
    parser.add_argument("--max_seconds", type=float, default=20.0, help="drop longer clips; default: 20")
    parser.add_argument("--seed", type=int, default=1, help="of the split; default: 1")
    parser.add_argument("--workers", type=int, help="decoding threads; default: one per core")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    parser.add_argument("--again", action="store_true", help="do everything anew, even where it is finished")


def _prompts(given: argparse.Namespace) -> int:
    from s3_speechbrain.data.prompts import LANGUAGES, format_report, prepare_prompts

    reports = prepare_prompts(
        given.save_folder,
        given.languages or list(LANGUAGES),
        source=given.source,
        train_minutes=given.train_minutes,
        max_seconds=given.max_seconds,
        seed=given.seed,
        workers=given.workers,
        progress=not given.quiet,
        again=given.again,
    )
    print(format_report(reports))
    return 0


def _add_common_voice(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("data_folder", help="tar as downloaded, folder of tars, unpacked release, or one locale's folder")
    add("save_folder", help="where the manifests go, as <save_folder>/<language>/{train,dev,test}.csv")
    add("--languages", nargs="+", required=True, metavar="LOCALE", help="for example: nl sv-SE zh-TW")
    add("--train_minutes", type=float, help="draw a training subset of so many minutes (10, 60, ...)")
    add("--seed", type=int, default=1, help="seed of that draw; subsets of one seed are nested (default 1)")
    add("--limit", type=int, help="keep at most so many clips per split, for a quick try")
    add("--max_seconds", type=float, default=20.0, help="drop longer clips (default 20)")
    add("--min_seconds", type=float, default=0.2, help="drop shorter clips (default 0.2)")
    add("--keep_digits", action="store_true", help="do not spell numbers out")
    add(
        "--skip_audio_check",
        action="store_true",
        help="trust clip_durations.tsv and do not read the header of every clip: faster, blind to bad audio",
    )
    add(
        "--keep_shared_sentences",
        action="store_true",
        help="keep sentences that also occur in dev or test (by default they leave train)",
    )
    add("--cache_folder", help="where tars are unpacked (default <save_folder>/unpacked)")
    add("--force", action="store_true", help="prepare again even if nothing changed")


def _common_voice(given: argparse.Namespace) -> int:
    from s3_speechbrain.data.common_voice import prepare_common_voice
    from s3_speechbrain.data.preparation import format_table

    prepared = prepare_common_voice(
        given.data_folder,
        given.save_folder,
        given.languages,
        train_minutes=given.train_minutes,
        seed=given.seed,
        limit=given.limit,
        max_seconds=given.max_seconds,
        spell_numbers=not given.keep_digits,
        min_seconds=given.min_seconds,
        check_audio=not given.skip_audio_check,
        disjoint_sentences=not given.keep_shared_sentences,
        cache_folder=given.cache_folder,
        force=given.force,
    )
    print(format_table(prepared))
    return 0


def _add_librispeech(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("data_folder", help="folder that holds LibriSpeech/ and, for limited sets, librispeech_finetuning/")
    add("save_folder", help="where the manifests go, as <save_folder>/en/*.csv")
    add("--train", default="train-clean-100", help="10min, 1h, 10h, or parts joined by + (train-clean-100)")
    add("--dev", default="dev-clean", help="parts joined by + (default dev-clean)")
    add("--test", default="test-clean", help="parts joined by + (default test-clean)")
    add("--fold", type=int, default=0, help="which of the six 10-minute sets, 0 to 5 (default 0)")
    add("--train_minutes", type=float, help="draw a training subset of so many minutes")
    add("--seed", type=int, default=1, help="seed of that draw (default 1)")
    add("--limit", type=int, help="keep at most so many utterances per split, for a quick try")
    add("--max_seconds", type=float, default=40.0, help="drop longer utterances (default 40)")
    add("--force", action="store_true", help="prepare again even if nothing changed")


def _librispeech(given: argparse.Namespace) -> int:
    from s3_speechbrain.data.librispeech import prepare_librispeech
    from s3_speechbrain.data.preparation import format_table

    names = ("train", "dev", "test", "fold", "train_minutes", "seed", "limit", "max_seconds", "force")
    options = {name: getattr(given, name) for name in names}
    print(format_table(prepare_librispeech(given.data_folder, given.save_folder, **options)))
    return 0


CORPORA = {
    "prompts": (
        _add_prompts,
        "Fetch the Asterisk core sounds (about 55 MB): real speech in five languages, free to use, about 20 minutes "
        "each; decode, clean and split them into Common Voice layout, ready for --data_folder.",
        PROMPTS,
    ),
    "common-voice": (
        _add_common_voice,
        "Write train.csv, dev.csv and test.csv for each language of Common Voice, tars as downloaded or unpacked.",
        COMMON_VOICE,
    ),
    "librispeech": (
        _add_librispeech,
        "Write manifests of LibriSpeech, and of Libri-light's 10 min / 1 h / 10 h training sets, to <save_folder>/en.",
        LIBRISPEECH,
    ),
}
RUN = {"prompts": _prompts, "common-voice": _common_voice, "librispeech": _librispeech}
