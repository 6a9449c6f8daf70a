#!/usr/bin/env python3
"""Turn LibriSpeech, and Libri-light's 10 min / 1 h / 10 h training sets, into manifests.

Examples
--------
> python prepare_librispeech.py /data manifests --train 10min --dev dev-other --test test-clean
> python prepare_librispeech.py /data manifests --train train-clean-100
"""

import argparse

from s3_speechbrain.data.librispeech import prepare_librispeech
from s3_speechbrain.data.preparation import format_table
from s3_speechbrain.errors import tell_user_errors


def parser() -> argparse.ArgumentParser:
    """Return the command line of this script."""
    parse = argparse.ArgumentParser(
        description="Write manifests of LibriSpeech to <save_folder>/en. Evaluation sets that are there but "
        "not used as dev or test get a manifest under their own name. Faulty utterances are dropped, "
        "counted and listed with file and line in report.json.",
        epilog="Example: prepare_librispeech.py /data manifests --train 1h, where /data holds "
        "LibriSpeech/dev-clean, LibriSpeech/test-clean and librispeech_finetuning/1h.",
    )
    parse.add_argument(
        "data_folder", help="folder that holds LibriSpeech/ and, for limited sets, librispeech_finetuning/"
    )
    parse.add_argument("save_folder", help="where the manifests go, as <save_folder>/en/*.csv")
    parse.add_argument(
        "--train", default="train-clean-100", help="10min, 1h, 10h, or parts joined by + (train-clean-100)"
    )
    parse.add_argument("--dev", default="dev-clean", help="parts joined by + (default dev-clean)")
    parse.add_argument("--test", default="test-clean", help="parts joined by + (default test-clean)")
    parse.add_argument(
        "--fold", type=int, default=0, help="which of the six 10-minute sets, 0 to 5 (default 0)"
    )
    parse.add_argument("--train-minutes", type=float, help="draw a training subset of so many minutes")
    parse.add_argument("--seed", type=int, default=1, help="seed of that draw (default 1)")
    parse.add_argument("--limit", type=int, help="keep at most so many utterances per split, for a quick try")
    parse.add_argument("--max-seconds", type=float, default=40.0, help="drop longer utterances (default 40)")
    parse.add_argument("--force", action="store_true", help="prepare again even if nothing changed")
    return parse


@tell_user_errors
def main() -> None:
    """Prepare the corpus and print what was kept."""
    args = parser().parse_args()
    options = {
        name: value for name, value in vars(args).items() if name not in {"data_folder", "save_folder"}
    }
    print(format_table(prepare_librispeech(args.data_folder, args.save_folder, **options)))


if __name__ == "__main__":
    main()
