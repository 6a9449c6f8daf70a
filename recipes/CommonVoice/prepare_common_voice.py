#!/usr/bin/env python3
"""Turn Common Voice, as downloaded, into manifests for the recipes of this folder.

Examples
--------
> python prepare_common_voice.py cv-corpus-25.0-2026-03-09-nl.tar.gz manifests --languages nl --train-minutes
10 > python prepare_common_voice.py cv-corpus-25.0-2026-03-09 manifests --languages nl tr zh-TW --limit 200
"""

import argparse

from s3_speechbrain.data.common_voice import prepare_common_voice
from s3_speechbrain.data.preparation import format_table
from s3_speechbrain.errors import tell_user_errors


def parser() -> argparse.ArgumentParser:
    """Return the command line of this script."""
    parse = argparse.ArgumentParser(
        description="Write train.csv, dev.csv and test.csv for each language of Common Voice. Faulty rows "
        "are dropped, counted in the table printed at the end, and listed with file and line in "
        "<save_folder>/<language>/report.json. Rerunning with the same options does nothing; "
        "a killed run goes on where it stopped.",
        epilog="Example: prepare_common_voice.py cv-corpus-25.0-2026-03-09-nl.tar.gz manifests "
        "--languages nl --train-minutes 10. Then train with --data_folder set to the folder "
        "that was prepared (for a tar: <save_folder>/unpacked).",
    )
    parse.add_argument(
        "data_folder", help="tar as downloaded, folder of tars, unpacked release, or one locale's folder"
    )
    parse.add_argument(
        "save_folder", help="where the manifests go, as <save_folder>/<language>/{train,dev,test}.csv"
    )
    parse.add_argument(
        "--languages", nargs="+", required=True, metavar="LOCALE", help="for example: nl sv-SE zh-TW"
    )
    parse.add_argument(
        "--train-minutes", type=float, help="draw a training subset of so many minutes (10, 60, ...)"
    )
    parse.add_argument(
        "--seed", type=int, default=1, help="seed of that draw; subsets of one seed are nested (default 1)"
    )
    parse.add_argument("--limit", type=int, help="keep at most so many clips per split, for a quick try")
    parse.add_argument("--max-seconds", type=float, default=20.0, help="drop longer clips (default 20)")
    parse.add_argument("--min-seconds", type=float, default=0.2, help="drop shorter clips (default 0.2)")
    parse.add_argument("--keep-digits", action="store_true", help="do not spell numbers out")
    parse.add_argument(
        "--skip-audio-check",
        action="store_true",
        help="trust clip_durations.tsv and do not read the header of every clip: faster, blind to bad audio",
    )
    parse.add_argument(
        "--keep-shared-sentences",
        action="store_true",
        help="keep sentences that also occur in dev or test (by default they leave train)",
    )
    parse.add_argument("--cache-folder", help="where tars are unpacked (default <save_folder>/unpacked)")
    parse.add_argument("--force", action="store_true", help="prepare again even if nothing changed")
    return parse


@tell_user_errors
def main() -> None:
    """Prepare the languages and print what was kept."""
    args = parser().parse_args()
    prepared = prepare_common_voice(
        args.data_folder,
        args.save_folder,
        args.languages,
        train_minutes=args.train_minutes,
        seed=args.seed,
        limit=args.limit,
        max_seconds=args.max_seconds,
        spell_numbers=not args.keep_digits,
        min_seconds=args.min_seconds,
        check_audio=not args.skip_audio_check,
        disjoint_sentences=not args.keep_shared_sentences,
        cache_folder=args.cache_folder,
        force=args.force,
    )
    print(format_table(prepared))


if __name__ == "__main__":
    main()
