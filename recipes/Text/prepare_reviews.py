"""Prepare labelled sentences: positive or negative movie reviews, product reviews, editorials, tweets.

    python prepare_reviews.py --save_folder data/reviews

fetches the source of the Python package vaderSentiment 3.3.2 (2.5 MB, MIT licence) with pip, takes the sentences that
20 people each rated out of it, and writes data/reviews/{movie,amazon,nyt,tweets} with train.tsv, dev.tsv and test.tsv.
"""

import argparse
from pathlib import Path

from s3_speechbrain.errors import tell_user_errors
from s3_speechbrain.text.reviews import SETS, prepare_reviews

EPILOGUE = """
Ratings: Hutto and Gilbert, "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media Text",
ICWSM 2014. The movie reviews (Pang and Lee) are those behind the Stanford Sentiment Treebank, SST-2 of GLUE. The
sentences belong to their authors.
"""


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOGUE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--save_folder", type=Path, required=True, help="where the tables go")
    parser.add_argument("--sets", nargs="+", default=list(SETS), metavar="SET", help=f"of {', '.join(SETS)}")
    parser.add_argument("--archive", type=Path, help="vaderSentiment-3.3.2.tar.gz, if it is at hand already")
    return parser.parse_args()


@tell_user_errors
def main() -> None:
    """Prepare and print what was kept."""
    arguments = parse_arguments()
    for name, report in prepare_reviews(arguments.save_folder, arguments.sets, arguments.archive).items():
        counts = ", ".join(
            f"{split} {sum(labels.values())} ({labels['1']} positive)"
            for split, labels in report["rows"].items()
        )
        print(f"{name}: {counts}; left out: {report['left_out']}")


if __name__ == "__main__":
    main()
